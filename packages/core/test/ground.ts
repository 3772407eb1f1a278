import { codeByNumber } from '@posthaste/protocol'
import { type Effects, MemoryTables, Shard } from '../src/index.ts'
import { type EntryRow, entryKey, hashBytes, type MemberLane } from '../src/rows/rows.ts'
import type { Command } from '../src/shard/commands.ts'
import { readerOf } from '../src/shard/settling.ts'
import type { Pace } from '../src/shard/state.ts'
import { messageState } from '../src/shard/status.ts'
import { dayMs } from './client.ts'
import { dump, startMs } from './harness.ts'

export const origin = { tag: 0, ref: 0 }
/** Whose results and replies are told. */
const asked = { tag: 1, ref: 1 }

/** Seqs of a lane, both ends included. */
export type Span = readonly [number, number]

/** A message as a test sends it. */
export interface Draft {
  readonly id?: number
  readonly lane?: number
  readonly deadlineMs?: number
  readonly receipts?: boolean
  readonly bodyBytes?: number
}

/** A shard that a test gives records, one after the other. Names that begin with # are groups'; devices are numbers. */
export class Ground {
  readonly tables = new MemoryTables()
  readonly shard: Shard
  clockMs = startMs
  #number = 0
  #session = 0

  constructor({ pace, shards = 1 }: { readonly pace?: Pace; readonly shards?: number } = {}) {
    this.shard = new Shard(0, shards, this.tables, pace)
    this.apply({ kind: 'begin', incarnation: 1, epoch: 1, shards })
  }

  get state(): Shard['state'] {
    return this.shard.state
  }

  /** Applies one record. */
  apply(...commands: readonly Command[]): Effects {
    this.#number += 1
    return this.shard.apply(this.#number, { clockMs: this.clockMs, incarnation: 1, number: this.#number, commands })
  }

  /** The records before stay, but nobody hears of this one. */
  replay(...commands: readonly Command[]): void {
    this.#number += 1
    this.shard.replay(this.#number, { clockMs: this.clockMs, incarnation: 1, number: this.#number, commands })
  }

  /** Lets time pass, and applies a record without commands. */
  pass(ms: number): Effects {
    this.clockMs += ms
    return this.apply()
  }

  /** Applies records without commands until nothing is left to do at this time; gives how many. */
  settle(): number {
    for (let records = 0; records < 10_000; records++) {
      if ((this.shard.nextDueMs() ?? Number.POSITIVE_INFINITY) > this.clockMs) return records
      this.apply()
    }
    throw new Error('the shard never settles')
  }

  log(name: string): number {
    const kind = name.startsWith('#') ? 1 : 0
    return this.state.addresses.get(kind, name.replace('#', ''))?.identity ?? 0
  }

  users(...names: readonly string[]): number[] {
    for (const user of names) this.apply({ kind: 'userCreate', ...origin, user })
    return names.map((name) => this.log(name))
  }

  /** Makes a group with these members, who may all send and receive. */
  group(name: string, ...users: readonly string[]): number {
    this.apply({ kind: 'groupCreate', ...origin, group: name.replace('#', ''), by: 0, byName: '' })
    for (const user of users) this.member(name, user, 3)
    return this.log(name)
  }

  member(name: string, user: string, roles: number): Effects {
    return this.apply({ kind: 'memberSet', ...asked, group: name.replace('#', ''), user, roles, by: 0 })
  }

  /** A device connects to its user's log, or to a group's, with these cursors: `lane: [seq, ...not stored]`. */
  connect(
    user: string,
    device: number,
    cursors: Readonly<Record<number, readonly [number, ...Span[]]>> = {},
    to = user,
  ): Effects {
    this.#session += 1
    const said = Object.entries(cursors).map(([lane, [seq, ...spans]]) => ({
      lane: Number(lane),
      seq,
      notStored: rangesOf(spans),
    }))
    const session = { ...asked, device: deviceId(device), session: this.#session, epoch: this.state.meta.epoch, cursors: said }
    if (to === user) return this.apply({ kind: 'session', ...session, user, issuedAtMs: this.clockMs, log: this.log(user) })
    const devices = this.state.log(this.log(user))?.devices.map(({ id }) => id) ?? []
    return this.apply({ kind: 'attach', ...session, group: this.log(to), user: this.log(user), devices })
  }

  sendOf(from: string, to: string, draft: Draft = {}): Command {
    const { id = 1, lane = 8, deadlineMs = this.clockMs + dayMs, receipts = true, bodyBytes = 1 } = draft
    return {
      kind: 'send',
      ...asked,
      sender: this.log(from),
      senderName: from,
      device: deviceId(99),
      toKind: to.startsWith('#') ? 1 : 0,
      to: to.replace('#', ''),
      id: BigInt(id),
      type: 0,
      priority: lane,
      deadlineMs,
      receipts,
      isTooLarge: false,
      hash: id === 0 ? '' : '0'.repeat(hashBytes),
      body: new Uint8Array(bodyBytes),
    }
  }

  /** Sends a message, and gives the name of its verdict. */
  send(from: string, to: string, draft: Draft = {}): string {
    return codeByNumber(this.apply(this.sendOf(from, to, draft)).results[0]?.status ?? 0).name
  }

  /** Sends messages with the ids from 1 to `count`, or from `first` on. */
  fill(from: string, to: string, count: number, draft: Draft = {}, first = 1): void {
    for (let id = first; id <= count; id++) this.send(from, to, { id, ...draft })
  }

  #placeOf(user: string, device: number, to: string) {
    const [log, identity, id] = [this.log(to), this.log(user), deviceId(device)]
    const session = readerOf(this.state, log, identity, id)?.device.session ?? 0
    return { tag: 1, ref: 1, log, user: identity, device: id, session }
  }

  /** What a device says of a lane of its user's log, or of a group's. */
  ackOf(user: string, device: number, upTo: number, { to = user, lane = 8, notStored = [] }: Saying = {}): Command {
    return { kind: 'ack', ...this.#placeOf(user, device, to), lane, upTo, notStored: rangesOf(notStored) }
  }

  ack(user: string, device: number, upTo: number, saying: Saying = {}): Effects {
    return this.apply(this.ackOf(user, device, upTo, saying))
  }

  /** An app has read: a sender's messages up to a count, or a group's up to `seq`. */
  readOf(user: string, device: number, seq: number, { to = user, lane = 8, from = '', count = seq }: Reading = {}): Command {
    return { kind: 'read', ...this.#placeOf(user, device, to), lane, seq, sender: this.log(from), count }
  }

  read(user: string, device: number, seq: number, reading: Reading = {}): Effects {
    return this.apply(this.readOf(user, device, seq, reading))
  }

  /** What a sender is told when it asks. */
  status(from: string, to: string, id: number): string {
    const address = to.startsWith('#') ? { group: to.slice(1) } : { user: to }
    return codeByNumber(messageState(this.state, this.log(from), address, BigInt(id), this.clockMs).status).name
  }

  entry(log: string, seq: number, lane = 8): EntryRow | undefined {
    return this.state.entries.get(this.log(log), entryKey(lane, seq))
  }

  /** The seqs of a lane that are still there. */
  seqs(log: string, lane = 8): number[] {
    const head = this.state.log(this.log(log))?.lanes[lane]?.head ?? 0
    return Array.from({ length: head }, (_, at) => at + 1).filter((seq) => this.entry(log, seq, lane) !== undefined)
  }

  /** How many members have stored, and read, each message of a group. */
  counts(group: string, lane = 8): string {
    return this.seqs(group, lane)
      .map((seq) => `${this.entry(group, seq, lane)?.delivered}${this.entry(group, seq, lane)?.read}`)
      .join(' ')
  }

  marks(user: string, group: string, lane = 8): MemberLane | undefined {
    return this.state.members.get(this.log(group), this.log(user))?.lanes[lane]
  }

  device(user: string, device: number, to = user) {
    return readerOf(this.state, this.log(to), this.log(user), deviceId(device))?.device
  }

  /** All rows: what a restart would read. The shard is of no use afterwards. */
  rows(): string[] {
    return dump(this.shard, this.tables)
  }
}

/** Rows enough for anything. */
export const roomy: Pace = { commandRows: 10_000, recordRows: 10_000 }

/** Alice has written `count` messages to #team, in which bob and carol are too; bob reads it with devices 1 and 2, carol with 3. */
export function team(count: number, pace = roomy): Ground {
  const made = new Ground({ pace })
  made.users('alice', 'bob', 'carol')
  made.group('#team', 'alice', 'bob', 'carol')
  for (const [user, device] of [
    ['bob', 1],
    ['bob', 2],
    ['carol', 3],
  ] as const) {
    made.connect(user, device)
    made.connect(user, device, {}, '#team')
  }
  made.fill('alice', '#team', count)
  return made
}

/** What bob has missed in #team. */
export function missedBy(made: Ground): Span[] {
  return (made.marks('bob', '#team')?.missed ?? []).map(({ from, to }) => [from, to] as const)
}

/** How many members have stored each message of #team, a digit for each. */
export function deliveredIn(made: Ground): string {
  return made
    .seqs('#team')
    .map((seq) => made.entry('#team', seq)?.delivered)
    .join('')
}

interface Saying {
  readonly to?: string
  readonly lane?: number
  readonly notStored?: readonly Span[]
}

interface Reading {
  readonly to?: string
  readonly lane?: number
  readonly from?: string
  readonly count?: number
}

export const deviceId = (device: number): string => Buffer.from(new Uint8Array(16).fill(device)).toString('hex')

const rangesOf = (spans: readonly Span[]) => spans.map(([from, to]) => ({ from, to }))
