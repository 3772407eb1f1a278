import type { Checkpoint, KeyBatch, TableRow, Tables } from '../ports.ts'
import { keyBounds, keyRowsOf, sweptIn } from '../rows/keyRecords.ts'
import { compareBytes } from './compare-bytes.ts'
import { type Change, SortedRows } from './sorted-rows.ts'

/** The longest key in bytes. */
const KEY_BYTES_MAX = 512

/**
 * Tables in memory, for tests and the simulator: one sorted array, replaced as a whole when a checkpoint commits.
 * `crash` gives what a process finds that starts after this one died.
 */
export class MemoryTables implements Tables {
  #rows = new SortedRows()
  #isCheckpointOpen = false
  #isClosed = false

  /** The number of rows. */
  get rowCount(): number {
    return this.#rows.rows.length
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(key)
  }

  scan(from: Uint8Array, to: Uint8Array, limit: number): TableRow[] {
    return this.#rows.scan(from, to, limit)
  }

  beginCheckpoint(): Checkpoint {
    if (this.#isCheckpointOpen) throw new Error('A checkpoint is open already')
    this.#isCheckpointOpen = true
    return new MemoryCheckpoint((changes) =>
      Promise.resolve().then(() => {
        this.#isCheckpointOpen = false
        if (this.#isClosed) throw new Error('The tables are closed')
        this.#rows = this.#rows.with(changes)
      }),
    )
  }

  sweepKeys(from: Uint8Array | null, clockMs: number, rows: number): Promise<Uint8Array | null> {
    if (this.#isClosed) return Promise.reject(new Error('The tables are closed'))
    const { past, next } = sweptIn(this.scan(from ?? keyBounds[0], keyBounds[1], rows), clockMs, rows)
    this.#rows = this.#rows.with(past.map((key): Change => [key, undefined]))
    return Promise.resolve(next)
  }

  /** Tables with what is committed; an open checkpoint is lost, and this one takes no more. */
  crash(): MemoryTables {
    const next = new MemoryTables()
    next.#rows = this.#rows
    this.#isClosed = true
    return next
  }

  close(): Promise<void> {
    this.#isClosed = true
    return Promise.resolve()
  }
}

class MemoryCheckpoint implements Checkpoint {
  readonly #changes: Change[] = []
  readonly #apply: (changes: readonly Change[]) => Promise<void>
  #isCommitted = false

  constructor(apply: (changes: readonly Change[]) => Promise<void>) {
    this.#apply = apply
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#add(key, value.slice())
  }

  delete(key: Uint8Array): void {
    this.#add(key, undefined)
  }

  putKeys(batch: KeyBatch): void {
    for (const [key, value] of keyRowsOf(batch)) this.put(key, value)
  }

  commit(): Promise<void> {
    if (this.#isCommitted) return Promise.reject(new Error('The checkpoint is committed already'))
    this.#isCommitted = true
    return this.#apply(this.#changes)
  }

  #add(key: Uint8Array, value: Uint8Array | undefined): void {
    if (this.#isCommitted) throw new Error('The checkpoint is committed already')
    if (key.length < 1 || key.length > KEY_BYTES_MAX)
      throw new RangeError(`A key has 1 to ${KEY_BYTES_MAX} bytes, not ${key.length}`)
    const last = this.#changes.at(-1)
    if (last !== undefined && compareBytes(last[0], key) >= 0) throw new RangeError('Keys must ascend')
    this.#changes.push([key.slice(), value])
  }
}
