import type { TableRow } from '../ports.ts'
import { compareBytes } from './compare-bytes.ts'

/** A row to write; without a value, a key to delete. */
export type Change = readonly [key: Uint8Array, value: Uint8Array | undefined]

/** What `get` lends: one buffer, so that whoever uses it for longer than it may finds something else in it. */
let lent = new Uint8Array(4_096)

/** Rows in the order of their keys: one array, replaced as a whole when something changes, so that whoever has an earlier one keeps it. */
export class SortedRows {
  readonly rows: readonly TableRow[]

  constructor(rows: readonly TableRow[] = []) {
    this.rows = rows
  }

  /** The value of a key, lent until the next call. */
  get(key: Uint8Array): Uint8Array | undefined {
    const row = this.rows[this.#indexOf(key)]
    if (row === undefined || compareBytes(row[0], key) !== 0) return undefined
    const { length } = row[1]
    if (length > lent.length) lent = new Uint8Array(length)
    lent.set(row[1])
    return lent.subarray(0, length)
  }

  /** Copies of the rows with `from <= key < to`, at most `limit` of them. */
  scan(from: Uint8Array, to: Uint8Array, limit: number): TableRow[] {
    const start = this.#indexOf(from)
    const end = Math.min(this.#indexOf(to), start + Math.max(0, limit))
    return this.rows.slice(start, Math.max(start, end)).map(([key, value]) => [key.slice(), value.slice()])
  }

  /** The rows after the changes, which are sorted by key. */
  with(changes: readonly Change[]): SortedRows {
    const merged: TableRow[] = []
    const { rows } = this
    let next = 0
    for (const [key, value] of changes) {
      for (let row = rows[next]; row !== undefined && compareBytes(row[0], key) < 0; row = rows[++next]) merged.push(row)
      const same = rows[next]
      if (same !== undefined && compareBytes(same[0], key) === 0) next++
      if (value !== undefined) merged.push([key, value])
    }
    for (let row = rows[next]; row !== undefined; row = rows[++next]) merged.push(row)
    return new SortedRows(merged)
  }

  /** The index of the first row whose key is not below `key`. */
  #indexOf(key: Uint8Array): number {
    let low = 0
    let high = this.rows.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const row = this.rows[middle]
      if (row !== undefined && compareBytes(row[0], key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
