import { CliError, describeFailure } from './exit-codes.ts'
import type { Received, Sink } from './sinks.ts'

/** What to do with a message whose sink failed, as the SDK takes it. */
export type FailureDecision = { readonly retryInMs: number } | 'stop'

/** Real-time messages that wait for the sink. */
const realtimeWaitingMax = 1_000
const retryMinMs = 500
const retryMaxMs = 60_000

/** Failures after which no later message can be written either. */
const finalFailures: readonly string[] = ['output-closed']

/**
 * Hands messages to a sink, one at a time across all lanes, and ends after `count` of them (never more), at a failure that will not
 * pass, or when it is told to.
 */
export class Listening {
  readonly #sink: Sink
  readonly #countMax: number
  readonly #note: (text: string) => void
  #written = 0
  #realtimeWaiting = 0
  #queue: Promise<unknown> = Promise.resolve()
  #isEnded = false
  #finish: (failure: CliError | undefined) => void = () => {}
  /** Resolves at the end, with the failure if there was one. */
  readonly ended: Promise<CliError | undefined>

  constructor(sink: Sink, countMax: number, note: (text: string) => void) {
    this.#sink = sink
    this.#countMax = countMax
    this.#note = note
    this.ended = new Promise((resolve) => {
      this.#finish = resolve
    })
  }

  /** How many messages are written. */
  get written(): number {
    return this.#written
  }

  /** Takes a message; resolves once it may be acknowledged. */
  take(message: Received): Promise<void> {
    const turn = this.#queue.then(() => this.#write(message))
    this.#queue = turn.catch(() => {})
    return turn
  }

  /** Takes a message that nobody acknowledges: dropped when too many wait, as everything in real time is. */
  takeRealtime(message: Received): void {
    if (this.#realtimeWaiting >= realtimeWaitingMax) return
    this.#realtimeWaiting++
    this.take(message)
      .catch((error: unknown) => this.decide(error, 1))
      .finally(() => this.#realtimeWaiting--)
  }

  /** Decides about a message that `take` rejected. `attempt` counts from 1. */
  decide(error: unknown, attempt: number): FailureDecision {
    if (this.#isEnded) return 'stop'
    const { code, message } = describeFailure(error)
    if (finalFailures.includes(code)) {
      this.end(error instanceof CliError ? error : new CliError(code, message))
      return 'stop'
    }
    const retryInMs = Math.min(retryMaxMs, retryMinMs * 2 ** Math.min(20, attempt - 1))
    this.#note(`${message}. Not acknowledged; trying again in ${retryInMs / 1_000} s.`)
    return { retryInMs }
  }

  /** Ends the listening: what is being written is finished, nothing more is taken. */
  end(failure: CliError | undefined): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#queue.then(() => this.#finish(failure))
  }

  async #write(message: Received): Promise<void> {
    if (this.#isEnded) throw new CliError('failed', 'Listening has ended')
    await this.#sink(message)
    this.#written++
    if (this.#written >= this.#countMax) this.end(undefined)
  }
}
