/**
 * A genome read as a list of choices: what a target makes of an input. Any bytes are a genome, so that mutating bytes mutates what they
 * describe: one more packet, another field, a longer lie. Past its end all choices are the first one, so that a short genome is a short
 * input.
 */
export class Choices {
  readonly #genome: Uint8Array
  #at = 0

  constructor(genome: Uint8Array) {
    this.#genome = genome
  }

  /** Whether the genome has no more to say. */
  get isDone(): boolean {
    return this.#at >= this.#genome.length
  }

  /** A byte. */
  byte(): number {
    return this.#genome[this.#at++] ?? 0
  }

  /** A whole number from 0 to `count` - 1. @param count at most 65,536 */
  below(count: number): number {
    const value = count <= 256 ? this.byte() : this.byte() * 256 + this.byte()
    return value % count
  }

  /** One of a list, which must not be empty. */
  pick<T>(list: readonly T[]): T {
    const picked = list[this.below(list.length)]
    if (picked === undefined) throw new RangeError('nothing to pick from')
    return picked
  }

  /** True about once in `count` times. */
  oneIn(count: number): boolean {
    return this.below(count) === count - 1
  }

  /** The next bytes of the genome, fewer at its end. */
  bytes(count: number): Uint8Array {
    const from = Math.min(this.#at, this.#genome.length)
    this.#at += count
    return this.#genome.slice(from, from + count)
  }
}

/** Numbers that begin at a seed: the same for ever. */
export class Dice {
  #state: number

  constructor(seed: number) {
    this.#state = seed >>> 0
  }

  /** A whole number from 0 to 2^32 - 1 (Mulberry32). */
  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return (mixed ^ (mixed >>> 14)) >>> 0
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return this.next() % count
  }

  /** Random bytes. */
  bytes(count: number): Uint8Array {
    const bytes = new Uint8Array(count)
    for (let at = 0; at < count; at++) bytes[at] = this.next()
    return bytes
  }
}
