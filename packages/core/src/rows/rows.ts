import { fail, limits } from '@posthaste/protocol'
import * as schema from '@posthaste/protocol/schema'
import { entryCodec } from './entryRow.ts'
import type { Row } from './generation.ts'
import type { RowCodec } from './table.ts'

export type { EntryRow } from './entryRow.ts'

/** The rows of a shard: plain objects in memory, arrays of MessagePack at a checkpoint. */

export const laneCount = limits.priorityMax + 1

/** The name of a user or group. `identity` 0: it was deleted. */
export interface AddressRow extends Row {
  identity: number
  /** Identities that this name had before and whose keys may still live. */
  past: number[]
  /** Tokens issued at or before this time are revoked, in ms. */
  validAfterMs: number
}

/** One lane of a log. */
export interface Lane {
  /** The last seq given. */
  head: number
  /** Everything up to here is gone. */
  trim: number
  /** No entry that is still open has an earlier deadline than this; Infinity is stored as 0. */
  dueMs: number
  /** Where the search for what is due goes on, 0 when none is under way, and the earliest deadline that it has passed. */
  scanSeq: number
  scanDueMs: number
  /** Not searched again before this time: a long search is followed by a rest, so that many short deadlines cost no more than few. */
  restMs: number
  /** Up to here no entry that a device has stored has a body: where the search for the oldest to drop goes on. */
  droppedSeq: number
  /** Groups: up to here even the stubs are gone. */
  sweptSeq: number
}

/** Seqs of a lane, both ends included. */
export interface Range {
  readonly from: number
  readonly to: number
}

/**
 * What a device has said of a lane beyond its cursor, and the shard has yet to draw the consequences of (`settling.ts`): passed up to
 * `upTo`, all stored but these ranges, which are in order; and, when it had passed the lane up to some seq, read up to a sender's count.
 */
export interface Unsettled {
  readonly lane: number
  upTo: number
  notStored: Range[]
  reads: UnsettledRead[]
}

/** In a group's log the sender is 0 and the count a seq. */
export interface UnsettledRead {
  readonly sender: number
  count: number
  readonly upTo: number
}

/** A device's place in a log. */
export interface Device {
  /** 32 hexadecimal digits. */
  readonly id: string
  session: number
  /** The server incarnation that it is connected to, 0 when it is offline. */
  incarnation: number
  seenMs: number
  /** Per lane: the last seq passed, and the seq after which it began. */
  cursors: number[]
  starts: number[]
  /** At most one per lane; most often none. Whoever has some is in the queue. */
  unsettled: Unsettled[]
  /** Lanes in which it went back: up to where it had said before what it stored. Most often none. */
  confirmed: Confirmed[]
}

/** What a device had said of a lane before it went back. */
export interface Confirmed {
  readonly lane: number
  upTo: number
}

/** A user's or group's log. */
export interface LogRow extends Row {
  kind: 0 | 1
  name: string
  lanes: (Lane | undefined)[]
  /** Entries, and their bytes, that no device has stored. */
  waiting: number
  waitingBytes: number
  /** Entries with a body, and their bytes. */
  kept: number
  keptBytes: number
  /** Echoes within `kept`. */
  echoes: number
  echoBytes: number
  dueMs: number
  /** A user's devices. */
  devices: Device[]
  /** A user's groups or a group's members, and a group's members with the right to receive. */
  members: number
  receivers: number
  /** The day, since the epoch, on which a user last made groups, and how many. */
  madeDay: number
  madeGroups: number
  removedMs: number
  /** How far the end of a deleted log has come, and at which key it goes on (`ending.ts`). */
  ending: number
  endingAt: number
}

/** What one sender has in one lane of a log. */
export interface ContactLane {
  count: number
  delivered: number
  read: number
  /** What a blocked sender is told: the marks at the time of the block. */
  shownDelivered: number
  shownRead: number
}

/** A sender's standing with a log. */
export interface ContactRow extends Row {
  /** The first part of the keys of this pair. */
  readonly number: number
  readonly senderName: string
  isBlocked: boolean
  waiting: number
  waitingBytes: number
  highestId: bigint
  lanes: (ContactLane | undefined)[]
}

/** A key outlives its message's deadline by this. */
export const keyGraceMs = 86_400_000
/** How many bytes the hash of a message's content has. */
export const hashBytes = 16

/** What a key says beside its hash. 0 accepted: the marks speak; 1 hole: not stored, and passed by a mark; else the number of the status for good. */
export interface KeyRow {
  /** Of the content, a character for each byte. */
  readonly hash: string
  readonly verdict: number
  readonly lane: number
  readonly seq: number
  readonly count: number
  readonly timeMs: number
  readonly deadlineMs: number
  readonly receipts: boolean
}

/** The verdict of a key whose message is in the log: the marks speak. */
export const keyAccepted = 0
/** The verdict of a key whose message nobody has stored, and which a mark has passed or may pass. In a group: nobody had at the deadline. */
export const keyHole = 1
/** The verdict of a hole that a device filled when its sender might not be told so any more: it stays *sent*, whose number this is. */
export const keySent = 2

/** A stay in a group, per lane: seqs above `from`, up to `to`. */
export interface Stay {
  from: number[]
  to: number[] | null
}

/** Seqs that no device of a member has stored. One that stands for several, with stored ones between, is `isVague`: never counted again. */
export interface Missed {
  readonly from: number
  readonly to: number
  readonly isVague: boolean
}

/** What a member has done in a lane of a group's log. */
export interface MemberLane {
  delivered: number
  read: number
  /** Ranges below `delivered` that were not stored. */
  missed: Missed[]
}

/** A member of a group, and whoever was one: its rights, its stays, its devices' places in the log. */
export interface MemberRow extends Row {
  readonly name: string
  /** 0 after leaving. */
  roles: number
  stays: Stay[]
  lanes: (MemberLane | undefined)[]
  devices: Device[]
}

/** A member by name, for pages in byte order. */
export interface MemberNameRow extends Row {
  identity: number
}

/** A user's membership of a group, beside the user. */
export interface MembershipRow extends Row {
  name: string
  roles: number
}

/** That a user has a contact or member row in a log: how those are found when the user's identity ends. */
export interface TraceRow extends Row {
  readonly isTrace: boolean
}

/** A log with something due: ordered by deadline. */
export interface DueRow extends Row {
  readonly isDue: boolean
}

/** A sender's living keys, counted per day on which they end. */
export interface SenderRow extends Row {
  days: { day: number; count: number }[]
}

/** A command on its way to another shard. */
export interface ForwardRow extends Row {
  bytes: Uint8Array
}

/** A device that has said more in a log than the shard has settled; `user` is the log's, or a member. */
export interface UnsettledRow extends Row {
  readonly log: number
  readonly user: number
  readonly device: string
}

/** How far another shard's forwarded commands have been applied. */
export interface SourceRow extends Row {
  epoch: number
  number: number
}

/** The limits that `apply` consults. Changed only by a record. */
export interface Settings {
  bodyBytes: number
  expirySecondsMax: number
  devicesPerUser: number
  deviceDays: number
  inboxEntries: number
  inboxBytes: number
  groupEntries: number
  groupBytes: number
  groupsPerUser: number
  membersPerGroup: number
  usersMayCreateGroups: boolean
}

/** The settings of a new shard. */
export const defaultSettings: Settings = {
  bodyBytes: 65_536,
  expirySecondsMax: limits.expirySeconds,
  devicesPerUser: 8,
  deviceDays: 30,
  inboxEntries: 10_000,
  inboxBytes: 67_108_864,
  groupEntries: 100_000,
  groupBytes: 1_073_741_824,
  groupsPerUser: 1_000,
  membersPerGroup: 100_000,
  usersMayCreateGroups: true,
}

/** What a shard is as a whole. */
export interface MetaRow extends Row {
  position: number
  epoch: number
  clockMs: number
  /** The server incarnation that writes, and the number of its last record. */
  incarnation: number
  /** When the latest incarnations began, this one last: what was connected to one was seen no later than the next began. */
  began: { incarnation: number; beganMs: number }[]
  recordNumber: number
  identities: number
  contacts: number
  shards: number
  /** Per target shard: the last number given to a forwarded command, and the last acknowledged. */
  forwarded: number[]
  acknowledged: number[]
  /** The last numbers given to, and taken from, the queue of devices with something unsettled. */
  queued: number
  dequeued: number
  settings: Settings
}

const { bool, bin, list, octets, optional, str, tuple, u64, uint } = schema
const number = uint(limits.numberMax)
const name = str(limits.addressBytes)
const big = 1_000_000
const numbers = list(number, big) as schema.Field<number[]>

/** A number for each lane: there must be sixteen, since whoever reads one by its lane counts on it. */
const laneNumbers: schema.Field<number[]> = {
  write: numbers.write,
  read: (reader, field) => {
    const value = numbers.read(reader, field)
    return value.length === laneCount ? value : fail('out-of-range', field, `${laneCount} numbers, one for each lane`)
  },
}

type Data<R> = { readonly [P in keyof Omit<R, 'generation' | 'isOnDisk' | 'place'>]: schema.Field<R[P]> }

function row<R extends Row>(fields: Data<R>): schema.Field<R> {
  const data = tuple(fields as unknown as Record<string, schema.Field<unknown>>) as schema.Field<unknown>
  return {
    write: (writer, value) => data.write(writer, value),
    read: (reader, field) => {
      const value = data.read(reader, field) as R
      value.generation = 0
      value.isOnDisk = true
      value.place = 0
      return value
    },
  }
}

/** The form of all rows. Tables of another one are refused: the row of the shard as a whole, which is read first, says it. */
export const rowsVersion = 3

function versioned<R extends Row>(fields: Data<R>): schema.Field<R> {
  const data = row(fields)
  return {
    write: (writer, value) => {
      writer.uint(rowsVersion)
      data.write(writer, value)
    },
    read: (reader, field) =>
      reader.uint(field, limits.numberMax) === rowsVersion
        ? data.read(reader, field)
        : fail('out-of-range', field, `version ${rowsVersion} is expected`),
  }
}

/** An array by lane of which most are not used. */
function byLane<T>(element: schema.Field<T>): schema.Field<(T | undefined)[]> {
  const pairs = list(tuple({ lane: uint(limits.priorityMax), value: element }), laneCount)
  return {
    write: (writer, value) => {
      const used: { lane: number; value: T }[] = []
      for (let lane = 0; lane < laneCount; lane++) {
        const item = value[lane]
        if (item !== undefined) used.push({ lane, value: item })
      }
      pairs.write(writer, used)
    },
    read: (reader, field) => {
      const value: (T | undefined)[] = new Array(laneCount).fill(undefined)
      for (const { lane, value: item } of pairs.read(reader, field)) value[lane] = item
      return value
    },
  }
}

const missed = tuple({ from: number, to: number, isVague: bool })
const unsettled = tuple({
  lane: uint(limits.priorityMax),
  upTo: number,
  notStored: list(tuple({ from: number, to: number }), big),
  reads: list(tuple({ sender: number, count: number, upTo: number }), big),
}) as unknown as schema.Field<Unsettled>
const device: schema.Field<Device> = tuple({
  id: str(32),
  session: number,
  incarnation: number,
  seenMs: number,
  cursors: laneNumbers,
  starts: laneNumbers,
  unsettled: list(unsettled, laneCount) as schema.Field<Unsettled[]>,
  confirmed: list(tuple({ lane: number, upTo: number }), laneCount) as schema.Field<Confirmed[]>,
})
const devices = list(device, 255) as schema.Field<Device[]>
const kind: schema.Field<0 | 1> = schema.kind
const lane: schema.Field<Lane> = tuple({
  head: number,
  trim: number,
  dueMs: number,
  scanSeq: number,
  scanDueMs: number,
  restMs: number,
  droppedSeq: number,
  sweptSeq: number,
})
const settings: schema.Field<Settings> = tuple({
  bodyBytes: number,
  expirySecondsMax: number,
  devicesPerUser: number,
  deviceDays: number,
  inboxEntries: number,
  inboxBytes: number,
  groupEntries: number,
  groupBytes: number,
  groupsPerUser: number,
  membersPerGroup: number,
  usersMayCreateGroups: bool,
})

/** The codec of each table's rows. */
export const rowCodecs = {
  address: row<AddressRow>({ identity: number, past: numbers, validAfterMs: number }),
  log: row<LogRow>({
    kind,
    name,
    lanes: byLane(lane),
    waiting: number,
    waitingBytes: number,
    kept: number,
    keptBytes: number,
    echoes: number,
    echoBytes: number,
    dueMs: number,
    devices,
    members: number,
    receivers: number,
    madeDay: number,
    madeGroups: number,
    removedMs: number,
    ending: number,
    endingAt: number,
  }),
  contact: row<ContactRow>({
    number,
    senderName: name,
    isBlocked: bool,
    waiting: number,
    waitingBytes: number,
    highestId: u64,
    lanes: byLane<ContactLane>(
      tuple({ count: number, delivered: number, read: number, shownDelivered: number, shownRead: number }),
    ),
  }),
  key: tuple({
    hash: octets(hashBytes),
    verdict: number,
    lane: number,
    seq: number,
    count: number,
    timeMs: number,
    deadlineMs: number,
    receipts: bool,
  }),
  entry: entryCodec,
  member: row<MemberRow>({
    name,
    roles: number,
    stays: list(tuple({ from: laneNumbers, to: optional(laneNumbers) }), big) as schema.Field<Stay[]>,
    lanes: byLane<MemberLane>(tuple({ delivered: number, read: number, missed: list(missed, big) as schema.Field<Missed[]> })),
    devices,
  }),
  memberName: row<MemberNameRow>({ identity: number }),
  membership: row<MembershipRow>({ name, roles: number }),
  trace: row<TraceRow>({ isTrace: bool }),
  due: row<DueRow>({ isDue: bool }),
  sender: row<SenderRow>({
    days: list(tuple({ day: number, count: number }), big) as schema.Field<{ day: number; count: number }[]>,
  }),
  forward: {
    ...row<ForwardRow>({ bytes: bin(0, 2_097_152) }),
    keep: (row) => {
      row.bytes = row.bytes.slice()
    },
  } satisfies RowCodec<ForwardRow>,
  source: row<SourceRow>({ epoch: number, number }),
  unsettled: row<UnsettledRow>({ log: number, user: number, device: str(32) }),
  meta: versioned<MetaRow>({
    position: number,
    epoch: number,
    clockMs: number,
    incarnation: number,
    began: list(tuple({ incarnation: number, beganMs: number }), big) as schema.Field<MetaRow['began']>,
    recordNumber: number,
    identities: number,
    contacts: number,
    shards: number,
    forwarded: numbers,
    acknowledged: numbers,
    queued: number,
    dequeued: number,
    settings,
  }),
}

/** The key of an entry within its log: seq (below 2^48), then lane. In this order most are small integers, which maps look up fastest. */
export function entryKey(lane: number, seq: number): number {
  return seq * laneCount + lane
}
