/** How long a turn of the event loop is worked on at least, in ms. */
const turnMs = 0.5
/** And what share of the time that everything else took since the last turn, up to so many ms. */
const share = 0.25
const turnMsMax = 12

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
 * compiled. Where little else is done a turn is short, as a message needs several of them on its way. Where there is much to do turns are long
 * and few: a checkpoint that took as little of each would not end, while the journal grows, and with it the time to open it.
 */
export async function inSlices(steps: Iterator<void, void, void>, loop = nodeLoop): Promise<void> {
  let restedMs = loop.nowMs()
  for (;;) {
    const beganMs = loop.nowMs()
    const untilMs = beganMs + Math.min(turnMsMax, Math.max(turnMs, (beganMs - restedMs) * share))
    do if (steps.next().done === true) return
    while (loop.nowMs() < untilMs)
    restedMs = loop.nowMs()
    await loop.turn()
  }
}
