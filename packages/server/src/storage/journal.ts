import type { Journal, JournalRecord, Position } from '@posthaste/core'
import { type Environment, openEnvironment } from './environment.ts'
import { FreeSpace } from './free-space.ts'
import { StorageError, storageErrorOf } from './storage-error.ts'

/** Address space of a journal; LMDB maps a larger file anew by itself, so this is no limit (64 GiB). */
const MAP_SIZE_BYTES = 2 ** 36

/** A commit that has not ended after this long counts as failed: a caller never waits for ever. */
const COMMIT_TIMEOUT_MS = 30_000

/** Records removed per transaction, so that an append never waits long behind a trim. */
const TRIM_SLICE_RECORDS = 256

/** How long the reason of a failed commit may follow after the failure itself. */
const REASON_TIMEOUT_MS = 100

/** Holds the position up to which was trimmed. Above every record's key, whose first byte is 0. */
const TRIMMED_KEY = new Uint8Array(8).fill(0xff)

/** What one transaction is made of, and whom its end concerns. */
interface Operation {
  readonly write: () => void
  /** The position of an appended record, 0 for a slice of a trim. */
  readonly position: Position
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
  #trimming: Promise<void> = Promise.resolve()
  #queue: Operation[] = []
  #isWriting = false
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
    this.#lastPosition = position
    return this.#enqueue(position, () => {
      this.#environment.put(keyOf(position), bytes)
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

  trim(upTo: Position): Promise<void> {
    const trimmed = this.#trimming.then(() => this.#trim(Math.min(upTo, this.#flushedPosition)))
    this.#trimming = trimmed.catch(() => {})
    return trimmed
  }

  async #trim(target: Position): Promise<void> {
    while (this.#trimmedPosition < target) {
      const range = { start: keyOf(this.#trimmedPosition + 1), end: keyOf(target + 1), limit: TRIM_SLICE_RECORDS }
      const keys = [...this.#environment.getKeys(range)]
      const lastKey = keys.length < TRIM_SLICE_RECORDS ? undefined : keys.at(-1)
      const trimmedPosition = lastKey === undefined ? target : positionOf(lastKey)
      await this.#enqueue(0, () => {
        for (const key of keys) this.#environment.remove(key)
        this.#environment.put(TRIMMED_KEY, keyOf(trimmedPosition))
      })
      this.#trimmedPosition = trimmedPosition
    }
  }

  freeBytes(): number {
    return this.#freeSpace.bytes()
  }

  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  async #close(): Promise<void> {
    if (this.#isWriting) await new Promise<void>((resolve) => (this.#onIdle = resolve))
    const isClosed = this.#environment.close()
    // After a failure LMDB may wait for a commit that never ends; the operating system closes the files then.
    await (this.#failure === undefined ? isClosed : Promise.race([isClosed, delay(REASON_TIMEOUT_MS)]))
  }

  #enqueue(position: Position, write: () => void): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (this.#closed !== undefined) return Promise.reject(new StorageError('journal-failed', `${this.#directory} is closed`))
    return new Promise((resolve, reject) => {
      this.#queue.push({ write, position, resolve, reject })
      if (!this.#isWriting) this.#writeQueue()
    })
  }

  #writeQueue(): void {
    const operations = this.#queue
    this.#queue = []
    this.#isWriting = true
    const timeout = setTimeout(() => {
      this.#fail(
        operations,
        new StorageError('journal-failed', `${this.#directory}: no answer from the disk in ${COMMIT_TIMEOUT_MS} ms`),
      )
    }, COMMIT_TIMEOUT_MS)
    const committed = this.#environment.batch(() => {
      for (const operation of operations) operation.write()
    })
    committed.then(
      () => {
        clearTimeout(timeout)
        if (this.#failure === undefined) this.#finish(operations)
      },
      async (cause: unknown) => {
        clearTimeout(timeout)
        this.#fail(operations, storageErrorOf(await reasonOf(cause), 'journal-failed', this.#directory))
      },
    )
  }

  #finish(operations: readonly Operation[]): void {
    for (const { position } of operations) this.#flushedPosition = Math.max(this.#flushedPosition, position)
    if (this.#queue.length > 0) this.#writeQueue()
    else this.#becomeIdle()
    for (const operation of operations) operation.resolve()
  }

  #fail(operations: readonly Operation[], error: StorageError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    for (const operation of [...operations, ...this.#queue]) operation.reject(error)
    this.#queue = []
    this.#becomeIdle()
  }

  #becomeIdle(): void {
    this.#isWriting = false
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
