import type { Content, EventOf, HistoryEvent } from '../history.ts'
import { endsClient, type Facts, liveStores } from './facts.ts'
import { certainties } from './rights.ts'
import type { Violation } from './violation.ts'

/** What was judged before a block may be written so long after it. */
const graceMs = 3_000
/** Who types and is not heard of for 10 s has stopped; timers are late now and then, and monotonic clocks drift. */
const typingEndMs = 12_000
/** Who asked hears by then at the latest, by its own clock. */
const answeredMs = 35_000
const unsure = new Set(['delivered', 'unknown', 'refused'])

/** What is never stored: real-time messages, who types, who is there. */
export function checkEphemeral(facts: Facts): Violation[] {
  return [...checkRealtime(facts), ...checkRealtimeTold(facts), ...checkTyping(facts), ...checkShown(facts)]
}

/** The same, once all is at rest. */
export function checkEphemeralAtRest(facts: Facts, hasSleeps: boolean): Violation[] {
  return [...checkPresence(facts), ...(hasSleeps ? [] : [...checkTypingEnds(facts), ...checkRealtimeAnswered(facts)])]
}

/** A real-time message comes at most once to a device, to none that has no connection, is never stored, and only where it may. */
function checkRealtime(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const asked = new Map<number, EventOf<'realtimeAsked'>>()
  const got = new Map<string, HistoryEvent>()
  for (const event of facts.history.events) {
    if (event.kind === 'realtimeAsked') asked.set(event.content, event)
    if ((event.kind === 'stored' || event.kind === 'echoed') && asked.has(event.content))
      violations.push({ invariant: 'I5', text: 'a real-time message was stored', proof: [event] })
    if (event.kind !== 'realtimeGot') continue
    const key = `${event.store} ${event.tab} ${event.content}`
    const before = got.get(key)
    got.set(key, event)
    if (before !== undefined)
      violations.push({ invariant: 'I2', text: 'a real-time message came twice to a device', proof: [before, event] })
    if (!event.isLive)
      violations.push({ invariant: 'I5', text: 'a real-time message came to a device without a connection', proof: [event] })
    const from = asked.get(event.content)
    const content = facts.content(event.content)
    const fault = from === undefined || content === undefined ? 'nobody sent' : realtimeFault(facts, content, from, event)
    if (fault !== '')
      violations.push({ invariant: 'I9', text: `a device got a real-time message that ${fault}`, proof: [from ?? event, event] })
  }
  return violations
}

/** Why a device may not have got it; '' when it may. */
function realtimeFault(facts: Facts, content: Content, asked: EventOf<'realtimeAsked'>, got: EventOf<'realtimeGot'>): string {
  const user = facts.user(got.store)
  const { toKind, to, user: sender } = content
  if (got.store === asked.store) return 'it sent itself'
  const isCertain = (what: 'memberSet' | 'block', subject: string, object: string, isSo: (roles: number) => boolean): boolean =>
    certainties(facts, what, subject, object).some(
      ({ roles, fromMs, untilMs }) => isSo(roles) && fromMs <= asked.atMs && got.atMs < untilMs,
    )
  if (toKind === 0) {
    if (user !== to) return 'was for another user'
    return isCertain('block', to, sender, (roles) => roles === 1) ? 'comes from whom its user had blocked' : ''
  }
  if (user === sender) return 'its own user sent to a group'
  return isCertain('memberSet', to, user, (roles) => (roles & 2) === 0) ? 'was for a group from which it could not receive' : ''
}

/** Told delivered: so a device got it before. Told expired, or refused by the server: so none did. */
function checkRealtimeTold(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const got = new Map<number, EventOf<'realtimeGot'>>()
  const told = new Map<number, EventOf<'realtimeTold'>>()
  for (const event of facts.history.events) {
    if (event.kind === 'realtimeTold') told.set(event.content, event)
    if (event.kind === 'realtimeGot') got.set(event.content, event)
    if (event.kind === 'realtimeTold' && event.status === 'delivered' && !got.has(event.content))
      violations.push({
        invariant: 'I6',
        text: 'a real-time message was told delivered, but no device has got it',
        proof: [event],
      })
  }
  for (const [content, event] of told) {
    const device = got.get(content)
    if (device !== undefined && !unsure.has(event.status))
      violations.push({
        invariant: 'I6',
        text: `a real-time message was told ${event.status}, but a device got it`,
        proof: [event, device],
      })
  }
  return violations
}

/** Liveness: a process that goes on is told what became of each real-time message. */
function checkRealtimeAnswered({ history }: Facts): Violation[] {
  const open = new Map<number, EventOf<'realtimeAsked'>>()
  for (const event of history.events) {
    if (event.kind === 'realtimeAsked') open.set(event.content, event)
    else if (event.kind === 'realtimeTold') open.delete(event.content)
    else for (const [content, asked] of open) if (endsClient(event, asked)) open.delete(content)
  }
  const endMs = history.events.at(-1)?.atMs ?? 0
  return [...open.values()]
    .filter(({ atMs }) => atMs + answeredMs < endMs)
    .map((event) => ({ invariant: 'liveness', text: 'nobody was told what became of a real-time message', proof: [event] }))
}

/** Who is told that somebody types is whom that was for, and somebody did. */
function checkTyping(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const asked = new Set<string>()
  for (const event of facts.history.events) {
    if (event.kind !== 'typingAsked' && event.kind !== 'typingTold') continue
    const { user, toKind, to, isActive } = event
    const key = `${user} ${toKind} ${to}`
    if (!isActive) continue
    if (event.kind === 'typingAsked') asked.add(key)
    else if (!asked.has(key)) violations.push({ invariant: 'I9', text: 'told that somebody types who does not', proof: [event] })
    else if (toKind === 0 ? facts.user(event.store) !== to : facts.user(event.store) === user)
      violations.push({ invariant: 'I9', text: 'told that somebody types to another one', proof: [event] })
  }
  return violations
}

/** Who is there, and who types, is not shown to whom that user has blocked; nor who types to one user, once that one has blocked it. */
function checkShown(facts: Facts): Violation[] {
  return facts.history.events.flatMap((event): Violation[] => {
    if (event.kind !== 'shown') return []
    const watcher = facts.user(event.store)
    const isBlocked = (by: string, object: string): boolean =>
      certainties(facts, 'block', by, object).some(
        ({ roles, fromMs, untilMs }) => roles === 1 && fromMs + graceMs <= event.atMs && event.atMs < untilMs,
      )
    if (!isBlocked(event.user, watcher) && !(event.what === 'typing' && isBlocked(watcher, event.user))) return []
    return [
      { invariant: 'I9', text: `${watcher} was shown the ${event.what} of ${event.user} in spite of a block`, proof: [event] },
    ]
  })
}

/** Liveness: who has stopped typing, or was not heard of for long, is told to have stopped. */
function checkTypingEnds({ history }: Facts): Violation[] {
  const open = new Map<string, EventOf<'typingTold'>>()
  const endMs = history.events.at(-1)?.atMs ?? 0
  for (const event of history.events) {
    if (event.kind === 'typingTold') {
      const key = `${event.store} ${event.tab} ${event.user} ${event.toKind} ${event.to}`
      if (event.isActive) open.set(key, event)
      else open.delete(key)
    } else for (const [key, told] of open) if (endsClient(event, told)) open.delete(key)
  }
  return [...open.values()]
    .filter(({ atMs }) => atMs + typingEndMs < endMs)
    .map((event) => ({ invariant: 'liveness', text: 'somebody was never told to have stopped typing', proof: [event] }))
}

/**
 * Liveness: in the end a watcher is told that somebody is there who is. Left out are users that were deleted, that have blocked the watcher once,
 * or that did not exist when the server was asked; and who is away, since the server may take a half-open connection for somebody.
 */
function checkPresence(facts: Facts): Violation[] {
  const { events } = facts.history
  const live = liveStores(events)
  const online = new Set([...live].map((store) => facts.user(store)))
  const watches = new Map<string, { readonly asked: EventOf<'watchAsked'>; count: number }>()
  const told = new Map<string, EventOf<'presenceTold'>>()
  for (const event of events) {
    if (event.kind === 'presenceTold') told.set(`${event.store} ${event.tab} ${event.user}`, event)
    else if (event.kind === 'watchAsked') {
      const key = `${event.store} ${event.tab} ${event.user}`
      const count = (watches.get(key)?.count ?? 0) + (event.isOn ? 1 : -1)
      if (count > 0) watches.set(key, { asked: event, count })
      else watches.delete(key)
    } else for (const [key, { asked }] of watches) if (endsClient(event, asked)) watches.delete(key)
  }
  return [...watches].flatMap(([key, { asked }]): Violation[] => {
    const { store, user } = asked
    const isUnsure =
      facts.wasDeleted('userDelete', user, 0) ||
      facts.changes.some(
        ({ change }) => change.what === 'block' && change.subject === user && change.object === facts.user(store),
      )
    if (isUnsure || !live.has(store) || !online.has(user)) return []
    const last = told.get(key)
    if (last?.state === 'online' || (last?.state === 'unknown' && last.isLive)) return []
    const text = `${user} is there, and who watches it was last told ${last?.state ?? 'nothing'}`
    return [{ invariant: 'liveness', text, proof: last === undefined ? [asked] : [asked, last] }]
  })
}
