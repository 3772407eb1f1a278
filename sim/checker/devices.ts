import { type EventOf, eventsOf } from '../history.ts'
import type { Facts, StoreFacts } from './facts.ts'
import type { Violation } from './violation.ts'

/** When things happened that decide what a device must have. */
interface Times {
  /** By store: when it was connected first and last in the last epoch. */
  readonly firstLive: ReadonlyMap<number, number>
  readonly lastLive: ReadonlyMap<number, number>
  /** By content: when it was written first, and by when it must have come. */
  readonly asked: ReadonlyMap<number, number>
  readonly deadlines: ReadonlyMap<number, number>
  readonly healedMs: number
  readonly endMs: number
}

function timesOf(facts: Facts): Times {
  const [firstLive, lastLive] = [new Map<number, number>(), new Map<number, number>()]
  const [asked, deadlines] = [new Map<number, number>(), new Map<number, number>()]
  let healedMs = 0
  let endMs = 0
  for (const event of facts.history.events) {
    if (event.kind === 'live' && event.epoch === facts.epoch) {
      if (!firstLive.has(event.store)) firstLive.set(event.store, event.atMs)
      lastLive.set(event.store, event.atMs)
    }
    if (event.kind === 'sendStored' && event.deadlineMs > 0) deadlines.set(event.content, event.deadlineMs)
    if (event.kind === 'sendAsked' && !asked.has(event.content)) asked.set(event.content, event.atMs)
    if (event.kind === 'told' || event.kind === 'caughtUp') endMs = Math.max(endMs, event.serverMs)
    if (event.kind === 'healed') healedMs = event.atMs
  }
  return { firstLive, lastLive, asked, deadlines, healedMs, endMs }
}

/** Whether a content must have come to all of its receiver's devices by now: to one user, once, in time. */
function isCertain(facts: Facts, { deadlines, endMs }: Times, number: number): boolean {
  const content = facts.content(number)
  if (content === undefined || content.toKind !== 0 || facts.repeated.has(number)) return false
  return (deadlines.get(number) ?? 0) > endMs && !facts.wasDeleted('userDelete', content.to, 0)
}

/** Whether a store is in use at the end. */
function isInUse({ lastLive, healedMs }: Times, store: StoreFacts): boolean {
  return store.lostMs === Number.POSITIVE_INFINITY && (lastLive.get(store.number) ?? 0) >= healedMs
}

/** I1, each device: one that was connected before a message was written, and is at the end, has it. */
export function checkEachDevice(facts: Facts): Violation[] {
  if (facts.history.isSmall) return []
  const times = timesOf(facts)
  const wanted = new Map<number, EventOf<'told'>>()
  for (const event of facts.told)
    if (event.status === 'delivered' && event.epoch === facts.epoch) wanted.set(event.content, event)
  const violations: Violation[] = []
  for (const [number, told] of wanted) {
    const askedMs = times.asked.get(number)
    if (askedMs === undefined || !isCertain(facts, times, number)) continue
    for (const store of facts.stores.values()) {
      if (store.user !== facts.content(number)?.to || facts.isCopied(store.number) || !isInUse(times, store)) continue
      if ((times.firstLive.get(store.number) ?? Number.POSITIVE_INFINITY) > askedMs) continue
      if (store.stored.some((event) => event.content === number)) continue
      const text = `store ${store.number} of ${store.user}, connected before it was written, never got it`
      violations.push({ invariant: 'I1', text, proof: [told] })
    }
  }
  return violations
}

/**
 * I1, a device that went back to an earlier store: what another device of its user, registered all the time, had not passed when it was
 * back, can't have been trimmed, and comes to it again.
 */
export function checkGoneBack(facts: Facts): Violation[] {
  if (facts.history.isSmall) return []
  const times = timesOf(facts)
  const violations: Violation[] = []
  for (const store of facts.stores.values()) {
    const sinceMs = times.firstLive.get(store.number)
    const isBack = store.parent !== undefined && store.parent.lostMs < Number.POSITIVE_INFINITY
    if (!isBack || sinceMs === undefined || isShared(facts, store, sinceMs) || !isInUse(times, store)) continue
    const held = new Set(facts.held(store).map(({ content }) => content))
    for (const other of facts.stores.values()) {
      if (other.user !== store.user || facts.isCopied(other.number)) continue
      const registeredMs = times.firstLive.get(other.number) ?? Number.POSITIVE_INFINITY
      const missed = other.stored.filter(({ content, epoch, atMs }) => {
        const isLagging = atMs > sinceMs && (times.asked.get(content) ?? 0) > registeredMs
        return isLagging && epoch === facts.epoch && !held.has(content) && isCertain(facts, times, content)
      })
      const text = `store ${store.number} of ${store.user} went back, and never got what another device had not passed yet`
      for (const event of missed) violations.push({ invariant: 'I1', text, proof: [event] })
    }
  }
  return violations
}

/** Whether a store's device ran elsewhere too, since that time. */
function isShared(facts: Facts, store: StoreFacts, sinceMs: number): boolean {
  return [...facts.stores.values()].some(
    (other) => other !== store && originOf(other) === originOf(store) && other.lostMs > sinceMs,
  )
}

/** The store of which all its copies come. */
function originOf(store: StoreFacts): StoreFacts {
  return store.parent === undefined ? store : originOf(store.parent)
}

/** I1, after the heal: what is written to a group comes to the devices of all who are its members by then, and to a user it is echoed. */
export function checkAfterHeal(facts: Facts): Violation[] {
  if (facts.history.isSmall) return []
  const times = timesOf(facts)
  const late = new Map<number, EventOf<'sendAsked'>>()
  const accepted = new Set<number>()
  const echoed = new Set<string>()
  for (const event of facts.history.events) {
    if (event.kind === 'sendAsked' && event.atMs > times.healedMs && times.healedMs > 0) late.set(event.content, event)
    if (event.kind === 'told' && event.status === 'sent') accepted.add(event.content)
    if (event.kind === 'echoed') echoed.add(`${event.store} ${event.content}`)
  }
  const violations: Violation[] = []
  for (const [number, asked] of late) {
    const content = facts.content(number)
    if (content === undefined || !accepted.has(number)) continue
    for (const store of facts.stores.values()) {
      const isThere = isInUse(times, store) && (times.lastLive.get(store.number) ?? Number.POSITIVE_INFINITY) < asked.atMs
      if (!isThere || facts.isCopied(store.number) || store.number === asked.store) continue
      if (content.toKind === 1 && !isMember(facts, content.to, store.user, asked.atMs)) continue
      if (content.toKind === 0 && (store.user !== content.user || content.to === content.user)) continue
      const isGot =
        content.toKind === 1 ? store.stored.some((event) => event.content === number) : echoed.has(`${store.number} ${number}`)
      const what = content.toKind === 1 ? `what was written to the group ${content.to}` : 'what its user sent elsewhere'
      if (!isGot)
        violations.push({ invariant: 'I1', text: `store ${store.number} of ${store.user} never got ${what}`, proof: [asked] })
    }
  }
  return violations
}

/** Whether somebody was made a member before, which nobody has changed since. */
function isMember(facts: Facts, group: string, user: string, atMs: number): boolean {
  const last = facts.changes
    .filter(({ change }) => change.what === 'memberSet' && change.subject === group && change.object === user)
    .at(-1)
  return last?.code === '' && last.answeredMs < atMs && last.change.roles === 7
}

/** Liveness: what is asked of the server once all is healed is answered. */
export function checkAnswered(facts: Facts): Violation[] {
  const healedMs = facts.history.events.find(({ kind }) => kind === 'healed')?.atMs ?? Number.POSITIVE_INFINITY
  return eventsOf(facts.history, 'changeAsked').flatMap((event) => {
    const isAnswered = facts.history.events.some((one) => one.kind === 'changeAnswered' && one.number === event.number)
    if (event.atMs <= healedMs || isAnswered) return []
    return [{ invariant: 'liveness' as const, text: `a change was never answered: ${event.change.what}`, proof: [event] }]
  })
}
