/** How much longer a turn of the event loop may get by slices after the first: as a share of the time since the last one, and in ms. */
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
 * Takes long work step by step: one a turn of the event loop, and more after a long turn. The more there is to do, the fewer turns there
 * are: a checkpoint that took a single step in each would not end, while the journal grows, and with it the time to open it.
 */
export async function inSlices(steps: Iterator<void, void, void>, loop = nodeLoop): Promise<void> {
  let restedMs = loop.nowMs()
  for (;;) {
    const beganMs = loop.nowMs()
    const untilMs = beganMs + Math.min(extraMsMax, (beganMs - restedMs) * extraShare)
    do if (steps.next().done === true) return
    while (loop.nowMs() < untilMs)
    restedMs = loop.nowMs()
    await loop.turn()
  }
}
