import { compareBytes as compare } from '../memory/compare-bytes.ts'
import type { Checkpoint, Tables } from '../ports.ts'

/** The key of a row within its table: two parts, so that the hot path never composes one. */
export type InnerKey = number | bigint | string

/**
 * What every row carries beside its data. `slot` is null while the row is as the tables hold it, else the change list entry that
 * will write it. `isOnDisk` says whether the tables may hold an older version.
 */
export interface Row {
  slot: Slot | null
  isOnDisk: boolean
}

/** One changed row of one generation. */
export interface Slot {
  readonly generation: number
  readonly table: TableEnd
  readonly outer: number
  readonly inner: InnerKey
  /** The row, or null once it was deleted. */
  row: Row | null
  /** The row as of the end of its generation, when it was changed again before it was written. */
  bytes: Uint8Array | null
  isOnDisk: boolean
}

/** What a generation needs to know of a table to write its rows. */
export interface TableEnd {
  keyBytes(outer: number, inner: InnerKey): Uint8Array
  encode(row: Row): Uint8Array
  /** The slot is written: forget what is unchanged since. */
  release(slot: Slot): void
  /** Forget a row that was only read, if it is still the one held. */
  forget(outer: number, inner: InnerKey, row: Row): void
}

interface Pending {
  readonly key: Uint8Array
  readonly slot: Slot
}

/**
 * The generations of changed rows: one open, at most one frozen. A checkpoint freezes the open one and writes it in slices while
 * new changes go to the next; a frozen row that changes again is encoded first, so that the checkpoint is the state at one
 * position (I12).
 */
export class Generations {
  readonly tables: Tables
  #generation = 1
  #open: Slot[] = []
  #frozen: Slot[] | null = null
  #loaded: { table: TableEnd; outer: number; inner: InnerKey; row: Row }[] = []

  constructor(tables: Tables) {
    this.tables = tables
  }

  /** Rows changed since the last freeze. */
  get changed(): number {
    return this.#open.length
  }

  get isFrozen(): boolean {
    return this.#frozen !== null
  }

  /** Whether a slot belongs to the open generation. */
  isOpen(slot: Slot): boolean {
    return slot.generation === this.#generation
  }

  /** Must be called before a row is changed or deleted, and when it is made. */
  touch(table: TableEnd, outer: number, inner: InnerKey, row: Row): Slot {
    const old = row.slot
    if (old !== null) {
      if (old.generation === this.#generation) return old
      if (old.bytes === null && this.#frozen !== null) old.bytes = table.encode(row)
    }
    const slot: Slot = {
      generation: this.#generation,
      table,
      outer,
      inner,
      row,
      bytes: null,
      isOnDisk: row.isOnDisk || old !== null,
    }
    row.slot = slot
    this.#open.push(slot)
    return slot
  }

  /** Remembers a row that was read, so that it can be forgotten later. */
  loaded(table: TableEnd, outer: number, inner: InnerKey, row: Row): void {
    this.#loaded.push({ table, outer, inner, row })
  }

  /** Forgets rows that were only read, once there are many of them. Called between records, never within one. */
  trimLoaded(limit: number): void {
    if (this.#loaded.length <= limit) return
    for (const { table, outer, inner, row } of this.#loaded) if (row.slot === null) table.forget(outer, inner, row)
    this.#loaded = []
  }

  /** Ends the open generation. */
  freeze(): void {
    if (this.#frozen !== null) throw new Error('a checkpoint is under way')
    this.#frozen = this.#open
    this.#open = []
    this.#generation += 1
  }

  /**
   * Writes the frozen generation, sorted by key, into a checkpoint. A generator: each step does a slice of about `rows` rows and leaves the
   * event loop to others in between.
   */
  *write(checkpoint: Checkpoint, rows: number): Generator<void, void, void> {
    const frozen = this.#frozen ?? []
    const runs: Pending[][] = []
    for (let at = 0; at < frozen.length; at += rows) {
      runs.push(sortedRun(frozen, at, Math.min(at + rows, frozen.length)))
      yield
    }
    let done = 0
    for (const { key, slot } of merged(runs)) {
      if (slot.row === null) checkpoint.delete(key)
      else checkpoint.put(key, slot.bytes ?? slot.table.encode(slot.row))
      if (slot.bytes === null && slot.row !== null) slot.bytes = written
      done += 1
      if (done % rows === 0) yield
    }
  }

  /** The checkpoint is flushed: forgets what did not change since, in slices. */
  *release(rows: number): Generator<void, void, void> {
    const frozen = this.#frozen ?? []
    this.#frozen = null
    let done = 0
    for (const slot of frozen) {
      slot.table.release(slot)
      done += 1
      if (done % rows === 0) yield
    }
  }
}

/** Stands in a slot whose row was handed to the checkpoint already. */
const written = new Uint8Array(0)

function sortedRun(slots: readonly Slot[], from: number, to: number): Pending[] {
  const run: Pending[] = []
  for (let at = from; at < to; at++) {
    const slot = slots[at]
    if (slot === undefined || (slot.row === null && !slot.isOnDisk)) continue
    run.push({ key: slot.table.keyBytes(slot.outer, slot.inner), slot })
  }
  return run.sort((left, right) => compare(left.key, right.key))
}

/** Merges sorted runs by a heap of their heads. */
function* merged(runs: readonly Pending[][]): Generator<Pending, void, void> {
  const heap: { run: Pending[]; at: number }[] = []
  const less = (a: number, b: number): boolean => {
    const left = heap[a]
    const right = heap[b]
    const leftKey = left?.run[left.at]?.key
    const rightKey = right?.run[right.at]?.key
    return leftKey !== undefined && rightKey !== undefined && compare(leftKey, rightKey) < 0
  }
  const swap = (a: number, b: number): void => {
    const kept = heap[a]
    const other = heap[b]
    if (kept === undefined || other === undefined) return
    heap[a] = other
    heap[b] = kept
  }
  const sink = (start: number): void => {
    let at = start
    for (;;) {
      let least = at
      const left = 2 * at + 1
      if (left < heap.length && less(left, least)) least = left
      if (left + 1 < heap.length && less(left + 1, least)) least = left + 1
      if (least === at) return
      swap(at, least)
      at = least
    }
  }
  for (const run of runs) if (run.length > 0) heap.push({ run, at: 0 })
  for (let at = Math.floor(heap.length / 2); at >= 0; at--) sink(at)
  while (heap.length > 0) {
    const top = heap[0]
    const next = top?.run[top.at]
    if (top === undefined || next === undefined) return
    yield next
    top.at += 1
    if (top.at === top.run.length) {
      const last = heap.pop()
      if (last !== undefined && heap.length > 0) heap[0] = last
    }
    sink(0)
  }
}
