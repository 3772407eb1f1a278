import type { Now } from './events.ts'

/** Two good clocks drift apart by less than this: 200 ppm. */
const drift = 200e-6
/** A wall clock that gained or lost this much on the monotonic one: the machine slept, or somebody set the clock, or both. */
const jumpMs = 2_000

/** How far the wall clock was before the monotonic one at a moment, and at least since then. */
interface Skew {
  readonly atMs: number
  leastMs: number
}

/**
 * Bounds of the server's clock, from requests and their answers (PROTOCOL, section 4). Senders use the middle, receivers the latest
 * possible time. Runs on the monotonic clock; a jump of the wall clock makes the bounds suspect until the next answer.
 */
export class ServerTime {
  /** The offsets of the server's clock from the monotonic one, as of `atMs`. */
  #low = 0
  #high = 0
  #atMs = 0
  /** How far the wall clock was before the monotonic one when the request left whose answer came last, and the least since then. */
  #skew: Skew = { atMs: 0, leastMs: 0 }
  /** The same of the first request that has no answer yet. */
  #askedSkew: Skew | undefined
  #answers = 0
  #isKnown = false
  /** Whether there was an answer on this connection. */
  #isBegun = false

  /** Whether there was an answer since the start. */
  get isKnown(): boolean {
    return this.#isKnown
  }

  /** How many answers there were. */
  get answers(): number {
    return this.#answers
  }

  /** A connection begins, perhaps to another server with a clock of its own: the next answer counts alone. */
  begin(): void {
    this.#isBegun = false
  }

  /** A request leaves; `isFirst`: that of a new connection, so that none of an earlier one is answered any more. */
  asks(now: Now, isFirst = false): void {
    if (isFirst || this.#askedSkew === undefined) this.#askedSkew = skewOf(now)
  }

  /** Called with every step. A wall clock that was set back is measured from there on, so that it can't hide a sleep that follows. */
  observe(now: Now): void {
    const atMs = skewMs(now)
    this.#skew.leastMs = Math.min(this.#skew.leastMs, atMs)
    if (this.#askedSkew !== undefined) this.#askedSkew.leastMs = Math.min(this.#askedSkew.leastMs, atMs)
  }

  /** A request left at the monotonic time `leftMs`, and its answer is here now. After a sleep on its way it leaves the bounds suspect. */
  sample(leftMs: number, serverMs: number, now: Now): void {
    const arrivedMs = now.monotonicMs
    const low = serverMs - arrivedMs
    // The server's number is a whole one: it may have been up to one millisecond later.
    const high = serverMs + 1 - leftMs
    const widened = this.#widening(arrivedMs)
    const tighterLow = Math.max(low, this.#low - widened)
    const tighterHigh = Math.min(high, this.#high + widened)
    const isConsistent = this.#isBegun && !this.isSuspect(now) && tighterLow <= tighterHigh
    this.#low = isConsistent ? tighterLow : low
    this.#high = isConsistent ? tighterHigh : Math.max(low, high)
    this.#atMs = arrivedMs
    this.#skew = this.#askedSkew ?? (this.#isKnown ? this.#skew : skewOf(now))
    this.#askedSkew = undefined
    this.#answers += 1
    this.#isKnown = true
    this.#isBegun = true
  }

  /** The most probable time of the server, in whole milliseconds. */
  middle(now: Now): number {
    return Math.round(now.monotonicMs + (this.#low + this.#high) / 2)
  }

  /** The server's clock shows at least this. */
  earliest(now: Now): number {
    return now.monotonicMs + this.#low - this.#widening(now.monotonicMs)
  }

  /** The server's clock shows at most this. */
  latest(now: Now): number {
    return now.monotonicMs + this.#high + this.#widening(now.monotonicMs)
  }

  /** Whether the clocks jumped since the last answer: nothing may be judged late or in time until the next one. */
  isSuspect(now: Now): boolean {
    const { atMs, leastMs } = this.#skew
    return this.#isKnown && (skewMs(now) - leastMs > jumpMs || atMs - leastMs > jumpMs)
  }

  #widening(monotonicMs: number): number {
    return Math.max(0, monotonicMs - this.#atMs) * drift
  }
}

function skewOf(now: Now): Skew {
  const atMs = skewMs(now)
  return { atMs, leastMs: atMs }
}

function skewMs({ wallMs, monotonicMs }: Now): number {
  return wallMs - monotonicMs
}
