/** Something that is to happen. */
export interface Scheduled {
  readonly atMs: number
  readonly order: number
  /** `undefined` once it was called off. */
  action: (() => void) | undefined
}

/** What is to happen, by time and within one time in the order in which it was scheduled: a binary heap. */
export class EventQueue {
  readonly #heap: Scheduled[] = []
  #order = 0

  get length(): number {
    return this.#heap.length
  }

  /** The time of the next event; `undefined` without one. */
  get nextMs(): number | undefined {
    return this.#heap[0]?.atMs
  }

  add(atMs: number, action: () => void): Scheduled {
    this.#order += 1
    const added: Scheduled = { atMs, order: this.#order, action }
    const heap = this.#heap
    let at = heap.length
    heap.push(added)
    while (at > 0) {
      const parent = (at - 1) >> 1
      const above = heap[parent]
      if (above === undefined || !isBefore(added, above)) break
      heap[at] = above
      at = parent
    }
    heap[at] = added
    return added
  }

  take(): Scheduled | undefined {
    const heap = this.#heap
    const top = heap[0]
    const last = heap.pop()
    if (top === undefined || last === undefined || heap.length === 0) return top
    let at = 0
    for (;;) {
      const left = 2 * at + 1
      const leftEntry = heap[left]
      if (leftEntry === undefined) break
      const rightEntry = heap[left + 1]
      const isRight = rightEntry !== undefined && isBefore(rightEntry, leftEntry)
      const child = isRight ? rightEntry : leftEntry
      if (!isBefore(child, last)) break
      heap[at] = child
      at = isRight ? left + 1 : left
    }
    heap[at] = last
    return top
  }
}

function isBefore(left: Scheduled, right: Scheduled): boolean {
  return left.atMs < right.atMs || (left.atMs === right.atMs && left.order < right.order)
}
