interface Timer {
  readonly atMs: number
  readonly callback: () => void
}

/** Time that stands still until the test moves it. Timers fire in the order of their times, those of one time in the order set. */
export class TestClock {
  #nowMs: number
  readonly #timers = new Set<Timer>()

  /** @param startMs the first time, in ms since the epoch */
  constructor(startMs: number) {
    this.#nowMs = startMs
  }

  /** In ms since the epoch. */
  get nowMs(): number {
    return this.#nowMs
  }

  /** When the next timer fires; `undefined` without one. */
  get nextMs(): number | undefined {
    return this.#next()?.atMs
  }

  /** Calls back once after that many milliseconds. @returns what calls it off */
  setTimer(callback: () => void, delayMs: number): () => void {
    const timer = { atMs: this.#nowMs + Math.max(0, delayMs), callback }
    this.#timers.add(timer)
    return () => this.#timers.delete(timer)
  }

  /** Moves on, never back. Fires nothing. */
  moveTo(nowMs: number): void {
    this.#nowMs = Math.max(this.#nowMs, nowMs)
  }

  /** Fires what is due. @returns whether anything was */
  fire(): boolean {
    let hasFired = false
    for (let timer = this.#next(); timer !== undefined && timer.atMs <= this.#nowMs; timer = this.#next()) {
      this.#timers.delete(timer)
      hasFired = true
      timer.callback()
    }
    return hasFired
  }

  #next(): Timer | undefined {
    let next: Timer | undefined
    for (const timer of this.#timers) if (next === undefined || timer.atMs < next.atMs) next = timer
    return next
  }
}
