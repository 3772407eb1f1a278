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

/** How many connect at once where that is not what is measured. */
const connectingAtOnce = 200

/** Connects all of these, some at once. */
export async function connectAll(
  tokens: readonly string[],
  connect: (token: string, number: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const connectOn = async (): Promise<void> => {
    while (next < tokens.length) {
      const number = next
      next += 1
      await connect(tokens[number] ?? '', number)
    }
  }
  await Promise.all(Array.from({ length: connectingAtOnce }, connectOn))
}
