import type { CodeName } from '@posthaste/protocol'
import {
  type Device,
  type Entry,
  type Key,
  laneCount,
  type Log,
  type Member,
  type Range,
  type ReferenceShard,
} from './shardModel.ts'

/** The rules for devices: what they may have of a log, and what follows from what they say of it. */

/** Up to where a device has passed a lane, and what of that it did not store. */
export interface Passed {
  readonly lane: number
  readonly seq: number
  readonly notStored: readonly Range[]
}

/** What a device gets for a seq that follows its cursor. */
export type Had = Entry | 'skip' | 'wait'

/** A device in a log. */
interface Reader {
  readonly log: Log
  readonly user: number
  readonly member: Member | undefined
  readonly device: Device
}

/** The device's place in a log. */
function readerOf(shard: ReferenceShard, identity: number, user: number, id: string): Reader | undefined {
  const log = shard.log(identity)
  if (log === undefined || log.removedMs !== undefined) return undefined
  const member = log.members.find((one) => one.user === user)
  const devices = identity === user ? log.devices : (member?.devices ?? [])
  const device = devices.find((one) => one.id === id)
  return device === undefined ? undefined : { log, user, member, device }
}

/** What a device of a user gets for a seq of a log. */
export function reading(shard: ReferenceShard, log: Log, lane: number, seq: number, user: number, id: string): Had {
  const entry = shard.lane(log, lane)[seq - 1]
  if (entry === undefined || log.removedMs !== undefined) return 'wait'
  const isOwn = entry.sender === user && entry.device === id
  const had = entry.isGone || entry.isClosed || isOwn ? 'skip' : entry
  if (log.kind === 0) return log.identity === user ? had : 'wait'
  const member = log.members.find((one) => one.user === user)
  if (member === undefined) return 'wait'
  if (!shard.mayRead(member, lane, seq)) {
    const isLater = shard.lane(log, lane).some((one) => one.seq > seq && shard.mayRead(member, lane, one.seq))
    return isLater ? 'skip' : 'wait'
  }
  const start = member.devices.find((one) => one.id === id)?.starts[lane] ?? 0
  return seq <= start ? 'skip' : had
}

/** A device connects: 0, or why not. Whoever has no slot gets one, at the trim point, if need be of who is longest unseen. */
export function connect(
  shard: ReferenceShard,
  log: Log,
  { id, session, cursors }: { readonly id: string; readonly session: number; readonly cursors: readonly Passed[] },
): CodeName | undefined {
  const { clockMs } = shard
  let device = log.devices.find((one) => one.id === id)
  const isNew = device === undefined
  if (device !== undefined && session <= device.session) return 'stale-session'
  if (device === undefined) {
    if (log.devices.length >= shard.settings.devicesPerUser) {
      const [unseen] = log.devices.filter(({ isOnline }) => !isOnline).sort((one, other) => one.seenMs - other.seenMs)
      if (unseen === undefined) return 'too-many-devices'
      log.devices = log.devices.filter((one) => one !== unseen)
      shard.sweep()
    }
    const starts = Array.from({ length: laneCount }, (_, lane) => shard.trimPoint(log, lane))
    device = { id, session, isOnline: true, seenMs: clockMs, cursors: [...starts], starts, confirmed: [] }
    log.devices.push(device)
  }
  Object.assign(device, { session, isOnline: true, seenMs: clockMs })
  hello(shard, { log, user: log.identity, member: undefined, device }, isNew ? cursors.map(unsure) : cursors)
  return undefined
}

/** A connected device begins to read a group's log; of its user's others only these are left. False when it may not. */
export function attach(
  shard: ReferenceShard,
  group: Log,
  user: number,
  said: {
    readonly id: string
    readonly session: number
    readonly cursors: readonly Passed[]
    readonly devices: readonly string[]
  },
): boolean {
  const member = group.members.find((one) => one.user === user)
  const found = member?.devices.find((one) => one.id === said.id)
  if (member === undefined || group.removedMs !== undefined || said.session < (found?.session ?? 0)) return false
  const { id, session } = said
  member.devices = member.devices.filter((one) => one.id === id || said.devices.includes(one.id))
  const starts = member.marks.map((mark, lane) => Math.max(mark, member.stays[0]?.from[lane] ?? 0))
  const device = found ?? { id, session, isOnline: true, seenMs: shard.clockMs, cursors: [...starts], starts, confirmed: [] }
  if (found === undefined) member.devices.push(device)
  device.session = session
  hello(shard, { log: group, user, member, device }, found === undefined ? said.cursors.map(unsure) : said.cursors)
  return true
}

/** What a device passed before it lost its slot: nobody knows any more what of it was not stored. */
function unsure({ lane, seq }: Passed): Passed {
  return { lane, seq, notStored: [{ from: 1, to: seq }] }
}

/** The device's own cursors are the truth. Lanes that it does not name begin where it began. */
function hello(shard: ReferenceShard, reader: Reader, cursors: readonly Passed[]): void {
  const { device } = reader
  for (let lane = 0; lane < laneCount; lane++) {
    const said = cursors.find((one) => one.lane === lane)
    const before = device.cursors[lane] ?? 0
    const start = device.starts[lane] ?? 0
    if (said === undefined) device.cursors[lane] = start
    else if (said.seq < before) device.cursors[lane] = said.seq
    const cursor = device.cursors[lane] ?? 0
    device.starts[lane] = Math.min(start, cursor)
    const confirmed = Math.max(device.confirmed[lane] ?? 0, cursor < before ? before : 0)
    device.confirmed[lane] = confirmed > cursor ? confirmed : 0
  }
  for (const passed of cursors) pass(shard, reader, unsaid(passed, device.confirmed[passed.lane] ?? 0))
}

/** What a device had said before it went back was counted then, and a copy of its store does not know what of it was not stored. */
function unsaid({ lane, seq, notStored }: Passed, upTo: number): Passed {
  return { lane, seq, notStored: [{ from: 1, to: upTo }, ...notStored.filter(({ to }) => to > upTo)] }
}

/** An ACK: false when it is of a session that is not this device's present one. */
export function ack(
  shard: ReferenceShard,
  said: { readonly log: number; readonly user: number; readonly device: string; readonly session: number } & Passed,
): boolean {
  const reader = readerOf(shard, said.log, said.user, said.device)
  if (reader === undefined || reader.device.session !== said.session) return false
  pass(shard, reader, said)
  return true
}

function pass(shard: ReferenceShard, reader: Reader, { lane, seq, notStored }: Passed): void {
  const { log, member, device } = reader
  const cursor = device.cursors[lane] ?? 0
  if (seq <= cursor) return
  for (const entry of shard.lane(log, lane)) {
    if (entry.seq <= cursor || entry.seq > seq) continue
    const isStored = !notStored.some(({ from, to }) => entry.seq >= from && entry.seq <= to)
    if (member !== undefined && isStored) member.marks[lane] = Math.max(member.marks[lane] ?? 0, entry.seq)
    if (isStored) store(shard, reader, entry)
    else if (member === undefined && entry.storedBy.length === 0) entry.isHole = true
  }
  device.cursors[lane] = seq
  shard.dropOldest(log)
}

function store(shard: ReferenceShard, { log, user, member }: Reader, entry: Entry): void {
  const isTooLate = entry.isClosed && entry.deadlineMs + 86_400_000 <= shard.clockMs
  if (isTooLate || entry.storedBy.includes(user) || entry.isEcho) return
  if (member === undefined) {
    // What is gone can't be confirmed; in a group's log it can while its key lives.
    if (entry.isGone) return
    settleFinal(shard, log, entry)
  } else {
    if (entry.sender === user || !shard.mayRead(member, entry.lane, entry.seq)) return
    if (entry.isGone && entry.isClosed && entry.id === 0n) return
    if (entry.storedBy.length === 0 && shard.clockMs >= entry.deadlineMs) entry.isHole = true
  }
  entry.storedBy.push(user)
}

/** What may not be told as delivered stays what was told of it. */
function settleFinal(shard: ReferenceShard, log: Log, entry: Entry): void {
  const isTold = entry.receipts && !log.blocked.includes(entry.sender)
  if (isTold) entry.isHole = false
  else if (shard.clockMs >= entry.deadlineMs) entry.final = 'expired'
  else if (entry.isHole) entry.final = 'sent'
}

/** An app has read up to an entry that its device has passed; gives the mark, undefined when nothing is taken. */
export function read(
  shard: ReferenceShard,
  said: { readonly log: number; readonly user: number; readonly device: string; readonly session: number },
  lane: number,
  seq: number,
): { readonly sender: number; readonly mark: number } | undefined {
  const reader = readerOf(shard, said.log, said.user, said.device)
  if (reader === undefined || reader.device.session !== said.session) return undefined
  const { log, member, device } = reader
  const cursor = device.cursors[lane] ?? 0
  if (member !== undefined) {
    const mark = Math.min(seq, cursor, member.marks[lane] ?? 0)
    member.reads[lane] = Math.max(member.reads[lane] ?? 0, mark)
    return { sender: 0, mark: member.reads[lane] ?? 0 }
  }
  const entry = shard.lane(log, lane)[seq - 1]
  if (entry === undefined || cursor < seq) return undefined
  const { sender } = entry
  const mine = shard.lane(log, lane).filter((one) => one.sender === sender && !one.isEcho)
  const stored = mine.filter((one) => one.storedBy.length > 0).map(({ count }) => count)
  const found = log.readMarks.find((one) => one.sender === sender && one.lane === lane)
  const mark = found ?? { sender, lane, count: 0 }
  if (found === undefined) log.readMarks.push(mark)
  mark.count = Math.max(mark.count, Math.min(entry.count, Math.max(0, ...stored)))
  return { sender, mark: mark.count }
}

/** How each member stands with a message, by name; undefined when nobody can say. */
export function receipts(shard: ReferenceShard, log: Log, key: Key): { readonly user: string; readonly status: CodeName }[] {
  const { entry } = key
  if (entry === undefined) return []
  const readers = log.members.filter((member) => member.roles !== 0 && shard.mayRead(member, entry.lane, entry.seq))
  const others = readers.filter(({ user }) => user !== entry.sender).sort((one, other) => (one.name < other.name ? -1 : 1))
  return others.map(({ user, name, reads }) => {
    const isStored = entry.storedBy.includes(user)
    const isRead = isStored && (reads[entry.lane] ?? 0) >= entry.seq
    const unstored = shard.clockMs >= entry.deadlineMs ? 'expired' : 'sent'
    return { user: name, status: isRead ? 'read' : isStored ? 'delivered' : unstored }
  })
}
