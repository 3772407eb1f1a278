import { type AddressKind, limits, type Status } from '@posthaste/protocol'
import type { Context } from './context.ts'
import type { Device } from './device.ts'
import type { Draft, Fault, MachineLimits, Notice, Pending, RowWrite } from './events.ts'
import {
  defaultExpirySeconds,
  fingerprintOf,
  hasSameContent,
  isFinal,
  isToGroup,
  isRetryable,
  messageKey,
  messageOfRow,
  newMessage,
  type OutboxMessage,
  rankOf,
  rowOfMessage,
  viewOf,
} from './outboxMessage.ts'
import { rowKey, tables } from './rows.ts'
import type { ServerTime } from './serverTime.ts'

/** Messages without a body that are kept to be told when they are read; the oldest is forgotten first. */
const bodilessMax = 10_000
const rowBytes = 64
/** A key lives this long after its message's deadline. */
const keyGraceMs = 86_400_000
/** What members stored in time is told this long after the deadline, as a rule: acknowledgements and counts are gathered on their way. */
const closeGraceMs = 2_000

interface WaitingSend {
  readonly call: number
  readonly messages: readonly OutboxMessage[]
  missing: number
}

/** What the server allows, as of the last WELCOME; before it what any server may. */
export class ServerLimits {
  bodyBytesMax: number = limits.bodyBytes
  expirySecondsMax: number = limits.expirySeconds

  /** How long a message of this expiry lives: by default no longer than the server allows. */
  expiryOf(seconds: number): number {
    return seconds === defaultExpirySeconds ? Math.min(seconds, this.expirySecondsMax) : seconds
  }
}

/**
 * The outgoing messages that have not ended, and their rows. A message is stored before `send` is answered and before its first
 * attempt; its body goes at `delivered`, its row when its status ends.
 */
export class Outbox {
  /** By order, so in the order written. */
  readonly messages = new Map<number, OutboxMessage>()
  /** When `sweep` has something to end, by the monotonic clock and as far as can be told. */
  sweepMs = Number.POSITIVE_INFINITY
  /** Told of every message that leaves. */
  onForget: (message: OutboxMessage) => void = () => {}
  readonly #context: Context
  readonly #device: Device
  readonly #time: ServerTime
  readonly #limits: MachineLimits
  readonly #server: ServerLimits
  readonly #byKey = new Map<string, OutboxMessage>()
  readonly #bodiless = new Set<OutboxMessage>()
  readonly #waiting = new Map<OutboxMessage, WaitingSend[]>()
  /** Calls that took a message back, until that is durable. */
  readonly #cancelling = new Map<OutboxMessage, number>()
  /** How messages have ended, or expired before they were stored: told once that is stored (I6). */
  readonly #endings = new Map<OutboxMessage, Notice>()
  /** Written in this run before anything has shown whose client it is. */
  readonly #onTrust = new Set<OutboxMessage>()
  #isOwned = false
  #dirty = new Set<OutboxMessage>()
  /** Whether all of it goes into one commit. */
  #isWhole = false
  #committing = new Set<OutboxMessage>()
  #nextOrder = 1
  #undelivered = 0
  #undeliveredBytes = 0

  constructor(context: Context, device: Device, time: ServerTime, limits: MachineLimits, server: ServerLimits) {
    this.#context = context
    this.#device = device
    this.#time = time
    this.#limits = limits
    this.#server = server
  }

  /** Takes a stored message. Rows come in the order of their keys. */
  load(order: number, value: Uint8Array, body: Uint8Array | undefined): void {
    this.#add(messageOfRow(order, value, body))
  }

  /** The client is the store's user's. */
  own(): void {
    this.#isOwned = true
    if (this.#onTrust.size > 0) this.#device.own()
    this.#onTrust.clear()
  }

  /** The client is another user's than the store: nothing of it may go out under the name of the store's user. */
  disown(fault: Fault): void {
    for (const message of this.#onTrust) {
      for (const { call } of this.#waiting.get(message) ?? []) this.#context.refuse(call, fault)
      this.#waiting.delete(message)
      this.forget(message)
    }
    this.#onTrust.clear()
  }

  /** Writes messages to the outbox: all or none. The call is answered once they are durable. */
  send(call: number, drafts: readonly Draft[]): void {
    const fault = this.#faultOf(drafts)
    if (fault !== undefined) {
      this.#context.refuse(call, fault)
      return
    }
    const messages = drafts.map((draft) => this.#take(draft))
    const pending = messages.filter((message) => !message.isBodyStored && !message.isEnded)
    const waiting: WaitingSend = { call, messages, missing: pending.length }
    if (pending.length === 0) {
      this.#answer(waiting)
      return
    }
    for (const message of pending) this.#waiting.set(message, [...(this.#waiting.get(message) ?? []), waiting])
  }

  find(toKind: AddressKind, to: string, id: bigint): OutboxMessage | undefined {
    return this.#byKey.get(messageKey(toKind, to, id))
  }

  /** What the server has not answered yet. What ended without the server, since its time was over before it could go out, waits for nothing. */
  pending(): Pending {
    const waiting = [...this.messages.values()].filter(({ isUnanswered, status }) => isUnanswered && status !== 'expired')
    return { messages: waiting.length, bytes: waiting.reduce((sum, { bodyBytes }) => sum + bodyBytes, 0) }
  }

  /** Takes a message back, unless the server may have it. The call is answered once no restart can bring the message back. */
  cancel(call: number, toKind: AddressKind, to: string, id: bigint): void {
    const message = this.find(toKind, to, id)
    if (message === undefined || message.mayBeKnown || message.status !== 'outbox') {
      this.#context.settle(call, { kind: 'cancelled', isCancelled: false })
      return
    }
    this.#cancelling.set(message, call)
    this.advance(message, 'cancelled')
  }

  /** Fixes the deadline once and for all: server now − time waited + expiry. Needs an estimate of the server's time. */
  fixDeadline(message: OutboxMessage): void {
    if (message.deadlineMs > 0) return
    const deadlineMs =
      this.#time.middle(this.#context.now) - this.waitedMs(message) + this.#server.expiryOf(message.expirySeconds) * 1_000
    message.deadlineMs = Math.max(1, Math.round(deadlineMs))
    this.touch(message)
  }

  /** How long a message has waited: what the larger clock says. */
  waitedMs(message: OutboxMessage): number {
    const { wallMs, monotonicMs } = this.#context.now
    return Math.max(0, wallMs - message.writtenMs, monotonicMs - (message.writtenMonotonicMs ?? monotonicMs))
  }

  /** Whether a message is stored as it is in memory: what a commit that is under way holds is not. */
  isDurable(message: OutboxMessage): boolean {
    return message.isBodyStored && !this.#dirty.has(message) && !this.#committing.has(message)
  }

  /** Has the message's row written again. */
  touch(message: OutboxMessage): void {
    this.#dirty.add(message)
  }

  /** Moves the status forward, tells observers, and ends or keeps the message. Never moves it back. */
  advance(message: OutboxMessage, status: Status): void {
    const { status: previous, body } = message
    if (message.isEnded) return
    const isUnsent = isUnseen(message)
    const isForward = rankOf(status) > rankOf(previous)
    const isEnd = isFinal(status) || !message.receipts
    if (isForward) message.status = status
    if (isEnd) message.isEnded = true
    if (isForward && rankOf(status) > rankOf('sent')) this.#dropBody(message)
    this.touch(message)
    // Whoever hears that it was refused, or came too late, may send its content again.
    const told = isRetryable(status) ? { ...viewOf(message), body } : viewOf(message)
    const untold = this.#endings.get(message)
    const before = untold?.kind === 'status' ? untold.previous : previous
    const notice: Notice = isForward ? { kind: 'status', message: told, previous: before } : { kind: 'forgotten', message: told }
    // After a crash before the commit it would be asked for again, and the server may have forgotten it by then.
    if (isEnd) this.#endings.set(message, notice)
    // A message that is not stored yet, another tab's machine may be given anew; one that expired unsent, and is not stored so, would go out by a
    // server whose clock was set back.
    else if (isForward && (isUnsent || untold !== undefined || this.#waiting.has(message))) this.#endings.set(message, notice)
    else if (isForward) this.#context.notify(notice)
    if (isEnd) this.forget(message)
  }

  /** Tells observers that something of the message changed but its status. */
  tell(message: OutboxMessage): void {
    const untold = this.#endings.get(message)
    if (untold?.kind === 'status') this.#endings.set(message, { ...untold, message: viewOf(message) })
    else this.#context.notify({ kind: 'status', message: viewOf(message), previous: message.status })
  }

  /** Removes a message and its row. */
  forget(message: OutboxMessage): void {
    message.isEnded = true
    this.#dropBody(message)
    this.#bodiless.delete(message)
    this.messages.delete(message.order)
    const key = messageKey(message.toKind, message.to, message.id)
    if (this.#byKey.get(key) === message) this.#byKey.delete(key)
    this.onForget(message)
    this.touch(message)
  }

  /**
   * A session has begun: what was known of messages may have changed meanwhile, and an id whose key has ended may be another message's. In a new epoch,
   * what is to be sent again is stored together with the epoch: after a crash in between it would only be asked for, and nobody would know it.
   */
  live(isNewEpoch: boolean): void {
    this.#isWhole ||= isNewEpoch
    for (const message of this.messages.values()) message.isInDoubt = true
    this.sweep()
  }

  /** Ends what is due without the server: what was never attempted at its deadline, everything at its key's end. */
  sweep(): void {
    const isSuspect = this.#time.isSuspect(this.#context.now)
    this.sweepMs = Number.POSITIVE_INFINITY
    for (const message of this.messages.values()) {
      if (isUnseen(message) && this.isPast(message)) this.advance(message, 'expired')
      if (message.isEnded) continue
      const leftMs = this.#leftMs(message)
      if (!isSuspect && leftMs <= -keyGraceMs) {
        if (message.status === 'outbox' || message.status === 'sent') this.advance(message, 'unknown')
        else this.#giveUp(message)
        continue
      }
      // Without a connection, or before the server has said where it stands, the last counts may be old ones.
      if (!isSuspect && this.#context.isLive && isOpenInGroup(message) && leftMs <= -closeGraceMs) {
        message.isClosed = true
        this.tell(message)
      }
      this.#planSweep(message)
    }
  }

  /** Whether the message's time is over, as far as this side can tell. */
  isPast(message: OutboxMessage): boolean {
    return this.#leftMs(message) <= 0
  }

  prepare(writes: RowWrite[]): void {
    let bytes = 0
    for (const message of this.#dirty) {
      if (bytes >= this.#context.commitBytes && !this.#isWhole) break
      for (const one of this.#storedWith(message)) bytes += this.#prepareOne(one, writes)
    }
  }

  /** The message, and those of the calls that wait for it: all of a call is stored, or none. */
  #storedWith(message: OutboxMessage): Iterable<OutboxMessage> {
    if (!this.#waiting.has(message)) return [message]
    const all = new Set([message])
    const calls = new Set<WaitingSend>()
    for (const one of all) {
      for (const call of this.#waiting.get(one) ?? []) {
        if (calls.has(call)) continue
        calls.add(call)
        for (const other of call.messages) all.add(other)
      }
    }
    return all
  }

  /** @returns the messages that are now stored */
  committed(): readonly OutboxMessage[] {
    const messages = [...this.#committing]
    this.#committing.clear()
    this.#isWhole &&= this.#dirty.size > 0
    for (const message of messages) {
      message.isBodyStored = true
      this.#announce(message)
      if (!this.#dirty.has(message)) this.#ended(message)
    }
    return messages
  }

  /** What could not be stored is told to whoever waits for it; everything else is tried again. */
  failed(fault: Fault): void {
    const messages = [...this.#committing]
    this.#committing.clear()
    for (const message of messages) this.#dirty.add(message)
    for (const message of messages) for (const one of this.#storedWith(message)) this.#refuse(one, fault)
  }

  /** Nothing can be stored any more: whoever waits for that is told so. */
  lost(fault: Fault): void {
    for (const message of [...this.#waiting.keys()]) this.#refuse(message, fault)
  }

  #refuse(message: OutboxMessage, fault: Fault): void {
    const waiting = this.#waiting.get(message)
    if (waiting === undefined) return
    this.#waiting.delete(message)
    for (const { call } of waiting) this.#context.refuse(call, fault)
    this.forget(message)
    this.#dirty.delete(message)
    this.#ended(message)
  }

  #ended(message: OutboxMessage): void {
    const notice = this.#endings.get(message)
    if (notice !== undefined) {
      this.#endings.delete(message)
      this.#context.notify(notice)
    }
    const call = this.#cancelling.get(message)
    if (call === undefined) return
    this.#cancelling.delete(message)
    this.#context.settle(call, { kind: 'cancelled', isCancelled: true })
  }

  #prepareOne(message: OutboxMessage, writes: RowWrite[]): number {
    const key = rowKey(tables.outbox, message.order)
    const bodyKey = rowKey(tables.body, message.order)
    if (!this.#dirty.delete(message)) return 0
    this.#committing.add(message)
    writes.push([key, message.isEnded ? null : rowOfMessage(message)])
    if (message.body === undefined) writes.push([bodyKey, null])
    if (message.body === undefined || message.isBodyStored) return rowBytes
    writes.push([bodyKey, message.body])
    return rowBytes + message.body.length
  }

  #announce(message: OutboxMessage): void {
    const waiting = this.#waiting.get(message)
    if (waiting === undefined) return
    this.#waiting.delete(message)
    for (const send of waiting) {
      send.missing -= 1
      if (send.missing === 0) this.#answer(send)
    }
  }

  #answer({ call, messages }: WaitingSend): void {
    this.#context.settle(call, { kind: 'sent', messages: messages.map(viewOf) })
  }

  #faultOf(drafts: readonly Draft[]): Fault | undefined {
    const { bodyBytesMax, expirySecondsMax } = this.#server
    const drafted = new Map<string, Draft>()
    let bytes = 0
    let count = 0
    for (const draft of drafts) {
      if (draft.body.length > bodyBytesMax) return tooLarge(draft.body.length, bodyBytesMax)
      if (this.#server.expiryOf(draft.expirySeconds) > expirySecondsMax) return expiryFault(draft.expirySeconds, expirySecondsMax)
      const earlier = this.#earlier(draft)
      if (earlier !== undefined && !hasSameContent(earlier, draft)) return conflict(draft)
      if (draft.id !== undefined) {
        const key = messageKey(draft.toKind, draft.to, draft.id)
        const twin = drafted.get(key)
        if (twin !== undefined && !hasSameContent({ ...twin, bodyBytes: twin.body.length, fingerprint: 0 }, draft))
          return conflict(draft)
        drafted.set(key, draft)
        if (twin !== undefined) continue
      }
      if (earlier !== undefined) continue
      count += 1
      bytes += draft.body.length
    }
    const isFull = this.#undelivered + count > this.#limits.outboxMessages
    const isHeavy = this.#undeliveredBytes + bytes > this.#limits.outboxBytes
    return count > 0 && (isFull || isHeavy) ? outboxFull(this.#limits) : undefined
  }

  /** The message that has the draft's id. */
  #earlier({ toKind, to, id }: Draft): OutboxMessage | undefined {
    return id === undefined ? undefined : this.find(toKind, to, id)
  }

  #take(draft: Draft): OutboxMessage {
    const earlier = this.#earlier(draft)
    if (earlier !== undefined) return earlier
    const { wallMs, monotonicMs } = this.#context.now
    const message = newMessage(draft, draft.id ?? this.#device.makeId(), this.#nextOrder, wallMs, monotonicMs)
    this.#add(message)
    if (this.#isOwned) this.#device.own()
    else this.#onTrust.add(message)
    if (this.#time.isKnown && !this.#time.isSuspect(this.#context.now)) this.fixDeadline(message)
    this.touch(message)
    return message
  }

  /** Nobody will say any more how it goes on. */
  #giveUp(message: OutboxMessage): void {
    this.#context.notify({ kind: 'forgotten', message: viewOf(message) })
    this.forget(message)
  }

  /** How long it is to the message's deadline, as far as this side can tell. */
  #leftMs(message: OutboxMessage): number {
    if (message.deadlineMs === 0) return message.expirySeconds * 1_000 - this.waitedMs(message)
    if (!this.#time.isKnown) return Number.POSITIVE_INFINITY
    const { now } = this.#context
    // What is told to be over without the server must not be told by it to have come in time, after a crash (I6).
    return message.deadlineMs - (isUnseen(message) ? this.#time.earliest(now) : this.#time.middle(now))
  }

  #planSweep(message: OutboxMessage): void {
    const isClosing = this.#context.isLive && isOpenInGroup(message)
    const graceMs = isUnseen(message) ? 0 : isClosing ? closeGraceMs : keyGraceMs
    this.sweepMs = Math.min(this.sweepMs, this.#context.now.monotonicMs + this.#leftMs(message) + graceMs)
  }

  #add(message: OutboxMessage): void {
    this.#planSweep(message)
    this.#nextOrder = message.order + 1
    this.messages.set(message.order, message)
    this.#byKey.set(messageKey(message.toKind, message.to, message.id), message)
    if (message.body === undefined) this.#bodiless.add(message)
    else {
      this.#undelivered += 1
      this.#undeliveredBytes += message.bodyBytes
    }
  }

  #dropBody(message: OutboxMessage): void {
    if (message.body === undefined) return
    message.fingerprint = message.isEnded ? 0 : fingerprintOf(message.body)
    message.body = undefined
    this.#undelivered -= 1
    this.#undeliveredBytes -= message.bodyBytes
    if (message.isEnded) return
    this.#bodiless.add(message)
    const [oldest] = this.#bodiless
    if (this.#bodiless.size > bodilessMax && oldest !== undefined) this.#giveUp(oldest)
  }
}

/** Whether the server can't know the message: it ends without the server then. */
function isUnseen(message: OutboxMessage): boolean {
  return message.status === 'outbox' && !message.mayBeKnown
}

/** Whether it goes to a group of which not all are known to have it, and its deadline was not seen to pass. */
function isOpenInGroup(message: OutboxMessage): boolean {
  return isToGroup(message) && message.status === 'sent' && !message.isClosed && !message.isInDoubt
}

/** The fault of a body over the server's limit. */
export function tooLarge(bytes: number, max: number): Fault {
  return { code: 'too-large', message: `The body has ${bytes} bytes; 0 to ${max} are allowed.`, retryable: false, field: 'body' }
}

/** The fault of an expiry over the server's limit. */
export function expiryFault(seconds: number, max: number): Fault {
  const message = `expirySeconds is ${seconds}; 0 to ${max} are allowed.`
  return { code: 'invalid-argument', message, retryable: false, field: 'expirySeconds' }
}

function conflict(draft: Draft): Fault {
  const message = `The id ${draft.id} was used before to '${draft.to}' with other content. The first message stays.`
  return { code: 'conflict', message, retryable: false, field: 'id' }
}

/** The fault of more messages than the outbox takes. */
export function outboxFull(limits: MachineLimits): Fault {
  const message = `The outbox holds ${limits.outboxMessages} messages or ${limits.outboxBytes} bytes that are not delivered yet.`
  return { code: 'outbox-full', message, retryable: true }
}
