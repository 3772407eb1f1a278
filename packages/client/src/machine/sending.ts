import type { ServerPacketOf } from '@posthaste/protocol'
import { codeByNumber, statusByNumber } from './codes.ts'
import type { Context } from './context.ts'
import { DrainQueue } from './drainQueue.ts'
import type { Draft } from './events.ts'
import type { Outbox, ServerLimits } from './outbox.ts'
import { isToGroup, type OutboxMessage } from './outboxMessage.ts'
import type { ServerTime } from './serverTime.ts'
import type { Statuses } from './statuses.ts'

/** SENDs, and bytes of their bodies, that may be without RESULT. */
const unansweredMax = 256
const unansweredBytesMax = 1_048_576

/** SEND, RESULT, REFUSE and RESUME: what is unanswered goes out in drain order, on every connection anew (PROTOCOL, section 5). */
export class Sending {
  readonly #context: Context
  readonly #outbox: Outbox
  readonly #statuses: Statuses
  readonly #time: ServerTime
  readonly #server: ServerLimits
  readonly #queue = new DrainQueue()
  readonly #unanswered = new Map<number, OutboxMessage>()
  #unansweredBytes = 0
  /** Messages to groups that an earlier connection may have sent: some members may have them. */
  readonly #repeated = new Set<OutboxMessage>()
  /** Messages with id 0 that came after the clocks jumped: their deadlines wait for the server's next answer. */
  #untimed: Draft[] = []
  #nextRef = 1
  /** The ref from which on the server ignores SENDs, 0 when it takes them. */
  #refusedRef = 0

  constructor(context: Context, outbox: Outbox, statuses: Statuses, time: ServerTime, server: ServerLimits) {
    this.#context = context
    this.#outbox = outbox
    this.#statuses = statuses
    this.#time = time
    this.#server = server
  }

  /** A session has begun: deadlines that waited for the first handshake are fixed, and everything unanswered is sent again. */
  live(): void {
    this.#nextRef = 1
    for (const message of this.#outbox.messages.values()) {
      if (!message.isUnanswered) continue
      if (message.mayBeKnown && message.receipts && isToGroup(message)) this.#repeated.add(message)
      this.#enqueue(message)
    }
  }

  /** The server has said what time it is: fixes the deadlines that waited for that. */
  timed(): void {
    for (const message of this.#outbox.messages.values()) if (message.isQueued) this.#fixDeadline(message)
    for (const draft of this.#untimed.splice(0)) this.sendOnce(draft)
  }

  /** The connection is gone, and with it all refs. */
  down(): void {
    for (const message of this.#unanswered.values()) message.ref = 0
    this.#unanswered.clear()
    this.#unansweredBytes = 0
    this.#refusedRef = 0
    this.#untimed = []
    this.#queue.clear()
    this.#repeated.clear()
    this.#context.clearTimer('resume')
  }

  /** These messages are stored now, and may be attempted. */
  stored(messages: readonly OutboxMessage[]): void {
    if (!this.#context.isLive) return
    for (const message of messages) {
      if (message.isUnanswered && !message.isEnded && message.ref === 0) this.#enqueue(message)
    }
  }

  /** Writes what may be written now. */
  drain(): void {
    while (this.#context.isLive && this.#refusedRef === 0 && this.#unanswered.size < unansweredMax) {
      const message = this.#queue.first((first) => first.deadlineMs > 0 && this.#outbox.isDurable(first))
      if (message === undefined) return
      const bytes = this.#unansweredBytes + message.bodyBytes
      if (this.#unanswered.size > 0 && bytes > unansweredBytesMax) return
      this.#queue.shift(message)
      if (this.#mayAttempt(message)) this.#attempt(message)
    }
  }

  /** A message with id 0: now or never, and never an answer. */
  sendOnce(draft: Draft): void {
    const expirySeconds = this.#server.expiryOf(draft.expirySeconds)
    const isTooMuch = draft.body.length > this.#server.bodyBytesMax || expirySeconds > this.#server.expirySecondsMax
    if (!this.#context.isLive || this.#refusedRef > 0 || this.#context.now.isCongested || isTooMuch) return
    if (this.#time.isSuspect(this.#context.now)) {
      if (this.#untimed.length < unansweredMax) this.#untimed.push(draft)
      return
    }
    const { toKind, to, type, priority, receipts, body } = draft
    const deadlineMs = this.#time.middle(this.#context.now) + expirySeconds * 1_000
    const ref = this.#takeRef()
    this.#context.write({ kind: 'send', ref, toKind, to, id: 0n, type, priority, deadlineMs, receipts, body })
  }

  result(packet: ServerPacketOf<'result'>): void {
    const message = this.#unanswered.get(packet.ref)
    if (message === undefined) return
    this.#settle(message)
    message.isUnanswered = false
    message.timeMs = packet.timeMs
    this.#statuses.place(message, packet.destination, packet.count, message.priority)
    this.#outbox.advance(message, statusByNumber(packet.status))
    this.#statuses.index(message)
    // COUNTS may have come before this RESULT, when nobody knew yet what they spoke for.
    if (this.#repeated.delete(message)) this.#statuses.ask(message)
  }

  refuse(packet: ServerPacketOf<'refuse'>): void {
    this.#refusedRef = packet.ref
    this.#nextRef = packet.ref
    for (const [ref, message] of this.#unanswered) {
      if (ref < packet.ref) continue
      this.#settle(message)
      this.#queue.add(message)
    }
    const { name } = codeByNumber(packet.code)
    this.#context.warn({
      code: name,
      message: `The server takes no messages for ${packet.retryAfterMs} ms: ${name}.`,
      retryable: true,
    })
    this.#context.setTimer('resume', packet.retryAfterMs)
  }

  /** The time that the server named has passed. */
  resume(): void {
    if (!this.#context.isLive || this.#refusedRef === 0) return
    this.#context.write({ kind: 'resume', ref: this.#refusedRef })
    this.#refusedRef = 0
  }

  /** Gives a message its place, where it waits until it is stored with its deadline. */
  #enqueue(message: OutboxMessage): void {
    if (message.body === undefined) return
    this.#fixDeadline(message)
    this.#queue.add(message)
  }

  /** A clock that stood still in sleep would fix it too early: it waits for the server's next answer then. */
  #fixDeadline(message: OutboxMessage): void {
    if (!this.#time.isSuspect(this.#context.now)) this.#outbox.fixDeadline(message)
  }

  /** What the server would not even read, or what is over already, ends here. */
  #mayAttempt(message: OutboxMessage): boolean {
    if (message.bodyBytes > this.#server.bodyBytesMax) this.#outbox.advance(message, 'too-large')
    else if (!message.mayBeKnown && this.#outbox.isPast(message)) this.#outbox.advance(message, 'expired')
    return !message.isEnded && message.body !== undefined
  }

  #attempt(message: OutboxMessage): void {
    const { toKind, to, id, type, priority, deadlineMs, receipts, body } = message
    if (body === undefined) return
    const ref = this.#takeRef()
    message.ref = ref
    message.mayBeKnown = true
    this.#unanswered.set(ref, message)
    this.#unansweredBytes += message.bodyBytes
    this.#context.write({ kind: 'send', ref, toKind, to, id, type, priority, deadlineMs, receipts, body })
  }

  #settle(message: OutboxMessage): void {
    this.#unanswered.delete(message.ref)
    this.#unansweredBytes -= message.bodyBytes
    message.ref = 0
  }

  #takeRef(): number {
    this.#nextRef += 1
    return this.#nextRef - 1
  }
}
