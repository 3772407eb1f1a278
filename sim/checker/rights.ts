import type { EventOf } from '../history.ts'
import type { Facts } from './facts.ts'
import type { Violation } from './violation.ts'

/** I9: nobody receives what it may not. */
export function checkRights(facts: Facts): Violation[] {
  return [...checkIntruders(facts), ...checkGenuine(facts), ...checkOwn(facts), ...checkBlocked(facts), ...checkMembers(facts)]
}

/** A store is of one user, and nothing to another one's client; what that wrote is not genuine. */
function checkIntruders({ history }: Facts): Violation[] {
  const events = history.events.filter(({ kind }) => kind === 'intruded')
  return events.map((event) => ({ invariant: 'I9', text: "another user's client could use a store", proof: [event] }))
}

/** What a device holds, its sender wrote, for this destination, as it stands there. */
function checkGenuine(facts: Facts): Violation[] {
  const violations: Violation[] = []
  for (const event of facts.stored) {
    const content = facts.content(event.content)
    const isGenuine =
      content !== undefined &&
      content.user === event.senderName &&
      content.priority === event.lane &&
      content.type === event.type &&
      content.receipts === event.receipts &&
      Math.max(4, content.bytes) === event.bytes
    if (!isGenuine) violations.push({ invariant: 'I9', text: 'a device holds what nobody sent so', proof: [event] })
    else if (content.toKind === 0 ? content.to !== facts.user(event.store) : event.toKind !== 1)
      violations.push({
        invariant: 'I9',
        text: `${facts.user(event.store)} holds what was sent to ${content.to}`,
        proof: [event],
      })
  }
  return violations
}

/** A device does not get back what it sent to a group itself. */
function checkOwn(facts: Facts): Violation[] {
  const senders = new Map<number, number>()
  for (const event of facts.history.events) if (event.kind === 'sendAsked') senders.set(event.content, event.store)
  return facts.stored.flatMap((event) => {
    const isOwn = event.toKind === 1 && senders.get(event.content) === event.store && !facts.repeated.has(event.content)
    return isOwn ? [{ invariant: 'I9' as const, text: 'a device got back what it sent itself', proof: [event] }] : []
  })
}

/** When each content was written first, and when its acceptance was told first. */
function timesOf(facts: Facts): { readonly asked: Map<number, number>; readonly accepted: Map<number, number> } {
  const asked = new Map<number, number>()
  const accepted = new Map<number, number>()
  for (const event of facts.history.events) {
    if (event.kind === 'sendAsked' || event.kind === 'submitted' || event.kind === 'onceSent') {
      if (!asked.has(event.content)) asked.set(event.content, event.atMs)
    } else if ((event.kind === 'told' || event.kind === 'submitAnswered') && event.status === 'sent') {
      if (!accepted.has(event.content)) accepted.set(event.content, event.atMs)
    }
  }
  return { asked, accepted }
}

/** What certainly was so for certain: the state that a done change left, until somebody asks for another one. */
export interface Certain {
  readonly fromMs: number
  readonly untilMs: number
  readonly roles: number
}

/** Stretches in which nobody can doubt what rights a pair has; restores and deletions end them. */
export function certainties(facts: Facts, what: 'memberSet' | 'block', subject: string, object: string): Certain[] {
  const changes = facts.changes.filter(({ change }) => {
    if (change.what === what) return change.subject === subject && change.object === object
    if (change.what === 'userDelete') return change.subject === object || (what === 'block' && change.subject === subject)
    if (what === 'memberSet')
      return (change.what === 'groupDelete' || change.what === 'groupCreate') && change.subject === subject
    return false
  })
  const restores = facts.epochsMs.filter(({ isRestored }) => isRestored).map(({ atMs }) => atMs)
  const found: Certain[] = []
  for (const one of changes) {
    const { change, answeredMs, askedMs, code } = one
    if (change.what !== what || code !== '') continue
    const isDisturbed = changes.some(
      (other) => other !== one && other.askedMs <= answeredMs && other.answeredMs >= askedMs && other.code !== 'not-allowed',
    )
    if (isDisturbed) continue
    const laterMs = changes.filter((other) => other.askedMs > answeredMs).map((other) => other.askedMs)
    const untilMs = Math.min(Number.POSITIVE_INFINITY, ...laterMs, ...restores.filter((atMs) => atMs > askedMs))
    found.push({ fromMs: answeredMs, untilMs, roles: change.roles })
  }
  return found
}

/** What was written while its sender was blocked for certain. */
function checkBlocked(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const { asked, accepted } = timesOf(facts)
  const known = new Map<string, Certain[]>()
  for (const event of facts.stored) {
    const content = facts.content(event.content)
    if (content === undefined || content.toKind !== 0) continue
    const pair = `${content.to} ${content.user}`
    const certain = known.get(pair) ?? certainties(facts, 'block', content.to, content.user)
    known.set(pair, certain)
    const askedMs = asked.get(event.content) ?? 0
    const endMs = Math.min(event.atMs, accepted.get(event.content) ?? Number.POSITIVE_INFINITY)
    if (certain.some(({ roles, fromMs, untilMs }) => roles === 1 && askedMs >= fromMs && endMs < untilMs))
      violations.push({
        invariant: 'I9',
        text: `${content.to} holds a message of ${content.user}, whom it had blocked before`,
        proof: [event],
      })
  }
  return violations
}

/** By content and epoch: when it had its place in the log at the latest. What came more than once may have another one too. */
function placedTimes(facts: Facts): Map<string, number> {
  const placed = new Map<string, number>()
  for (const event of facts.history.events) {
    if ((event.kind !== 'told' && event.kind !== 'submitAnswered') || event.status !== 'sent') continue
    const user = facts.content(event.content)?.user ?? ''
    const isOnce = !facts.repeated.has(event.content) && !facts.wasDeleted('userDelete', user, 0)
    const place = `${event.content} ${event.epoch}`
    if (isOnce && !placed.has(place)) placed.set(place, event.atMs)
  }
  return placed
}

/** What was written while its holder could not receive from the group for certain, though it may since. */
function checkMembers(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const { asked } = timesOf(facts)
  const placed = placedTimes(facts)
  const known = new Map<string, Certain[]>()
  for (const event of facts.stored) {
    const content = facts.content(event.content)
    if (content === undefined || content.toKind !== 1) continue
    const user = facts.user(event.store)
    const pair = `${content.to} ${user}`
    const certain = known.get(pair) ?? certainties(facts, 'memberSet', content.to, user)
    known.set(pair, certain)
    const askedMs = asked.get(event.content) ?? 0
    const endMs = Math.min(event.atMs, placed.get(`${event.content} ${event.epoch}`) ?? Number.POSITIVE_INFINITY)
    if (!certain.some(({ roles, fromMs, untilMs }) => (roles & 2) === 0 && askedMs >= fromMs && endMs < untilMs)) continue
    const text = `${user} holds a message to ${content.to} from a time at which it could not receive`
    violations.push({ invariant: 'I9', text, proof: memberProof(facts, event) })
  }
  return violations
}

function memberProof(facts: Facts, event: EventOf<'stored'>): (EventOf<'stored'> | EventOf<'sendAsked'>)[] {
  const asked = facts.history.events.find(
    (one): one is EventOf<'sendAsked'> => one.kind === 'sendAsked' && one.content === event.content,
  )
  return asked === undefined ? [event] : [asked, event]
}
