import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Journal, JournalRecord, Position } from '@posthaste/core'
import { FreeSpace } from './free-space.ts'
import { makeDirectory } from './make-directory.ts'
import { type SegmentOptions, Segments } from './segments.ts'
import { StorageError, storageErrorOf } from './storage-error.ts'

/** On macOS such a write stays in the disk's cache, and Windows has no such flag: there a flush follows each write. */
const defaults: SegmentOptions = { segmentBytes: 16 * 1024 * 1024, hasWriteThrough: process.platform === 'linux' }

/** A write that has not ended after so many seconds counts as failed: a caller never waits for ever. Seconds in which the process stood still are one. */
const WRITE_TICKS_MAX = 30
const TICK_MS = 1_000

/** How long `close` waits for files after a failure: what is still under way may never end, and the operating system closes them then. */
const CLOSE_TIMEOUT_MS = 100

/** Whoever waits for a write. */
interface Waiting {
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

interface Append extends JournalRecord, Waiting {}

interface Trim extends Waiting {
  readonly upTo: Position
}

/**
 * The journal of one shard: files of records that are added at the end (segments), of which the oldest go when they are trimmed.
 *
 * **Why a resolved append survives a power loss.** It resolves when its frame is written to a file that is opened so that a write ends once it
 * is on disk (`O_DSYNC`). The first sector of a new segment is on disk before the file gets its name, and its name before a frame follows.
 * A disk that lies about its write cache voids this, as it does for every store.
 *
 * **Why it is a prefix.** One frame is written at a time; what is appended meanwhile goes together into the next one. A frame has a checksum:
 * it is there whole, or not at all. After the first failure nothing is written any more, and a journal that is opened again goes on in a new
 * segment, so that nothing ever follows what a crash cut short.
 *
 * **What a reader sees.** Records whose write has ended. A process that is killed inside a write leaves a frame in the page cache that
 * may not be on disk: opening writes the last frame once more, so an append that was never acknowledged may be there afterwards, and is then as
 * durable as the others. Damage to what was on disk is told when a whole frame follows it, or a segment that begins later; without those it
 * looks like what a crash cut short.
 */
export class FileJournal implements Journal {
  readonly #directory: string
  readonly #segments: Segments
  readonly #freeSpace: FreeSpace
  #lastPosition: Position
  #queue: Append[] = []
  #trims: Trim[] = []
  #isWriting = false
  /** Whoever waits for what is being written, since so many seconds. */
  #waiting: readonly Waiting[] = []
  #ticks = 0
  #watch: NodeJS.Timeout | undefined
  /** The end of the last removal of files. */
  #released: Promise<void> = Promise.resolve()
  #failure: StorageError | undefined
  #closed: Promise<void> | undefined
  #onIdle: (() => void) | undefined

  /**
   * Opens or makes the journal below `directory`; one process at a time may, which the data directory's lock ensures.
   *
   * @throws StorageError `directory-read-only`, `disk-full` or `journal-failed`
   */
  static open(directory: string, options: Partial<SegmentOptions> = {}): FileJournal {
    try {
      makeDirectory(directory)
      if (existsSync(join(directory, 'data.mdb'))) throw new StorageError('journal-failed', earlierText(directory))
      return new FileJournal(directory, new Segments(directory, { ...defaults, ...options }))
    } catch (cause) {
      throw storageErrorOf(cause, 'journal-failed', directory)
    }
  }

  private constructor(directory: string, segments: Segments) {
    this.#directory = directory
    this.#segments = segments
    this.#freeSpace = new FreeSpace(directory)
    this.#lastPosition = segments.last
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
    return new Promise((resolve, reject) => {
      this.#queue.push({ position, bytes, resolve, reject })
      this.#begin()
    })
  }

  /** See the port. No file goes until the loop ends (by its end, `break` or an error), so run through what you asked for, in one go. */
  read(from: Position): Iterable<JournalRecord> {
    return this.#segments.read(from)
  }

  /** See the port. The next frame says it, or one without records; the files go after that. */
  trim(upTo: Position): Promise<void> {
    const refusal = this.#refusal()
    if (refusal !== undefined) return Promise.reject(refusal)
    const target = Math.min(upTo, this.#segments.last)
    if (target <= this.#segments.trimmed) return Promise.resolve()
    return new Promise((resolve, reject) => {
      this.#trims.push({ upTo: target, resolve, reject })
      this.#begin()
    })
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
    const isClosed = this.#released.then(() => this.#segments.close())
    await (this.#failure === undefined ? isClosed : Promise.race([isClosed, delay(CLOSE_TIMEOUT_MS)]))
  }

  #refusal(): StorageError | undefined {
    return this.#failure ?? (this.#closed && new StorageError('journal-failed', `${this.#directory} is closed`))
  }

  #begin(): void {
    if (!this.#isWriting) this.#write()
  }

  #write(): void {
    const appends = this.#queue
    const trims = this.#trims
    this.#queue = []
    this.#trims = []
    this.#isWriting = true
    this.#waiting = trims.length === 0 ? appends : [...appends, ...trims]
    this.#ticks = 0
    this.#watch ??= setInterval(() => this.#tick(), TICK_MS).unref()
    const trimmed = trims.reduce((most, { upTo }) => Math.max(most, upTo), this.#segments.trimmed)
    this.#segments.write(appends, trimmed).then(
      () => {
        if (this.#failure === undefined) this.#finish(appends, trims)
      },
      (cause: unknown) => this.#fail(storageErrorOf(cause, 'journal-failed', this.#directory)),
    )
  }

  /** A second of a write has passed; or there is none, and nothing to watch until the next. */
  #tick(): void {
    this.#ticks += 1
    if (this.#isWriting && this.#ticks < WRITE_TICKS_MAX) return
    clearInterval(this.#watch)
    this.#watch = undefined
    if (!this.#isWriting) return
    this.#fail(new StorageError('journal-failed', `${this.#directory}: no answer from the disk in ${this.#ticks} s`))
  }

  #finish(appends: readonly Append[], trims: readonly Trim[]): void {
    if (trims.length > 0) this.#release(trims)
    if (this.#queue.length > 0 || this.#trims.length > 0) this.#write()
    else this.#becomeIdle()
    for (const { resolve } of appends) resolve()
  }

  /** Removes files, one at a time, beside the writes. */
  #release(trims: readonly Trim[]): void {
    this.#released = this.#released
      .then(() => this.#segments.release())
      .then(
        () => {
          for (const { resolve } of trims) resolve()
        },
        (cause: unknown) => {
          const error = storageErrorOf(cause, 'journal-failed', this.#directory)
          for (const { reject } of trims) reject(error)
        },
      )
  }

  #fail(error: StorageError): void {
    if (this.#failure !== undefined) return
    this.#failure = error
    for (const { reject } of [...this.#waiting, ...this.#queue, ...this.#trims]) reject(error)
    this.#queue = []
    this.#trims = []
    this.#becomeIdle()
  }

  #becomeIdle(): void {
    this.#isWriting = false
    this.#waiting = []
    this.#onIdle?.()
  }
}

function earlierText(directory: string): string {
  return `${directory} has a journal of an earlier version (data.mdb), which this one can't go on from: start with a new data directory`
}

function delay(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs))
}
