/** Chance from a seed: the only source of randomness of a schedule, so that a seed repeats it exactly. */

/** FNV-1a over the label, so that each part of a schedule has a stream of its own: removing a step leaves the other streams as they are. */
function hashOf(label: string): number {
  let hash = 0x811c9dc5
  for (let at = 0; at < label.length; at++) hash = Math.imul(hash ^ label.charCodeAt(at), 0x01000193)
  return hash >>> 0
}

/** A stream of xoshiro128** (Blackman and Vigna, 2018), whose state is filled by splitmix32. */
export class Random {
  readonly #seed: number
  #a: number
  #b: number
  #c: number
  #d: number

  /** @param seed any whole number; its low 32 bits and those above count */
  constructor(seed: number, label = '') {
    this.#seed = seed
    let state = (hashOf(label) ^ (seed >>> 0) ^ Math.imul(Math.floor(seed / 0x1_0000_0000), 0x9e3779b9)) >>> 0
    const next = (): number => {
      state = (state + 0x9e3779b9) >>> 0
      let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
      mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
      return (mixed ^ (mixed >>> 15)) >>> 0
    }
    this.#a = next()
    this.#b = next()
    this.#c = next()
    this.#d = next() | 1
  }

  /** Another stream of the same seed. */
  stream(label: string): Random {
    return new Random(this.#seed, label)
  }

  /** 0 to 2^32 - 1. */
  next(): number {
    const product = Math.imul(this.#b, 5)
    const result = Math.imul((product << 7) | (product >>> 25), 9) >>> 0
    const shifted = this.#b << 9
    this.#c ^= this.#a
    this.#d ^= this.#b
    this.#b ^= this.#c
    this.#a ^= this.#d
    this.#c ^= shifted
    this.#d = (this.#d << 11) | (this.#d >>> 21)
    return result
  }

  /** 0 <= fraction < 1. */
  fraction(): number {
    return this.next() / 0x1_0000_0000
  }

  /** A whole number from 0 to `count` - 1. */
  below(count: number): number {
    return Math.floor(this.fraction() * count)
  }

  /** A whole number from `low` to `high`, both included. */
  between(low: number, high: number): number {
    return low + this.below(high - low + 1)
  }

  isLucky(probability: number): boolean {
    return this.fraction() < probability
  }

  /** Mostly small, at times up to `high`: waits of networks and disks have long tails. */
  skewed(low: number, high: number): number {
    const fraction = this.fraction()
    return low + (high - low) * fraction * fraction * fraction
  }

  /** @throws RangeError when there is nothing to pick from */
  pick<T>(items: readonly T[]): T {
    const item = items[this.below(items.length)]
    if (item === undefined) throw new RangeError('nothing to pick from')
    return item
  }

  /** One of the names, in proportion to their weights; the weights must not all be 0. */
  weighted<K extends string>(weights: Readonly<Partial<Record<K, number>>>): K {
    const entries = Object.entries(weights) as [K, number][]
    let left = this.fraction() * entries.reduce((sum, [, weight]) => sum + weight, 0)
    for (const [name, weight] of entries) {
      left -= weight
      if (left < 0 && weight > 0) return name
    }
    const last = entries.findLast(([, weight]) => weight > 0)
    if (last === undefined) throw new RangeError('no weight is above 0')
    return last[0]
  }

  bytes(count: number): Uint8Array {
    return Uint8Array.from({ length: count }, () => this.next() & 0xff)
  }
}
