import { type Journal, logicVersion, readRecord, recordVersion, rowsVersion, Shard, type Tables } from '@posthaste/core'
import { ProtocolError } from '@posthaste/protocol'
import type { Logger } from './logging.ts'
import { inSlices } from './slices.ts'
import { type DataDirectory, openDataDirectory } from './storage/directory.ts'
import { FileJournal } from './storage/journal.ts'
import type { SegmentOptions } from './storage/segments.ts'
import { StorageError } from './storage/storage-error.ts'
import { LmdbTables } from './storage/tables.ts'

/** How many rows are encoded in one step of a checkpoint. */
const sliceRows = 25
/** How many rows that were only read stay in memory. */
const loadedRows = 100_000
/** How many keys are looked at between two checkpoints: twice as many as were written, so that what is past its time is at most as much again as what lives. */
const sweptMin = 2_000
const sweptPerKey = 2
/** And at once, in one transaction. */
const sweepPage = 10_000

/** When a checkpoint is made: after this much journal, or this long after the last one. */
export interface CheckpointPolicy {
  readonly bytes: number
  readonly ms: number
}

/** Every 64 MiB of journal, or every 10 seconds. */
export const defaultCheckpointPolicy: CheckpointPolicy = { bytes: 67_108_864, ms: 10_000 }

/** One shard with its journal and its tables. */
export interface Store {
  readonly shard: Shard
  readonly journal: Journal
  readonly tables: Tables
  /** What the tables hold: the last record that a checkpoint covers. */
  checkpointPosition: number
  /** Bytes appended since the last freeze. */
  journalBytes: number
  /** And those that the checkpoint under way brings into the tables. */
  checkpointBytes: number
  checkpointMs: number
  sweptTo: Uint8Array | null
}

/** What can keep a data directory from being opened. */
export class EngineError extends Error {
  readonly code: 'logic-version' | 'shards-differ'
  constructor(code: 'logic-version' | 'shards-differ', text: string) {
    super(text)
    this.name = 'EngineError'
    this.code = code
  }
}

/** The durable side of a server: opens the data directory, replays the journals, writes checkpoints. */
export class Engine {
  readonly stores: readonly Store[]
  readonly directory: DataDirectory
  readonly #logger: Logger
  readonly #policy: CheckpointPolicy
  #checkpoint: Promise<void> = Promise.resolve()
  #isBusy = false
  #isClosing = false
  #failure: { readonly error: unknown } | undefined
  #fail: () => void = () => {}
  /** Resolves when a checkpoint has failed: nothing is lost, but the journal would grow without end. `close` says why. */
  readonly failed = new Promise<void>((resolve) => {
    this.#fail = resolve
  })

  private constructor(directory: DataDirectory, stores: readonly Store[], logger: Logger, policy: CheckpointPolicy) {
    this.directory = directory
    this.stores = stores
    this.#logger = logger
    this.#policy = policy
  }

  /**
   * Opens the data directory and brings every shard to the end of its journal.
   * @throws StorageError when the directory can't be used; EngineError when its data is of another kind
   */
  static async open(
    path: string,
    shards: number,
    logger: Logger,
    policy: CheckpointPolicy,
    journalOptions: Partial<SegmentOptions> = {},
  ): Promise<Engine> {
    const directory = await openDataDirectory(path)
    const stores: Store[] = []
    const opened: LmdbTables[] = []
    try {
      const more = directory.moreShardsThan(shards)
      if (more !== undefined) throw shardsDiffer(path, more, shards)
      for (let index = 0; index < shards; index++) {
        const directories = directory.shard(index)
        const journal = FileJournal.open(directories.journal, journalOptions)
        const tables = LmdbTables.open(directories.tables)
        opened.push(tables)
        const shard = new Shard(index, shards, tables)
        const counts = {
          checkpointPosition: 0,
          journalBytes: 0,
          checkpointBytes: 0,
          checkpointMs: performance.now(),
          sweptTo: null,
        }
        const store: Store = { shard, journal, tables, ...counts }
        stores.push(store)
        const found = shardsOf(shard, path)
        if (found !== shards) throw shardsDiffer(path, found, shards)
        store.checkpointPosition = shard.position
        // Before the next shard's directory is made: of a young one, the journal alone says how many there are.
        replay(store, path, shards, logger)
      }
      for (const tables of opened) await tables.ready()
    } catch (error) {
      for (const { journal, tables } of stores) await Promise.all([journal.close(), tables.close()])
      await directory.close()
      throw error
    }
    return new Engine(directory, stores, logger, policy)
  }

  /** Bytes free for the journals: what they hold already takes as much again, once checkpoints have brought it into the tables. */
  freeBytes(): number {
    let bytes = this.directory.freeBytes()
    for (const { journalBytes, checkpointBytes } of this.stores) bytes -= journalBytes + checkpointBytes
    return Math.max(0, bytes)
  }

  /** Called between records: forgets rows that were only read, begins a checkpoint when one is due. */
  step(): void {
    // The last one covers everything.
    if (this.#isClosing) return
    for (const store of this.stores) {
      store.shard.state.generations.trimLoaded(loadedRows)
      const isDue = store.journalBytes >= this.#policy.bytes || performance.now() - store.checkpointMs >= this.#policy.ms
      if (isDue && !this.#isBusy && store.shard.state.generations.changed > 0 && store.journalBytes > 0) this.#begin(store)
    }
  }

  /**
   * Makes a checkpoint of everything, sweeps nothing, and closes. Call when nothing is in flight.
   * @throws StorageError why a checkpoint has failed, now or before; all is closed then too, and the journal holds everything
   */
  async close(): Promise<void> {
    this.#isClosing = true
    await this.#checkpoint
    try {
      // After a failure the tables take no more.
      if (this.#failure !== undefined) throw this.#failure.error
      for (const store of this.stores) await writeCheckpoint(store, this.directory)
    } finally {
      for (const { journal, tables } of this.stores) await Promise.all([journal.close(), tables.close()])
      await this.directory.close()
    }
  }

  /** Deletes keys past their time at the checkpoint: they count as absent already, so nobody can tell. */
  async #sweep(store: Store, clockMs: number, rows: number): Promise<void> {
    for (let left = rows; left > 0 && !this.#isClosing; left -= sweepPage) {
      store.sweptTo = await store.tables.sweepKeys(store.sweptTo, clockMs, Math.min(left, sweepPage))
      if (store.sweptTo === null) return
    }
  }

  #begin(store: Store): void {
    this.#isBusy = true
    // Of the moment of the checkpoint: a replay begins there, and must find the keys that the records after it found.
    const { clockMs, keys } = store.shard.state
    const rows = sweptMin + sweptPerKey * keys.written
    this.#checkpoint = writeCheckpoint(store, this.directory)
      .then(() => this.#sweep(store, clockMs, rows))
      .then(
        () => {
          this.#isBusy = false
        },
        (error: unknown) => {
          this.#logger.fatal({ err: error }, 'The checkpoint failed. The journal holds everything; the server stops.')
          this.#failure = { error }
          this.#fail()
        },
      )
  }
}

/** How many shards the data was made with. It is the first row that is read. */
function shardsOf({ state }: Shard, path: string): number {
  try {
    return state.meta.shards
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    throw new EngineError(
      'logic-version',
      `the rows in ${path} are not of version ${rowsVersion}, which is this server's: start the version that wrote them`,
    )
  }
}

function shardsDiffer(path: string, found: number, given: number): EngineError {
  const text = `${path} was made with ${found} shards, not ${given}: start with --shards ${found}`
  return new EngineError('shards-differ', text)
}

/** The first record of each incarnation says how many shards there are. */
function checkShards(bytes: Uint8Array, path: string, shards: number): void {
  for (const command of readRecord(bytes).commands)
    if (command.kind === 'begin' && command.shards !== shards) throw shardsDiffer(path, command.shards, shards)
}

function replay(store: Store, path: string, shards: number, logger: Logger): void {
  const from = store.shard.position + 1
  // A checkpoint covers what was journaled, and the journal keeps its last file.
  if (store.journal.lastPosition < from - 1) throw missing(store.journal.lastPosition + 1, from - 1)
  const startedMs = performance.now()
  let records = 0
  let position = store.shard.position
  for (const record of store.journal.read(from)) {
    const version = recordVersion(record.bytes)
    if (version !== logicVersion)
      throw new EngineError(
        'logic-version',
        `the journal's tail was written by logic version ${version}, this server has ${logicVersion}: start that version and stop it cleanly first`,
      )
    if (record.position !== position + 1) throw missing(position + 1, record.position - 1)
    const content = readRecord(record.bytes)
    if (content.number === 1) checkShards(record.bytes, path, shards)
    store.shard.replay(record.position, content)
    store.journalBytes += record.bytes.length
    position = record.position
    records += 1
    if (records % 256 === 0) store.shard.state.generations.trimLoaded(loadedRows)
  }
  if (position < store.journal.lastPosition) throw missing(position + 1, store.journal.lastPosition)
  if (records > 0) logger.info({ records, position, ms: Math.round(performance.now() - startedMs) }, 'Replayed the journal')
}

/** The journal goes on where the tables end, unless the two are not of one moment. */
function missing(from: number, to: number): StorageError {
  const text = `the journal and the tables are not of one moment: records ${from} to ${to} are missing. Put the whole data directory back from one backup.`
  return new StorageError('journal-failed', text)
}

/** Writes the rows that changed since the last checkpoint, in slices, then trims the journal. */
async function writeCheckpoint(store: Store, directory: DataDirectory): Promise<void> {
  const { generations } = store.shard.state
  const position = store.shard.position
  generations.freeze()
  store.checkpointBytes = store.journalBytes
  store.journalBytes = 0
  store.checkpointMs = performance.now()
  const checkpoint = store.tables.beginCheckpoint()
  await inSlices(generations.write(checkpoint, sliceRows))
  await checkpoint.commit()
  store.checkpointPosition = position
  store.checkpointBytes = 0
  directory.forgetFreeBytes()
  await inSlices(generations.release(sliceRows))
  await store.journal.trim(position)
}
