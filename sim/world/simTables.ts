import { type Change, type Checkpoint, compareBytes, keyRowsOf, SortedRows, type TableRow, type Tables } from '@posthaste/core'

/** A checkpoint whose rows are visible from `commitNow` on, all at once. */
export interface SimCheckpoint extends Checkpoint {
  commitNow(): void
}

/**
 * A shard's tables, which outlive their process: one sorted array that is replaced when a checkpoint commits. What was not committed when
 * the process died is as if it had never been.
 */
export class SimTables implements Tables {
  rows: SortedRows

  constructor(rows = new SortedRows()) {
    this.rows = rows
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.rows.get(key)
  }

  scan(from: Uint8Array, to: Uint8Array, limit: number): TableRow[] {
    return this.rows.scan(from, to, limit)
  }

  beginCheckpoint(): SimCheckpoint {
    const changes: Change[] = []
    const add = (key: Uint8Array, value: Uint8Array | undefined): void => {
      const last = changes.at(-1)
      if (last !== undefined && compareBytes(last[0], key) >= 0) throw new RangeError('the keys of a checkpoint must ascend')
      changes.push([key.slice(), value])
    }
    const commitNow = (): void => {
      this.rows = this.rows.with(changes)
    }
    return {
      put: (key, value) => add(key, value.slice()),
      delete: (key) => add(key, undefined),
      putKeys: (batch) => {
        for (const [key, value] of keyRowsOf(batch)) add(key, value.slice())
      },
      commitNow,
      commit: () => {
        throw new Error('the simulator commits at once')
      },
    }
  }

  sweepKeys(): Promise<never> {
    throw new Error('the simulator sweeps at once')
  }

  /** Deletes these rows. */
  sweepNow(keys: readonly Uint8Array[]): void {
    this.rows = this.rows.with(keys.map((key) => [key, undefined]))
  }

  close(): Promise<void> {
    throw new Error('nothing closes simulated tables')
  }
}
