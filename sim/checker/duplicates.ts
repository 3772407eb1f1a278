import type { EventOf } from '../history.ts'
import { type Facts, keyText } from './facts.ts'
import type { Violation } from './violation.ts'

/** A key lives to its message's deadline plus a day. */
const keyGraceMs = 86_400_000

/** Until when the key of a message keeps another one out: a restore may have lost the server's, and devices forget theirs at the deadline. */
function endMs(before: EventOf<'stored'>, { epoch }: EventOf<'stored'>): number {
  return epoch === before.epoch ? before.deadlineMs + keyGraceMs : before.deadlineMs
}

/** I2: while its key lives, no device's inbox receives the same (destination, sender, id) twice. */
export function checkDuplicates(facts: Facts): Violation[] {
  const violations: Violation[] = []
  for (const store of facts.stores.values()) {
    const first = new Map<string, EventOf<'stored'>>()
    for (const event of facts.held(store)) {
      if (event.id === '0') continue
      const key = keyText(event)
      const before = first.get(key)
      if (before !== undefined && event.judgedMs < endMs(before, event) && event.atMs !== before.atMs) {
        const text = `store ${store.number} of ${store.user} received message ${event.id} of ${event.senderName} twice`
        violations.push({ invariant: 'I2', text, proof: [before, event] })
      }
      first.set(key, event)
    }
  }
  return violations
}

/** I2 for what other devices of the same user sent: told once each. */
export function checkEchoes(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const seen = new Map<string, EventOf<'echoed'>>()
  for (const event of facts.history.events) {
    if (event.kind !== 'echoed' || event.id === '0' || facts.repeated.has(event.content)) continue
    const key = `${event.store} ${event.tab} ${event.content}`
    const before = seen.get(key)
    // A user that was made again has no keys of its past: what its store still holds as unanswered is sent anew.
    if (before !== undefined && !facts.wasDeleted('userDelete', facts.user(event.store), 0))
      violations.push({ invariant: 'I2', text: 'a device was told twice of what another one sent', proof: [before, event] })
    seen.set(key, event)
  }
  return violations
}

/** How long a page's posts to another one may take, and the answer. */
const postMsMax = 5_000

/** Handlers: an entry comes to its handler again only as redelivered, and never again once the app that keeps positions has handled it. */
export function checkHandlers(facts: Facts, hasPositions: boolean): Violation[] {
  const violations: Violation[] = []
  const seen = new Map<string, EventOf<'handled'>>()
  const done = new Map<string, EventOf<'handlerEnded'>>()
  const sinceMs = new Map<number, number>()
  const ended = new Set<number>()
  const aside = new Set<string>()
  for (const event of facts.history.events) {
    if (event.kind === 'receiving') sinceMs.set(event.tab, event.atMs)
    if (event.kind === 'tabEnded') ended.add(event.tab)
    // What was set aside is so again when its second handler's end was not stored: an app that retries it gets it whatever its positions.
    if (event.kind === 'opened') for (const key of aside) if (key.startsWith(`${event.store} `)) done.delete(key)
    if (event.kind !== 'handled' && event.kind !== 'handlerEnded') continue
    const key = `${event.store} ${event.epoch} ${event.log} ${event.lane} ${event.seq}`
    if (event.kind === 'handlerEnded') {
      // The app of a page whose client has ended says nothing to it any more.
      if (event.isDone && !ended.has(event.tab)) done.set(key, event)
      // Another page had done it, and nobody heard of that before this one was given it.
      if (event.isSetAside) done.delete(key)
      if (event.isSetAside) aside.add(key)
      continue
    }
    const before = seen.get(key)
    if (before !== undefined && !event.isRedelivered)
      violations.push({
        invariant: 'I2',
        text: 'a handler was called twice, and the second call was not marked redelivered',
        proof: [before, event],
      })
    const end = done.get(key)
    // A page has handed over the positions of when it began to receive, and the leader hears of them a little later.
    const since = sinceMs.get(event.tab) ?? Number.POSITIVE_INFINITY
    const isKnown = end !== undefined && (event.tab === 0 || (end.atMs < since && event.atMs > since + postMsMax))
    if (isKnown && hasPositions)
      violations.push({
        invariant: 'I2',
        text: 'a handler was called for a message that lies at or below the positions of its app',
        proof: [end, event],
      })
    seen.set(key, event)
  }
  return violations
}
