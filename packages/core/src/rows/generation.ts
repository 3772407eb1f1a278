import type { Checkpoint, Tables } from '../ports.ts'

/** The key of a row within its table: two parts, so that the hot path never composes one. */
export type InnerKey = number | bigint | string

/**
 * What every row carries beside its data. `generation` says in which it was changed last: 0 when it is as the tables hold it, negative when
 * it was deleted then, odd once a checkpoint that is not committed yet has written it. `isOnDisk` says whether the tables may hold it, in
 * whatever version, by the end of the generation before. `place` is where the list of that generation's changes has it.
 */
export interface Row {
  generation: number
  isOnDisk: boolean
  place: number
}

/** What a checkpoint needs of a table. */
export interface TableEnd {
  /** The first byte of its keys. */
  readonly number: number
  /** The open generation ends: what has changed in it is what `write` writes. */
  freeze(): void
  /** Writes what was frozen, in the order of its keys, about `rows` rows a step. */
  write(checkpoint: Checkpoint, rows: number): Generator<void, void, void>
  /** What was written is committed: forgets what is unchanged since. */
  release(rows: number): Generator<void, void, void>
}

/** What holds rows that were only read. */
export interface RowHolder {
  /** Forgets a row, if it is still the one held. */
  forget(outer: number, inner: InnerKey, row: Row): void
}

/**
 * The generations of changed rows: one open, at most one frozen. A checkpoint freezes the open one and writes it in slices while
 * new changes go to the next; a frozen row that changes again is encoded first, so that the checkpoint is the state at one
 * position (I12).
 */
export class Generations {
  readonly tables: Tables
  /** The open generation: 2, 4, 6 …; the frozen one, if any, is the one before. */
  open = 2
  /** Rows changed since the last freeze. */
  changed = 0
  readonly #ends: TableEnd[] = []
  #isFrozen = false
  #loaded: { table: RowHolder; outer: number; inner: InnerKey; row: Row }[] = []

  constructor(tables: Tables) {
    this.tables = tables
  }

  /** A table takes part in checkpoints. */
  register(table: TableEnd): void {
    this.#ends.push(table)
    this.#ends.sort((left, right) => left.number - right.number)
  }

  /** Remembers a row that was read, so that it can be forgotten later. */
  loaded(table: RowHolder, outer: number, inner: InnerKey, row: Row): void {
    this.#loaded.push({ table, outer, inner, row })
  }

  /** Forgets rows that were only read, once there are many of them. Called between records, never within one. */
  trimLoaded(limit: number): void {
    if (this.#loaded.length <= limit) return
    for (const { table, outer, inner, row } of this.#loaded) if (row.generation === 0) table.forget(outer, inner, row)
    this.#loaded = []
  }

  /** Ends the open generation. */
  freeze(): void {
    if (this.#isFrozen) throw new Error('a checkpoint is under way')
    this.#isFrozen = true
    this.open += 2
    this.changed = 0
    for (const table of this.#ends) table.freeze()
  }

  /**
   * Writes the frozen generation, sorted by key, into a checkpoint. A generator: each step does a slice of about `rows` rows and leaves the
   * event loop to others in between.
   */
  *write(checkpoint: Checkpoint, rows: number): Generator<void, void, void> {
    for (const table of this.#ends) yield* table.write(checkpoint, rows)
  }

  /** The checkpoint is flushed: forgets what did not change since, in slices. */
  *release(rows: number): Generator<void, void, void> {
    for (const table of this.#ends) yield* table.release(rows)
    this.#isFrozen = false
  }
}
