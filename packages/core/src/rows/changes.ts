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

  /** The places of the changes that are `wanted`, in runs of at most `size` that are sorted by key. A generator: a run a step. */
  *runs(size: number, isWanted: (row: R) => boolean): Generator<void, Uint32Array[], void> {
    const order = this.compare
    const runs: Uint32Array[] = []
    for (let from = 0; from < this.rows.length; from += size) {
      const to = Math.min(from + size, this.rows.length)
      const places = new Uint32Array(to - from)
      let count = 0
      let isAscending = true
      for (let at = from; at < to; at++) {
        const row = this.rows[at]
        if (row === undefined || !isWanted(row)) continue
        if (isAscending && count > 0) isAscending = order(places[count - 1] as number, at) < 0
        places[count] = at
        count += 1
      }
      const run = places.subarray(0, count)
      if (count > 0) runs.push(isAscending ? run : run.sort(order))
      yield
    }
    return runs
  }

  /** Compares the keys at two places, as their bytes would be compared. */
  readonly compare = (left: number, right: number): number => {
    const byOuter = (this.outers[left] as number) - (this.outers[right] as number)
    return byOuter !== 0 ? byOuter : compareKeys(this.inners[left] as K, this.inners[right] as K)
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
export class Merge {
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

  /** The next place; -1 at the end. */
  next(): number {
    const run = this.#heap[0]
    if (run === undefined) return -1
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
