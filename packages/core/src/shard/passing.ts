import {
  type ContactRow,
  type Device,
  type EntryRow,
  entryKey,
  keyHole,
  type Lane,
  type LogRow,
  type MemberLane,
  type MemberRow,
  type Missed,
  type Range,
  type Stay,
} from '../rows/rows.ts'
import { dropOldest, isStubOver, makeHole, storeEntry, takeFirst, trimLane, trimRows } from './log.ts'
import { livingKey, memberLane, type ShardState } from './state.ts'

/** What is in (after, upTo] of these ranges, in order and without overlaps. */
export function rangesWithin(ranges: readonly Range[], after: number, upTo: number): Range[] {
  const found: Range[] = []
  const ordered = ranges.length > 1 ? [...ranges].sort((left, right) => left.from - right.from) : ranges
  let last = after
  for (const range of ordered) {
    const from = Math.max(range.from, last + 1)
    const to = Math.min(range.to, upTo)
    if (from > to) continue
    found.push({ from, to })
    last = to
  }
  return found
}

/** A device has passed a lane up to `upTo` and stored all of it but these ranges, which are in order and without overlaps. */
export interface Passage {
  readonly lane: number
  readonly upTo: number
  readonly notStored: readonly Range[]
}

/**
 * A device of a user has passed its own log: its cursor moves, over at most so many rows. The log must be touched.
 * @returns how many rows it looked at
 */
export function passOwn(
  state: ShardState,
  identity: number,
  log: LogRow,
  device: Device,
  { lane, upTo, notStored }: Passage,
  rows: number,
): number {
  const place = log.lanes[lane] as Lane
  const cursor = device.cursors[lane] as number
  const start = Math.max(cursor, place.trim)
  const end = Math.min(upTo, place.head, start + rows)
  if (end <= cursor) return 0
  const trimmedBefore = place.trim
  const passed = passedByOthers(log, device, lane)
  let at = 0
  for (let seq = start + 1; seq <= end; seq++) {
    while ((notStored[at]?.to ?? seq) < seq) at += 1
    const isStored = (notStored[at]?.from ?? Number.POSITIVE_INFINITY) > seq
    const isFirst = place.trim === seq - 1 && seq <= passed
    if (isFirst && takeFirst(state, identity, log, lane, isStored)) continue
    const entry = state.entries.get(identity, entryKey(lane, seq))
    if (entry === undefined) continue
    if (isStored) storeEntry(state, identity, log, lane, seq, entry)
    else if (!entry.isClosed) makeHole(state, identity, lane, seq, entry, state.clockMs >= entry.deadlineMs ? 'expired' : 'sent')
  }
  device.cursors[lane] = end
  trimLane(state, identity, log, lane, trimRows - (place.trim - trimmedBefore))
  dropOldest(state, identity, log)
  return Math.max(0, end - start)
}

/** Up to where all other devices have passed a lane of their user's log. */
function passedByOthers({ devices }: LogRow, device: Device, lane: number): number {
  let passed = Number.POSITIVE_INFINITY
  for (const other of devices) if (other !== device) passed = Math.min(passed, other.cursors[lane] as number)
  return passed
}

/** A member's device, as it passes a group's log. */
export interface Passer {
  readonly identity: number
  readonly member: MemberRow
  readonly device: Device
}

/**
 * A device of a member has passed a group's log: its cursor moves, over at most about so many rows. The member and the log must be touched.
 * @returns how many rows it looked at
 */
export function passGroup(
  state: ShardState,
  group: number,
  log: LogRow,
  who: Passer,
  { lane, upTo, notStored }: Passage,
  rows: number,
): number {
  const place = log.lanes[lane] as Lane
  const cursor = who.device.cursors[lane] as number
  const end = Math.min(upTo, place.head)
  if (end <= cursor) return 0
  const done = memberLane(who.member, lane)
  let seq = Math.min(end, Math.max(cursor, place.sweptSeq))
  let stored = 0
  let looked = 0
  for (let at = 0; seq < end && looked < rows; looked++) {
    seq += 1
    while ((notStored[at]?.to ?? seq) < seq) at += 1
    const range = notStored[at]
    if (range !== undefined && range.from <= seq) {
      const to = Math.min(range.to, end)
      looked += Math.min(to - seq, lookMax)
      seq = to
      continue
    }
    const uncounted = nextUncounted(done, seq)
    if (uncounted > seq) {
      seq = Math.min(uncounted - 1, end, (range?.from ?? uncounted) - 1)
      continue
    }
    stored = seq
    if (seq <= done.delivered) takeMissed(done.missed, seq)
    countDelivered(state, group, log, who, lane, seq)
  }
  if (stored > done.delivered) {
    const isCountable = (seq: number): boolean => countable(state, group, who, lane, seq) !== undefined
    noteMissed(done.missed, place, { mark: done.delivered, cursor, stored }, notStored, isCountable)
    done.delivered = stored
  }
  who.device.seenMs = state.clockMs
  who.device.cursors[lane] = seq
  dropOldest(state, group, log)
  return looked
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
  if (seq <= (who.member.lanes[lane] as MemberLane).read) entry.read += 1
  if (!entry.isStored) {
    entry.isStored = true
    const place = log.lanes[lane] as Lane
    if (seq <= place.droppedSeq) place.droppedSeq = seq - 1
    const contact = state.contacts.get(group, entry.sender)
    if (state.clockMs >= entry.deadlineMs) staysExpired(state, contact, entry)
    if (!entry.isClosed) {
      log.waiting -= 1
      log.waitingBytes -= entry.size
      if (contact !== undefined) {
        state.contacts.touch(group, entry.sender, contact)
        contact.waiting -= 1
        contact.waitingBytes -= entry.size
      }
    }
  }
  tellCounts(state, group, entry)
}

/** A message that was expired when the first member says that it stored it stays so until all have: a status never goes back (I6). */
function staysExpired(state: ShardState, contact: ContactRow | undefined, entry: EntryRow): void {
  const key = contact === undefined ? undefined : livingKey(state, contact, entry.id)
  if (contact === undefined || key === undefined) return
  state.keys.setVerdict(contact.number, entry.id, key, keyHole)
}

/** Tells a sender the counts of its message to a group. */
export function tellCounts(
  state: ShardState,
  group: number,
  entry: { sender: number; id: bigint; delivered: number; read: number; members: number; receipts: boolean },
): void {
  if (!state.isHeard || entry.id === 0n || !entry.receipts) return
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
  note(1, cursor)
  for (const range of notStored) note(range.from, range.to)
  while ((missed[0]?.to ?? Number.POSITIVE_INFINITY) <= place.sweptSeq) missed.shift()
  bound(missed)
}

/** Of too many ranges the oldest become one: what is in it never counts, which can only hide a delivery. */
function bound(missed: Missed[]): void {
  while (missed.length > missedMax) {
    const [first, second] = missed.splice(0, 2) as [Missed, Missed]
    missed.unshift({ from: first.from, to: second.to, isVague: true })
  }
}

/** The first seq from this one on that its member has not been counted for: above the mark, or missed and no longer. */
function nextUncounted({ delivered, missed }: MemberLane, seq: number): number {
  if (seq > delivered) return seq
  for (const range of missed) if (range.to >= seq && !range.isVague) return Math.max(seq, range.from)
  return delivered + 1
}

/** A seq that was missed, in one of these ranges, now counts. */
function takeMissed(missed: Missed[], seq: number): void {
  const at = missed.findIndex((range) => seq <= range.to)
  const range = missed[at] as Missed
  const rest: Missed[] = []
  if (range.from < seq) rest.push({ from: range.from, to: seq - 1, isVague: false })
  if (seq < range.to) rest.push({ from: seq + 1, to: range.to, isVague: false })
  missed.splice(at, 1, ...rest)
  bound(missed)
}

/** Whether the member has missed this seq of a lane. */
export function isMissed({ missed }: MemberLane, seq: number): boolean {
  return missed.some(({ from, to }) => seq >= from && seq <= to)
}

/** Whether a member may read this entry: it lies within one of its stays, judged by its place in the order (I9). */
export function mayRead(member: MemberRow, lane: number, seq: number): boolean {
  return stayOf(member, lane, seq) !== undefined
}

/** The stay within which a member may read this seq. */
export function stayOf(member: MemberRow, lane: number, seq: number): Stay | undefined {
  for (const stay of member.stays) {
    if (seq > (stay.from[lane] as number) && (stay.to === null || seq <= (stay.to[lane] as number))) return stay
  }
  return undefined
}
