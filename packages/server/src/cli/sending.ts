import type { Address } from '@posthaste/protocol'
import { CliError, describeFailure } from './exit-codes.ts'
import type { LineBatch } from './lines.ts'
import type { IdOfMessage } from './run-ids.ts'
import { verdictText } from './verdict.ts'

/** The statuses that `send` can wait for. */
export const waits = ['sent', 'delivered', 'read'] as const
/** A status that `send` can wait for. */
export type Wait = (typeof waits)[number]

/** A message as the SDK takes it. */
export interface Draft {
  readonly to: Address
  readonly body: Uint8Array
  readonly id?: bigint
  readonly type: number
  readonly priority: number
  readonly expirySeconds: number
  readonly receipts: boolean
}

/** The part of a sent message's handle that sending uses. */
export interface Handle {
  /** `undefined` where nobody is told. */
  readonly id: bigint | undefined
  waitFor(status: Wait): Promise<unknown>
}

/** The part of the SDK that sending uses. */
export interface SendingClient {
  /** Stores all or none. */
  sendMany(drafts: readonly Draft[]): Promise<readonly Handle[]>
}

/** How one message ended: with the status that was waited for, or with another code. */
export interface Outcome {
  /** Its number in the input, from 1. */
  readonly number: number
  readonly id: bigint | undefined
  readonly isDone: boolean
  readonly code: string
  readonly message: string
}

/** Who is told how it goes. */
export interface SendingReport {
  /** Once for every message. */
  add(outcome: Outcome): void
  /** The outbox has no room; told again and again until it has. */
  outboxFull(): void
}

/** What to send with each body, and how far to follow it. */
export interface SendPlan {
  readonly draft: Omit<Draft, 'body' | 'id'>
  readonly idOf: IdOfMessage
  readonly wait: Wait
  /** Whether to go on after a message that failed. */
  readonly keepsGoing: boolean
}

/** Messages that may be unanswered: what the server takes at a time, a few times over. */
const unansweredMax = 1_024
/** Messages that may be undelivered: as many as one sender may leave in an inbox. */
const undeliveredMax = 4_096
const bytesMax = 8 * 1_048_576
const fullRetryMs = 250

/** Faults of single messages, found before anything is stored. */
const ownFaults: readonly string[] = ['too-large', 'conflict', 'invalid-argument']

/**
 * Sends batches of bodies and follows every message to the status waited for. Holds a bounded number of messages and bytes:
 * it takes the next batch only when enough has been answered.
 */
export class Sending {
  readonly #client: SendingClient
  readonly #plan: SendPlan
  readonly #signal: AbortSignal
  readonly #report: SendingReport
  #open = 0
  #openBytes = 0
  #hasFailed = false
  #wake: () => void = () => {}

  /** `signal` ends the waiting. */
  constructor(client: SendingClient, plan: SendPlan, signal: AbortSignal, report: SendingReport) {
    this.#client = client
    this.#plan = plan
    this.#signal = signal
    this.#report = report
    signal.addEventListener('abort', () => this.#wake(), { once: true })
  }

  /**
   * Resolves once every message has its status. Stops taking input at the first failure, unless it is to keep going.
   * @throws the signal's reason, or the SDK's error when its store or connection has ended
   */
  async run(batches: AsyncIterable<LineBatch>): Promise<void> {
    const openMax = this.#plan.wait === 'sent' ? unansweredMax : undeliveredMax
    for await (const batch of batches) {
      await this.#until(() => this.#open < openMax && this.#openBytes < bytesMax)
      if (this.#isStopped()) break
      await this.#send(batch)
    }
    await this.#until(() => this.#open === 0)
  }

  async #send({ firstLine, lines }: LineBatch): Promise<void> {
    const drafts = lines.map((body, at) => this.#draftOf(firstLine + at, body))
    const error = await this.#offer(drafts, firstLine)
    if (error === undefined) return
    if (!ownFaults.includes(describeFailure(error).code)) throw error
    for (const [at, draft] of drafts.entries()) {
      if (this.#isStopped()) return
      const fault = await this.#offer([draft], firstLine + at)
      if (fault === undefined) continue
      const { code, message } = describeFailure(fault)
      if (!ownFaults.includes(code)) throw fault
      this.#end({ number: firstLine + at, id: draft.id, isDone: false, code, message })
    }
  }

  /** Hands drafts to the outbox, waiting while it is full. @returns why it did not take them */
  async #offer(drafts: readonly Draft[], firstNumber: number): Promise<unknown> {
    for (;;) {
      try {
        const handles = await this.#client.sendMany(drafts)
        for (const [at, handle] of handles.entries()) this.#follow(handle, firstNumber + at, drafts[at]?.body.length ?? 0)
        return undefined
      } catch (error) {
        if (describeFailure(error).code !== 'outbox-full') return error
        this.#report.outboxFull()
        await this.#pause(fullRetryMs)
      }
    }
  }

  #draftOf(number: number, body: Uint8Array): Draft {
    const id = this.#plan.idOf(number)
    return { ...this.#plan.draft, body, ...(id === undefined ? {} : { id }) }
  }

  #follow(handle: Handle, number: number, bytes: number): void {
    this.#open++
    this.#openBytes += bytes
    const { wait } = this.#plan
    const close = (outcome: Outcome | undefined) => {
      this.#open--
      this.#openBytes -= bytes
      if (outcome !== undefined) this.#end(outcome)
      this.#wake()
    }
    // Without the signal: a thousand listeners on one would cost more than the sending. Closing the client ends what still waits.
    handle.waitFor(wait).then(
      () => close({ number, id: handle.id, isDone: true, code: wait, message: '' }),
      (error: unknown) => {
        if (this.#signal.aborted) return close(undefined)
        const { code, message } = describeFailure(error)
        const text = verdictText(code, this.#plan.draft.to, bytes) ?? message
        close({ number, id: handle.id, isDone: false, code, message: text })
      },
    )
  }

  #end(outcome: Outcome): void {
    if (!outcome.isDone) this.#hasFailed = true
    this.#report.add(outcome)
  }

  #isStopped(): boolean {
    return this.#hasFailed && !this.#plan.keepsGoing
  }

  async #until(isReached: () => boolean): Promise<void> {
    for (;;) {
      this.#signal.throwIfAborted()
      if (isReached()) return
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
  }

  async #pause(ms: number): Promise<void> {
    this.#signal.throwIfAborted()
    await new Promise<void>((resolve) => setTimeout(resolve, ms))
  }
}

/** Batches of one message. */
export async function* oneMessage(body: Uint8Array): AsyncGenerator<LineBatch> {
  yield { firstLine: 1, lines: [body] }
}

/** The reason that an aborted signal carries, as an error of this command. */
export function abortReason(signal: AbortSignal): CliError {
  return signal.reason instanceof CliError ? signal.reason : new CliError('interrupted', 'Interrupted')
}
