import { messageOf, PosthasteError } from './errors.ts'
import type { HandleEffect } from './engine.ts'
import type { FailureDecision } from './machine/events.ts'
import { Message, type Position } from './message.ts'

export type { FailureDecision } from './machine/events.ts'

/** Takes a message. When it returns, or its promise resolves, the message is acknowledged and never comes again. */
export type Handler = (message: Message) => unknown

/**
 * Decides what becomes of a message whose handler threw: tried again after some milliseconds (its lane waits), set aside for
 * `setAside`, or the handler stopped. `attempt` counts from 1. What a policy that throws, or decides nothing of these, leaves to the default is told to
 * `on('error')` with the failure.
 */
export type FailurePolicy = (error: unknown, message: Message, attempt: number) => FailureDecision | Promise<FailureDecision>

/** How messages are received. */
export interface ReceiveOptions {
  /** Default: tried again after 1 s, 2 s, 4 s … up to a minute; each failure is told to `on('error')`. */
  readonly onFailure?: FailurePolicy | undefined
  /**
   * `strict` (default): the next handler of a lane starts once the acknowledgement before it is durable, so that only the message
   * whose handler ran when the process died comes again. `batched`: handlers start at once and acknowledgements become durable in
   * groups: faster with a handler that is done at once, but after a crash all of the last group come again, as `redelivered`.
   */
  readonly acknowledge?: 'strict' | 'batched' | undefined
  /** Stops receiving. */
  readonly signal?: AbortSignal | undefined
  /** The app's own last position per log and lane: what lies at or below was handled, and is not handed over again. */
  readonly positions?: readonly Position[] | undefined
}

/** An app's handler, and what decides about what it failed for. */
export interface Receiver {
  readonly handler: Handler
  readonly onFailure: FailurePolicy
}

/** How a handler's run ended. */
export interface RunEnd {
  readonly outcome: 'done' | FailureDecision | 'release'
  /** What observers are told. */
  readonly error?: PosthasteError
}

/** Runs the app's handler for what the machine hands over. Never rejects. */
export async function run({ handler, onFailure }: Receiver, { entry, redelivered, attempt }: HandleEffect): Promise<RunEnd> {
  const message = new Message(entry, redelivered, false)
  try {
    await handler(message)
    return { outcome: 'done' }
  } catch (cause) {
    if (cause === brokenOff) return { outcome: 'release' }
    let text = `The handler failed for message ${message.key} (attempt ${attempt}): ${messageOf(cause)}`
    let outcome = retryLater(attempt)
    try {
      outcome = decided(await onFailure(cause, message, attempt))
    } catch (error) {
      text += `; onFailure failed: ${messageOf(error)}`
    }
    return { outcome, error: new PosthasteError({ code: 'handler-failed', message: text, retryable: true, cause }) }
  }
}

function decided(decision: FailureDecision): FailureDecision {
  if (decision === 'stop' || decision === 'set-aside') return decision
  if (!(decision?.retryInMs >= 0)) throw new TypeError("it gave neither { retryInMs }, 'set-aside' nor 'stop'")
  return { retryInMs: Math.min(decision.retryInMs, 86_400_000) }
}

/** What the default policy decides. */
export function retryLater(attempt: number): FailureDecision {
  return { retryInMs: Math.min(60_000, 1_000 * 2 ** (attempt - 1)) }
}

/** Why a message that the iterator handed out, or was about to, is not acknowledged. */
const brokenOff = Symbol('broken off')

interface Held {
  readonly message: Message
  readonly acknowledge: () => void
  readonly release: (reason: unknown) => void
}

/** Messages as an iterator: `next()` acknowledges the one before. What is broken off is not acknowledged, and comes again. */
export class MessageIterator implements AsyncIterableIterator<Message> {
  readonly #stop: () => Promise<void>
  readonly #ready: Held[] = []
  readonly #wanted: { resolve: (result: IteratorResult<Message>) => void; reject: (error: unknown) => void }[] = []
  /** The messages that the app has: several only where it called `next` without waiting for the one before. */
  #held: Held[] = []
  #isOver = false
  #error: unknown

  /** @param stop stops receiving */
  constructor(stop: () => Promise<void>) {
    this.#stop = stop
  }

  /** The handler behind the iterator: its promise resolves when the app asks for the next message. */
  readonly handler: Handler = (message) =>
    new Promise<void>((acknowledge, release) => {
      this.#ready.push({ message, acknowledge, release })
      this.#ready.sort((a, b) => a.message.priority - b.message.priority)
      this.#serve()
    })

  next(): Promise<IteratorResult<Message>> {
    for (const held of this.#held.splice(0)) held.acknowledge()
    return new Promise((resolve, reject) => {
      this.#wanted.push({ resolve, reject })
      this.#serve()
    })
  }

  async return(): Promise<IteratorResult<Message>> {
    this.end(undefined)
    await this.#stop()
    return { done: true, value: undefined }
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  /** No more messages will come. @param error why, `undefined` for a wanted end */
  end(error: unknown): void {
    this.#isOver = true
    this.#error ??= error
    for (const held of [...this.#held.splice(0), ...this.#ready.splice(0)]) held.release(brokenOff)
    this.#serve()
  }

  #serve(): void {
    while (this.#wanted.length > 0 && (this.#isOver || this.#ready.length > 0)) {
      const wanted = this.#wanted.shift()
      const next = this.#isOver ? undefined : this.#ready.shift()
      if (next !== undefined) {
        this.#held.push(next)
        wanted?.resolve({ done: false, value: next.message })
      } else if (this.#error === undefined) wanted?.resolve({ done: true, value: undefined })
      else wanted?.reject(this.#error)
    }
  }
}
