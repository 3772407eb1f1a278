import type { Checkpoint, TableRow, Tables } from '@posthaste/core'

/** A row to write; without a value, a key to delete. */
type Change = readonly [key: Uint8Array, value: Uint8Array | undefined]

/** Compares byte by byte, a prefix first. */
export function compareBytes(left: Uint8Array, right: Uint8Array): number {
  const length = Math.min(left.length, right.length)
  for (let index = 0; index < length; index++) {
    const difference = (left[index] ?? 0) - (right[index] ?? 0)
    if (difference !== 0) return difference
  }
  return left.length - right.length
}

/** A checkpoint whose rows are visible from `commitNow` on, all at once. */
export interface SimCheckpoint extends Checkpoint {
  commitNow(): void
}

/**
 * A shard's tables, which outlive their process: one sorted array that is replaced when a checkpoint commits. What was not committed when
 * the process died is as if it had never been.
 */
export class SimTables implements Tables {
  rows: readonly TableRow[]

  constructor(rows: readonly TableRow[] = []) {
    this.rows = rows
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const row = this.rows[this.#indexOf(key)]
    return row !== undefined && compareBytes(row[0], key) === 0 ? row[1].slice() : undefined
  }

  scan(from: Uint8Array, to: Uint8Array, limit: number): TableRow[] {
    const start = this.#indexOf(from)
    const end = Math.min(this.#indexOf(to), start + Math.max(0, limit))
    return this.rows.slice(start, Math.max(start, end)).map(([key, value]) => [key.slice(), value.slice()])
  }

  beginCheckpoint(): SimCheckpoint {
    const changes: Change[] = []
    const add = (key: Uint8Array, value: Uint8Array | undefined): void => {
      const last = changes.at(-1)
      if (last !== undefined && compareBytes(last[0], key) >= 0) throw new RangeError('the keys of a checkpoint must ascend')
      changes.push([key.slice(), value])
    }
    const commitNow = (): void => {
      this.rows = merge(this.rows, changes)
    }
    return {
      put: (key, value) => add(key, value.slice()),
      delete: (key) => add(key, undefined),
      commitNow,
      commit: () => {
        throw new Error('the simulator commits at once')
      },
    }
  }

  sweep(): Promise<void> {
    throw new Error('the simulator sweeps at once')
  }

  /** Deletes these rows. */
  sweepNow(keys: readonly Uint8Array[]): void {
    this.rows = merge(
      this.rows,
      keys.map((key) => [key, undefined]),
    )
  }

  close(): Promise<void> {
    throw new Error('nothing closes simulated tables')
  }

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

/** The rows after the changes; both sorted by key. */
function merge(rows: readonly TableRow[], changes: readonly Change[]): TableRow[] {
  const merged: TableRow[] = []
  let next = 0
  for (const [key, value] of changes) {
    for (let row = rows[next]; row !== undefined && compareBytes(row[0], key) < 0; row = rows[++next]) merged.push(row)
    const same = rows[next]
    if (same !== undefined && compareBytes(same[0], key) === 0) next++
    if (value !== undefined) merged.push([key, value])
  }
  for (let row = rows[next]; row !== undefined; row = rows[++next]) merged.push(row)
  return merged
}
