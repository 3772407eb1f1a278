/**
 * The thread that owns the write transactions of one shard's tables. It does what the main thread sends, in that order, and answers
 * each request once. After a failure it only says so: LMDB must not begin a transaction after it failed to write a root.
 */
import { getPriority, setPriority } from 'node:os'
import { parentPort, workerData } from 'node:worker_threads'
import type { KeyBatch, TableRow } from '@posthaste/core'
import { keyBounds, keyRowsOf, sweptIn } from '@posthaste/core/keyRecords'
import { type Environment, openLmdb } from './environment.ts'
import { readSlice } from './table-slice.ts'

/** How much nicer this thread is than the others, and the most that there is. */
const niceness = 5
const nicenessMax = 19

/** What the main thread asks for. `ready`, `commit` and `sweep` are answered, by their `request` number; `close` by the thread's end. */
export type WriterRequest =
  | { readonly verb: 'ready'; readonly request: number }
  | { readonly verb: 'begin' }
  | { readonly verb: 'slice'; readonly slice: Uint8Array<ArrayBuffer> }
  | { readonly verb: 'keys'; readonly batch: KeyBatch }
  | { readonly verb: 'commit'; readonly request: number }
  | {
      readonly verb: 'sweep'
      readonly from: Uint8Array | null
      readonly clockMs: number
      readonly rows: number
      readonly request: number
    }
  | { readonly verb: 'close' }

/** The end of a request. The code of a failure is LMDB's: an errno, or a number of its own below zero. */
export interface WriterAnswer {
  readonly request: number
  /** Of a sweep: where to go on. */
  readonly next?: Uint8Array | null
  readonly failure?: { readonly code: unknown; readonly message: string }
}

/** What the thread is started with. */
export interface WriterData {
  readonly directory: string
  readonly mapSizeBytes: number
}

/** A write transaction that stays open from message to message. */
interface OpenTransaction {
  readonly end: () => void
  readonly abort: (reason: Error) => void
  readonly ended: Promise<void>
}

class TablesWriter {
  readonly #environment: Environment
  readonly #answer: (answer: WriterAnswer) => void
  #transaction: OpenTransaction | undefined
  #failure: { code: unknown; message: string } | undefined
  /** Where the last sweep ended. */
  #swept: Uint8Array | null = null

  constructor(environment: Environment, answer: (answer: WriterAnswer) => void) {
    this.#environment = environment
    this.#answer = answer
  }

  /** Does one request. Ends only after what it asks for has ended, so that requests don't overlap. */
  async handle(message: WriterRequest): Promise<void> {
    try {
      if (message.verb === 'close') await this.#close()
      else if (this.#failure === undefined) await this.#write(message)
    } catch (cause) {
      this.#failure = {
        code: typeof cause === 'object' && cause !== null && 'code' in cause ? cause.code : undefined,
        message: cause instanceof Error ? cause.message : String(cause),
      }
      this.#transaction?.abort(new Error('aborted'))
      this.#transaction = undefined
    }
    if (!('request' in message)) return
    const { request } = message
    this.#answer(this.#failure === undefined ? { request, next: this.#swept } : { request, failure: this.#failure })
  }

  async #write(message: Exclude<WriterRequest, { verb: 'close' }>): Promise<void> {
    switch (message.verb) {
      case 'ready':
        return
      case 'begin':
        this.#transaction = this.#begin()
        return
      case 'slice':
        this.#apply(message.slice)
        return
      case 'keys':
        for (const [key, value] of keyRowsOf(message.batch)) this.#environment.put(key, value)
        return
      case 'commit':
        this.#transaction?.end()
        await this.#transaction?.ended
        this.#transaction = undefined
        return
      case 'sweep': {
        const { from, clockMs, rows } = message
        const range = this.#environment.getRange({ start: from ?? keyBounds[0], end: keyBounds[1], limit: rows })
        const { past, next } = sweptIn(inPairs(range), clockMs, rows)
        this.#swept = next
        if (past.length > 0) this.#environment.transactionSync(() => this.#remove(past))
      }
    }
  }

  #remove(keys: readonly Uint8Array[]): void {
    for (const key of keys) this.#environment.remove(key)
  }

  #begin(): OpenTransaction {
    let end = (): void => {}
    let abort = (_reason: Error): void => {}
    const ended = this.#environment.transactionSync(
      () =>
        new Promise<void>((resolve, reject) => {
          end = resolve
          abort = reject
        }),
    )
    ended.catch(() => {})
    return { end, abort, ended }
  }

  #apply(slice: Uint8Array): void {
    for (const [key, value] of readSlice(slice)) {
      if (value === undefined) this.#environment.remove(key)
      else this.#environment.put(key, value)
    }
  }

  async #close(): Promise<void> {
    this.#transaction?.abort(new Error('closed before its commit'))
    await this.#transaction?.ended.catch(() => {})
    this.#transaction = undefined
    await this.#environment.close()
  }
}

function* inPairs(range: Iterable<{ readonly key: Uint8Array; readonly value: Uint8Array }>): Generator<TableRow, void, void> {
  for (const { key, value } of range) yield [key, value]
}

/**
 * Lets the threads that messages wait for go first where processors are few: nobody waits for a checkpoint. Without it, on two processors,
 * the flush of a record takes several ms while one is written. A little nicer only: on a busy machine checkpoints must end, too. On Linux a
 * thread has a priority of its own.
 */
function yieldToOthers(): void {
  if (process.platform === 'linux') setPriority(Math.min(nicenessMax, getPriority() + niceness))
}

if (parentPort !== null) {
  yieldToOthers()
  const port = parentPort
  const { directory, mapSizeBytes } = workerData as WriterData
  const writer = new TablesWriter(openLmdb(directory, mapSizeBytes), (answer) => port.postMessage(answer))
  let handled: Promise<void> = Promise.resolve()
  port.on('message', (message: WriterRequest) => {
    handled = handled.then(() => writer.handle(message))
    if (message.verb === 'close') handled = handled.then(() => port.close())
  })
}
