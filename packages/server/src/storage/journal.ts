import type { Journal, JournalRecord, Position } from '@posthaste/core'
import { type Environment, openEnvironment } from './environment.ts'
import { FreeSpace } from './free-space.ts'
import { StorageError, storageErrorOf } from './storage-error.ts'

/** Address space of a journal; LMDB maps a larger file anew by itself, so this is no limit (64 GiB). */
const MAP_SIZE_BYTES = 2 ** 36

/** A commit that has not ended after this long counts as failed: a caller never waits for ever. */
const COMMIT_TIMEOUT_MS = 30_000

/** Records removed by a transaction that appends, and by one that does nothing else. */
const TRIM_RECORDS = 32
const TRIM_ALONE_RECORDS = 256

/** How long nothing must be appended until a trim has transactions of its own: an append that came just then would wait for one. */
const TRIM_ALONE_MS = 20

/** How long the reason of a failed commit may follow after the failure itself. */
const REASON_TIMEOUT_MS = 100

/** Holds the position up to which was trimmed. Above every record's key, whose first byte is 0. */
const TRIMMED_KEY = new Uint8Array(8).fill(0xff)

/** A record that waits for its transaction, and whom its end concerns. */
interface Append {
  readonly position: Position
  readonly bytes: Uint8Array
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/** The oldest records, which a transaction removes. */
interface Removal {
  readonly keys: readonly Uint8Array[]
  /** Nothing is left up to here. */
  readonly upTo: Position
}

/** Whoever waits until nothing is left up to a position. */
interface Trim {
  readonly upTo: Position
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * The journal of one shard in an LMDB environment of its own: one record is one row (8-byte big-endian position → bytes).
 *
 * **Why a resolved append survives a power loss.** A transaction is, in this order and by one thread: `pwrite`/`writev` of the new
 * pages (never over pages that the last flushed root needs), `fdatasync` of the file, and `pwrite` of the 128-byte root to a
 * descriptor opened with `O_DSYNC`, which returns when the root is on disk. Only then does the append resolve. A loss before the
 * last step leaves the older of the two roots, whole; a torn root is impossible on a disk that writes a sector whole. A disk that
 * lies about its write cache voids this, as it does for every database. The directory entries are fsynced when it is opened.
 *
 * **Why it is a prefix.** At most one transaction is under way; what is appended meanwhile goes together into the next one. So no
 * record can be stored when one before it was not, and after the first failure nothing is written any more.
 *
 * **What a reader sees.** A transaction becomes visible after its flush, so `read` yields flushed records only. A process that is
 * killed inside the last step leaves a root in the page cache that may not be on disk: opening flushes the file before it reads,
 * so an append that was never acknowledged may be there afterwards, and is then as durable as the others.
 */
export class LmdbJournal implements Journal {
  readonly #directory: string
  readonly #environment: Environment
  readonly #freeSpace: FreeSpace
  #lastPosition: Position
  #flushedPosition: Position
  #trimmedPosition: Position
  #trims: Trim[] = []
  #trimTimer: NodeJS.Timeout | undefined
  #queue: Append[] = []
  #isWriting = false
  /** Whether anything was appended since the timer of the trim was set. */
  #hasAppended = false
  #failure: StorageError | undefined
  #closed: Promise<void> | undefined
  #onIdle: (() => void) | undefined

  /**
   * Opens or makes the journal below `directory`; one process at a time may, which the data directory's lock ensures.
   *
   * @throws StorageError `directory-read-only`, `disk-full` or `journal-failed`
   */
  static open(directory: string): LmdbJournal {
    return new LmdbJournal(directory, openEnvironment(directory, MAP_SIZE_BYTES, 'journal-failed'))
  }

  private constructor(directory: string, environment: Environment) {
    this.#directory = directory
    this.#environment = environment
    this.#freeSpace = new FreeSpace(directory)
    const trimmed = environment.getBinary(TRIMMED_KEY)
    this.#trimmedPosition = trimmed === undefined ? 0 : positionOf(trimmed)
    const last = [...environment.getKeys({ start: TRIMMED_KEY, reverse: true, limit: 2 })].find((key) => key[0] === 0)
    this.#lastPosition = Math.max(this.#trimmedPosition, last === undefined ? 0 : positionOf(last))
    this.#flushedPosition = this.#lastPosition
  }

  /** Counts appends that are still under way, so that the next may follow without waiting. */
  get lastPosition(): Position {
    return this.#lastPosition
  }

  /**
   * See the port. The bytes are not copied: they must stay as they are until it resolves or rejects.
   *
   * @throws StorageError (as a rejection) `disk-full` or `journal-failed`, the same for every append from the first failure on
   */
  append(position: Position, bytes: Uint8Array): Promise<void> {
    if (!Number.isSafeInteger(position) || position <= this.#lastPosition) {
      return Promise.reject(new RangeError(`Position ${position} is not above the journal's last, ${this.#lastPosition}`))
    }
    const refusal = this.#refusal()
    if (refusal !== undefined) return Promise.reject(refusal)
    this.#lastPosition = position
    this.#hasAppended = true
    return new Promise((resolve, reject) => {
      this.#queue.push({ position, bytes, resolve, reject })
      if (!this.#isWriting) this.#write(TRIM_RECORDS)
    })
  }

  /**
   * See the port. A snapshot keeps LMDB from reusing pages until its loop ends (by its end, `break` or an error), so run
   * through what you asked for in one go.
   */
  read(from: Position): Iterable<JournalRecord> {
    this.#environment.resetReadTxn()
    const transaction = this.#environment.useReadTransaction()
    const rows = this.#environment.getRange({ start: keyOf(from), end: TRIMMED_KEY, transaction })
    return records(rows, () => transaction.done())
  }

  /**
   * See the port. Each transaction that appends takes some of the oldest records away with it, which costs no flush of its own and lets no
   * append wait. Only where nothing is appended a trim has transactions to itself.
   */
  trim(upTo: Position): Promise<void> {
    const refusal = this.#refusal()
    if (refusal !== undefined) return Promise.reject(refusal)
    const target = Math.min(upTo, this.#flushedPosition)
    if (target <= this.#trimmedPosition) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#trims.push({ upTo: target, resolve, reject })
      this.#trimSoon()
    })
  }

  #trimSoon(): void {
    if (this.#trims.length === 0 || this.#trimTimer !== undefined) return
    this.#hasAppended = false
    this.#trimTimer = setTimeout(() => {
      this.#trimTimer = undefined
      if (this.#isWriting) return
      if (this.#hasAppended) this.#trimSoon()
      else if (this.#trims.length > 0) this.#write(TRIM_ALONE_RECORDS)
    }, TRIM_ALONE_MS)
  }

  /** The records that a trim removes next. */
  #removal(limit: number): Removal | undefined {
    const target = this.#trims[0]?.upTo
    if (target === undefined) return undefined
    // An older snapshot would not have the newest of the records that go: they would stay for ever.
    this.#environment.resetReadTxn()
    const keys = [...this.#environment.getKeys({ start: keyOf(this.#trimmedPosition + 1), end: keyOf(target + 1), limit })]
    const last = keys.length < limit ? undefined : keys.at(-1)
    return { keys, upTo: last === undefined ? target : positionOf(last) }
  }

  freeBytes(): number {
    return this.#freeSpace.bytes()
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    clearTimeout(this.#trimTimer)
    for (const { reject } of this.#trims.splice(0)) reject(new StorageError('journal-failed', `${this.#directory} is closed`))
    if (this.#isWriting) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    const isClosed = this.#environment.close()
    // After a failure LMDB may wait for a commit that never ends; the operating system closes the files then.
    await (this.#failure === undefined ? isClosed : Promise.race([isClosed, delay(REASON_TIMEOUT_MS)]))
  }

  #refusal(): StorageError | undefined {
    return this.#failure ?? (this.#closed && new StorageError('journal-failed', `${this.#directory} is closed`))
  }

  #write(trimRecords: number): void {
    const appends = this.#queue
    const removal = this.#removal(trimRecords)
    this.#queue = []
    this.#isWriting = true
    const timeout = setTimeout(() => {
      this.#fail(
        appends,
        new StorageError('journal-failed', `${this.#directory}: no answer from the disk in ${COMMIT_TIMEOUT_MS} ms`),
      )
    }, COMMIT_TIMEOUT_MS)
    const committed = this.#environment.batch(() => {
      for (const { position, bytes } of appends) this.#environment.put(keyOf(position), bytes)
      if (removal === undefined) return
      for (const key of removal.keys) this.#environment.remove(key)
      this.#environment.put(TRIMMED_KEY, keyOf(removal.upTo))
    })
    committed.then(
      () => {
        clearTimeout(timeout)
        if (this.#failure === undefined) this.#finish(appends, removal)
      },
      async (cause: unknown) => {
        clearTimeout(timeout)
        this.#fail(appends, storageErrorOf(await reasonOf(cause), 'journal-failed', this.#directory))
      },
    )
  }

  #finish(appends: readonly Append[], removal: Removal | undefined): void {
    for (const { position } of appends) this.#flushedPosition = Math.max(this.#flushedPosition, position)
    if (removal !== undefined) this.#trimmedPosition = removal.upTo
    const trimmed = this.#trims.filter(({ upTo }) => upTo <= this.#trimmedPosition)
    if (trimmed.length > 0) this.#trims = this.#trims.filter(({ upTo }) => upTo > this.#trimmedPosition)
    if (this.#queue.length > 0) this.#write(TRIM_RECORDS)
    else if (appends.length === 0 && this.#trims.length > 0 && this.#closed === undefined) this.#write(TRIM_ALONE_RECORDS)
    else this.#becomeIdle()
    for (const { resolve } of [...appends, ...trimmed]) resolve()
  }

  #fail(appends: readonly Append[], error: StorageError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    for (const { reject } of [...appends, ...this.#queue, ...this.#trims.splice(0)]) reject(error)
    this.#queue = []
    this.#becomeIdle()
  }

  #becomeIdle(): void {
    this.#isWriting = false
    this.#trimSoon()
    this.#onIdle?.()
  }
}

function* records(rows: Iterable<{ key: Uint8Array; value: Uint8Array }>, release: () => void): Generator<JournalRecord> {
  try {
    for (const { key, value } of rows) yield { position: positionOf(key), bytes: value }
  } finally {
    release()
  }
}

function keyOf(position: Position): Uint8Array {
  const key = new Uint8Array(8)
  new DataView(key.buffer).setBigUint64(0, BigInt(position))
  return key
}

function positionOf(key: Uint8Array): Position {
  return Number(new DataView(key.buffer, key.byteOffset, 8).getBigUint64(0))
}

/** lmdb rejects a commit with a general error whose `commitError` is a promise of the reason. */
function reasonOf(cause: unknown): Promise<unknown> {
  if (!(cause instanceof Error) || !('commitError' in cause)) return Promise.resolve(cause)
  const reason = Promise.resolve(cause.commitError).then(
    () => cause,
    (error: unknown) => error,
  )
  return Promise.race([reason, delay(REASON_TIMEOUT_MS).then(() => cause)])
}

function delay(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs))
}
