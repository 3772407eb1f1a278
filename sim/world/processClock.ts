import { startMs } from './world.ts'

/** The clocks of one computer: a wall clock that may be set, and a monotonic one that may stand still while it sleeps. Both drift. */
export class ProcessClock {
  /** How fast both run: 1 is true time. */
  readonly #rate: number
  #wallOffsetMs: number
  #monotonicOffsetMs: number

  constructor(rate: number, wallOffsetMs: number, monotonicOffsetMs: number) {
    this.#rate = rate
    this.#wallOffsetMs = wallOffsetMs
    this.#monotonicOffsetMs = monotonicOffsetMs
  }

  /** In ms since the epoch, with fractions. */
  wallMs(trueMs: number): number {
    return startMs + trueMs * this.#rate + this.#wallOffsetMs
  }

  monotonicMs(trueMs: number): number {
    return trueMs * this.#rate + this.#monotonicOffsetMs
  }

  /** How long a timer of this clock takes in true time. */
  trueDelayMs(delayMs: number): number {
    return delayMs / this.#rate
  }

  /** Somebody sets the wall clock. */
  jump(ms: number): void {
    this.#wallOffsetMs += ms
  }

  /** The monotonic clock stood still for that long, which has just ended. */
  stall(ms: number): void {
    this.#monotonicOffsetMs -= ms * this.#rate
  }
}
