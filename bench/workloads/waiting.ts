/** How load generators wait. */
import { passed } from '../ground.ts'

const pollMs = 5
/** Timers are as exact as a millisecond: nearer than this, the event loop turns without rest. */
const spinMs = 2

/** Resolves at this time of `performance.now()`, or as soon as the event loop gets to it. What comes meanwhile is handled. */
export async function spinUntil(timeMs: number): Promise<void> {
  const leftMs = timeMs - performance.now()
  if (leftMs > spinMs) await passed(leftMs - spinMs)
  while (performance.now() < timeMs) await new Promise((resolve) => setImmediate(resolve))
}

/** Waits until this is so. @returns false when it was not in time */
export async function allWithin(withinMs: number, isSo: () => boolean): Promise<boolean> {
  for (const untilMs = performance.now() + withinMs; !isSo(); await passed(pollMs)) if (performance.now() > untilMs) return false
  return true
}
