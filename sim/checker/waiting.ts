import type { EventOf } from '../history.ts'
import type { Facts } from './facts.ts'
import type { Violation } from './violation.ts'

/** What the last one who tells needs, in ms. */
const graceMs = 5_000

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
      dropMessage(open, event)
    }
    if (event.kind === 'tabEnded') dropTab(open, event)
    if (event.kind !== 'told') continue
    endMs = Math.max(endMs, event.serverMs)
    // How it ended is told once its row is gone.
    if (dropped.has(`${event.store} ${event.order}`)) continue
    open.set(`${event.store} ${event.tab} ${event.order}`, event)
  }
  const healedMs = facts.history.events.find(({ kind }) => kind === 'healed')?.atMs ?? 0
  const live = new Set(
    facts.history.events.flatMap((event) => (event.kind === 'live' && event.atMs >= healedMs ? [event.store] : [])),
  )
  const violations: Violation[] = []
  for (const event of open.values()) {
    const content = facts.content(event.content)
    const deadlineMs = deadlines.get(`${event.store} ${event.order}`) ?? Number.POSITIVE_INFINITY
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

/**
 * I6, at rest: what a device stored that is still there, and connected, was told as delivered to a sender that still waits for it. Left out is
 * what a block may keep from its sender, and what ran in more than one epoch or device.
 */
export function checkDeliveredTold(facts: Facts): Violation[] {
  if (facts.epoch > 1) return []
  const healedMs = facts.history.events.find(({ kind }) => kind === 'healed')?.atMs ?? 0
  const live = new Set<number>()
  const open = new Map<string, EventOf<'told'>>()
  const dropped = new Set<string>()
  for (const event of facts.history.events) {
    if (event.kind === 'live' && event.atMs >= healedMs) live.add(event.store)
    if (event.kind === 'sendDropped') dropped.add(`${event.store} ${event.order}`)
    if (event.kind === 'sendStored') dropped.delete(`${event.store} ${event.order}`)
    if (event.kind === 'tabEnded') dropTab(open, event)
    if (event.kind === 'told') open.set(`${event.store} ${event.tab} ${event.order}`, event)
  }
  const violations: Violation[] = []
  for (const told of open.values()) {
    const content = facts.content(told.content)
    if (told.status !== 'sent' || dropped.has(`${told.store} ${told.order}`) || content?.toKind !== 0 || !content.receipts)
      continue
    if (!live.has(told.store) || facts.isCopied(told.store) || facts.repeated.has(told.content)) continue
    const isUnsure = facts.changes.some(({ change }) => change.what === 'block' || change.what === 'userDelete')
    const stored = facts.storedBy
      .get(told.content)
      ?.find(
        ({ store }) => live.has(store) && !facts.isCopied(store) && facts.stores.get(store)?.lostMs === Number.POSITIVE_INFINITY,
      )
    if (isUnsure || stored === undefined) continue
    violations.push({ invariant: 'I6', text: 'a device has it, and its sender was never told delivered', proof: [told, stored] })
  }
  return violations
}

type Open = Map<string, EventOf<'told'>>

function dropMessage(open: Open, { store, order }: EventOf<'sendDropped'>): void {
  for (const [key, told] of open) if (told.store === store && told.order === order) open.delete(key)
}

/** Who is gone waits for nothing. */
function dropTab(open: Open, { tab }: EventOf<'tabEnded'>): void {
  for (const [key, told] of open) if (told.tab === tab) open.delete(key)
}
