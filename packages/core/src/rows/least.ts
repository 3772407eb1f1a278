import { compareKeys } from './changes.ts'
import type { InnerKey } from './generation.ts'

/** Gives keys from the least on, in the order of their bytes: a heap, so that what nobody takes is not sorted. */
export class Least<K extends InnerKey> {
  readonly #heap: K[]

  /** @param keys are the heap's own from now on */
  constructor(keys: K[]) {
    this.#heap = keys
    for (let at = (keys.length >> 1) - 1; at >= 0; at--) this.#sink(at)
  }

  /** The least key, undefined when none is left. */
  get first(): K | undefined {
    return this.#heap[0]
  }

  /** Removes the least key and gives it. There must be one. */
  take(): K {
    const heap = this.#heap
    const first = heap[0] as K
    const last = heap.pop() as K
    if (heap.length > 0) {
      heap[0] = last
      this.#sink(0)
    }
    return first
  }

  #sink(start: number): void {
    const heap = this.#heap
    const moved = heap[start] as K
    let at = start
    for (;;) {
      let child = 2 * at + 1
      let least = heap[child]
      if (least === undefined) break
      const other = heap[child + 1]
      if (other !== undefined && compareKeys(other, least) < 0) {
        child += 1
        least = other
      }
      if (compareKeys(least, moved) >= 0) break
      heap[at] = least
      at = child
    }
    heap[at] = moved
  }
}
