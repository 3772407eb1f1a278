import { limits } from '@posthaste/protocol'
import { Generations, type Row } from '../rows/generation.ts'
import {
  keyGraceMs,
  type AddressRow,
  type ContactLane,
  type ContactRow,
  type Device,
  type DueRow,
  defaultSettings,
  type EntryRow,
  type ForwardRow,
  type KeyRow,
  type Lane,
  type LogRow,
  laneCount,
  type MemberLane,
  type MemberNameRow,
  type MemberRow,
  type MembershipRow,
  type MetaRow,
  rowCodecs,
  type SenderRow,
  type Settings,
  type SourceRow,
  type TraceRow,
  type UnsettledRow,
} from '../rows/rows.ts'
import { KeyTable } from '../rows/keyTable.ts'
import { type RowCodec, Table } from '../rows/table.ts'
import type { Tables } from '../ports.ts'
import { type Effects, noEffects } from './effects.ts'
import { DueHeap } from './due.ts'

/** How far a deadline may lie beyond the longest expiry: room for clocks that differ. */
export const deadlineSlackMs = 3_600_000

/** How many rows of what devices say is settled at once: by one command, and of what is left by one record. Part of the logic, but for tests. */
export interface Pace {
  readonly commandRows: number
  readonly recordRows: number
}

/**
 * A command may settle as much as a session's window holds, so that what is acknowledged in good order never waits. 1,000 rows take
 * a record some 3 ms.
 */
const defaultPace: Pace = { commandRows: 256, recordRows: 1_000 }

/** A shard's rows, and the effects of the record that is being applied. */
export class ShardState {
  readonly index: number
  readonly shards: number
  readonly pace: Pace
  readonly generations: Generations
  readonly addresses: Table<AddressRow, string>
  readonly logs: Table<LogRow, number>
  readonly contacts: Table<ContactRow, number>
  readonly keys: KeyTable
  readonly entries: Table<EntryRow, number>
  readonly members: Table<MemberRow, number>
  readonly memberNames: Table<MemberNameRow, string>
  readonly memberships: Table<MembershipRow, number>
  readonly due: Table<DueRow, number>
  readonly senders: Table<SenderRow, number>
  readonly forwards: Table<ForwardRow, number>
  readonly sources: Table<SourceRow, number>
  /** Of users whose identity has ended: from which log on they may still have something. It only spares looking. */
  readonly endedTo = new Map<number, number>()
  readonly traces: Table<TraceRow, number>
  readonly unsettled: Table<UnsettledRow, number>
  readonly metas: Table<MetaRow, number>
  readonly dueHeap: DueHeap
  effects: Effects = noEffects()
  /** Whether there is somebody to tell. Not in a replay: what each message causes is left out then, all else is forgotten after the record. */
  isHeard = true
  /** Rows of entries that are gone, to be used again. */
  readonly spareEntries: EntryRow[] = []
  /** Contact lanes whose marks moved in this record: told once, at its end. */
  readonly movedMarks: { contact: ContactRow; marks: ContactLane; lane: number; log: number; sender: number }[] = []
  readonly #movedSet = new Set<ContactLane>()
  /** Logs with something live in this record: a bit for each lane. */
  readonly #live = new Map<number, number>()
  /** Held for good, so that no command looks it up: its table only writes it. */
  #meta: MetaRow | null = null

  constructor(index: number, shards: number, tables: Tables, pace = defaultPace) {
    this.index = index
    this.shards = shards
    this.pace = pace
    const generations = new Generations(tables)
    this.generations = generations
    const numbered = <R extends Row>(table: number, codec: RowCodec<R>): Table<R, number> =>
      new Table(generations, table, 'number', codec)
    const named = <R extends Row>(table: number, codec: RowCodec<R>): Table<R, string> =>
      new Table(generations, table, 'name', codec)
    this.metas = numbered(1, rowCodecs.meta)
    this.addresses = named(2, rowCodecs.address)
    this.logs = numbered(3, rowCodecs.log)
    this.contacts = numbered(4, rowCodecs.contact)
    this.keys = new KeyTable(generations)
    this.entries = numbered(entryTable, rowCodecs.entry)
    this.members = numbered(7, rowCodecs.member)
    this.memberNames = named(8, rowCodecs.memberName)
    this.memberships = numbered(9, rowCodecs.membership)
    this.due = numbered(10, rowCodecs.due)
    this.senders = numbered(11, rowCodecs.sender)
    this.forwards = numbered(12, rowCodecs.forward)
    this.sources = numbered(13, rowCodecs.source)
    this.traces = numbered(14, rowCodecs.trace)
    this.unsettled = numbered(15, rowCodecs.unsettled)
    this.dueHeap = new DueHeap(this.due)
  }

  /** The row of the shard as a whole; made at the first use. */
  get meta(): MetaRow {
    this.#meta ??= this.metas.get(0, 0) ?? this.#newMeta()
    return this.#meta
  }

  #newMeta(): MetaRow {
    return this.metas.put(0, 0, {
      generation: 0,
      isOnDisk: false,
      place: 0,
      position: 0,
      epoch: 0,
      clockMs: 0,
      incarnation: 0,
      began: [],
      recordNumber: 0,
      identities: 0,
      contacts: 0,
      shards: this.shards,
      forwarded: new Array<number>(this.shards).fill(0),
      acknowledged: new Array<number>(this.shards).fill(0),
      queued: 0,
      dequeued: 0,
      settings: { ...defaultSettings },
    })
  }

  get clockMs(): number {
    return this.meta.clockMs
  }

  get settings(): Settings {
    return this.meta.settings
  }

  /** The row of the shard as a whole, to be changed. */
  changeMeta(): MetaRow {
    const meta = this.meta
    this.metas.touch(0, 0, meta)
    return meta
  }

  changeLog(identity: number, log: LogRow): LogRow {
    this.logs.touch(0, identity, log)
    return log
  }

  log(identity: number): LogRow | undefined {
    return this.logs.get(0, identity)
  }

  /** The lane of a log that is being changed; made at its first use. */
  laneOf(log: LogRow, lane: number): Lane {
    const found = log.lanes[lane]
    if (found !== undefined) return found
    const made: Lane = { head: 0, trim: 0, dueMs: 0, scanSeq: 0, scanDueMs: 0, restMs: 0, droppedSeq: 0, sweptSeq: 0 }
    log.lanes[lane] = made
    return made
  }

  /** A sender's standing with a log; made at its first use. */
  contact(log: number, sender: number, senderName: string): ContactRow {
    const found = this.contacts.get(log, sender)
    if (found !== undefined) return found
    this.trace(sender, log)
    const meta = this.changeMeta()
    meta.contacts += 1
    return this.contacts.put(log, sender, {
      generation: 0,
      isOnDisk: false,
      place: 0,
      number: meta.contacts,
      senderName,
      isBlocked: false,
      waiting: 0,
      waitingBytes: 0,
      highestId: 0n,
      lanes: new Array<ContactLane | undefined>(laneCount).fill(undefined),
    })
  }

  /** Notes that a user has rows in a log. */
  trace(user: number, log: number): void {
    if (this.traces.get(user, log) !== undefined) return
    const endedTo = this.endedTo.get(user)
    if (endedTo !== undefined && log < endedTo) this.endedTo.set(user, log)
    this.traces.put(user, log, { generation: 0, isOnDisk: false, place: 0, isTrace: true })
  }

  /** A new identity: never used before, in no epoch; its remainder by the number of shards is this shard. */
  newIdentity(): number {
    const meta = this.changeMeta()
    meta.identities += 1
    return meta.epoch * epochIdentities + meta.identities * this.shards + this.index
  }

  /** Notes that a mark moved, to tell its sender, unless it is blocked, once at the end of the record. */
  markMoved(contact: ContactRow, marks: ContactLane, log: number, sender: number, lane: number): void {
    if (!this.isHeard || contact.isBlocked || this.#movedSet.has(marks)) return
    this.#movedSet.add(marks)
    this.movedMarks.push({ contact, marks, lane, log, sender })
  }

  /** There is something new in a lane, or something to pass: told once a record, however much it is. */
  tellLive(log: number, lane: number): void {
    if (!this.isHeard) return
    const told = this.#live.get(log) ?? 0
    if ((told & (1 << lane)) !== 0) return
    this.#live.set(log, told | (1 << lane))
    this.effects.live.push({ log, lane })
  }

  /** Takes the effects gathered so far. */
  takeEffects(): Effects {
    for (const { contact, marks, lane, log, sender } of this.movedMarks) {
      // Blocked later in this record: the marks as they were then.
      const delivered = contact.isBlocked ? marks.shownDelivered : marks.delivered
      const read = contact.isBlocked ? marks.shownRead : marks.read
      this.effects.marks.push({ sender, log, lane, delivered, read })
    }
    this.movedMarks.length = 0
    this.#movedSet.clear()
    this.#live.clear()
    const effects = this.effects
    this.effects = noEffects()
    return effects
  }

  reply(origin: { readonly tag: number; readonly ref: number }, code: number, value = 0, isNew = false): void {
    if (origin.tag !== 0) this.effects.replies.push({ tag: origin.tag, ref: origin.ref, code, value, isNew })
  }
}

/** How many identities an epoch has. */
const epochIdentities = 0x100_0000_0000

const entryTable = 6

/** Which shard a name's log lives in: FNV-1a over its UTF-16 units, and its kind. Fixed for ever: logs can't move. */
export function shardOfName(kind: 0 | 1, name: string, shards: number): number {
  if (shards === 1) return 0
  let hash = 0x811c9dc5 ^ kind
  for (let at = 0; at < name.length; at++) hash = Math.imul(hash ^ name.charCodeAt(at), 0x01000193)
  return (hash >>> 0) % shards
}

/** Which shard an identity's log lives in. */
export function shardOfIdentity(identity: number, shards: number): number {
  return shards === 1 ? 0 : (identity % epochIdentities) % shards
}

/** When a deleted log is as if it had never been: no key of its messages, or of its user's, lives any more. */
export function endMs(log: LogRow): number {
  // The limit may have been higher when they were made.
  return log.removedMs + limits.expirySeconds * 1_000 + deadlineSlackMs + keyGraceMs
}

/**
 * The key of this id, while it lives: past its time it counts as absent, whether it was swept or not.
 * @param nowMs in a query, the host's clock: an idle shard's stands still
 */
export function livingKey(state: ShardState, contact: ContactRow, id: bigint, nowMs = 0): KeyRow | undefined {
  const key = state.keys.get(contact.number, id)
  return key !== undefined && Math.max(state.clockMs, nowMs) < key.deadlineMs + keyGraceMs ? key : undefined
}

/** When a device was last connected, as far as is known; the present for one that is. In ms. */
export function seenMs(state: ShardState, device: Device): number {
  const { incarnation, began, clockMs } = state.meta
  if (device.incarnation === incarnation) return clockMs
  if (device.incarnation === 0) return device.seenMs
  for (const next of began) if (next.incarnation > device.incarnation) return Math.max(device.seenMs, next.beganMs)
  return device.seenMs
}

/** A device's new place in a log. */
export function newDevice(id: string, session: number, incarnation: number, seenMs: number, starts: number[]): Device {
  return { id, session, incarnation, seenMs, cursors: [...starts], starts, unsettled: [], confirmed: [] }
}

/** The place of a device in a list, -1 when it has none. */
export function deviceIndex(devices: readonly Device[], id: string): number {
  return devices.findIndex((device) => device.id === id)
}

/** Sixteen times this number. */
export function perLane(value: number): number[] {
  return new Array<number>(laneCount).fill(value)
}

/** A member's marks in a lane; made at their first use. The member must be touched. */
export function memberLane(member: MemberRow, lane: number): MemberLane {
  const found = member.lanes[lane]
  if (found !== undefined) return found
  const made: MemberLane = { delivered: 0, read: 0, missed: [] }
  member.lanes[lane] = made
  return made
}
