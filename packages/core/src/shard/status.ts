import { type Address, codeNumber, kindOf, nameOf } from '@posthaste/protocol'
import { type ContactLane, type ContactRow, type EntryRow, entryKey, type KeyRow, keyAccepted, keyHole } from '../rows/rows.ts'
import { livingKey, type ShardState } from './state.ts'

/** What a sender may know of a message: derived from its key and the marks. */
export interface MessageState {
  /** The number of a status. */
  readonly status: number
  readonly destination: number
  /** 0 when no mark speaks for it. */
  readonly count: number
  readonly lane: number
  readonly timeMs: number
  readonly delivered: number
  readonly read: number
  readonly members: number
  readonly deadlineMs: number
}

const nothing: MessageState = {
  status: codeNumber('unknown'),
  destination: 0,
  count: 0,
  lane: 0,
  timeMs: 0,
  delivered: 0,
  read: 0,
  members: 0,
  deadlineMs: 0,
}

/**
 * The status of a message as its sender asks for it; `unknown` when no key answers. Only the key's life goes by the host's clock: what a
 * status says follows from records, and one that is under way may bring an earlier time.
 */
export function messageState(state: ShardState, sender: number, to: Address, id: bigint, nowMs: number): MessageState {
  const address = state.addresses.get(kindOf(to), nameOf(to))
  if (address === undefined || id === 0n) return nothing
  for (const identity of [address.identity, ...address.past]) {
    const contact = identity === 0 ? undefined : state.contacts.get(identity, sender)
    const key = contact === undefined ? undefined : livingKey(state, contact, id, nowMs)
    if (contact !== undefined && key !== undefined) return statusOfKey(state, identity, contact, key)
  }
  return nothing
}

/** The status of a message whose key is known. */
export function statusOfKey(state: ShardState, identity: number, contact: ContactRow, key: KeyRow): MessageState {
  const { lane, timeMs, deadlineMs } = key
  const base = { destination: identity, count: key.verdict === keyAccepted ? key.count : 0, lane, timeMs, deadlineMs }
  const one = { delivered: 0, read: 0, members: 1 }
  if (key.verdict > keyHole) return { ...base, ...one, status: key.verdict }
  const log = state.log(identity)
  if (log?.kind === 1) return groupState(state, identity, key, base, log.removedMs)
  const marks = contact.lanes[lane] as ContactLane
  const isDelivered = key.verdict === keyAccepted && key.count <= marks.delivered
  const shown = contact.isBlocked ? marks.shownDelivered : marks.delivered
  const shownRead = contact.isBlocked ? marks.shownRead : marks.read
  if (isDelivered && !key.receipts) return { ...base, ...one, status: codeNumber('sent') }
  if (isDelivered && key.count <= shown) {
    const isRead = key.count <= shownRead
    return { ...base, status: codeNumber(isRead ? 'read' : 'delivered'), delivered: 1, read: isRead ? 1 : 0, members: 1 }
  }
  if (!isDelivered && log !== undefined && log.removedMs > 0 && log.removedMs < deadlineMs)
    return { ...base, ...one, status: codeNumber('removed') }
  const isExpired = !isDelivered && state.clockMs >= deadlineMs
  return { ...base, ...one, status: codeNumber(isExpired ? 'expired' : 'sent') }
}

/** Whether the end of its group is the end of a message: nobody has it, or not all of whom its sender is told. */
export function isWaitedFor(message: Pick<EntryRow, 'delivered' | 'members' | 'receipts'>): boolean {
  return message.delivered === 0 || (message.receipts && message.delivered < message.members)
}

function groupState(
  state: ShardState,
  identity: number,
  key: KeyRow,
  base: Pick<MessageState, 'destination' | 'count' | 'lane' | 'timeMs' | 'deadlineMs'>,
  removedMs: number,
): MessageState {
  const { delivered, read, members } = state.entries.get(identity, entryKey(key.lane, key.seq)) as EntryRow
  const counts = { delivered, read, members }
  const isExpired = key.verdict === keyHole || (state.clockMs >= key.deadlineMs && counts.delivered === 0)
  const isRemoved = removedMs > 0 && removedMs < key.deadlineMs && isWaitedFor({ ...counts, receipts: key.receipts })
  let status = codeNumber('sent')
  if (key.receipts && counts.members > 0 && counts.read >= counts.members) status = codeNumber('read')
  else if (key.receipts && counts.members > 0 && counts.delivered >= counts.members) status = codeNumber('delivered')
  else if (isRemoved) status = codeNumber('removed')
  else if (isExpired) status = codeNumber('expired')
  const shown = key.receipts ? counts : { delivered: 0, read: 0, members: counts.members }
  return { ...base, ...shown, count: 0, status }
}
