import { type CodeName, codeNumber } from '@posthaste/protocol'
import {
  type AddressRow,
  type ContactRow,
  type KeyRow,
  keyAccepted,
  keyGraceMs,
  type LogRow,
  type MemberRow,
} from '../../rows/rows.ts'
import type { CommandOf } from '../commands.ts'
import { encodeCommand } from '../commands.ts'
import { appendEntry, dropOldest } from '../log.ts'
import { statusOfKey } from '../status.ts'
import { deadlineSlackMs, livingKey, type ShardState, shardOfIdentity } from '../state.ts'
import { forward } from './forward.ts'
import { applyEcho, hasOthers } from './echo.ts'

const dayMs = 86_400_000

/**
 * A message. First its key: what came before has its verdict already, and nothing else is looked at (section 5.3 of the design). Then the
 * deadline, rights and limits. Then it is in the log, and nothing but its deadline, its delivery or the log's end takes it out.
 */
export function applySend(state: ShardState, command: CommandOf<'send'>): void {
  const address = state.addresses.get(command.toKind, command.to)
  if (address !== undefined && isKnown(state, command, address)) return
  if (address === undefined || address.identity === 0) return answer(state, command, codeNumber('invalid-destination'), 0, 0)
  const log = state.log(address.identity) as LogRow
  if (state.clockMs >= command.deadlineMs)
    return answer(state, command, codeNumber(lateStatus(state, command)), address.identity, 0)
  if (command.deadlineMs > state.clockMs + state.settings.expirySecondsMax * 1000 + deadlineSlackMs)
    return answer(state, command, codeNumber('invalid'), address.identity, 0)
  const contact = state.contact(address.identity, command.sender, command.senderName)
  state.contacts.touch(address.identity, command.sender, contact)
  const refusal = refusalOf(state, command, address.identity, log, contact)
  if (refusal !== undefined) return reject(state, command, address.identity, contact, refusal)
  accept(state, command, address.identity, log, contact)
}

/** What a message is that comes after its deadline. Once its key's time is over nobody knows whether it came before and was delivered (I6). */
function lateStatus(state: ShardState, { deadlineMs }: CommandOf<'send'>): CodeName {
  return state.clockMs < deadlineMs + keyGraceMs ? 'expired' : 'unknown'
}

/** Whether a key answers this message: its own, or one of an earlier identity of the same name. */
function isKnown(state: ShardState, command: CommandOf<'send'>, address: AddressRow): boolean {
  if (command.id === 0n) return false
  if (isKnownTo(state, command, address.identity)) return true
  for (const identity of address.past) if (isKnownTo(state, command, identity)) return true
  return false
}

function isKnownTo(state: ShardState, command: CommandOf<'send'>, identity: number): boolean {
  const contact = state.contacts.get(identity, command.sender)
  if (contact === undefined || command.id > contact.highestId) return false
  const key = livingKey(state, contact, command.id)
  if (key === undefined) return false
  const isSame = key.hash === command.hash
  const status = isSame ? statusOfKey(state, identity, contact, key).status : codeNumber('conflict')
  const count = isSame && key.verdict === keyAccepted ? key.count : 0
  answer(state, command, status, identity, count, key)
  return true
}

function refusalOf(
  state: ShardState,
  command: CommandOf<'send'>,
  identity: number,
  log: LogRow,
  contact: ContactRow,
): CodeName | undefined {
  if (command.isTooLarge || command.body.length > state.settings.bodyBytes) return 'too-large'
  if (log.kind === 1) {
    const member = state.members.get(identity, command.sender)
    if (member === undefined || member.roles === 0) return 'not-member'
    if ((member.roles & 1) === 0) return 'not-allowed'
  } else if (contact.isBlocked) return 'blocked'
  const { inboxEntries, inboxBytes, groupEntries, groupBytes } = state.settings
  const entriesMax = log.kind === 1 ? groupEntries : inboxEntries
  const bytesMax = log.kind === 1 ? groupBytes : inboxBytes
  const size = command.body.length
  const isFull = log.waiting >= entriesMax || log.waitingBytes + size > bytesMax
  const isShareFull = contact.waiting * 2 >= entriesMax || (contact.waitingBytes + size) * 2 > bytesMax
  return isFull || (log.kind === 0 && isShareFull) ? 'inbox-full' : undefined
}

/** The first verdict stands, also a rejection. */
function reject(state: ShardState, command: CommandOf<'send'>, identity: number, contact: ContactRow, code: CodeName): void {
  if (command.id !== 0n) putKey(state, command, contact, { verdict: codeNumber(code), seq: 0, count: 0 })
  answer(state, command, codeNumber(code), identity, 0)
}

function accept(state: ShardState, command: CommandOf<'send'>, identity: number, log: LogRow, contact: ContactRow): void {
  const lane = command.priority
  const marks = contact.lanes[lane] ?? { count: 0, delivered: 0, read: 0, shownDelivered: 0, shownRead: 0 }
  contact.lanes[lane] = marks
  marks.count += 1
  const members = log.kind === 1 ? log.receivers - (receives(state, identity, command.sender) ? 1 : 0) : 1
  state.changeLog(identity, log)
  const before = log.waitingBytes
  const seq = appendEntry(state, identity, log, lane, {
    sender: command.sender,
    senderName: command.senderName,
    device: log.kind === 1 ? command.device : '',
    count: marks.count,
    id: command.id,
    type: command.type,
    deadlineMs: command.deadlineMs,
    receipts: command.receipts,
    echoTo: null,
    body: command.body,
    members,
  })
  contact.waiting += 1
  contact.waitingBytes += log.waitingBytes - before
  if (command.id !== 0n) putKey(state, command, contact, { verdict: keyAccepted, seq, count: marks.count })
  answer(state, command, codeNumber('sent'), identity, marks.count)
  dropOldest(state, identity, log)
  if (log.kind === 0 && identity !== command.sender) sendEcho(state, command)
}

/** Whether a member of a group has the right to receive. */
function receives(state: ShardState, group: number, user: number): boolean {
  return ((state.members.get(group, user) as MemberRow).roles & 2) !== 0
}

function putKey(
  state: ShardState,
  command: CommandOf<'send'>,
  contact: ContactRow,
  verdict: { readonly verdict: number; readonly seq: number; readonly count: number },
): void {
  if (command.id > contact.highestId) contact.highestId = command.id
  state.keys.put(contact.number, command.id, {
    hash: command.hash,
    lane: command.priority,
    timeMs: state.clockMs,
    deadlineMs: command.deadlineMs,
    receipts: command.receipts,
    verdict: verdict.verdict,
    seq: verdict.seq,
    count: verdict.count,
  })
  countKey(state, command.sender, command.deadlineMs)
}

/** Counts a living key for its sender, by the day on which it ends. */
function countKey(state: ShardState, sender: number, deadlineMs: number): void {
  const row = state.senders.get(0, sender) ?? state.senders.put(0, sender, { generation: 0, isOnDisk: false, place: 0, days: [] })
  state.senders.touch(0, sender, row)
  const day = Math.floor((deadlineMs + keyGraceMs) / dayMs)
  for (const entry of row.days) {
    if (entry.day === day) {
      entry.count += 1
      return
    }
  }
  const today = Math.floor(state.clockMs / dayMs)
  row.days = row.days.filter((entry) => entry.day >= today)
  row.days.push({ day, count: 1 })
}

function answer(
  state: ShardState,
  command: CommandOf<'send'>,
  status: number,
  destination: number,
  count: number,
  key?: KeyRow,
): void {
  if (!state.isHeard || command.tag === 0 || (command.id === 0n && command.ref === 0)) return
  state.effects.results.push({
    tag: command.tag,
    ref: command.ref,
    status,
    destination,
    count,
    timeMs: key?.timeMs ?? state.clockMs,
    deadlineMs: key?.deadlineMs ?? command.deadlineMs,
  })
}

/** The sender's other devices learn of it through the sender's own log. */
function sendEcho(state: ShardState, command: CommandOf<'send'>): void {
  const { sender, device, toKind, to, id, type, priority, deadlineMs, body } = command
  const home = shardOfIdentity(sender, state.shards)
  if (home === state.index && !hasOthers(state.log(sender), device)) return
  const echo = { kind: 'echo', sender, device, toKind, to, id, type, priority, deadlineMs, body } as const
  if (home === state.index) applyEcho(state, echo)
  else forward(state, home, encodeCommand(echo))
}
