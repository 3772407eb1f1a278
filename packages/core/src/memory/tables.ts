import type { Checkpoint, TableRow, Tables } from '../ports.ts'
import { compareBytes } from './compare-bytes.ts'

/** The longest key in bytes. */
const KEY_BYTES_MAX = 512

/** A row to write; without a value, a key to delete. */
type Change = readonly [key: Uint8Array, value: Uint8Array | undefined]

/**
 * Tables in memory, for tests and the simulator: one sorted array, replaced as a whole when a checkpoint commits.
 * `crash` gives what a process finds that starts after this one died.
 */
export class MemoryTables implements Tables {
  #rows: readonly TableRow[] = []
  #isCheckpointOpen = false
  #isClosed = false

  /** The number of rows. */
  get rowCount(): number {
    return this.#rows.length
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const row = this.#rows[this.#indexOf(key)]
    return row !== undefined && compareBytes(row[0], key) === 0 ? row[1].slice() : undefined
  }

  scan(from: Uint8Array, to: Uint8Array, limit: number): TableRow[] {
    const start = this.#indexOf(from)
    const end = Math.min(this.#indexOf(to), start + Math.max(0, limit))
    return this.#rows.slice(start, Math.max(start, end)).map(([key, value]) => [key.slice(), value.slice()])
  }

  beginCheckpoint(): Checkpoint {
    if (this.#isCheckpointOpen) throw new Error('A checkpoint is open already')
    this.#isCheckpointOpen = true
    return new MemoryCheckpoint((changes) =>
      Promise.resolve().then(() => {
        this.#isCheckpointOpen = false
        if (this.#isClosed) throw new Error('The tables are closed')
        this.#rows = merge(this.#rows, changes)
      }),
    )
  }

  sweep(keys: readonly Uint8Array[]): Promise<void> {
    if (this.#isClosed) return Promise.reject(new Error('The tables are closed'))
    const changes = keys.map((key): Change => [key, undefined]).sort(([left], [right]) => compareBytes(left, right))
    this.#rows = merge(this.#rows, changes)
    return Promise.resolve()
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

  /** The index of the first row whose key is not below `key`. */
  #indexOf(key: Uint8Array): number {
    let low = 0
    let high = this.#rows.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const row = this.#rows[middle]
      if (row !== undefined && compareBytes(row[0], key) < 0) low = middle + 1
      else high = middle
    }
    return low
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

/** The rows after the changes; both sorted by key. */
function merge(rows: readonly TableRow[], changes: readonly Change[]): TableRow[] {
  const merged: TableRow[] = []
  let next = 0
  for (const change of changes) {
    const [key, value] = change
    for (let row = rows[next]; row !== undefined && compareBytes(row[0], key) < 0; row = rows[++next]) merged.push(row)
    const same = rows[next]
    if (same !== undefined && compareBytes(same[0], key) === 0) next++
    if (value !== undefined) merged.push([key, value])
  }
  for (let row = rows[next]; row !== undefined; row = rows[++next]) merged.push(row)
  return merged
}
