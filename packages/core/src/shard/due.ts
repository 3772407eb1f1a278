import type { DueRow } from '../rows/rows.ts'
import type { Table } from '../rows/table.ts'

/** A log, or a user whose identity has ended, and when it is to be looked at. */
export interface Due {
  readonly deadlineMs: number
  readonly log: number
}

/** How far ahead rows of the due table are read into the heap, and about how many at once. */
const horizonMs = 3_600_000
const pageRows = 1_000

/**
 * Which log has something due next. A heap over the rows of the due table up to an hour ahead, which holds each log once: deadlines
 * that come ever earlier must not fill it (I10). The order is total (deadline, log), so that what comes out does not depend on how
 * the heap was filled (I11).
 */
export class DueHeap {
  readonly #table: Table<DueRow, number>
  readonly #heap: Due[] = []
  /** Where each log is in the heap. */
  readonly #places = new Map<number, number>()
  #loadedToMs = 0

  constructor(table: Table<DueRow, number>) {
    this.#table = table
  }

  /** A row was put into the table, in place of the log's last. One beyond what is known so far is read with others, near its time. */
  add(deadlineMs: number, log: number): void {
    if (deadlineMs < this.#loadedToMs) this.#push(deadlineMs, log)
  }

  #push(deadlineMs: number, log: number): void {
    let at = this.#places.get(log) ?? this.#heap.length
    this.#set(at, { deadlineMs, log })
    while (at > 0) {
      const parent = (at - 1) >> 1
      if (!this.#isBefore(at, parent)) break
      this.#swap(at, parent)
      at = parent
    }
    this.#sink(at)
  }

  /** The earliest deadline at which something may be due, as far as is known half an hour after `clockMs`; undefined for none. */
  nextMs(clockMs: number): number | undefined {
    this.#lookAhead(clockMs)
    return this.#heap[0]?.deadlineMs
  }

  /** Takes the next log whose deadline is at or before `clockMs`. */
  take(clockMs: number): Due | undefined {
    this.#lookAhead(clockMs)
    const top = this.#heap[0]
    if (top === undefined || top.deadlineMs > clockMs) return undefined
    const last = this.#heap.pop() as Due
    this.#places.delete(top.log)
    if (this.#heap.length > 0) {
      this.#set(0, last)
      this.#sink(0)
    }
    return top
  }

  /** Rows are keyed (deadline, log): reads those that come next, a page at a time, unless there are some already. All that are read before others are due before them. */
  #lookAhead(clockMs: number): void {
    while (this.#heap.length === 0 && this.#loadedToMs < clockMs + horizonMs / 2) {
      const { keys, to } = this.#table.keysFrom(this.#loadedToMs, Math.floor(clockMs) + horizonMs, pageRows)
      this.#loadedToMs = to
      for (const [deadlineMs, log] of keys) this.#push(deadlineMs, log)
    }
  }

  #sink(from: number): void {
    let at = from
    for (;;) {
      const left = 2 * at + 1
      if (left >= this.#heap.length) return
      const child = left + 1 < this.#heap.length && this.#isBefore(left + 1, left) ? left + 1 : left
      if (!this.#isBefore(child, at)) return
      this.#swap(child, at)
      at = child
    }
  }

  #isBefore(a: number, b: number): boolean {
    const left = this.#heap[a] as Due
    const right = this.#heap[b] as Due
    return left.deadlineMs < right.deadlineMs || (left.deadlineMs === right.deadlineMs && left.log < right.log)
  }

  #swap(a: number, b: number): void {
    const left = this.#heap[a] as Due
    const right = this.#heap[b] as Due
    this.#set(a, right)
    this.#set(b, left)
  }

  #set(at: number, due: Due): void {
    this.#heap[at] = due
    this.#places.set(due.log, at)
  }
}
