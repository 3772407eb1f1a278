import {
  type Device,
  entryKey,
  type LogRow,
  laneCount,
  type MemberRow,
  type Range,
  type Unsettled,
  type UnsettledRow,
} from '../rows/rows.ts'
import type { CommandOf } from './commands.ts'
import { isStubOver } from './log.ts'
import { isMissed, mayRead, type Passage, passGroup, passOwn, rangesWithin, tellCounts } from './passing.ts'
import { deviceIndex, memberLane, type ShardState } from './state.ts'

/**
 * What devices say of lanes, and how the shard draws the consequences in bounded steps (I10). A command settles as much as a client
 * that acknowledges in good order can have to say; what is left stays with the device as *unsettled*, and the device goes into a
 * queue from which every record takes some. What is unsettled is said, and recorded, all the same: what the device says later only extends it.
 */

/** A device in a log: one of the log's own user, or of a member. */
export interface Reader {
  /** The identity of the log. */
  readonly identity: number
  readonly log: LogRow
  readonly user: number
  /** In a group. */
  readonly member: MemberRow | undefined
  readonly device: Device
}

/** The device's place in a log that has not been deleted. */
export function readerOf(state: ShardState, identity: number, user: number, id: string): Reader | undefined {
  const log = state.log(identity)
  if (log === undefined || log.removedMs > 0) return undefined
  const member = identity === user ? undefined : state.members.get(identity, user)
  const devices = identity === user ? log.devices : (member?.devices ?? [])
  const device = devices[deviceIndex(devices, id)]
  return device === undefined ? undefined : { identity, log, user, member, device }
}

/** Touches what changes when a device passes or reads. */
function touch(state: ShardState, { identity, log, user, member }: Reader): void {
  state.changeLog(identity, log)
  if (member !== undefined) state.members.touch(identity, user, member)
}

/** What a device says of a lane: up to where it has passed it, and which ranges within it did not store. */
export interface LaneCursor {
  readonly lane: number
  readonly seq: number
  readonly notStored: readonly Range[]
}

/** How many ranges a device may have unsettled per lane. Past that the oldest two are merged, which can only hide a delivery. */
const rangesMax = 1_024
/** How many READs may wait per lane. What is more is not taken: the client repeats a READ until it is confirmed. */
const readsMax = 1_024

/**
 * A device has passed a lane: its cursor moves as far as `rows` go, the rest is left for later.
 * @returns how many rows it looked at
 */
export function pass(state: ShardState, reader: Reader, { lane, seq, notStored }: LaneCursor, rows: number): number {
  const { log, device } = reader
  const cursor = device.cursors[lane] as number
  const found = unsettledOf(device, lane)
  const said = found?.upTo ?? cursor
  const upTo = Math.min(seq, log.lanes[lane]?.head ?? 0)
  if (upTo <= said) return 0
  touch(state, reader)
  const ranges = rangesWithin(notStored, said, upTo)
  if (found !== undefined) {
    found.upTo = upTo
    found.notStored.push(...ranges)
    while (found.notStored.length > rangesMax) {
      const [first, second] = found.notStored.splice(0, 2) as [Range, Range]
      found.notStored.unshift({ from: first.from, to: second.to })
    }
    return 0
  }
  const looked = passSome(state, reader, { lane, upTo, notStored: ranges }, rows)
  const reached = device.cursors[lane] as number
  if (reached < upTo) leave(state, reader, { lane, upTo, notStored: rangesWithin(ranges, reached, upTo), reads: [] })
  return looked
}

function passSome(state: ShardState, reader: Reader, passage: Passage, rows: number): number {
  const { identity, log, user, member, device } = reader
  if (rows <= 0) return 0
  if (member === undefined) return passOwn(state, identity, log, device, passage, rows)
  return passGroup(state, identity, log, { identity: user, member, device }, passage, rows)
}

function unsettledOf(device: Device, lane: number): Unsettled | undefined {
  return device.unsettled.find((one) => one.lane === lane)
}

/** Leaves something for later. The device gets into the queue with the first. */
function leave(state: ShardState, reader: Reader, unsettled: Unsettled): void {
  reader.device.unsettled.push(unsettled)
  if (reader.device.unsettled.length === 1) queue(state, reader)
}

function queue(state: ShardState, { identity, user, device }: Reader): void {
  const meta = state.changeMeta()
  meta.queued += 1
  const row = { generation: 0, isOnDisk: false, place: 0, log: identity, user, device: device.id }
  state.unsettled.put(0, meta.queued, row)
}

/** Up to which of a sender's messages an app has read: by count; in a group by seq, of sender 0. */
interface Mark {
  readonly sender: number
  readonly count: number
}

/** An app has read up to a message, which its device must have passed. */
export function read(state: ShardState, reader: Reader, command: CommandOf<'read'>): void {
  const { device, member } = reader
  const { lane, seq } = command
  const unsettled = unsettledOf(device, lane)
  const said = unsettled?.upTo ?? (device.cursors[lane] as number)
  if (member === undefined && said < seq) return
  const mark = member === undefined ? { sender: command.sender, count: command.count } : { sender: 0, count: Math.min(seq, said) }
  touch(state, reader)
  if (unsettled !== undefined) return readLater(unsettled, mark)
  readSome(state, reader, lane, mark, state.pace.commandRows)
  if (!isRead(reader, lane, mark.count))
    leave(state, reader, { lane, upTo: said, notStored: [], reads: [{ ...mark, upTo: said }] })
}

/** A READ keeps its place among the ACKs: it counts what had been passed when it came. */
function readLater({ reads, upTo }: Unsettled, { sender, count }: Mark): void {
  const found = reads.find((one) => one.sender === sender && one.upTo === upTo)
  if (found !== undefined) found.count = Math.max(found.count, count)
  else if (reads.length < readsMax) reads.push({ sender, count, upTo })
}

/** Whether a member has read as far as it can have: to that seq, or to what is counted as delivered. A user's own log is read at once. */
function isRead({ member, device }: Reader, lane: number, seq: number): boolean {
  const done = member?.lanes[lane]
  return done === undefined || done.read >= Math.min(seq, done.delivered, device.cursors[lane] as number)
}

function readSome(state: ShardState, reader: Reader, lane: number, { sender, count }: Mark, rows: number): number {
  if (reader.member !== undefined) return readGroup(state, reader, reader.member, lane, count, rows)
  const { identity, user } = reader
  const contact = state.contacts.get(identity, sender)
  const marks = contact?.lanes[lane]
  if (contact === undefined || marks === undefined) return 1
  const mark = Math.min(count, marks.delivered)
  if (mark > marks.read) {
    state.contacts.touch(identity, sender, contact)
    marks.read = mark
    state.markMoved(contact, marks, identity, sender, lane)
  }
  state.effects.readMarks.push({ user, log: identity, lane, sender, mark: marks.read })
  return 1
}

function readGroup(state: ShardState, reader: Reader, member: MemberRow, lane: number, upTo: number, rows: number): number {
  const { identity: group, log, user, device } = reader
  const done = memberLane(member, lane)
  const start = Math.max(done.read, log.lanes[lane]?.sweptSeq ?? 0)
  const mark = Math.min(upTo, done.delivered, device.cursors[lane] as number, start + rows)
  for (let seq = start + 1; seq <= mark; seq++) {
    const entry = state.entries.get(group, entryKey(lane, seq))
    if (entry === undefined || entry.sender === user || isStubOver(state, entry)) continue
    if (isMissed(done, seq) || !mayRead(member, lane, seq)) continue
    state.entries.touch(group, entryKey(lane, seq), entry)
    entry.read += 1
    tellCounts(state, group, entry)
  }
  if (mark > done.read) done.read = mark
  state.effects.readMarks.push({ user, log: group, lane, sender: 0, mark: done.read })
  return Math.max(1, mark - start)
}

/** How many rows of one device are settled before it is the next one's turn. */
const turnRows = 250

/** Goes on with what devices have left, in turns, at most about as many rows as a record may. */
export function settle(state: ShardState): void {
  const { meta } = state
  for (let looked = 0; looked < state.pace.recordRows && meta.dequeued < meta.queued; ) {
    state.changeMeta()
    meta.dequeued += 1
    const row = state.unsettled.get(0, meta.dequeued) as UnsettledRow
    state.unsettled.delete(0, meta.dequeued)
    const reader = readerOf(state, row.log, row.user, row.device)
    looked += 1
    if (reader === undefined) continue
    touch(state, reader)
    looked += settleDevice(state, reader, Math.min(turnRows, state.pace.recordRows))
    if (reader.device.unsettled.length > 0) queue(state, reader)
  }
}

function settleDevice(state: ShardState, reader: Reader, rows: number): number {
  const { unsettled } = reader.device
  let looked = 0
  for (let next = unsettled[0]; next !== undefined && looked < rows; next = unsettled[0]) {
    looked += settleLane(state, reader, next, rows - looked)
    if (next.reads.length > 0 || next.upTo > (reader.device.cursors[next.lane] as number)) return looked
    unsettled.shift()
  }
  return looked
}

/** Passes up to where the next READ came, then reads; so on to the end, or as far as the rows go. */
function settleLane(state: ShardState, reader: Reader, next: Unsettled, rows: number): number {
  const { cursors } = reader.device
  const { lane } = next
  let looked = 0
  for (;;) {
    const mark = next.reads[0]
    const upTo = mark?.upTo ?? next.upTo
    looked += passSome(state, reader, { lane, upTo, notStored: next.notStored }, rows - looked)
    next.notStored = rangesWithin(next.notStored, cursors[lane] as number, next.upTo)
    // Where it was not reached, no rows are left.
    if (mark === undefined || looked >= rows) return looked
    looked += readSome(state, reader, lane, mark, rows - looked)
    if (isRead(reader, lane, mark.count)) next.reads.shift()
  }
}

/**
 * Sets the cursors of a device from HELLO, up or down: the device's own word is the truth. Lanes that it does not name begin where the
 * device began; one that lies beyond the log, or comes from another epoch, begins at the trim point. What is named above the
 * cursor and within the log is left for `pass`; what was said before and is named no longer, is forgotten.
 */
export function setCursors(log: LogRow, device: Device, cursors: readonly LaneCursor[], isSameEpoch: boolean): void {
  const named: number[] = []
  for (const { lane, seq } of cursors) named[lane] = seq
  for (let lane = 0; lane < laneCount; lane++) {
    const head = log.lanes[lane]?.head ?? 0
    const trim = log.lanes[lane]?.trim ?? 0
    const said = named[lane]
    const start = Math.min(device.starts[lane] as number, head)
    const before = device.cursors[lane] as number
    device.starts[lane] = start
    // What it said beyond, and stored all of, is settled when it says so again.
    const confirmed = Math.max(before, unsettledOf(device, lane)?.notStored.at(-1)?.to ?? 0)
    let kept = 0
    if (!isSameEpoch || (said !== undefined && said > head)) device.cursors[lane] = Math.max(trim, log.kind === 1 ? start : 0)
    else if (said === undefined) device.cursors[lane] = start
    else if (said < before) device.cursors[lane] = said
    else kept = said
    forgetBeyond(device, lane, kept)
    // What a device goes back to lies no longer before its start.
    device.starts[lane] = Math.min(start, device.cursors[lane] as number)
    if ((device.cursors[lane] as number) < before) confirm(device, lane, confirmed)
  }
  device.confirmed = device.confirmed.filter(({ lane, upTo }) => upTo > (device.cursors[lane] as number))
}

/** A device goes back, and had said what it stored up to there. */
function confirm(device: Device, lane: number, upTo: number): void {
  const found = device.confirmed.find((one) => one.lane === lane)
  if (found === undefined) device.confirmed.push({ lane, upTo })
  else found.upTo = Math.max(found.upTo, upTo)
}

/**
 * What HELLO says of a lane, without what the device had said before it went back: a copy of its store may have said it, and have been confirmed
 * that it did not store it, which the copy names no longer. What was said was counted then.
 */
export function unconfirmed(device: Device, cursor: LaneCursor): LaneCursor {
  const upTo = device.confirmed.find(({ lane }) => lane === cursor.lane)?.upTo ?? 0
  return upTo === 0
    ? cursor
    : { ...cursor, notStored: [{ from: 1, to: upTo }, ...rangesWithin(cursor.notStored, upTo, cursor.seq)] }
}

/** What a device has said of a lane ends there. */
function forgetBeyond(device: Device, lane: number, said: number): void {
  if (said === 0) device.unsettled = device.unsettled.filter((one) => one.lane !== lane)
  const unsettled = unsettledOf(device, lane)
  if (unsettled === undefined || unsettled.upTo <= said) return
  unsettled.notStored = rangesWithin(unsettled.notStored, 0, said)
  unsettled.reads = unsettled.reads.map((mark) => ({ ...mark, upTo: Math.min(mark.upTo, said) }))
  unsettled.upTo = said
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
  return last.to === null ? Number.POSITIVE_INFINITY : (last.to[lane] as number)
}
