import type { Content, EventOf, HistoryEvent } from '../history.ts'
import type { Facts } from './facts.ts'
import type { Violation } from './violation.ts'

/** What the last one who tells needs, in ms. */
const graceMs = 5_000

type Told = EventOf<'told'> | EventOf<'submitAnswered'>

/** I1: what its sender was told sent is stored by a device of the destination, or has ended expired or removed. Judged once all is at rest. */
export function checkLosses(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const ended = new Map<number, HistoryEvent>()
  const sent = new Map<number, Told>()
  const deadlines = new Map<number, number>()
  let endMs = 0
  for (const event of facts.history.events) {
    if (event.kind === 'sendStored' && event.deadlineMs > 0) deadlines.set(event.content, event.deadlineMs)
    if (event.kind === 'submitted') deadlines.set(event.content, event.deadlineMs)
    if (event.kind === 'stored') endMs = Math.max(endMs, event.judgedMs)
    if (event.kind !== 'told' && event.kind !== 'submitAnswered') continue
    if (event.kind === 'told') endMs = Math.max(endMs, event.serverMs)
    if (event.status === 'sent' && event.epoch === facts.epoch) sent.set(event.content, event)
    if (event.status === 'expired' || event.status === 'removed' || event.status === 'unknown') ended.set(event.content, event)
  }
  for (const [number, told] of sent) {
    const content = facts.content(number)
    if (content === undefined || ended.has(number) || isOver(facts, content, told, deadlines.get(number) ?? 0, endMs)) continue
    const stored = facts.storedBy.get(number) ?? []
    const isThere = stored.some((event) => (content.toKind === 0 ? facts.user(event.store) === content.to : event.toKind === 1))
    if (content.toKind === 0 && !isThere)
      violations.push({
        invariant: 'I1',
        text: `told sent, but no device of ${content.to} has it, and it has not ended`,
        proof: [told],
      })
  }
  return violations
}

/** Whether its deadline has passed, or its destination was deleted: it has ended, whether its sender was there to be told or not. */
function isOver(facts: Facts, content: Content, told: Told, deadlineMs: number, endMs: number): boolean {
  if (deadlineMs <= endMs) return true
  return facts.wasDeleted(content.toKind === 0 ? 'userDelete' : 'groupDelete', content.to, 0) && told.atMs >= 0
}

/** I1, each device: one that was connected before a message was written, and is at the end, has it. */
export function checkEachDevice(facts: Facts): Violation[] {
  if (facts.history.isSmall) return []
  const violations: Violation[] = []
  const healedMs = facts.history.events.find(({ kind }) => kind === 'healed')?.atMs ?? 0
  const liveSince = firstLive(facts)
  // Copies share the device's place in the log.
  const copied = new Set([...facts.stores.values()].flatMap((store) => (store.parent === undefined ? [] : [store, store.parent])))
  const lastLive = new Map<number, number>()
  for (const event of facts.history.events) if (event.kind === 'live') lastLive.set(event.store, event.atMs)
  const wanted = new Map<number, number>()
  const asked = new Map<number, number>()
  const deadlines = new Map<number, number>()
  let endMs = 0
  for (const event of facts.history.events) {
    if (event.kind === 'sendStored' && event.deadlineMs > 0) deadlines.set(event.content, event.deadlineMs)
    if (event.kind === 'told') endMs = Math.max(endMs, event.serverMs)
    if (event.kind === 'sendAsked' && !asked.has(event.content)) asked.set(event.content, event.atMs)
    if (event.kind === 'told' && event.status === 'delivered' && event.epoch === facts.epoch)
      wanted.set(event.content, event.atMs)
  }
  for (const [number] of wanted) {
    const content = facts.content(number)
    const askedMs = asked.get(number)
    if (content === undefined || content.toKind !== 0 || askedMs === undefined || (deadlines.get(number) ?? 0) <= endMs) continue
    if (facts.repeated.has(number) || facts.wasDeleted('userDelete', content.to, 0)) continue
    for (const store of facts.stores.values()) {
      const isFit = store.user === content.to && !copied.has(store) && store.lostMs === Number.POSITIVE_INFINITY
      const since = liveSince.get(store.number) ?? Number.POSITIVE_INFINITY
      if (!isFit || since > askedMs || (lastLive.get(store.number) ?? 0) < healedMs) continue
      if (!store.stored.some((event) => event.content === number)) {
        const proof = facts.told.filter((event) => event.content === number)
        violations.push({
          invariant: 'I1',
          text: `store ${store.number} of ${content.to}, connected before it was written, never got it`,
          proof,
        })
      }
    }
  }
  return violations
}

/** When each store was connected first in the last epoch. */
function firstLive(facts: Facts): Map<number, number> {
  const since = new Map<number, number>()
  for (const event of facts.history.events)
    if (event.kind === 'live' && event.epoch === facts.epoch && !since.has(event.store)) since.set(event.store, event.atMs)
  return since
}

/** I1, the outbox: what an app was told to be safe is in its store by then. */
export function checkOutbox(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const stored = new Set<string>()
  for (const event of facts.history.events) {
    if (event.kind === 'sendStored') stored.add(`${event.store} ${event.order}`)
    if (event.kind !== 'sendAnswered' || facts.repeated.has(event.content)) continue
    if (!stored.has(`${event.store} ${event.order}`))
      violations.push({ invariant: 'I1', text: 'told to be safe in the outbox, which does not hold it', proof: [event] })
  }
  return violations
}

/** I6, at rest: what has passed its deadline without being stored was told as expired to a sender that still waits for it. */
export function checkExpiredTold(facts: Facts): Violation[] {
  const open = new Map<string, EventOf<'told'>>()
  const deadlines = new Map<string, number>()
  const dropped = new Set<string>()
  let endMs = 0
  for (const event of facts.history.events) {
    if (event.kind === 'sendStored') {
      dropped.delete(`${event.store} ${event.order}`)
      if (event.deadlineMs > 0) deadlines.set(`${event.store} ${event.order}`, event.deadlineMs)
    }
    if (event.kind === 'sendDropped') {
      dropped.add(`${event.store} ${event.order}`)
      open.delete(`${event.store} ${event.order}`)
    }
    if (event.kind !== 'told') continue
    endMs = Math.max(endMs, event.serverMs)
    // How it ended is told once its row is gone.
    if (dropped.has(`${event.store} ${event.order}`)) continue
    open.set(`${event.store} ${event.order}`, event)
  }
  const healedMs = facts.history.events.find(({ kind }) => kind === 'healed')?.atMs ?? 0
  const live = new Set(
    facts.history.events.flatMap((event) => (event.kind === 'live' && event.atMs >= healedMs ? [event.store] : [])),
  )
  const violations: Violation[] = []
  for (const [key, event] of open) {
    const content = facts.content(event.content)
    const deadlineMs = deadlines.get(key) ?? Number.POSITIVE_INFINITY
    const isWaiting = event.status === 'sent' && content?.toKind === 0 && live.has(event.store)
    if (!isWaiting || deadlineMs + graceMs > endMs || facts.storedBy.has(event.content)) continue
    violations.push({
      invariant: 'I6',
      text: 'its deadline has passed, nobody has it, and its sender was never told expired',
      proof: [event],
    })
  }
  return violations
}
