import { type Address, nameOf, type Status } from '@posthaste/protocol'
import { invalid } from './arguments.ts'
import type { PosthasteError } from './errors.ts'
import type { Counts, Fault, OutboxView } from './machine/events.ts'
import { isRetryable, rankOf } from './machine/outboxMessage.ts'

/** How long to wait for a status. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined
  /** For a group: by how many of its members; default `all`. */
  readonly by?: 'all' | 'any' | number | undefined
}

/** The statuses that can be waited for. */
export type AwaitableStatus = 'sent' | 'delivered' | 'read'

/** What the handle asks of the client. */
export interface SentMessageOwner {
  cancel(message: SentMessage): Promise<boolean>
  attempt(message: SentMessage): Promise<void>
  resend(message: SentMessage, view: OutboxView): Promise<SentMessage>
  errorOf(fault: Fault): PosthasteError
  helped(error: unknown): unknown
  /** Keeps the handle alive while somebody waits on it. */
  hold(message: SentMessage, isHeld: boolean): void
}

interface Waiter {
  readonly target: AwaitableStatus
  readonly by: 'all' | 'any' | number
  readonly resolve: () => void
  readonly reject: (error: unknown) => void
}

const order: readonly Status[] = ['outbox', 'sent', 'delivered', 'read']

/** An outgoing message: what has become of it, live. */
export class SentMessage {
  readonly to: Address
  readonly id: bigint
  #view: OutboxView
  #end: Fault | undefined
  readonly #owner: SentMessageOwner
  readonly #waiters = new Set<Waiter>()

  /** @internal */
  constructor(view: OutboxView, owner: SentMessageOwner) {
    this.to = view.to
    this.id = view.id
    this.#view = view
    this.#owner = owner
  }

  /** Where it stands. Only ever moves forward. */
  get status(): Status {
    return this.#view.status
  }

  /** For a group's message, once known: how many of its members have stored and read it. */
  get counts(): Counts | undefined {
    return this.#view.counts
  }

  get type(): number {
    return this.#view.type
  }

  get priority(): number {
    return this.#view.priority
  }

  /** When the server received it, in ms since the epoch; 0 before it did. */
  get timeMs(): number {
    return this.#view.timeMs
  }

  /**
   * Waits until the message is `sent`, `delivered` or `read`; for a group by `all` members, `any` of them, or a number.
   * @throws PosthasteError whose code says how the message, or the client, ended instead: `incomplete` when a group's deadline passed and
   * only some members have stored it (see `counts`); the signal's reason once that is aborted
   */
  async waitFor(status: AwaitableStatus, options: WaitOptions = {}): Promise<void> {
    const { signal, by = 'all' } = options
    const wrong = this.#faultOf(status, by)
    if (wrong !== undefined) throw this.#owner.helped(wrong)
    signal?.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const abort = (): void => end(() => reject(signal?.reason))
      const end = (settle: () => void): void => {
        this.#waiters.delete(waiter)
        signal?.removeEventListener('abort', abort)
        if (this.#waiters.size === 0) this.#owner.hold(this, false)
        settle()
      }
      const waiter: Waiter = { target: status, by, resolve: () => end(resolve), reject: (error) => end(() => reject(error)) }
      signal?.addEventListener('abort', abort, { once: true })
      this.#waiters.add(waiter)
      this.#owner.hold(this, true)
      this.#tell(waiter)
    })
  }

  /** Takes the message back. @returns whether it could be: `false` when the server may have it already */
  async cancel(): Promise<boolean> {
    return this.status === 'cancelled' || (await this.#owner.cancel(this))
  }

  /**
   * Of a pending message: an attempt now, without waiting for the next connection; resolves with this message. Of one that failed
   * (refused, expired, cancelled): sends the same content again as a new message, with a new id. The store keeps no content of what has
   * failed, so that this is for handles of the same run.
   * @throws PosthasteError `not-found` when the content is gone, what `send` throws, or why the client ended
   */
  async retry(): Promise<SentMessage> {
    if (isRetryable(this.status)) return await this.#owner.resend(this, this.#view)
    await this.#owner.attempt(this)
    return this
  }

  toJSON(): { to: Address; id: string; status: Status; timeMs: number; counts: Counts | undefined } {
    const { to, status, timeMs, counts } = this
    return { to, id: String(this.id), status, timeMs, counts }
  }

  /** @internal Whether its status will not change any more. */
  get hasEnded(): boolean {
    return this.#end !== undefined || this.status === 'read' || !order.includes(this.status)
  }

  /** @internal Whether that is this message, and not another one under its id. */
  isOf(view: OutboxView): boolean {
    return this.#view.order === view.order
  }

  /** @internal What is behind is passed: another tab's machine may know less than the one before it had told. */
  update(view: OutboxView): void {
    if (rankOf(view.status) < rankOf(this.status)) return
    // The content stays here, for `retry`.
    this.#view = { ...view, body: view.body ?? this.#view.body }
    for (const waiter of [...this.#waiters]) this.#tell(waiter)
  }

  /** @internal The status of a message that is stored nowhere. */
  advance(status: Status): void {
    this.update({ ...this.#view, status })
  }

  /** @internal The status will not change any more. */
  end(fault: Fault): void {
    this.#end ??= fault
    for (const waiter of [...this.#waiters]) this.#tell(waiter)
  }

  #faultOf(status: AwaitableStatus, by: 'all' | 'any' | number): PosthasteError | undefined {
    if (status !== 'sent' && status !== 'delivered' && status !== 'read')
      return invalid('status', "must be 'sent', 'delivered' or 'read'")
    if (status !== 'sent' && !this.#view.receipts) return invalid('status', "can only be 'sent' for a message without receipts")
    if (status === 'read' && this.#view.order === 0) return invalid('status', "can't be 'read' for a message that is not stored")
    if (by !== 'any' && by !== 'all' && !(Number.isInteger(by) && by >= 1))
      return invalid('by', `must be 'any', 'all' or a whole number from 1, not ${by}`)
    return
  }

  #tell(waiter: Waiter): void {
    const { status, id, to } = this.#view
    if (this.#isReached(waiter)) waiter.resolve()
    else if (!order.includes(status)) {
      waiter.reject(
        this.#owner.errorOf({ code: status, message: `Message ${id} to ${nameOf(to)} ended: ${status}.`, retryable: false }),
      )
    } else if (this.#end !== undefined) waiter.reject(this.#owner.errorOf(this.#end))
    else if (this.#view.isIncomplete) waiter.reject(this.#owner.errorOf(incomplete(this.counts)))
  }

  #isReached({ target, by }: Waiter): boolean {
    const { status, counts } = this.#view
    if (order.includes(status) && order.indexOf(status) >= order.indexOf(target)) return true
    if (counts === undefined || by === 'all' || target === 'sent') return false
    return (target === 'read' ? counts.read : counts.delivered) >= (by === 'any' ? 1 : by)
  }
}

function incomplete(counts: Counts | undefined): Fault {
  const { delivered, read, members } = counts ?? { delivered: 0, read: 0, members: 0 }
  const message = `At its deadline ${delivered} of ${members} members had stored the message, and ${read} had read it.`
  return { code: 'incomplete', message, retryable: false }
}
