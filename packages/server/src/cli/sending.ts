import { type Address, limits } from '@posthaste/protocol'
import { CliError, describeFailure } from './exit-codes.ts'
import type { LineBatch } from './lines.ts'
import type { Pacing } from './pacing.ts'
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
  /** Where it stands. */
  readonly status: string
  waitFor(status: Wait, options?: { readonly by: 'any' }): Promise<unknown>
}

/** The part of the SDK that sending uses. */
export interface SendingClient {
  /** Once there is a connection, also what the server allows. */
  readonly connection: { readonly state: { readonly status: string; readonly bodyBytesMax?: number } }
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

/** A message that had not yet ended, nor the status that was waited for, when the waiting was ended. */
export interface OpenMessage extends Pick<Outcome, 'number' | 'id'> {
  /** Its status so far. */
  readonly status: string
}

/** Who is told how it goes. */
export interface SendingReport {
  /** Once for every message. */
  add(outcome: Outcome): void
  /** Resolves once whoever reads the report has taken what was added; perhaps never, and then only the signal ends the waiting. */
  written(): Promise<void>
  /** The outbox has no room; told again and again until it has. */
  outboxFull(): void
  /** The destination has left unreceived as many lines as may wait there; told each time that lines begin to wait for it. */
  destinationFull(): void
}

/** What to send with each body, and how far to follow it. */
export interface SendPlan {
  readonly draft: Omit<Draft, 'body' | 'id'>
  readonly idOf: IdOfMessage
  readonly wait: Wait
  /** Whether to go on after a message that failed. */
  readonly keepsGoing: boolean
  /** How far lines may be ahead of what is received; `undefined` lets the server's verdict end them. */
  readonly pacing: Pacing | undefined
}

/** Messages that may be unanswered: what the server takes at a time, a few times over. */
const unansweredMax = 1_024
/** Messages that may wait for more than that. */
const awaitedMax = 4_096
const bytesMax = 8 * 1_048_576
const fullRetryMs = 250
/** After this long without a delivery, nobody seems to receive. */
const patienceMs = 2_000

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
  /** By their numbers: what is followed. */
  readonly #open = new Map<number, Handle>()
  #left: readonly OpenMessage[] = []
  #openBytes = 0
  #hasFailed = false
  #wake: () => void = () => {}

  /** `signal` ends the waiting. */
  constructor(client: SendingClient, plan: SendPlan, signal: AbortSignal, report: SendingReport) {
    this.#client = client
    this.#plan = plan
    this.#signal = signal
    this.#report = report
    const abort = () => {
      // Before whatever has ended the waiting ends these too.
      this.#left = [...this.#open].map(([number, { id, status }]) => ({ number, id, status }))
      this.#wake()
    }
    signal.addEventListener('abort', abort, { once: true })
  }

  /** What was still open when the signal ended the waiting, in the order of the input. */
  get left(): readonly OpenMessage[] {
    return this.#left
  }

  /**
   * Resolves once every message has its status. Stops taking input at the first failure, unless it is to keep going.
   * @throws the signal's reason, or the SDK's error when its store or connection has ended
   */
  async run(batches: AsyncIterable<LineBatch>): Promise<void> {
    try {
      for await (const batch of batches) {
        // Whoever does not read what became of the lines before would have to be remembered everything.
        await this.#written()
        if (batch.isTooLong) await this.#leaveOut(batch.firstLine)
        else await this.#sendPaced(batch)
        if (this.#isStopped()) break
      }
    } finally {
      // Also of an input that fails: what is under way has a verdict yet to come.
      await this.#until(() => this.#open.size === 0)
      await this.#written()
    }
  }

  async #written(): Promise<void> {
    let isWritten = false
    this.#report.written().then(() => {
      isWritten = true
      this.#wake()
    })
    await this.#until(() => isWritten)
  }

  /** Sends a batch, in parts where not all of it may go at once. */
  async #sendPaced({ firstLine, lines }: LineBatch): Promise<void> {
    const openMax = this.#plan.wait === 'sent' ? unansweredMax : awaitedMax
    for (let at = 0; at < lines.length; ) {
      await this.#until(() => this.#open.size < openMax && this.#openBytes < bytesMax)
      const rest = lines.slice(at)
      const count = await this.#room(rest)
      if (this.#isStopped()) return
      await this.#send({ firstLine: firstLine + at, lines: rest.slice(0, count) })
      at += count
    }
  }

  /** Tells of a line that is too long: where it ends everything, after those before it, of which one may have failed first. */
  async #leaveOut(number: number): Promise<void> {
    if (!this.#plan.keepsGoing) await this.#until(() => this.#open.size === 0)
    if (this.#isStopped()) return
    const message = `The line has more than ${limits.bodyBytes} bytes, the most that any server takes.`
    this.#end({ number, id: this.#plan.idOf(number), isDone: false, code: 'too-large', message })
    this.#plan.pacing?.leaveOut(number)
  }

  /** How many of these lines may go, once some may: 0 only after a failure that stops the rest. */
  async #room(lines: readonly Uint8Array[]): Promise<number> {
    const { pacing } = this.#plan
    if (pacing === undefined) return lines.length
    for (;;) {
      const room = pacing.room(lines)
      if (room > 0 || this.#isStopped()) return room
      if (!pacing.isReceiving) this.#report.destinationFull()
      const before = pacing.delivered
      const isNews = () => pacing.delivered > before || this.#isStopped()
      if (!(await this.#until(isNews, pacing.isReceiving ? patienceMs : undefined))) pacing.giveUp()
    }
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
      this.#plan.pacing?.leaveOut(firstLine + at)
    }
  }

  /** Hands drafts to the outbox, waiting while it is full. @returns why it did not take them */
  async #offer(drafts: readonly Draft[], firstNumber: number): Promise<unknown> {
    for (;;) {
      try {
        const handles = await this.#client.sendMany(drafts)
        for (const [at, handle] of handles.entries()) {
          const bytes = drafts[at]?.body.length ?? 0
          this.#follow(handle, firstNumber + at, bytes)
          this.#pace(handle, firstNumber + at, bytes)
        }
        return undefined
      } catch (error) {
        if (describeFailure(error).code !== 'outbox-full') return error
        this.#report.outboxFull()
        await this.#pause(fullRetryMs)
      }
    }
  }

  #draftOf(number: number, body: Uint8Array): Draft {
    const { draft, idOf, pacing } = this.#plan
    const id = idOf(number)
    const receipts = draft.receipts || pacing?.isMilestone(number) === true
    return { ...draft, receipts, body, ...(id === undefined ? {} : { id }) }
  }

  #pace(handle: Handle, number: number, bytes: number): void {
    const { pacing } = this.#plan
    if (pacing === undefined) return
    pacing.take(number, bytes)
    if (!pacing.isMilestone(number)) return
    const pass = () => {
      pacing.pass(number)
      this.#wake()
    }
    // How it ended otherwise is told by whoever waits for its status.
    handle.waitFor('delivered', { by: 'any' }).then(pass, pass)
  }

  #follow(handle: Handle, number: number, bytes: number): void {
    this.#open.set(number, handle)
    this.#openBytes += bytes
    const { wait } = this.#plan
    const close = (outcome: Outcome | undefined) => {
      this.#open.delete(number)
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
        const { to, expirySeconds } = this.#plan.draft
        // Of what is sent in real time the client has said itself why it came to nothing.
        const isRealtime = expirySeconds === 0
        const told = isRealtime ? undefined : verdictText(code, to, bytes, this.#client.connection.state.bodyBytesMax)
        const text = told ?? message
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

  /** @returns whether it is reached: `false` only when that takes longer than `timeoutMs` */
  async #until(isReached: () => boolean, timeoutMs?: number): Promise<boolean> {
    let isLate = false
    const expire = () => {
      isLate = true
      this.#wake()
    }
    const timer = timeoutMs === undefined ? undefined : setTimeout(expire, timeoutMs)
    try {
      for (;;) {
        this.#signal.throwIfAborted()
        if (isReached()) return true
        if (isLate) return false
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
      }
    } finally {
      clearTimeout(timer)
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
