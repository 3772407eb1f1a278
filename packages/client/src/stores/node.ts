/** The durable store of a device on Node: LevelDB in a directory, flushed at every commit. */
import { mkdir, open, readFile, statfs } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { ClassicLevel } from 'classic-level'
import { PosthasteError } from '../errors.ts'
import type { ClientStore, StoreRow } from '../store.ts'
import { OrderedStore, type OwnBytes, type OwnWrite, type StoreEngine, storeFailed } from './ordered.ts'

/**
 * Makes a store in a directory of its own, which only one process can hold at a time. It is created at `open()`, readable by its
 * owner alone.
 * @param directory path of the directory; a relative one starts at the working directory of this call
 */
export function nodeStore(directory: string): ClientStore {
  return new OrderedStore(new LevelEngine(resolve(directory)))
}

type Level = ClassicLevel<Uint8Array, Uint8Array>

const encodings = { keyEncoding: 'view', valueEncoding: 'view' } as const
const readAheadBytes = 256 * 1024
/** Opening again writes a table as long as the log, which is 4 MiB and one write at most, and new files beside it. */
const reopenBytesMin = 16 << 20

class LevelEngine implements StoreEngine {
  readonly #directory: string
  #level: Level | undefined
  /** What to write back after a failed write, before anything else; `unknown` when that could not be read. */
  #undo: OwnWrite[] | 'unknown' | undefined
  #recovering: Promise<void> | undefined
  readonly #reads = new Set<Promise<unknown>>()

  constructor(directory: string) {
    this.#directory = directory
  }

  async open(): Promise<void> {
    this.#level = await this.#openLevel()
  }

  async write(writes: readonly OwnWrite[]): Promise<void> {
    if (this.#undo !== undefined) await this.#recover()
    const level = this.#requireLevel()
    try {
      await level.batch(writes.map(operation), { ...encodings, sync: true })
    } catch (error) {
      this.#undo = await valuesBefore(level, writes).catch(() => 'unknown' as const)
      throw this.#failure('write to', error)
    }
  }

  get(key: OwnBytes): Promise<Uint8Array | undefined> {
    return this.#read(async (level) => {
      const value = await level.get(key, encodings)
      return value === undefined ? undefined : plainBytes(value)
    })
  }

  scan(from: OwnBytes, to: OwnBytes, limit: number): Promise<StoreRow[]> {
    return this.#read(async (level) => {
      const range = { gte: from, lt: to, limit, highWaterMarkBytes: readAheadBytes, ...encodings }
      const rows = await level.iterator(range).all()
      return rows.map(([key, value]) => [plainBytes(key), plainBytes(value)])
    })
  }

  async close(): Promise<void> {
    try {
      // What a failed write left in the log must not come to life at the next start.
      if (this.#undo !== undefined) await this.#recover()
    } finally {
      await this.#closeLevel()
    }
  }

  /**
   * LevelDB's log after a failed write is indeterminate: the record may be there in part, as a whole, or still in a buffer that a
   * later write sends along, and what is appended behind a torn record is lost at the next start. So nothing is appended to that
   * log any more: opening again starts a new one, and the first record in it undoes whatever of the failed write is there.
   */
  async #recover(): Promise<void> {
    const undo = this.#undo
    if (undo === undefined) return
    if (undo === 'unknown')
      throw storeFailed(`The store in ${this.#directory} failed to write, and can't tell what is in it`, false)
    await this.#requireRoom()
    this.#recovering = this.#reopen(undo)
    try {
      await this.#recovering
    } finally {
      this.#recovering = undefined
    }
    this.#undo = undefined
  }

  async #reopen(undo: readonly OwnWrite[]): Promise<void> {
    await Promise.allSettled(this.#reads)
    await this.#closeLevel()
    const level = await this.#openLevel()
    this.#level = level
    try {
      await level.batch(undo.map(operation), { ...encodings, sync: true })
    } catch (error) {
      throw this.#failure('write to', error)
    }
  }

  /** So that the store can still be read while the disk is full. */
  async #requireRoom(): Promise<void> {
    const { bavail, bsize } = await statfs(this.#directory).catch((error: unknown) =>
      Promise.reject(this.#failure('write to', error)),
    )
    if (bavail * bsize < reopenBytesMin) throw this.#full('write to')
  }

  async #openLevel(): Promise<Level> {
    let level: Level | undefined
    try {
      const created = await makeDirectory(this.#directory)
      // Where that fails, as when another process holds it, opening says why.
      if (await isUnborn(this.#directory)) await ClassicLevel.destroy(this.#directory).catch(() => {})
      level = new ClassicLevel<Uint8Array, Uint8Array>(this.#directory, encodings)
      await level.open()
      // LevelDB flushes its files, but not the names that it gives them at the start.
      await flushDirectory(this.#directory)
      if (created !== undefined) await flushDirectory(dirname(this.#directory))
      return level
    } catch (error) {
      await level?.close().catch(() => {})
      throw this.#failure('open', error)
    }
  }

  async #closeLevel(): Promise<void> {
    const level = this.#level
    this.#level = undefined
    try {
      await level?.close()
    } catch (error) {
      throw this.#failure('close', error)
    }
  }

  #requireLevel(): Level {
    if (this.#level === undefined) throw storeFailed(`The store in ${this.#directory} could not be opened again`, true)
    return this.#level
  }

  async #read<T>(body: (level: Level) => Promise<T>): Promise<T> {
    if (this.#recovering !== undefined) await this.#recovering.catch(() => {})
    const reading = body(this.#requireLevel())
    this.#reads.add(reading)
    try {
      return await reading
    } catch (error) {
      throw this.#failure('read', error)
    } finally {
      this.#reads.delete(reading)
    }
  }

  #failure(verb: string, error: unknown): PosthasteError {
    if (error instanceof PosthasteError) return error
    const causes = causeChain(error)
    if (causes.some((cause) => cause.code === 'LEVEL_LOCKED')) {
      const message = `Another process, or another store of this one, holds the store in ${this.#directory}`
      return new PosthasteError({ code: 'store-locked', message, retryable: true, cause: error })
    }
    if (causes.some(isDiskFull)) return this.#full(verb, error)
    const reason = causes.at(-1)?.message ?? String(error)
    return storeFailed(`Can't ${verb} the store in ${this.#directory}: ${reason}`, false, error)
  }

  #full(verb: string, cause?: unknown): PosthasteError {
    const message = `The disk is full: can't ${verb} the store in ${this.#directory}`
    return new PosthasteError({ code: 'store-full', message, retryable: true, cause })
  }
}

function operation([key, value]: OwnWrite) {
  return value === null ? { type: 'del' as const, key } : { type: 'put' as const, key, value }
}

/** The writes that bring back what is stored now under the keys of `writes`. A failed write never reaches the reads of its own store. */
async function valuesBefore(level: Level, writes: readonly OwnWrite[]): Promise<OwnWrite[]> {
  const values = await level.getMany(
    writes.map(([key]) => key),
    encodings,
  )
  return writes.map(([key], index) => {
    const value = values[index]
    return [key, value === undefined ? null : new Uint8Array(value)]
  })
}

/** LevelDB hands out Buffers; this is the same memory as what the port promises. */
function plainBytes(buffer: Uint8Array): Uint8Array {
  return new Uint8Array(buffer.buffer, buffer.byteOffset, buffer.byteLength)
}

/**
 * Makes a directory and those above it; gives the first one made. (`mkdir` with `recursive` never ends in Node 20 where the system
 * says ENOENT for a directory whose parent is there, as below /proc.)
 */
async function makeDirectory(path: string): Promise<string | undefined> {
  try {
    await mkdir(path, { mode: 0o700 })
    return path
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? error.code : undefined
    if (code === 'EEXIST') return undefined
    const parent = dirname(path)
    if (code !== 'ENOENT' || parent === path) throw error
    const made = await makeDirectory(parent)
    await mkdir(path, { mode: 0o700 })
    return made ?? path
  }
}

/**
 * Whether a power loss caught the store while it was being made. LevelDB writes its first manifest without a flush, and refuses what may be
 * left of it as corrupt. Before `open()` resolves the second manifest has taken its place: nothing was ever stored.
 */
async function isUnborn(directory: string): Promise<boolean> {
  const current = await readFile(join(directory, 'CURRENT'), 'utf8').catch(() => undefined)
  return current === 'MANIFEST-000001\n'
}

async function flushDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}

function causeChain(error: unknown): NodeJS.ErrnoException[] {
  const causes: NodeJS.ErrnoException[] = []
  for (let cause = error; cause instanceof Error && causes.length < 8; cause = cause.cause) causes.push(cause)
  return causes
}

/** Node's own calls carry a code; of LevelDB's only the operating system's text gets through. */
function isDiskFull(error: NodeJS.ErrnoException): boolean {
  if (error.code === 'ENOSPC' || error.code === 'EDQUOT') return true
  return error.code === 'LEVEL_IO_ERROR' && /no space left|quota exceeded|not enough space/i.test(error.message)
}
