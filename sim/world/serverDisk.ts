import { SimJournal } from './simJournal.ts'
import { SimTables } from './simTables.ts'

/** One shard's part of the disk. */
export interface ShardStore {
  readonly journal: SimJournal
  readonly tables: SimTables
}

/** The server's disk: what outlives its processes. */
export class ServerDisk {
  stores: readonly ShardStore[]
  isFailing = false
  isNearlyFull = false
  /** The longest flush, in ms. */
  flushMsMax: number

  constructor(shards: number, flushMsMax: number) {
    this.stores = Array.from({ length: shards }, () => ({ journal: new SimJournal(), tables: new SimTables() }))
    this.flushMsMax = flushMsMax
  }

  /** What is durable now, of all shards together. */
  backup(): readonly ShardStore[] {
    return this.stores.map(({ journal, tables }) => ({ journal: journal.copy(), tables: new SimTables(tables.rows) }))
  }

  /** Puts a backup in place. */
  restore(backup: readonly ShardStore[]): void {
    this.stores = backup.map(({ journal, tables }) => ({ journal: journal.copy(), tables: new SimTables(tables.rows) }))
  }
}
