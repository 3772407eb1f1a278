import { randomBytes } from 'node:crypto'
import { closeSync, constants, fdatasyncSync, openSync, readdirSync, statSync, writeSync } from 'node:fs'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { basename, join } from 'node:path'
import type { JournalRecord, Position } from '@posthaste/core'
import { syncDirectory } from './make-directory.ts'
import { encodeHead, FrameMaker, type SegmentHead, SegmentReader, sectorBytes } from './segment.ts'
import { StorageError } from './storage-error.ts'

/** Full segments that are kept to be written again: overwriting takes a disk half as long as a file that grows. */
const sparesMax = 8
const numberDigits = 12

/** How segments are written. */
export interface SegmentOptions {
  /** A segment takes no more frames once it is this long. */
  readonly segmentBytes: number
  /** Whether a file can be opened so that a write ends only once it is on disk (`O_DSYNC`); a flush follows each write otherwise. */
  readonly hasWriteThrough: boolean
}

/** A file of frames, and the last position in it or before it. */
interface Segment {
  readonly path: string
  last: Position
}

/** The one that is written to. */
interface OpenSegment extends Segment {
  readonly file: FileHandle
  readonly head: SegmentHead
  /** Where the next frame begins, and so how long the file is at least. */
  end: number
}

/**
 * The files of one journal: `000000000001.journal` and so on, each of frames that were added to it, and `spare-…`, which were such files and will
 * be written again. One call that writes at a time.
 */
export class Segments {
  readonly #directory: string
  readonly #options: SegmentOptions
  /** In order, without the one that is written to. */
  readonly #closed: Segment[] = []
  readonly #spares: string[]
  #current: OpenSegment | undefined
  #nextNumber: number
  #readers = 0
  readonly #frames = new FrameMaker()
  /** The last position that is on disk, and the one up to which nothing is left. */
  last: Position = 0
  trimmed: Position = 0

  /**
   * Finds what is there, and makes sure that it is on disk.
   * @throws StorageError `journal-failed` when a file is damaged; the file system's error
   */
  constructor(directory: string, options: SegmentOptions) {
    this.#directory = directory
    this.#options = options
    syncDirectory(directory)
    const names = readdirSync(directory).sort()
    const numbered = names.filter((name) => name.endsWith('.journal'))
    this.#spares = names.filter((name) => name.startsWith('spare-')).map((name) => join(directory, name))
    // Of spares too: one may be left whose turn had come, and its name must stay its own.
    this.#nextNumber = Math.max(0, ...names.map(numberOf)) + 1
    for (const name of numbered) this.#find(join(directory, name), name === numbered.at(-1))
  }

  #find(path: string, isLast: boolean): void {
    const reader = new SegmentReader(path)
    try {
      const head = headOf(reader)
      const before = this.#closed.at(-1)
      if (head.after < this.last) throw damaged(path, undefined)
      if (before !== undefined) before.last = head.after
      this.last = head.after
      this.trimmed = head.trimmed
      if (isLast) this.#findEnd(reader)
      this.#closed.push({ path, last: this.last })
    } finally {
      reader.close()
    }
  }

  /** The end of what is whole. What a crash cut short is the last frame of all: a whole one behind it says that it was on disk once. */
  #findEnd(reader: SegmentReader): void {
    let start = sectorBytes
    let end = sectorBytes
    for (const frame of reader.frames()) {
      this.last = frame.records.at(-1)?.position ?? this.last
      this.trimmed = frame.trimmed
      start = end
      end = frame.end
    }
    if (reader.hasFrameFrom(end + sectorBytes)) throw damaged(reader.path, this.last + 1)
    rewrite(reader, start, end)
  }

  /** The records from `from` on that are on disk now. Keeps the files of now until its loop, which must begin, ends. */
  read(from: Position): Generator<JournalRecord> {
    const all = this.#current === undefined ? this.#closed : [...this.#closed, this.#current]
    const first = Math.max(from, this.trimmed + 1)
    const segments = all.filter(({ last }) => last >= first).map(({ path, last }) => ({ path, last }))
    this.#readers += 1
    return this.#records(segments, first)
  }

  *#records(segments: readonly Segment[], first: Position): Generator<JournalRecord> {
    let position = first - 1
    try {
      for (const { path, last } of segments) {
        for (const record of recordsOf(path, position, last)) {
          position = record.position
          yield record
        }
      }
    } finally {
      this.#readers -= 1
    }
  }

  /** Adds a frame, in a new segment when the last one is full. Resolves when it is on disk. */
  async write(records: readonly JournalRecord[], trimmed: Position): Promise<void> {
    const isFull = this.#current === undefined || this.#current.end >= this.#options.segmentBytes
    const segment = this.#current !== undefined && !isFull ? this.#current : await this.#begin()
    segment.end += await this.#put(segment.file, this.#frames.make(records, trimmed, segment.head), segment.end)
    this.last = records.at(-1)?.position ?? this.last
    segment.last = this.last
    this.trimmed = trimmed
  }

  async #begin(): Promise<OpenSegment> {
    const name = String(this.#nextNumber++).padStart(numberDigits, '0')
    const path = join(this.#directory, `${name}.journal`)
    const spare = this.#spares.shift() ?? join(this.#directory, `spare-${name}`)
    const random = randomBytes(8)
    const head = { mark: random.readUInt32LE(0), seed: random.readUInt32LE(4), after: this.last, trimmed: this.trimmed }
    const through = this.#options.hasWriteThrough ? constants.O_DSYNC : 0
    const file = await open(spare, constants.O_WRONLY | constants.O_CREAT | through, 0o600)
    let end: number
    try {
      end = await this.#put(file, encodeHead(head), 0)
      await rename(spare, path)
      await this.#syncNames()
    } catch (cause) {
      await file.close()
      throw cause
    }
    const before = this.#current
    if (before !== undefined) this.#closed.push({ path: before.path, last: before.last })
    this.#current = { path, file, head, end, last: this.last }
    await before?.file.close()
    return this.#current
  }

  /** @returns how many bytes were written: all */
  async #put(file: FileHandle, bytes: Uint8Array, at: number): Promise<number> {
    for (let done = 0; done < bytes.length; ) {
      const { bytesWritten } = await file.write(bytes, done, bytes.length - done, at + done)
      if (bytesWritten === 0) throw new Error('nothing was written')
      // What a nearly full disk took a part of: the rest says why.
      done += bytesWritten
    }
    if (!this.#options.hasWriteThrough) await file.datasync()
    return bytes.length
  }

  /** Takes away the segments of which nothing is left, or keeps them as spares. */
  async release(): Promise<void> {
    const count = this.#readers > 0 ? 0 : this.#closed.findLastIndex(({ last }) => last <= this.trimmed) + 1
    const spares: string[] = []
    for (const { path } of this.#closed.splice(0, this.#current === undefined ? 0 : count)) {
      const spare = join(this.#directory, `spare-${basename(path, '.journal')}`)
      const isFull = statSync(path).size >= this.#options.segmentBytes
      if (isFull && this.#spares.length + spares.length < sparesMax) spares.push(spare)
      await (spares.at(-1) === spare ? rename(path, spare) : rm(path))
    }
    if (spares.length === 0) return
    // Before one is written again, its old name must be gone for good.
    await this.#syncNames()
    this.#spares.push(...spares)
  }

  async #syncNames(): Promise<void> {
    const directory = await open(this.#directory, 'r')
    try {
      await directory.sync()
    } finally {
      await directory.close()
    }
  }

  async close(): Promise<void> {
    await this.#current?.file.close()
  }
}

/** The records behind `after` of a segment that has them up to `last`. */
function* recordsOf(path: string, after: Position, last: Position): Generator<JournalRecord> {
  const reader = new SegmentReader(path)
  let position = after
  try {
    if (headOf(reader).after > after) throw damaged(path, after + 1)
    for (const { records } of reader.frames()) {
      for (const record of records) {
        if (record.position <= after) continue
        if (record.position > last) return
        position = record.position
        yield record
      }
    }
    if (position < last) throw damaged(path, position + 1)
  } finally {
    reader.close()
  }
}

/**
 * Writes the last frame once more, the same bytes at the same place. A process that was killed in its write, or whose write failed, leaves it in
 * the page cache, where it looks like one on disk; and after a failure Linux takes what it could not write for written, so that a flush alone
 * says nothing.
 */
function rewrite(reader: SegmentReader, start: number, end: number): void {
  if (start === end) return
  const file = openSync(reader.path, 'r+')
  try {
    const frame = reader.bytes(start, end - start)
    const written = writeSync(file, frame, 0, frame.length, start)
    if (written < frame.length) throw new Error(`${reader.path} takes ${written} of ${frame.length} bytes`)
    fdatasyncSync(file)
  } finally {
    closeSync(file)
  }
}

function numberOf(name: string): number {
  return Number.parseInt(name.replace('spare-', ''), 10) || 0
}

function headOf(reader: SegmentReader): SegmentHead {
  if (reader.head === undefined) throw damaged(reader.path, undefined)
  return reader.head
}

function damaged(path: string, position: Position | undefined): StorageError {
  const where = position === undefined ? 'its first sector' : `what it holds from record ${position} on`
  return new StorageError(
    'journal-failed',
    `${path} is damaged: ${where} is not what was written. Restore the data directory from a backup.`,
  )
}
