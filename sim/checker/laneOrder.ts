import type { EventOf } from '../history.ts'
import { type Facts, placeText } from './facts.ts'
import type { Violation } from './violation.ts'

/** I3: per (log, lane), every device stores entries in the order of their seqs, and all devices agree on what stands at a place. */
export function checkLaneOrder(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const places = new Map<string, EventOf<'stored'>>()
  for (const event of facts.stored) {
    const place = placeText(event)
    const before = places.get(place)
    if (before !== undefined && !isSame(before, event))
      violations.push({
        invariant: 'I3',
        text: `two devices hold different messages at seq ${event.seq}`,
        proof: [before, event],
      })
    places.set(place, event)
  }
  for (const store of facts.stores.values()) {
    const last = new Map<string, EventOf<'stored'>>()
    for (const event of facts.held(store)) {
      const lane = `${event.epoch} ${event.log} ${event.lane}`
      const before = last.get(lane)
      if (before !== undefined && event.seq <= before.seq)
        violations.push({
          invariant: 'I3',
          text: `store ${store.number} took seq ${event.seq} after seq ${before.seq}`,
          proof: [before, event],
        })
      last.set(lane, event)
    }
  }
  return violations
}

function isSame(left: EventOf<'stored'>, right: EventOf<'stored'>): boolean {
  return (
    left.sender === right.sender && left.id === right.id && left.content === right.content && left.deadlineMs === right.deadlineMs
  )
}

/** I4: what one device, or one page of a browser, sends to one destination in one lane is stored in the order sent. */
export function checkSenderOrder(facts: Facts): Violation[] {
  const sentAt = new Map<number, { readonly event: EventOf<'sendAsked'>; readonly order: number }>()
  /** Of what expired unsent: in which store. */
  const expiredAt = new Map<number, number>()
  let order = 0
  for (const event of facts.history.events) {
    // It comes all the same to a store that goes back to before it was called off, after what had been sent meanwhile.
    if (event.kind === 'cancelled' || (event.kind === 'told' && event.status === 'cancelled')) sentAt.delete(event.content)
    // It comes all the same from a copy of the store, by whose clock its time is not over.
    if (event.kind === 'told' && event.previous === 'outbox') {
      if (event.status === 'expired') expiredAt.set(event.content, event.store)
      else if (expiredAt.has(event.content) && expiredAt.get(event.content) !== event.store) sentAt.delete(event.content)
    }
    if (event.kind !== 'sendAsked') continue
    order += 1
    if (!facts.repeated.has(event.content)) sentAt.set(event.content, { event, order })
  }
  const firstMs = new Map<string, number>()
  for (const event of facts.stored) if (!firstMs.has(logText(event))) firstMs.set(logText(event), event.atMs)
  const violations: Violation[] = []
  for (const store of facts.stores.values()) {
    const last = new Map<string, { readonly stored: EventOf<'stored'>; readonly order: number }>()
    for (const stored of facts.held(store)) {
      const sent = sentAt.get(stored.content)
      if (sent === undefined || stored.id === '0') continue
      const key = `${stored.epoch} ${stored.log} ${stored.lane} ${stored.sender} ${sent.event.store} ${sent.event.tab}`
      const before = last.get(key)
      const isUnborn = sent.event.atMs < (firstMs.get(logText(stored)) ?? 0) && wasMadeAgain(facts, stored)
      if (before !== undefined && sent.order < before.order && !isUnborn) {
        const text = `store ${store.number} holds two messages of one device in another order than they were sent`
        const first = sentAt.get(before.stored.content)?.event
        violations.push({
          invariant: 'I4',
          text,
          proof: [sent.event, ...(first === undefined ? [] : [first]), before.stored, stored],
        })
      }
      last.set(key, { stored, order: sent.order })
    }
  }
  return violations
}

/**
 * Whether the address was deleted at some time. What came while it was not there leaves no key: when the answer is lost, it is judged anew, behind
 * what was sent after it and came once the address was there again.
 */
function wasMadeAgain(facts: Facts, { toKind, to }: EventOf<'stored'>): boolean {
  return facts.wasDeleted(toKind === 0 ? 'userDelete' : 'groupDelete', to, 0)
}

function logText({ epoch, log }: EventOf<'stored'>): string {
  return `${epoch} ${log}`
}
