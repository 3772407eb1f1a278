import type { EventOf } from '../history.ts'
import type { Facts } from './facts.ts'
import type { Violation } from './violation.ts'

const ranks: Readonly<Record<string, number>> = { outbox: 0, sent: 1, expired: 2, delivered: 3, read: 4 }
const endRank = 2.5
const rejections = new Set(['inbox-full', 'blocked', 'not-member', 'not-allowed', 'too-large', 'conflict', 'invalid'])

/** I6: statuses only move forward, and say what is so. */
export function checkStatuses(facts: Facts): Violation[] {
  return [
    ...checkMonotone(facts),
    ...checkDelivered(facts),
    ...checkRead(facts),
    ...checkExpired(facts),
    ...checkRejected(facts),
    ...checkReceipts(facts),
    ...checkCancelled(facts),
  ]
}

function checkMonotone(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const last = new Map<string, EventOf<'told'>>()
  const dropped = new Set<string>()
  const tabs = new Map<number, Set<number>>()
  for (const event of facts.history.events) {
    // A store that is copied takes its messages along: each store is looked at for itself. How a message ended is told once its row is gone.
    if (event.kind === 'sendDropped') dropped.add(`${event.store} ${event.order}`)
    if (event.kind === 'sendStored' && dropped.delete(`${event.store} ${event.order}`)) {
      for (const tab of tabs.get(event.store) ?? []) last.delete(`${event.store} ${tab} ${event.order}`)
    }
    if (event.kind !== 'told') continue
    tabs.set(event.store, (tabs.get(event.store) ?? new Set()).add(event.tab))
    const key = `${event.store} ${event.tab} ${event.order}`
    const before = last.get(key)
    last.set(key, event)
    // What was told and not yet stored when the process died, the next process may not know.
    // Nor does a server that was restored from before, or made the sender anew: it judges anew what the sender's store holds as less, or unanswered.
    const isBehind = before !== undefined && (event.isLookedUp || before.status !== event.previous)
    const isRestored = before !== undefined && before.epoch < event.epoch && isBehind
    const isLess = event.previous === 'outbox' || isBehind
    const isJudgedAnew = isRestored || (isLess && facts.wasDeleted('userDelete', facts.user(event.store), 0))
    const isForgotten = before?.run !== event.run && (event.status === 'unknown' || isJudgedAnew)
    // The order of a message that was never stored is used again.
    const isSame = before?.id === event.id
    if (before !== undefined && isSame && !isForgotten) violations.push(...fallOf(before, event))
  }
  return violations
}

function fallOf(before: EventOf<'told'>, event: EventOf<'told'>): Violation[] {
  const proof = [before, event]
  if ((ranks[event.status] ?? endRank) < (ranks[before.status] ?? endRank))
    return [{ invariant: 'I6', text: `a status went back from ${before.status} to ${event.status}`, proof }]
  const { counts } = event
  if (counts === undefined || before.counts === undefined || before.epoch !== event.epoch) return []
  const isLess = counts.delivered < before.counts.delivered || counts.read < before.counts.read
  return isLess ? [{ invariant: 'I6', text: 'the counts of a message to a group fell', proof }] : []
}

/** Told delivered: so a device of the destination has stored it before. */
function checkDelivered(facts: Facts): Violation[] {
  const violations: Violation[] = []
  for (const event of facts.told) {
    const content = facts.content(event.content)
    if (content === undefined) continue
    const users = new Set<string>()
    for (const stored of facts.storedBy.get(event.content) ?? []) {
      if (stored.atMs <= event.atMs) users.add(facts.user(stored.store))
    }
    if (content.toKind === 1) {
      users.delete(content.user)
      const claimed = event.counts?.delivered ?? 0
      if (claimed > users.size && !facts.isShadowed(event.content, event.id))
        violations.push({ invariant: 'I6', text: `told that ${claimed} members have it, but ${users.size} have`, proof: [event] })
    } else if (isDelivered(event) && !users.has(content.to) && !facts.isShadowed(event.content, event.id))
      violations.push({
        invariant: 'I6',
        text: `told ${event.status}, but no device of ${content.to} has stored it`,
        proof: [event],
      })
  }
  return violations
}

function isDelivered({ status }: EventOf<'told'>): boolean {
  return status === 'delivered' || status === 'read'
}

/** Told read: so an app has marked read this message or a later one of its sender in its lane. */
function checkRead(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const asked = facts.history.events.filter((event): event is EventOf<'readAsked'> => event.kind === 'readAsked')
  for (const event of facts.told) {
    const content = facts.content(event.content)
    if (event.status !== 'read' || content === undefined) continue
    // After a restore a device may have what another content under its id was in the epoch before, and marks that read.
    if (facts.stored.some(({ id, content: other, epoch }) => id === event.id && other !== event.content && epoch < event.epoch))
      continue
    const isMarked = (facts.storedBy.get(event.content) ?? []).some((stored) =>
      asked.some(
        (read) =>
          read.atMs <= event.atMs &&
          facts.user(read.store) === facts.user(stored.store) &&
          read.log === stored.log &&
          read.lane === stored.lane &&
          // In a later epoch it may have another place, which no device tells: it passes what it has already.
          (read.epoch === stored.epoch ? read.seq >= stored.seq : read.epoch > stored.epoch && event.epoch >= read.epoch),
      ),
    )
    if (!isMarked) violations.push({ invariant: 'I6', text: 'told read, but no app has marked it read', proof: [event] })
  }
  return violations
}

/** Told expired by the server: so its deadline has passed, or an earlier one that it was sent with elsewhere, from a copy or over the HTTP API. */
function checkExpired(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const deadlines = new Map<number, number>()
  let latestMs = 0
  for (const event of facts.history.events) {
    if ((event.kind === 'sendStored' || event.kind === 'submitted') && event.deadlineMs > 0)
      deadlines.set(event.content, Math.min(event.deadlineMs, deadlines.get(event.content) ?? event.deadlineMs))
    // A record at which it closed holds, whatever the clock shows after a start.
    if (event.kind === 'serverCrashed') latestMs = Math.max(latestMs, event.serverMs)
    if (event.kind !== 'told') continue
    latestMs = Math.max(latestMs, event.serverMs)
    if (event.status !== 'expired' || event.previous !== 'sent') continue
    const deadlineMs = deadlines.get(event.content)
    if (deadlineMs !== undefined && latestMs < deadlineMs)
      violations.push({
        invariant: 'I6',
        text: `told expired ${Math.round(deadlineMs - latestMs)} ms before the deadline`,
        proof: [event],
      })
  }
  return violations
}

/** Told that it was refused: so nobody has it. */
function checkRejected(facts: Facts): Violation[] {
  const violations: Violation[] = []
  for (const event of facts.told) {
    if (!rejections.has(event.status) || facts.repeated.has(event.content)) continue
    // A user that was made again has no keys of its past: what it sends again is judged anew.
    if (facts.wasDeleted('userDelete', facts.content(event.content)?.user ?? '', 0)) continue
    const stored = facts.storedBy.get(event.content)?.find(({ epoch }) => epoch === event.epoch)
    if (stored !== undefined)
      violations.push({ invariant: 'I6', text: `told ${event.status}, but a device has it`, proof: [event, stored] })
  }
  return violations
}

/** Without receipts nothing is told beyond sent. */
function checkReceipts(facts: Facts): Violation[] {
  const told = facts.history.events.filter(
    (event): event is EventOf<'told'> | EventOf<'submitAnswered'> => event.kind === 'told' || event.kind === 'submitAnswered',
  )
  return told.flatMap((event) => {
    const content = facts.content(event.content)
    const isOver = content?.receipts === false && (event.status === 'delivered' || event.status === 'read')
    return isOver
      ? [{ invariant: 'I6' as const, text: `told ${event.status} of a message without receipts`, proof: [event] }]
      : []
  })
}

/** What was taken back, nobody gets. */
function checkCancelled(facts: Facts): Violation[] {
  const violations: Violation[] = []
  for (const event of facts.history.events) {
    if (event.kind !== 'cancelled' || facts.repeated.has(event.content) || facts.isCopied(event.store)) continue
    const stored = facts.storedBy.get(event.content)?.[0]
    if (stored !== undefined)
      violations.push({ invariant: 'I6', text: 'a message was cancelled, and stored all the same', proof: [event, stored] })
  }
  return violations
}
