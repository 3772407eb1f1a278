import type { Session } from './session.ts'

/** The same for many sessions. */
export interface Spread {
  readonly targets: readonly Session[]
  /** How many bytes it keeps in memory until it is through. */
  readonly bytes: number
  readonly give: (target: Session) => void
  /** All have it, or have ended. */
  readonly done: () => void
}

/** How many sessions get something a turn, how many of one spread before it is the next one's turn, and how many spreads may wait. */
const targetsPerTurn = 256
const targetsPerSlice = 64
const spreadsMax = 1_024

/** Hands what is not journaled to many sessions, some of them a turn, so that the event loop is free in between. */
export class Fanout {
  readonly #bytesMax: number
  readonly #waiting: { readonly spread: Spread; at: number }[] = []
  #bytes = 0

  /** @param bytesMax how many bytes may wait */
  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax
  }

  /** Whether so much waits that whoever sends more is refused (I10). */
  get isFull(): boolean {
    return this.#waiting.length >= spreadsMax || this.#bytes >= this.#bytesMax
  }

  add(spread: Spread): void {
    this.#waiting.push({ spread, at: 0 })
    this.#bytes += spread.bytes
  }

  /** Gives to the next sessions: a slice of each spread in turn, so that a large one delays the others little. @returns whether there is more to do */
  turn(): boolean {
    for (let left = targetsPerTurn; left > 0; ) {
      const next = this.#waiting.shift()
      if (next === undefined) return false
      const { spread, at } = next
      const slice = spread.targets.slice(at, at + Math.min(left, targetsPerSlice))
      next.at += slice.length
      left -= Math.max(1, slice.length)
      for (const target of slice) if (target.phase === 'live') spread.give(target)
      if (next.at < spread.targets.length) {
        this.#waiting.push(next)
        continue
      }
      this.#bytes -= spread.bytes
      spread.done()
    }
    return this.#waiting.length > 0
  }
}
