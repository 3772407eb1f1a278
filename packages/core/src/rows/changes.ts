import type { InnerKey, Row } from './generation.ts'

/** The rows of one table that changed in one generation, with their keys: three arrays instead of an object per change. */
export class Changes<R extends Row, K extends InnerKey> {
  readonly outers: number[] = []
  readonly inners: K[] = []
  readonly rows: (R | undefined)[] = []

  add(outer: number, inner: K, row: R): void {
    row.place = this.rows.length
    this.outers.push(outer)
    this.inners.push(inner)
    this.rows.push(row)
  }

  /** Lets a row go that was made and deleted in this generation: it is not to be written, and must not stay in memory. */
  forget(row: R): void {
    this.rows[row.place] = undefined
  }

  get length(): number {
    return this.rows.length
  }

  /** The places of the changes that are `wanted`, in the order of their keys. A generator: a step takes about as long as writing `size` rows. */
  *sorted(size: number, isWanted: (row: R) => boolean): Generator<void, Uint32Array, void> {
    const step = size * placesPerRow
    const wanted = yield* this.#wanted(step, isWanted)
    const grouped = yield* this.#grouped(step, wanted)
    const order = grouped ?? wanted
    let from = 0
    let isAscending = true
    for (let at = 1; at <= order.length; at++) {
      if (at % step === 0) yield
      const before = order[at - 1] as number
      const place = order[at] as number
      if (at === order.length || (grouped !== undefined && this.outers[before] !== this.outers[place])) {
        if (!isAscending) yield* sortPlaces(order.subarray(from, at), this.#compare, step)
        from = at
        isAscending = true
      } else if (isAscending) isAscending = this.#compare(before, place) < 0
    }
    return order
  }

  *#wanted(step: number, isWanted: (row: R) => boolean): Generator<void, Uint32Array, void> {
    const wanted = new Uint32Array(this.rows.length)
    let count = 0
    for (let place = 0; place < this.rows.length; place++) {
      const row = this.rows[place]
      if (row !== undefined && isWanted(row)) wanted[count++] = place
      if (place % step === step - 1) yield
    }
    return wanted.subarray(0, count)
  }

  /** These places by the first part of their keys, those of one as they came; undefined where such numbers lie too far apart to be counted. */
  *#grouped(step: number, places: Uint32Array): Generator<void, Uint32Array | undefined, void> {
    let least = Number.POSITIVE_INFINITY
    let most = 0
    for (let at = 0; at < places.length; at++) {
      const outer = this.outers[places[at] as number] as number
      if (outer < least) least = outer
      if (outer > most) most = outer
      if (at % step === step - 1) yield
    }
    if (places.length === 0 || most - least > sparseMax * places.length) return undefined
    // How many come before those of each number, and then where the next of them goes.
    const next = new Uint32Array(most - least + 2)
    for (let at = 0; at < places.length; at++) {
      const group = (this.outers[places[at] as number] as number) - least
      next[group + 1] = (next[group + 1] as number) + 1
      if (at % step === step - 1) yield
    }
    for (let group = 1; group < next.length; group++) {
      next[group] = (next[group] as number) + (next[group - 1] as number)
      if (group % step === step - 1) yield
    }
    const grouped = new Uint32Array(places.length)
    for (let at = 0; at < places.length; at++) {
      const place = places[at] as number
      const group = (this.outers[place] as number) - least
      const to = next[group] as number
      grouped[to] = place
      next[group] = to + 1
      if (at % step === step - 1) yield
    }
    return grouped
  }

  /** Compares the keys at two places, as their bytes would be compared. */
  readonly #compare = (left: number, right: number): number => {
    const byOuter = (this.outers[left] as number) - (this.outers[right] as number)
    return byOuter !== 0 ? byOuter : compareKeys(this.inners[left] as K, this.inners[right] as K)
  }
}

/** How many places are looked at in the time that writing a row takes. */
const placesPerRow = 16
/** Numbers are counted when they are at most so many times as many as places. */
const sparseMax = 8

/** Sorts places where they are. A generator: about `size` of them a step. */
export function* sortPlaces(
  places: Uint32Array,
  compare: (left: number, right: number) => number,
  size: number,
): Generator<void, void, void> {
  const runs: Uint32Array[] = []
  for (let from = 0; from < places.length; from += size) {
    runs.push(places.slice(from, from + size).sort(compare))
    yield
  }
  const merge = new Merge(runs, compare)
  for (let at = 0; at < places.length; at++) {
    places[at] = merge.next()
    if (at % size === size - 1) yield
  }
}

/** Compares two keys of one table as their bytes would be compared. */
export function compareKeys(a: InnerKey, b: InnerKey): number {
  if (typeof a === 'string' && typeof b === 'string') return compareNames(a, b)
  if (a === b) return 0
  return a < b ? -1 : 1
}

/** Compares names by code points, which is the order of their UTF-8; the order of UTF-16 differs where surrogates are. */
function compareNames(left: string, right: string): number {
  const length = Math.min(left.length, right.length)
  for (let at = 0; at < length; at++) {
    const a = left.charCodeAt(at)
    const b = right.charCodeAt(at)
    if (a !== b) return a >= 0xd800 && b >= 0xd800 ? ordered(a) - ordered(b) : a - b
  }
  return left.length - right.length
}

/** A unit of UTF-16 at or above the surrogates, so that these come last. */
function ordered(unit: number): number {
  return unit >= 0xe000 ? unit - 0x800 : unit + 0x2000
}

/** Takes places from sorted runs, the least key first. */
class Merge {
  readonly #runs: readonly Uint32Array[]
  readonly #compare: (left: number, right: number) => number
  /** A heap of the runs that are not at their end, by the key that is next, and how far each is. */
  readonly #heap: number[] = []
  readonly #at: number[]

  constructor(runs: readonly Uint32Array[], compare: (left: number, right: number) => number) {
    this.#runs = runs
    this.#compare = compare
    this.#at = runs.map(() => 0)
    for (let run = 0; run < runs.length; run++) this.#heap.push(run)
    for (let top = (this.#heap.length >> 1) - 1; top >= 0; top--) this.#sink(top)
  }

  /** The next place. There must be one. */
  next(): number {
    const run = this.#heap[0] as number
    const place = this.#head(run)
    const at = (this.#at[run] as number) + 1
    this.#at[run] = at
    if (at === this.#runs[run]?.length) {
      const last = this.#heap.pop() as number
      if (this.#heap.length > 0) this.#heap[0] = last
    }
    if (this.#heap.length > 1) this.#sink(0)
    return place
  }

  #head(run: number): number {
    return (this.#runs[run] as Uint32Array)[this.#at[run] as number] as number
  }

  #sink(start: number): void {
    const heap = this.#heap
    const moved = heap[start] as number
    const place = this.#head(moved)
    let at = start
    for (;;) {
      let child = 2 * at + 1
      if (child >= heap.length) break
      let least = this.#head(heap[child] as number)
      if (child + 1 < heap.length) {
        const other = this.#head(heap[child + 1] as number)
        if (this.#compare(other, least) < 0) {
          child += 1
          least = other
        }
      }
      if (this.#compare(least, place) >= 0) break
      heap[at] = heap[child] as number
      at = child
    }
    heap[at] = moved
  }
}
