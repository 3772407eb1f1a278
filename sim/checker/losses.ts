import type { Content, EventOf, HistoryEvent } from '../history.ts'
import { type Facts, liveStores } from './facts.ts'
import type { Violation } from './violation.ts'

type Told = EventOf<'told'> | EventOf<'submitAnswered'>

/** I1: what its sender was told sent is stored by a device of the destination, or has ended expired or removed. Judged once all is at rest. */
export function checkLosses(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const ended = new Map<number, HistoryEvent>()
  const sent = new Map<number, Told>()
  const deadlines = new Map<number, number>()
  const live = liveStores(facts.history.events)
  const reachable = new Set([...live].map((store) => facts.user(store)))
  let endMs = 0
  for (const event of facts.history.events) {
    if (event.kind === 'sendStored' && event.deadlineMs > 0) deadlines.set(event.content, event.deadlineMs)
    if (event.kind === 'submitted') deadlines.set(event.content, event.deadlineMs)
    if (event.kind === 'caughtUp') endMs = Math.max(endMs, event.serverMs)
    if (event.kind === 'stored') endMs = Math.max(endMs, event.judgedMs)
    if (event.kind !== 'told' && event.kind !== 'submitAnswered') continue
    if (event.kind === 'told') endMs = Math.max(endMs, event.serverMs)
    if (event.status === 'sent' && event.epoch === facts.epoch) sent.set(event.content, event)
    if (event.status === 'expired' || event.status === 'removed' || event.status === 'unknown') ended.set(event.content, event)
  }
  for (const event of facts.told) {
    const content = facts.content(event.content)
    if (event.status !== 'unknown' || event.epoch < 2 || content === undefined) continue
    if (isOver(facts, content, event, deadlines.get(event.content) ?? 0, endMs)) continue
    if (facts.wasDeleted('userDelete', facts.user(event.store), 0) || facts.isShadowed(event.content, event.id)) continue
    violations.push({ invariant: 'I1', text: 'told unknown, though its sender could send it again', proof: [event] })
  }
  for (const [number, told] of sent) {
    const content = facts.content(number)
    if (content === undefined || ended.has(number) || isOver(facts, content, told, deadlines.get(number) ?? 0, endMs)) continue
    const stored = facts.storedBy.get(number) ?? []
    const isThere = stored.some((event) => (content.toKind === 0 ? facts.user(event.store) === content.to : event.toKind === 1))
    // A user whose devices were all refused for good has nobody who could store it.
    if (content.toKind === 0 && !isThere && reachable.has(content.to) && !facts.isShadowed(number, told.id))
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

/** I1, the outbox: what an app was told to be safe is in its store by then, or has ended before it was. */
export function checkOutbox(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const stored = new Set<string>()
  const unseen = new Set<string>()
  for (const { store, order, status, previous } of facts.told)
    if (status === 'expired' && previous === 'outbox') unseen.add(`${store} ${order}`)
  for (const event of facts.history.events) {
    if (event.kind === 'sendStored') stored.add(`${event.store} ${event.order}`)
    if (event.kind !== 'sendAnswered' || facts.repeated.has(event.content)) continue
    const message = `${event.store} ${event.order}`
    if (!stored.has(message) && !unseen.has(message))
      violations.push({ invariant: 'I1', text: 'told to be safe in the outbox, which does not hold it', proof: [event] })
  }
  return violations
}

/**
 * I2, the outbox: nothing comes to a device before its sender's outbox holds it. After a crash the app would know of nothing, and write it
 * once more.
 */
export function checkHeldFirst(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const held = new Set<number>()
  for (const event of facts.history.events) {
    if (event.kind === 'sendStored' || event.kind === 'submitted' || event.kind === 'onceSent') held.add(event.content)
    if (event.kind === 'stored' && !held.has(event.content))
      violations.push({ invariant: 'I2', text: 'a device has what no outbox holds yet', proof: [event] })
  }
  return violations
}
