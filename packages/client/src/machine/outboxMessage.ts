import { addressOf, groupKind, type Status } from '@posthaste/protocol'
import { codeNumber, statusByNumber } from './codes.ts'
import type { Counts, Draft, OutboxView } from './events.ts'
import { type OutboxRow, outboxRow } from './rows.ts'

/** How long a message may wait if nothing is said of it, in seconds: 7 days. */
export const defaultExpirySeconds = 604_800

/** An outgoing message that has not ended, in memory. */
export interface OutboxMessage extends Omit<Draft, 'id' | 'body'> {
  /** Its place among all that were ever written to this outbox. */
  readonly order: number
  readonly id: bigint
  readonly bodyBytes: number
  /** Until it is delivered. */
  body: Uint8Array | undefined
  /** Of the content, once the body is gone; 0 before. */
  fingerprint: number
  readonly writtenMs: number
  /** When it was written by the monotonic clock, if that was in this process. */
  readonly writtenMonotonicMs: number | undefined
  /** In server time; 0 until it is fixed. */
  deadlineMs: number
  status: Status
  /** Whether it has to be sent (again): there is no verdict of this epoch. */
  isUnanswered: boolean
  /** Whether the server may have seen it: nobody can take it back then. */
  mayBeKnown: boolean
  destination: number
  count: number
  isMarked: boolean
  timeMs: number
  counts: Counts | undefined
  /** Whether its deadline was seen to pass while it was `sent`. */
  isClosed: boolean
  /** Whether the server has not said yet on this connection where it stands. */
  isInDoubt: boolean
  /** The number of its SEND on this connection while there is no answer, else 0. */
  ref: number
  isQueued: boolean
  /** Whether its body is stored, where it still has one. */
  isBodyStored: boolean
  isEnded: boolean
}

/** Statuses in the order in which they follow each other; all others end a message that is not delivered. */
const ranks: Partial<Record<Status, number>> = { outbox: 0, sent: 1, expired: 2, delivered: 3, read: 4 }
const endRank = 2.5

/** Where a status stands: it only moves up. */
export function rankOf(status: Status): number {
  return ranks[status] ?? endRank
}

/** Whether a status ends its message, whatever the message is. */
export function isFinal(status: Status): boolean {
  return ranks[status] === undefined || status === 'read'
}

/** Whether a message with this status has failed, so that its content may be sent again. */
export function isRetryable(status: Status): boolean {
  return status === 'expired' || ranks[status] === undefined
}

/** What names a message among those of its sender. */
export function messageKey(toKind: number, to: string, id: bigint): string {
  return `${toKind} ${id} ${to}`
}

/** A message that was just written. */
export function newMessage(draft: Draft, id: bigint, order: number, wallMs: number, monotonicMs: number): OutboxMessage {
  const { toKind, to, type, priority, expirySeconds, receipts, body } = draft
  return {
    order,
    toKind,
    to,
    id,
    type,
    priority,
    expirySeconds,
    receipts,
    body,
    bodyBytes: body.length,
    fingerprint: 0,
    writtenMs: Math.max(0, Math.trunc(wallMs)),
    writtenMonotonicMs: monotonicMs,
    deadlineMs: 0,
    status: 'outbox',
    isUnanswered: true,
    mayBeKnown: false,
    destination: 0,
    count: 0,
    isMarked: false,
    timeMs: 0,
    counts: undefined,
    isClosed: false,
    isInDoubt: false,
    ref: 0,
    isQueued: false,
    isBodyStored: false,
    isEnded: false,
  }
}

/** A message as it was stored. */
export function messageOfRow(order: number, value: Uint8Array, body: Uint8Array | undefined): OutboxMessage {
  const { status, delivered, read, members, ...fields } = outboxRow.read(value)
  return {
    order,
    ...fields,
    body,
    status: statusByNumber(status),
    counts: members === 0 ? undefined : { delivered, read, members },
    writtenMonotonicMs: undefined,
    isClosed: false,
    isInDoubt: false,
    // The process may have ended between the attempt and its answer.
    mayBeKnown: fields.deadlineMs > 0,
    ref: 0,
    isQueued: false,
    isBodyStored: true,
    isEnded: false,
  }
}

/** The message as a row, without its body. */
export function rowOfMessage(message: OutboxMessage): Uint8Array {
  const { delivered, read, members } = message.counts ?? { delivered: 0, read: 0, members: 0 }
  const row: OutboxRow = { ...message, status: codeNumber(message.status), delivered, read, members }
  return outboxRow.write(row)
}

/** The message as the app sees it. */
export function viewOf(message: OutboxMessage): OutboxView {
  const { order, id, type, priority, receipts, expirySeconds, status, timeMs, counts, body } = message
  const to = addressOf(message.toKind, message.to)
  const isIncomplete = message.isClosed && status === 'sent' && counts !== undefined && counts.delivered > 0
  return { order, to, id, type, priority, receipts, expirySeconds, status, timeMs, counts, isIncomplete, body }
}

/** Whether a draft has the same content as a message, so that a retry may share its key. */
export function hasSameContent(
  message: Pick<OutboxMessage, 'body' | 'type' | 'priority' | 'receipts' | 'bodyBytes' | 'fingerprint'>,
  draft: Draft,
): boolean {
  const { body } = message
  if (message.type !== draft.type || message.priority !== draft.priority || message.receipts !== draft.receipts) return false
  if (message.bodyBytes !== draft.body.length) return false
  if (body === undefined) return message.fingerprint === fingerprintOf(draft.body)
  return body.every((byte, at) => byte === draft.body[at])
}

/** FNV-1a over the body, twice with different seeds: 52 bits. A courtesy to the app; the server compares SHA-256. */
export function fingerprintOf(body: Uint8Array): number {
  let low = 0x811c9dc5
  let high = 0x050c5d1f
  for (const byte of body) {
    low = Math.imul(low ^ byte, 0x01000193)
    high = Math.imul(high ^ byte ^ 0x5a, 0x01000193)
  }
  return ((high >>> 0) % 0x10_0000) * 0x1_0000_0000 + (low >>> 0)
}

/** Whether the counts of a group's message say that all have it. */
export function statusOfCounts({ delivered, read, members }: Counts): Status {
  if (members > 0 && read >= members) return 'read'
  return members > 0 && delivered >= members ? 'delivered' : 'sent'
}

/** Whether a message goes to a group. */
export function isToGroup(message: OutboxMessage): boolean {
  return message.toKind === groupKind
}
