import { eventsOf } from '../history.ts'
import type { Facts } from './facts.ts'
import type { Violation } from './violation.ts'

/** Ends that follow from what the world did: closed by the app, two devices of one id, as many as there may be, the user deleted. */
const explained = new Set(['closed', 'replaced', 'stale-session', 'too-many-devices', 'user-removed'])

/** Liveness: no client ends for good because it and the server misunderstood each other. */
export function checkEnds(facts: Facts): Violation[] {
  return eventsOf(facts.history, 'ended').flatMap((event) =>
    explained.has(event.code)
      ? []
      : [{ invariant: 'liveness' as const, text: `a client ended for good: ${event.code}`, proof: [event] }],
  )
}
