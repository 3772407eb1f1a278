import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { type Checkpoint, type KeyBatch, keyBoundsOf, type TableRow, type Tables } from '@posthaste/core'
import type { Transaction } from 'lmdb'
import { type Environment, openEnvironment } from './environment.ts'
import { StorageError, storageErrorOf } from './storage-error.ts'
import { SliceWriter } from './table-slice.ts'
import type { WriterAnswer, WriterData, WriterRequest } from './tables-writer.ts'

/** Address space of the tables; LMDB maps a larger file anew by itself, so this is no limit (1 TiB). */
const MAP_SIZE_BYTES = 2 ** 40

/** The longest key in bytes. */
const KEY_BYTES_MAX = 512

/** Whom the answer to a request concerns. */
interface PendingRequest {
  readonly resolve: (next: Uint8Array | null) => void
  readonly reject: (error: StorageError) => void
}

/** Reads within a transaction without a copy, which lmdb has and its types leave out. */
interface LendingEnvironment {
  /** The bytes are valid until the next read. */
  getBinaryFast(key: Uint8Array, options: { readonly transaction: Transaction }): Uint8Array | undefined
  /** How many bytes the last read gave: the buffer may be longer. */
  readonly lastSize: number
}

/**
 * The rows of one shard in an LMDB environment of its own, read by this thread and written by another.
 *
 * A checkpoint is one LMDB transaction, in the other thread, which this one feeds with slices of encoded rows; nothing here waits
 * for the B-tree or the disk. A crash before its last step (the root, written after everything else is flushed) leaves the
 * checkpoint before it, whole.
 *
 * Reads go to one pinned snapshot, which moves on when a checkpoint's commit resolves and not earlier. It is always the latest
 * but one at most, so it keeps LMDB from reusing no more pages than LMDB keeps for itself.
 *
 * A failed write leaves the old checkpoint readable, and fails every later write the same way: LMDB can't go on after some
 * failures, and doesn't say which. Starting again, after making room, does.
 */
export class LmdbTables implements Tables {
  readonly #directory: string
  readonly #environment: Environment
  readonly #worker: Worker
  readonly #pending = new Map<number, PendingRequest>()
  readonly #lending: LendingEnvironment
  #snapshot: Transaction
  #reading: { readonly transaction: Transaction }
  #nextRequest = 1
  #isCheckpointOpen = false
  #failure: StorageError | undefined
  #closed: Promise<void> | undefined

  /**
   * Opens or makes the tables below `directory`; one process at a time may, which the data directory's lock ensures.
   *
   * @throws StorageError `directory-read-only`, `disk-full` or `tables-failed`
   */
  static open(directory: string): LmdbTables {
    return new LmdbTables(directory, openEnvironment(directory, MAP_SIZE_BYTES, 'tables-failed'))
  }

  private constructor(directory: string, environment: Environment) {
    this.#directory = directory
    this.#environment = environment
    this.#lending = environment as unknown as LendingEnvironment
    this.#snapshot = environment.useReadTransaction()
    this.#reading = { transaction: this.#snapshot }
    this.#worker = startWriter({ directory, mapSizeBytes: MAP_SIZE_BYTES })
    this.#worker.on('message', (answer: WriterAnswer) => this.#settle(answer))
    this.#worker.on('error', (cause) => this.#failAll(cause))
    this.#worker.on('exit', (code) => this.#failAll(new Error(`the writing thread ended with ${code}`)))
  }

  /**
   * Resolves when the writing thread has opened the tables. A process that ends before that, as one does whose journal fails, would abort in LMDB.
   * @throws StorageError when they can't be opened
   */
  async ready(): Promise<void> {
    await this.#request((request) => ({ verb: 'ready', request }))
  }

  get(key: Uint8Array): Uint8Array | undefined {
    const found = this.#lending.getBinaryFast(key, this.#reading)
    return found === undefined ? undefined : new Uint8Array(found.buffer, found.byteOffset, this.#lending.lastSize)
  }

  scan(from: Uint8Array, to: Uint8Array, limit: number): TableRow[] {
    if (limit <= 0 || Buffer.compare(from, to) >= 0) return []
    const start = from.length === 0 ? {} : { start: from }
    const rows: TableRow[] = []
    for (const { key, value } of this.#environment.getRange({ ...start, end: to, limit, transaction: this.#snapshot })) {
      rows.push([key, value])
    }
    return rows
  }

  beginCheckpoint(): Checkpoint {
    if (this.#isCheckpointOpen) throw new Error('A checkpoint is open already')
    this.#isCheckpointOpen = true
    this.#post({ verb: 'begin' })
    return new LmdbCheckpoint(
      (slice) => this.#postSlice(slice),
      (batch) => this.#post({ verb: 'keys', batch }, [batch.records, batch.outers.buffer]),
      () => this.#commit(),
    )
  }

  async sweepKeys(from: Uint8Array | null, clockMs: number, rows: number): Promise<Uint8Array | null> {
    if (this.#isCheckpointOpen) throw new Error('A checkpoint is open')
    const next = await this.#request((request) => ({ verb: 'sweep', from, clockMs, rows, request }))
    // A checkpoint that was begun meanwhile moves it.
    if (!this.#isCheckpointOpen) this.#moveSnapshot()
    return next
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    const hasEnded = this.#worker.threadId === -1 ? undefined : once(this.#worker, 'exit')
    this.#failure ??= new StorageError('tables-failed', `${this.#directory} is closed`)
    this.#worker.postMessage({ verb: 'close' } satisfies WriterRequest)
    await hasEnded
    this.#snapshot.done()
    await this.#environment.close()
  }

  async #commit(): Promise<void> {
    try {
      await this.#request((request) => ({ verb: 'commit', request }))
      this.#moveSnapshot()
    } finally {
      this.#isCheckpointOpen = false
    }
  }

  #moveSnapshot(): void {
    if (this.#closed !== undefined) return
    const before = this.#snapshot
    this.#environment.resetReadTxn()
    this.#snapshot = this.#environment.useReadTransaction()
    this.#reading = { transaction: this.#snapshot }
    before.done()
  }

  /** @returns of a sweep, where to go on */
  #request(message: (request: number) => WriterRequest): Promise<Uint8Array | null> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const request = this.#nextRequest++
    return new Promise((resolve, reject) => {
      this.#pending.set(request, { resolve, reject })
      this.#post(message(request))
    })
  }

  #postSlice(slice: Uint8Array<ArrayBuffer>): void {
    this.#post({ verb: 'slice', slice }, [slice.buffer])
  }

  #post(message: WriterRequest, transfer: readonly ArrayBuffer[] = []): void {
    if (this.#failure === undefined) this.#worker.postMessage(message, transfer)
  }

  #settle({ request, failure, next = null }: WriterAnswer): void {
    const pending = this.#pending.get(request)
    this.#pending.delete(request)
    if (failure === undefined) pending?.resolve(next)
    else {
      this.#failure ??= storageErrorOf(
        Object.assign(new Error(failure.message), { code: failure.code }),
        'tables-failed',
        this.#directory,
      )
      pending?.reject(this.#failure)
    }
  }

  #failAll(cause: unknown): void {
    this.#failure ??= storageErrorOf(cause, 'tables-failed', this.#directory)
    for (const { reject } of this.#pending.values()) reject(this.#failure)
    this.#pending.clear()
  }
}

/** Encodes rows into slices as they come, and hands each over when it is full. */
class LmdbCheckpoint implements Checkpoint {
  readonly #slices = new SliceWriter()
  readonly #send: (slice: Uint8Array<ArrayBuffer>) => void
  readonly #sendKeys: (batch: KeyBatch) => void
  readonly #commit: () => Promise<void>
  readonly #lastKey = new Uint8Array(KEY_BYTES_MAX)
  #lastKeyLength = 0
  #isCommitted = false

  constructor(send: (slice: Uint8Array<ArrayBuffer>) => void, sendKeys: (batch: KeyBatch) => void, commit: () => Promise<void>) {
    this.#send = send
    this.#sendKeys = sendKeys
    this.#commit = commit
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#add(key, value)
  }

  delete(key: Uint8Array): void {
    this.#add(key, undefined)
  }

  putKeys(batch: KeyBatch): void {
    const [first, last] = keyBoundsOf(batch)
    this.#ascend(first)
    if (batch.count > 1) this.#ascend(last)
    this.#handOver()
    this.#sendKeys(batch)
  }

  commit(): Promise<void> {
    if (this.#isCommitted) return Promise.reject(new Error('The checkpoint is committed already'))
    this.#isCommitted = true
    this.#handOver()
    return this.#commit()
  }

  #add(key: Uint8Array, value: Uint8Array | undefined): void {
    this.#ascend(key)
    if (!this.#slices.hasRoomFor(key, value)) this.#handOver()
    this.#slices.add(key, value)
  }

  /** Whatever is written next has this key. */
  #ascend(key: Uint8Array): void {
    if (this.#isCommitted) throw new Error('The checkpoint is committed already')
    if (key.length < 1 || key.length > KEY_BYTES_MAX)
      throw new RangeError(`A key has 1 to ${KEY_BYTES_MAX} bytes, not ${key.length}`)
    if (Buffer.compare(this.#lastKey.subarray(0, this.#lastKeyLength), key) >= 0) throw new RangeError('Keys must ascend')
    this.#lastKey.set(key)
    this.#lastKeyLength = key.length
  }

  #handOver(): void {
    const slice = this.#slices.take()
    if (slice !== undefined) this.#send(slice)
  }
}

/** The thread runs the sources when this file does (in tests): Node 20 needs a loader for them, found from the working directory. */
function startWriter(workerData: WriterData): Worker {
  if (!import.meta.url.endsWith('.ts')) return new Worker(new URL('./tables-writer.js', import.meta.url), { workerData })
  const source = JSON.stringify(new URL('./tables-writer.ts', import.meta.url).href)
  const start = `import('tsx/esm/api').then(({ register }) => { register(); return import(${source}) })`
  return new Worker(start, { eval: true, workerData })
}
