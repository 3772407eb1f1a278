/**
 * What all stores have in common: the life cycle, copies of the caller's bytes, and the order of commits. An engine below does
 * nothing but read and write.
 */
import { PosthasteError } from '../errors.ts'
import type { ClientStore, StoreRow, StoreWrite } from '../store.ts'

/** Bytes in a buffer of their own, so that nothing else can change them and storing them stores no more than them. */
export type OwnBytes = Uint8Array<ArrayBuffer>

/** A {@link StoreWrite} in bytes of its own. */
export type OwnWrite = readonly [key: OwnBytes, value: OwnBytes | null]

/** An ordered map of bytes on some medium. Every method rejects with a `PosthasteError` of the codes named in `ClientStore`. */
export interface StoreEngine {
  open(): Promise<void>
  /** Applies all writes in their order, or none, and resolves once they are durable. Never called while an earlier call is under way. */
  write(writes: readonly OwnWrite[]): Promise<void>
  get(key: OwnBytes): Promise<Uint8Array | undefined>
  /** Rows with `from <= key < to` in ascending byte order. Called only with `from < to` and a limit from 1 to 2^31 - 1. */
  scan(from: OwnBytes, to: OwnBytes, limit: number): Promise<StoreRow[]>
  /** Called once nothing is under way. */
  close(): Promise<void>
}

const keyBytesMax = 512
const limitMax = 2 ** 31 - 1

/** Orders keys byte by byte, a prefix first: negative, zero or positive as `a` is below, at or above `b`. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const shared = Math.min(a.length, b.length)
  for (let index = 0; index < shared; index++) {
    const difference = (a[index] ?? 0) - (b[index] ?? 0)
    if (difference !== 0) return difference
  }
  return a.length - b.length
}

/** A copy in a buffer of its own. Not `slice()`: on a Node `Buffer` that is a view. */
export function ownBytes(bytes: Uint8Array): OwnBytes {
  return new Uint8Array(bytes)
}

/** Makes the error `store-failed`. `retryable` says whether a new store over the same place may work. */
export function storeFailed(message: string, retryable: boolean, cause?: unknown): PosthasteError {
  return new PosthasteError({ code: 'store-failed', message, retryable, cause })
}

/** A {@link ClientStore} over an engine: one write after another. The machine gathers what belongs in one. */
export class OrderedStore implements ClientStore {
  readonly #engine: StoreEngine
  #state: 'new' | 'opening' | 'open' | 'closed' = 'new'
  #opening: Promise<void> | undefined
  #closing: Promise<void> | undefined
  /** The last write. Never rejects: each commit learns its own outcome. */
  #writing = Promise.resolve()
  readonly #reads = new Set<Promise<unknown>>()

  constructor(engine: StoreEngine) {
    this.#engine = engine
  }

  async open(): Promise<void> {
    if (this.#state !== 'new') throw storeFailed(`The store is ${this.#state}, it can't be opened`, false)
    this.#state = 'opening'
    this.#opening = this.#engine.open()
    try {
      await this.#opening
    } catch (error) {
      if (this.#state === 'opening') this.#state = 'new'
      throw error
    }
    if (this.#state !== 'opening') throw storeFailed('The store was closed while it opened', false)
    this.#state = 'open'
  }

  async commit(writes: readonly StoreWrite[]): Promise<void> {
    this.#requireOpen()
    const own = writes.map(ownWrite)
    const written = this.#writing.then(() => this.#engine.write(own))
    this.#writing = written.catch(() => {})
    await written
  }

  async get(key: Uint8Array): Promise<Uint8Array | undefined> {
    this.#requireOpen()
    return await this.#track(this.#engine.get(ownBytes(key)))
  }

  async scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<StoreRow[]> {
    this.#requireOpen()
    if (!(limit >= 1) || compareBytes(from, to) >= 0) return []
    return await this.#track(this.#engine.scan(ownBytes(from), ownBytes(to), Math.min(Math.trunc(limit), limitMax)))
  }

  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    const wasNew = this.#state === 'new'
    this.#state = 'closed'
    if (wasNew) return
    const isOpen = await this.#opening?.then(
      () => true,
      () => false,
    )
    if (isOpen !== true) return
    await this.#writing
    await Promise.allSettled(this.#reads)
    await this.#engine.close()
  }

  async #track<T>(read: Promise<T>): Promise<T> {
    this.#reads.add(read)
    try {
      return await read
    } finally {
      this.#reads.delete(read)
    }
  }

  #requireOpen(): void {
    if (this.#state !== 'open') throw storeFailed(`The store is ${this.#state === 'closed' ? 'closed' : 'not open yet'}`, false)
  }
}

function ownWrite([key, value]: StoreWrite): OwnWrite {
  if (key.length < 1 || key.length > keyBytesMax) {
    throw storeFailed(`A key has 1 to ${keyBytesMax} bytes, not ${key.length}`, false)
  }
  return [ownBytes(key), value === null ? null : ownBytes(value)]
}
