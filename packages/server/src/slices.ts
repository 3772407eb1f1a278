/** How long a turn of the event loop is worked on, in ms. */
const turnMs = 2
/** A turn is long above so many ms; of the rest this share is added, up to so many ms. */
const longMs = 10
const extraShare = 0.15
const extraMsMax = 10

/** The event loop, as work in slices sees it. */
export interface Loop {
  nowMs(): number
  /** Resolves when everything else has had its turn. */
  turn(): Promise<void>
}

const nodeLoop: Loop = {
  nowMs: () => performance.now(),
  turn: () => new Promise((resolve) => setImmediate(resolve)),
}

/**
 * Takes long work in small steps, some a turn of the event loop: by time, since the same step takes ten times as long before its code is
 * compiled. After a long turn there are more: the more there is to do, the fewer turns there are, and a checkpoint that took as little of
 * each would not end, while the journal grows, and with it the time to open it.
 */
export async function inSlices(steps: Iterator<void, void, void>, loop = nodeLoop): Promise<void> {
  let restedMs = loop.nowMs()
  for (;;) {
    const beganMs = loop.nowMs()
    const extraMs = Math.min(extraMsMax, Math.max(0, beganMs - restedMs - longMs) * extraShare)
    do if (steps.next().done === true) return
    while (loop.nowMs() < beganMs + turnMs + extraMs)
    restedMs = loop.nowMs()
    await loop.turn()
  }
}
