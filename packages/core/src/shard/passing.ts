import {
  type ContactRow,
  type Device,
  type EntryRow,
  entryKey,
  keyHole,
  type Lane,
  type LogRow,
  laneCount,
  type MemberRow,
  type Missed,
  type Stay,
} from '../rows/rows.ts'
import { isStubOver, makeHole, storeEntry, trimLane } from './log.ts'
import { livingKey, memberLane, type ShardState } from './state.ts'

/** Seqs of a lane, both ends included. */
export interface Range {
  readonly from: number
  readonly to: number
}

/** The range that holds this seq. */
function rangeOf(ranges: readonly Range[], seq: number): Range | undefined {
  for (const range of ranges) if (seq >= range.from && seq <= range.to) return range
  return undefined
}

/** A device of a user has passed its own log up to `upTo`. The log must be touched. */
export function passOwn(
  state: ShardState,
  identity: number,
  log: LogRow,
  device: Device,
  lane: number,
  upTo: number,
  notStored: readonly Range[],
): void {
  const place = log.lanes[lane]
  const cursor = device.cursors[lane] ?? 0
  if (place === undefined) return
  const end = Math.min(upTo, place.head)
  if (end <= cursor) return
  for (let seq = Math.max(cursor, place.trim) + 1; seq <= end; seq++) {
    const entry = state.entries.get(identity, entryKey(lane, seq))
    if (entry === undefined) continue
    if (rangeOf(notStored, seq) === undefined) storeEntry(state, identity, log, lane, seq, entry)
    else if (!entry.isClosed) makeHole(state, identity, entry, 'sent')
  }
  device.cursors[lane] = end
  trimLane(state, identity, log, lane)
}

/** A member's device, as it passes a group's log. */
export interface Passer {
  readonly identity: number
  readonly member: MemberRow
  readonly device: Device
}

/** A device of a member has passed a group's log up to `upTo`. The member and the log must be touched. */
export function passGroup(
  state: ShardState,
  group: number,
  log: LogRow,
  who: Passer,
  lane: number,
  upTo: number,
  notStored: readonly Range[],
): void {
  const place = log.lanes[lane]
  const cursor = who.device.cursors[lane] ?? 0
  if (place === undefined) return
  const end = Math.min(upTo, place.head)
  if (end <= cursor) return
  const done = memberLane(who.member, lane)
  let stored = 0
  for (let seq = Math.max(cursor, place.sweptSeq) + 1; seq <= end; seq++) {
    const range = rangeOf(notStored, seq)
    if (range !== undefined) {
      seq = range.to
      continue
    }
    stored = seq
    if (seq <= done.delivered && !takeMissed(done.missed, seq)) continue
    countDelivered(state, group, log, who, lane, seq)
  }
  if (stored > done.delivered) {
    const isCountable = (seq: number): boolean => countable(state, group, who, lane, seq) !== undefined
    noteMissed(done.missed, place, { mark: done.delivered, cursor, stored }, notStored, isCountable)
    done.delivered = stored
  }
  who.device.seenMs = state.clockMs
  who.device.cursors[lane] = end
}

/** The entry of this seq, if its sender may be told that this member has stored it. */
function countable(state: ShardState, group: number, who: Passer, lane: number, seq: number): EntryRow | undefined {
  const entry = state.entries.get(group, entryKey(lane, seq))
  if (entry === undefined || entry.sender === who.identity || !mayRead(who.member, lane, seq)) return undefined
  return isStubOver(state, entry) ? undefined : entry
}

function countDelivered(state: ShardState, group: number, log: LogRow, who: Passer, lane: number, seq: number): void {
  const entry = countable(state, group, who, lane, seq)
  if (entry === undefined) return
  state.entries.touch(group, entryKey(lane, seq), entry)
  entry.delivered += 1
  // What the member has marked read up to here includes what only now is stored.
  if (seq <= (who.member.lanes[lane]?.read ?? 0)) entry.read += 1
  if (!entry.isStored) {
    entry.isStored = true
    const place = log.lanes[lane]
    if (place !== undefined && seq <= place.droppedSeq) place.droppedSeq = seq - 1
    const contact = state.contacts.get(group, entry.sender)
    if (state.clockMs >= entry.deadlineMs) staysExpired(state, contact, entry)
    if (!entry.isClosed) {
      log.waiting -= 1
      log.waitingBytes -= entry.bytes.length
      if (contact !== undefined) {
        state.contacts.touch(group, entry.sender, contact)
        contact.waiting -= 1
        contact.waitingBytes -= entry.bytes.length
      }
    }
  }
  tellCounts(state, group, entry)
}

/** A message that was expired when the first member says that it stored it stays so until all have: a status never goes back (I6). */
function staysExpired(state: ShardState, contact: ContactRow | undefined, entry: EntryRow): void {
  const key = contact === undefined || entry.id === 0n ? undefined : livingKey(state, contact, entry.id)
  if (contact === undefined || key === undefined) return
  state.keys.setVerdict(contact.number, entry.id, key, keyHole)
}

/** Tells a sender the counts of its message to a group. */
export function tellCounts(
  state: ShardState,
  group: number,
  entry: { sender: number; id: bigint; delivered: number; read: number; members: number; receipts: boolean },
): void {
  if (entry.id === 0n || !entry.receipts) return
  const { sender, id, delivered, read, members } = entry
  state.effects.counts.push({ sender, log: group, id, delivered, read, members })
}

/** How many ranges a member's memory of what was not stored may hold per lane. */
const missedMax = 256
/** Ranges longer than this are remembered as they are, without a look at what is in them. */
const lookMax = 1_024

/**
 * A member's mark moves up to `stored`: what lies between and was not stored is remembered, so that the mark doesn't claim it. What
 * could never count (the member's own, what it may not read) is left out.
 */
function noteMissed(
  missed: Missed[],
  place: Lane,
  moved: { readonly mark: number; readonly cursor: number; readonly stored: number },
  notStored: readonly Range[],
  isCountable: (seq: number) => boolean,
): void {
  const { mark, cursor, stored } = moved
  let noted = Math.max(mark, place.sweptSeq)
  const note = (low: number, high: number): void => {
    const from = Math.max(low, noted + 1)
    const to = Math.min(high, stored)
    if (from > to) return
    noted = to
    let isWanted = to - from >= lookMax
    for (let seq = from; seq <= to && !isWanted; seq++) isWanted = isCountable(seq)
    if (isWanted) missed.push({ from, to, isVague: false })
  }
  note(mark + 1, cursor)
  for (const range of notStored) note(Math.max(range.from, cursor + 1), range.to)
  while ((missed[0]?.to ?? Number.POSITIVE_INFINITY) <= place.sweptSeq) missed.shift()
  while (missed.length > missedMax) {
    const [first, second] = missed.splice(0, 2)
    if (first !== undefined && second !== undefined) missed.unshift({ from: first.from, to: second.to, isVague: true })
  }
}

/** Whether the seq was missed and now counts; it no longer is missed. */
function takeMissed(missed: Missed[], seq: number): boolean {
  const at = missed.findIndex((range) => seq >= range.from && seq <= range.to)
  const range = missed[at]
  if (range === undefined || range.isVague) return false
  const rest: Missed[] = []
  if (range.from < seq) rest.push({ from: range.from, to: seq - 1, isVague: false })
  if (seq < range.to) rest.push({ from: seq + 1, to: range.to, isVague: false })
  missed.splice(at, 1, ...rest)
  return true
}

/** Whether this seq of the lane was missed by the member. */
export function isMissed(member: MemberRow, lane: number, seq: number): boolean {
  return rangeOf(member.lanes[lane]?.missed ?? [], seq) !== undefined
}

/** Whether a member may read this entry: it lies within one of its stays, judged by its place in the order (I9). */
export function mayRead(member: MemberRow, lane: number, seq: number): boolean {
  return stayOf(member, lane, seq) !== undefined
}

/** The stay within which a member may read this seq. */
export function stayOf(member: MemberRow, lane: number, seq: number): Stay | undefined {
  for (const stay of member.stays) {
    if (seq > (stay.from[lane] ?? 0) && (stay.to === null || seq <= (stay.to[lane] ?? 0))) return stay
  }
  return undefined
}

/**
 * Sets the cursors of a device from HELLO, up or down: the device's own word is the truth. Lanes that it does not name begin where the
 * device began; one that lies beyond the log, or comes from another epoch, begins at the trim point. What is named above the
 * cursor and within the log is left for `passOwn` and `passGroup`.
 */
export function setCursors(log: LogRow, device: Device, cursors: readonly LaneCursor[], isSameEpoch: boolean): void {
  const named: (number | undefined)[] = new Array(laneCount).fill(undefined)
  for (const { lane, seq } of cursors) named[lane] = seq
  for (let lane = 0; lane < laneCount; lane++) {
    const head = log.lanes[lane]?.head ?? 0
    const trim = log.lanes[lane]?.trim ?? 0
    const said = named[lane]
    const start = Math.min(device.starts[lane] ?? 0, head)
    device.starts[lane] = start
    if (!isSameEpoch) device.cursors[lane] = Math.max(trim, log.kind === 1 ? start : 0)
    else if (said === undefined) device.cursors[lane] = start
    else if (said > head) device.cursors[lane] = Math.max(trim, log.kind === 1 ? start : 0)
    else if (said < (device.cursors[lane] ?? 0)) device.cursors[lane] = said
    // What a device goes back to lies no longer before its start.
    device.starts[lane] = Math.min(start, device.cursors[lane] ?? 0)
  }
}

/** What a device says in HELLO of one lane. */
export interface LaneCursor {
  readonly lane: number
  readonly seq: number
  readonly notStored: readonly Range[]
}

/** The cursors that lie within the log, and within what a member may know of it: of the others nothing is believed, or confirmed (I9). */
export function knownCursors(log: LogRow, cursors: readonly LaneCursor[], member?: MemberRow): LaneCursor[] {
  return cursors.filter(({ lane, seq }) => {
    const head = log.lanes[lane]?.head ?? 0
    return seq <= (member === undefined ? head : Math.min(head, lastReadable(member, lane)))
  })
}

/** The last seq of a lane that a member may ever learn of: the end of its last stay. */
function lastReadable(member: MemberRow, lane: number): number {
  const last = member.stays[member.stays.length - 1]
  if (last === undefined) return 0
  return last.to === null ? Number.POSITIVE_INFINITY : (last.to[lane] ?? 0)
}
