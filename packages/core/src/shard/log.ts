import { codeNumber } from '@posthaste/protocol'
import { EntryRow } from '../rows/entryRow.ts'
import {
  type ContactLane,
  type ContactRow,
  entryKey,
  type KeyRow,
  keyAccepted,
  keyGraceMs,
  keyHole,
  keySent,
  type Lane,
  type LogRow,
} from '../rows/rows.ts'
import { livingKey, type ShardState } from './state.ts'

/** What happens to the entries of a log: appended, stored by a device, closed at their deadline, trimmed. */

const noBytes = new Uint8Array(0)

/** What an entry is made of before it has a place. */
export interface NewEntry {
  readonly sender: number
  readonly senderName: string
  readonly device: string
  readonly count: number
  readonly id: bigint
  readonly type: number
  readonly deadlineMs: number
  readonly receipts: boolean
  readonly echoTo: { readonly toKind: 0 | 1; readonly to: string } | null
  readonly body: Uint8Array
  /** Groups: how many may receive it. */
  readonly members: number
}

/** Puts an entry at the end of a lane and gives its seq. The log must be touched. */
export function appendEntry(state: ShardState, identity: number, log: LogRow, lane: number, entry: NewEntry): number {
  const place = state.laneOf(log, lane)
  place.head += 1
  const seq = place.head
  const row = state.spareEntries.pop() ?? new EntryRow()
  fill(row, entry)
  row.timeMs = state.clockMs
  row.log = identity
  row.lane = lane
  row.seq = seq
  // Most of what is replayed is acknowledged in what is replayed next: nobody asks for its bytes.
  if (state.isHeard) row.make(entry.body)
  else row.makeLate(entry.body)
  state.entries.put(identity, entryKey(lane, seq), row)
  log.kept += 1
  log.keptBytes += row.size
  if (entry.echoTo !== null) {
    log.echoes += 1
    log.echoBytes += row.size
  } else {
    log.waiting += 1
    log.waitingBytes += row.size
  }
  place.dueMs = earlier(place.dueMs, entry.deadlineMs)
  setDue(state, identity, log, laneDueMs(place))
  state.tellLive(identity, lane)
  return seq
}

/** Fills a row, which may have been another entry's. */
function fill(row: EntryRow, entry: NewEntry): void {
  row.generation = 0
  row.isOnDisk = false
  row.isStored = false
  row.isClosed = false
  row.isHole = false
  row.delivered = 0
  row.read = 0
  row.sender = entry.sender
  row.senderName = entry.senderName
  row.device = entry.device
  row.count = entry.count
  row.id = entry.id
  row.type = entry.type
  row.deadlineMs = entry.deadlineMs
  row.receipts = entry.receipts
  row.isEcho = entry.echoTo !== null
  row.echoTo = entry.echoTo
  row.members = entry.members
}

/** How many rows of entries that are gone are kept for those that come. */
const sparesMax = 16_384

/** The row of an entry that is gone is used again: else each message would leave one to the garbage collector that is old already. */
function spare({ spareEntries }: ShardState, row: EntryRow): void {
  if (spareEntries.length < sparesMax) spareEntries.push(row)
}

/** The earlier of two times, of which 0 is none. */
export function earlier(left: number, right: number): number {
  if (left === 0) return right
  return right === 0 ? left : Math.min(left, right)
}

/** When a lane wants to be searched for what is due, 0 for never. */
export function laneDueMs(place: Lane): number {
  return place.dueMs === 0 ? 0 : Math.max(place.dueMs, place.restMs)
}

/** Makes sure that the log is looked at when this deadline comes. The log must be touched. */
export function setDue(state: ShardState, identity: number, log: LogRow, deadlineMs: number): void {
  if (log.dueMs !== 0 && log.dueMs <= deadlineMs) return
  if (log.dueMs !== 0) state.due.delete(log.dueMs, identity)
  log.dueMs = deadlineMs
  state.due.put(deadlineMs, identity, { generation: 0, isOnDisk: false, place: 0, isDue: true })
  state.dueHeap.add(deadlineMs, identity)
}

/** A first device says that it stored an entry of a user's log: it no longer waits, and its sender's mark moves. */
export function storeEntry(state: ShardState, identity: number, log: LogRow, lane: number, seq: number, entry: EntryRow): void {
  if (entry.isStored) return
  state.entries.touch(identity, entryKey(lane, seq), entry)
  entry.isStored = true
  noteStored(state, identity, log, lane, seq, entry)
}

/**
 * A device passes the first entry of a lane, the last one that had to: it is stored and trimmed at once, and needs not be held in between.
 * The log must be touched.
 * @returns false when it can't be trimmed yet: nothing has happened then
 */
export function takeFirst(state: ShardState, identity: number, log: LogRow, lane: number, isStored: boolean): boolean {
  const place = log.lanes[lane] as Lane
  const seq = place.trim + 1
  const entry = state.entries.look(identity, entryKey(lane, seq))
  if (entry !== undefined) {
    if (!isStored && !isOver(entry)) return false
    const isGone = state.entries.deleteKnown(identity, entryKey(lane, seq))
    if (isStored && !entry.isStored) noteStored(state, identity, log, lane, seq, entry)
    dropBody(log, entry)
    if (isGone) spare(state, entry)
  }
  place.trim = seq
  return true
}

/** What follows when a first device has stored an entry: for the log and for its sender. */
function noteStored(state: ShardState, identity: number, log: LogRow, lane: number, seq: number, entry: EntryRow): void {
  const place = log.lanes[lane] as Lane
  if (entry.size > 0 && seq <= place.droppedSeq) place.droppedSeq = seq - 1
  if (entry.isEcho) return
  const contact = state.contacts.get(identity, entry.sender)
  if (contact !== undefined) state.contacts.touch(identity, entry.sender, contact)
  if (!entry.isClosed) stopWaiting(log, contact, entry)
  if (contact === undefined) return
  const marks = contact.lanes[lane] as ContactLane
  if (entry.count > marks.delivered) marks.delivered = entry.count
  if (entry.receipts) state.markMoved(contact, marks, identity, entry.sender, lane)
  // What has no id has no key: its look-up is spared.
  if (entry.id === 0n) return
  // Its key says *accepted*, and so it stays.
  if (!entry.isHole && entry.receipts && !contact.isBlocked) return
  const key = keyOf(state, contact, entry)
  if (key === undefined) return
  const verdict = verdictOfStored(state, contact, entry, key.verdict)
  if (key.verdict === verdict) return
  state.keys.setVerdict(contact.number, entry.id, key, verdict)
  // Only what a sender may be told becomes *accepted* here.
  if (verdict !== keySent) tellStatus(state, identity, entry, verdict === keyAccepted ? 'delivered' : 'expired')
}

/** The key of an entry, while it lives: past its end another message may have its id. */
function keyOf(state: ShardState, contact: ContactRow, entry: EntryRow): KeyRow | undefined {
  return isKeyOver(state, entry) ? undefined : livingKey(state, contact, entry.id)
}

/** What may not be told as delivered stays what it was: *sent* of a hole that is filled in time (I9), *expired* of what comes too late (I6). */
function verdictOfStored(state: ShardState, contact: ContactRow, entry: EntryRow, before: number): number {
  if (entry.receipts && !contact.isBlocked) return keyAccepted
  if (state.clockMs >= entry.deadlineMs) return keyHole
  return before === keyAccepted ? keyAccepted : keySent
}

/** An entry of a user's log that nobody has stored is passed by a mark, or closed: marks no longer speak for it (I6). */
export function makeHole(
  state: ShardState,
  identity: number,
  lane: number,
  seq: number,
  entry: EntryRow,
  status: 'sent' | 'expired',
): void {
  if (entry.isStored || entry.isEcho || entry.id === 0n) return
  const contact = state.contacts.get(identity, entry.sender)
  const key = contact === undefined ? undefined : keyOf(state, contact, entry)
  if (contact === undefined || key === undefined) return
  if (key.verdict === keyAccepted) {
    state.keys.setVerdict(contact.number, entry.id, key, keyHole)
    state.entries.touch(identity, entryKey(lane, seq), entry)
    entry.isHole = true
  } else if (status === 'sent') return
  tellStatus(state, identity, entry, status)
}

function tellStatus(state: ShardState, log: number, entry: EntryRow, status: 'sent' | 'expired' | 'delivered'): void {
  state.effects.statuses.push({ sender: entry.sender, log, id: entry.id, status: codeNumber(status) })
}

function stopWaiting(log: LogRow, contact: ContactRow | undefined, entry: EntryRow): void {
  log.waiting -= 1
  log.waitingBytes -= entry.size
  if (contact === undefined) return
  contact.waiting -= 1
  contact.waitingBytes -= entry.size
}

/**
 * The deadline of an open entry has come: it is never delivered again. The log must be touched; what is left of an entry with a key is a
 * stub without a body.
 */
export function closeEntry(state: ShardState, identity: number, log: LogRow, lane: number, seq: number, entry: EntryRow): void {
  state.entries.touch(identity, entryKey(lane, seq), entry)
  entry.isClosed = true
  if (!entry.isStored && !entry.isEcho) {
    const contact = state.contacts.get(identity, entry.sender)
    if (contact !== undefined) state.contacts.touch(identity, entry.sender, contact)
    stopWaiting(log, contact, entry)
    if (log.kind === 0) makeHole(state, identity, lane, seq, entry, 'expired')
    else if (entry.id !== 0n && !isKeyOver(state, entry))
      state.effects.statuses.push({ sender: entry.sender, log: identity, id: entry.id, status: codeNumber('expired') })
  }
  dropBody(log, entry)
  // Nobody can ask for or confirm what has no key. Its stub would serve nothing, and no limit would count it.
  if (!isStub(entry)) state.entries.delete(identity, entryKey(lane, seq))
  state.tellLive(identity, lane)
}

/** Whether something is left of an entry that is closed. */
export function isStub({ id, isEcho }: EntryRow): boolean {
  return id !== 0n && !isEcho
}

/** Takes an entry's body out of the log's account. The entry and the log must be touched. */
export function dropBody(log: LogRow, entry: EntryRow): void {
  if (entry.size === 0) return
  log.kept -= 1
  log.keptBytes -= entry.size
  if (entry.isEcho) {
    log.echoes -= 1
    log.echoBytes -= entry.size
  }
  entry.bytes = noBytes
}

/** How many rows a lane is trimmed by at once, unless somebody counts them: as many as a device may pass at once. */
export const trimRows = 256

/**
 * Moves the trim point of a user's lane over what every registered device has passed and one has stored, and of a group's over
 * what is closed. Without a device nothing is trimmed but what is closed. What is more than so many rows waits for a later record.
 * The log must be touched.
 * @returns how many rows it looked at
 */
export function trimLane(state: ShardState, identity: number, log: LogRow, lane: number, rows = trimRows): number {
  const place = log.lanes[lane]
  if (place === undefined) return 0
  const begin = place.trim
  let passed = Number.POSITIVE_INFINITY
  for (const device of log.devices) passed = Math.min(passed, device.cursors[lane] as number)
  while (place.trim < place.head) {
    if (place.trim - begin >= rows) {
      setDue(state, identity, log, state.clockMs)
      return rows
    }
    const seq = place.trim + 1
    const entry = state.entries.get(identity, entryKey(lane, seq))
    if (entry !== undefined && !trimEntry(state, identity, log, entryKey(lane, seq), entry, seq <= passed)) break
    place.trim = seq
  }
  return place.trim - begin
}

/** Whether an entry may lie below the trim point; a user's is deleted then. */
function trimEntry(
  state: ShardState,
  identity: number,
  log: LogRow,
  key: number,
  entry: EntryRow,
  isPassedByAll: boolean,
): boolean {
  if (log.kind === 1) return entry.size === 0
  const isPassed = log.devices.length === 0 ? entry.isClosed : isPassedByAll && isOver(entry)
  if (!isPassed && !isStubOver(state, entry)) return false
  state.entries.touch(identity, key, entry)
  dropBody(log, entry)
  state.entries.delete(identity, key)
  return true
}

/** Whether an entry of a user's log may go once all devices have passed it. */
function isOver({ isStored, isClosed, isEcho }: EntryRow): boolean {
  return isStored || isClosed || isEcho
}

/** Whether an entry is closed and its key has ended: nobody can ask for it or confirm it any more. */
export function isStubOver(state: ShardState, entry: EntryRow): boolean {
  return (entry.isClosed || entry.size === 0) && isKeyOver(state, entry)
}

/** Whether an entry's key has ended. */
export function isKeyOver(state: ShardState, entry: EntryRow): boolean {
  return entry.deadlineMs + keyGraceMs <= state.clockMs
}

/** How many entries go at once for others, and how many of a lane are looked at for the oldest. What is more goes with what comes next. */
const dropMax = 256
const dropSearch = 256

/** Lets the oldest delivered entries go that are kept for devices that lag, until the log is within its limit. The log must be touched. */
export function dropOldest(state: ShardState, identity: number, log: LogRow): void {
  const { inboxEntries, inboxBytes, groupEntries, groupBytes } = state.settings
  const entriesMax = log.kind === 1 ? groupEntries : inboxEntries
  const bytesMax = log.kind === 1 ? groupBytes : inboxBytes
  for (let dropped = 0; dropped < dropMax; dropped++) {
    const isOver = log.kept - log.waiting - log.echoes > entriesMax
    if (!isOver && log.keptBytes - log.waitingBytes - log.echoBytes <= bytesMax) return
    let oldest: { lane: number; seq: number; entry: EntryRow } | undefined
    for (let lane = 0; lane < log.lanes.length; lane++) {
      const found = firstStored(state, identity, log, lane)
      if (found !== undefined && (oldest === undefined || found.entry.timeMs < oldest.entry.timeMs)) oldest = { lane, ...found }
    }
    if (oldest === undefined) return
    const { lane, seq, entry } = oldest
    state.entries.touch(identity, entryKey(lane, seq), entry)
    dropBody(log, entry)
    if (log.kind === 0) state.entries.delete(identity, entryKey(lane, seq))
    trimLane(state, identity, log, lane)
    state.tellLive(identity, lane)
  }
}

function firstStored(
  state: ShardState,
  identity: number,
  log: LogRow,
  lane: number,
): { seq: number; entry: EntryRow } | undefined {
  const place = log.lanes[lane]
  if (place === undefined) return undefined
  const first = Math.max(place.trim, place.droppedSeq) + 1
  const last = Math.min(place.head, first + dropSearch - 1)
  for (let seq = first; seq <= last; seq++) {
    const entry = state.entries.get(identity, entryKey(lane, seq))
    if (entry?.isStored === true && !entry.isEcho && entry.size > 0) return { seq, entry }
    place.droppedSeq = seq
  }
  return undefined
}
