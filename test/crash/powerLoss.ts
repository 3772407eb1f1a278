import { mkdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { DiskCall, Moment, Recording } from './recording.ts'

const sectorBytes = 512

/** A change of a file's content. */
interface Change {
  readonly at: number
  /** What is written; undefined cuts or extends the file to `at`. */
  readonly bytes: Uint8Array | undefined
  readonly call: DiskCall
  /** Whether it survives in any case. */
  isFlushed: boolean
}

/** A file, whatever its name is at the time. */
class DiskFile {
  /** What survives in any case and has nothing before it that might not. */
  #base = Buffer.alloc(0)
  #changes: Change[] = []

  change(change: Change): void {
    this.#changes.push(change)
  }

  /** A flush or a synchronous write has ended. What had ended before a flush began is safe. */
  flushed(by: DiskCall): void {
    for (const change of this.#changes)
      if (by.kind === 'flush' ? change.call.endedAt < by.startedAt : change.call === by) change.isFlushed = true
    while (this.#changes[0]?.isFlushed === true) this.#base = applied(this.#base, this.#changes.shift())
  }

  /** The content after a power loss: each change that was not flushed is there, missing or torn. */
  content(loss: Loss): Uint8Array {
    let content = this.#changes.length === 0 ? this.#base : Buffer.from(this.#base)
    for (const change of this.#changes) {
      if (change.isFlushed || loss.isThere()) content = applied(content, change)
      else if (loss.isTorn() && change.bytes !== undefined) content = torn(content, change, loss)
    }
    return content
  }
}

function applied(content: Buffer<ArrayBuffer>, change: Change | undefined): Buffer<ArrayBuffer> {
  if (change === undefined) return content
  const { at, bytes } = change
  const size = bytes === undefined ? at : Math.max(content.length, at + bytes.length)
  const grown = size === content.length ? content : resized(content, size)
  if (bytes !== undefined) grown.set(bytes, at)
  return grown
}

function resized(content: Buffer<ArrayBuffer>, size: number): Buffer<ArrayBuffer> {
  const grown = Buffer.alloc(size)
  grown.set(content.subarray(0, size))
  return grown
}

/** Some of the sectors of a write, each whole. */
function torn(content: Buffer<ArrayBuffer>, { at, bytes = new Uint8Array(), call }: Change, loss: Loss): Buffer<ArrayBuffer> {
  let result = content
  for (let from = 0; from < bytes.length; ) {
    const to = Math.min(bytes.length, from + sectorBytes - ((at + from) % sectorBytes))
    const part = { at: at + from, bytes: bytes.subarray(from, to), call, isFlushed: false }
    if (loss.isThere()) result = applied(result, part)
    from = to
  }
  return result
}

/** How a power loss treats what was not flushed. */
export class Loss {
  /** Whether anything that was written is missing or torn. */
  isReal = false
  readonly #random: () => number
  readonly #presence: number
  readonly #tearing: number

  /** Some losses keep almost all, some almost nothing, some tear and some do not. */
  constructor(random: () => number) {
    this.#random = random
    this.#presence = [0, 0.1, 0.5, 0.9, 1][Math.floor(random() * 5)] ?? 0
    this.#tearing = [0, 0.3, 1][Math.floor(random() * 3)] ?? 0
  }

  isThere(): boolean {
    const isThere = this.#random() < this.#presence
    if (!isThere) this.isReal = true
    return isThere
  }

  isTorn(): boolean {
    return this.#random() < this.#tearing
  }

  /** A whole number from `from` to `to`. */
  between(from: number, to: number): number {
    return from + Math.floor(this.#random() * (to - from + 1))
  }
}

type NameChange = Extract<DiskCall, { kind: 'create' | 'unlink' | 'mkdir' | 'rename' }>

/**
 * The recorded directory on a disk that loses power. Content: each write that no flush covers survives or not by itself, in sectors of 512
 * bytes. Names: a journaling file system keeps their changes in order, so that what survives is a prefix, with all that a flush of the
 * directory, or of the file itself, covers.
 */
export class Disk {
  readonly #calls: readonly DiskCall[]
  /** The ends of flushes and synchronous writes, in order. */
  readonly #ends: readonly DiskCall[]
  readonly #names: NameChange[] = []
  /** The files as the running system sees them. */
  readonly #files = new Map<string, DiskFile>()
  readonly #created = new Map<NameChange, DiskFile>()
  #flushedNames = 0
  #nextCall = 0
  #nextEnd = 0

  constructor(recording: Recording) {
    this.#calls = recording.calls
    this.#ends = recording.calls
      .filter((call) => call.kind === 'flush' || (call.kind === 'write' && call.isSynchronous))
      .sort((left, right) => left.endedAt - right.endedAt)
  }

  /** Goes on to a moment, which must not be before the last one. */
  advance(to: Moment): void {
    for (;;) {
      const call = this.#calls[this.#nextCall]
      const end = this.#ends[this.#nextEnd]
      const callAt = call?.startedAt ?? Number.POSITIVE_INFINITY
      const endAt = end?.endedAt ?? Number.POSITIVE_INFINITY
      if (Math.min(callAt, endAt) > to) return
      // A call that is one line begins before it ends.
      if (callAt <= endAt) {
        this.#nextCall += 1
        if (call !== undefined) this.#begin(call)
      } else {
        this.#nextEnd += 1
        if (end !== undefined) this.#end(end)
      }
    }
  }

  /** Writes what is left after a power loss at this moment below `directory`. */
  writeImage(directory: string, loss: Loss): void {
    const survivors = loss.between(this.#flushedNames, this.#names.length)
    const files = new Map<string, DiskFile>()
    mkdirSync(directory, { recursive: true })
    for (const change of this.#names.slice(0, survivors)) {
      const file = this.#created.get(change)
      if (change.kind === 'mkdir') mkdirSync(join(directory, change.path), { recursive: true })
      else renamed(files, change, file)
    }
    for (const [path, file] of files) {
      mkdirSync(dirname(join(directory, path)), { recursive: true })
      writeFileSync(join(directory, path), file.content(loss))
    }
  }

  #begin(call: DiskCall): void {
    if (call.kind === 'flush') return
    if (call.kind === 'write' || call.kind === 'truncate') {
      const at = call.kind === 'write' ? call.at : call.size
      const bytes = call.kind === 'write' ? call.bytes : undefined
      this.#files.get(call.path)?.change({ at, bytes, call, isFlushed: false })
      return
    }
    this.#names.push(call)
    const file = call.kind === 'create' ? new DiskFile() : undefined
    if (file !== undefined) this.#created.set(call, file)
    if (call.kind !== 'mkdir') renamed(this.#files, call, file)
  }

  #end(call: DiskCall): void {
    const { startedAt, path } = call
    this.#files.get(path)?.flushed(call)
    if (call.kind !== 'flush') return
    const covered = this.#names.findLastIndex(
      (change) =>
        change.endedAt < startedAt && (newPath(change) === path || dirname(newPath(change)) === (path === '' ? '.' : path)),
    )
    this.#flushedNames = Math.max(this.#flushedNames, covered + 1)
  }
}

function newPath(change: NameChange): string {
  return change.kind === 'rename' ? change.to : change.path
}

function renamed(files: Map<string, DiskFile>, change: NameChange, created: DiskFile | undefined): void {
  const file = created ?? files.get(change.path)
  if (change.kind !== 'create') files.delete(change.path)
  if (change.kind !== 'unlink' && file !== undefined) files.set(newPath(change), file)
}
