import { type EventOf, eventsOf } from '../history.ts'
import type { Facts } from './facts.ts'
import type { Violation } from './violation.ts'

/** Ends that follow from what the world did: closed by the app, as many devices as there may be, the user deleted. */
const explained = new Set(['closed', 'too-many-devices', 'user-removed'])
/** Ends that follow from two stores with one device's id: a copy, or one that was put back. */
const ofCopies = new Set(['replaced', 'stale-session'])

/** Liveness: no client ends for good because it and the server misunderstood each other. */
export function checkEnds(facts: Facts): Violation[] {
  return eventsOf(facts.history, 'ended').flatMap((event) =>
    isExplained(facts, event)
      ? []
      : [{ invariant: 'liveness' as const, text: `a client ended for good: ${event.code}`, proof: [event] }],
  )
}

function isExplained(facts: Facts, { code, store }: EventOf<'ended'>): boolean {
  return explained.has(code) || (ofCopies.has(code) && facts.isCopied(store))
}
