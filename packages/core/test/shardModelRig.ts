import { type CodeName, codeByNumber, decodeServerMessage, Writer } from '@posthaste/protocol'
import { expect } from 'vitest'
import { decodeRecord, MemoryTables, readEntry, type Settings, Shard } from '../src/index.ts'
import { Queries } from '../src/host/queries.ts'
import { defaultSettings } from '../src/rows/rows.ts'
import { type Command, encodeRecord } from '../src/shard/commands.ts'
import type { Effects } from '../src/shard/effects.ts'
import { dump, hashOf, startMs } from './harness.ts'
import { SenderViews } from './shardModelViews.ts'
import { type Entry, type Log, type Range, ReferenceShard, type Send } from './shardModel.ts'
import { ack, attach, connect, type Passed, reading, read, receipts } from './shardModelReaders.ts'

/** Lanes that the model uses. */
export const lanes = [0, 9]
const users = ['u0', 'u1', 'u2']
const groups = ['g0', 'g1']

/** Small limits, so that they are met. */
const tinySettings: Settings = {
  ...defaultSettings,
  bodyBytes: 20,
  expirySecondsMax: 172_800,
  devicesPerUser: 2,
  inboxEntries: 8,
  groupEntries: 6,
  groupsPerUser: 2,
  membersPerGroup: 2,
}

/** What a lane of a log has passed at a device, and not said yet. */
interface Place {
  seq: number
  notStored: Range[]
}

/** A device as PROTOCOL.md wants it, with a store of its own. */
export interface Client {
  readonly user: string
  readonly id: string
  identity: number
  session: number
  isOnline: boolean
  issuedAtMs: number
  readonly attached: Set<number>
  readonly places: Map<string, Place>
}

/** A shard and the rules, to which the same happens, with devices that read from the shard. */
export class ShardRig {
  shard = new Shard(0, 1, new MemoryTables())
  readonly reference = new ReferenceShard(tinySettings)
  readonly clients: Client[] = []
  readonly sends: Send[] = []
  #queries: Queries
  readonly #records: Uint8Array[] = []
  readonly #views = new SenderViews()
  readonly #identities = new Set<number>()
  clockMs = startMs
  #incarnation = 1
  #session = 0

  constructor() {
    this.#queries = this.#queriesOf(this.shard)
    for (const user of users) {
      for (const device of [0, 1, 2])
        this.clients.push({
          user,
          id: `${device}`.repeat(32),
          identity: 0,
          session: 0,
          isOnline: false,
          issuedAtMs: 0,
          attached: new Set(),
          places: new Map(),
        })
    }
    this.#apply({ kind: 'begin', incarnation: 1, epoch: 1, shards: 1 })
    this.settings({})
  }

  /** Applies a record; both clocks go on. */
  #apply(...commands: Command[]): Effects {
    this.clockMs += 1
    const number = this.#records.length + 1
    const record = { clockMs: this.clockMs, incarnation: this.#incarnation, number, commands }
    const bytes = encodeRecord(record, new Writer())
    this.#records.push(bytes)
    const effects = this.shard.apply(this.shard.position + 1, decodeRecord(bytes))
    this.reference.at(this.clockMs)
    this.reference.tellRemoved()
    this.#views.take(effects)
    return effects
  }

  #reply(effects: Effects, reasons: readonly (CodeName | false)[]): boolean {
    const named = reasons.filter((reason) => reason !== false)
    const code = effects.replies[0]?.code ?? -1
    const name = code === 0 ? 'done' : codeByNumber(code).name
    expect(named.length === 0 ? ['done'] : named).toContain(name)
    return named.length === 0
  }

  settings(changed: Partial<Settings>): void {
    this.reference.settings = { ...this.reference.settings, ...changed }
    this.#apply({ kind: 'settings', ...this.reference.settings })
  }

  pass(ms: number): void {
    this.clockMs += ms
    this.#apply()
  }

  /** The server starts again: all connections are gone. */
  begin(): void {
    this.#incarnation += 1
    this.#apply({ kind: 'begin', incarnation: this.#incarnation, epoch: 1, shards: 1 })
    for (const client of this.clients) this.#leave(client)
    for (const { devices } of this.reference.logs) for (const device of devices) device.isOnline = false
  }

  #leave(client: Client): void {
    client.isOnline = false
    client.attached.clear()
  }

  /** Notes an identity that was made: none was ever used before. */
  #made(kind: 0 | 1, name: string): Log {
    const identity = this.#queries.identityOf(kind, name)
    expect(identity).toBeGreaterThan(0)
    expect(this.#identities.has(identity)).toBe(false)
    this.#identities.add(identity)
    return this.reference.make(kind, name, identity)
  }

  connect(client: Client, mode: 'keep' | 'lost' | 'back', isStale: boolean, ageMs: number): void {
    const { reference } = this
    if (mode === 'lost') client.places.clear()
    if (mode === 'back') for (const place of client.places.values()) goBack(place)
    if (!isStale) this.#session += 1
    const session = isStale ? Math.max(1, client.session) : this.#session
    const cursors = this.#cursors(client, client.identity)
    const issuedAtMs = this.clockMs + 2 - ageMs
    const { user, id } = client
    const origin = { tag: 7, ref: 1 }
    const said = { user, issuedAtMs, device: id, session, epoch: 1, log: client.identity, cursors }
    const effects = this.#apply({ kind: 'session', ...origin, ...said })
    const [result] = effects.sessions
    const code = result === undefined || result.code === 0 ? undefined : codeByNumber(result.code).name
    if (issuedAtMs <= (reference.validAfterMs.get(user) ?? 0)) return expect(code).toBe('token-revoked')
    const log = reference.named(0, user) ?? this.#made(0, user)
    expect(code).toBe(connect(reference, log, { id, session, cursors: client.identity === log.identity ? cursors : [] }))
    if (code !== undefined) return
    if (client.identity !== log.identity) client.places.clear()
    else this.#confirmed(client, effects, log.identity, cursors)
    this.#leave(client)
    Object.assign(client, { identity: log.identity, session, isOnline: true, issuedAtMs })
    client.attached.add(log.identity)
    for (const group of reference.logs) if (group.kind === 1) this.attach(client, group)
  }

  /** What a device says of a log in HELLO. */
  #cursors(client: Client, log: number): Passed[] {
    const said: Passed[] = []
    for (const lane of lanes) {
      const place = client.places.get(`${log}/${lane}`)
      if (place !== undefined && place.seq > 0) said.push({ lane, seq: place.seq, notStored: [...place.notStored] })
    }
    return said
  }

  /** Ranges are said until they are confirmed. */
  #confirmed(client: Client, effects: Effects, log: number, said: readonly Passed[]): void {
    const named = said.filter(({ notStored }) => notStored.length > 0)
    expect(effects.acked).toEqual(named.map(({ lane, seq }) => ({ tag: 7, log, lane, upTo: seq })))
    for (const { lane } of effects.acked) {
      const place = client.places.get(`${log}/${lane}`)
      if (place !== undefined) place.notStored = []
    }
  }

  /** A connected device begins to read a group that its user is or was in. */
  attach(client: Client, group: Log): void {
    if (!client.isOnline || client.attached.has(group.identity)) return
    const { identity: user, id, session } = client
    const cursors = this.#cursors(client, group.identity)
    const devices = this.reference.log(user)?.devices.map((device) => device.id) ?? []
    const said = {
      kind: 'attach',
      tag: 7,
      ref: 1,
      group: group.identity,
      user,
      device: id,
      session,
      epoch: 1,
      cursors,
      devices,
    } as const
    const effects = this.#apply(said)
    const isTaken = attach(this.reference, group, user, { id, session, cursors, devices })
    expect(effects.sessions.map(({ code, log }) => [code, log])).toEqual(isTaken ? [[0, group.identity]] : [])
    if (!isTaken) return
    client.attached.add(group.identity)
    this.#confirmed(client, effects, group.identity, cursors)
  }

  disconnect(client: Client): void {
    const { identity: user, id: device, session } = client
    if (!client.isOnline) return
    this.#apply({ kind: 'sessionEnd', user, device, session })
    this.#leave(client)
    const slot = this.reference.log(user)?.devices.find(({ id }) => id === device)
    if (slot !== undefined && slot.session === session) slot.isOnline = false
  }

  /**
   * A device takes what it is given, and acknowledges it, now or later.
   * @param take how many entries and skips
   * @param lateEach each of how many comes too late to be stored, 0 for none
   */
  take(client: Client, logAt: number, lane: number, take: number, lateEach: number, saying: 'now' | 'later' | 'as stale'): void {
    const log = [...client.attached][logAt % Math.max(1, client.attached.size)]
    if (!client.isOnline || log === undefined) return
    const place = client.places.get(`${log}/${lane}`) ?? { seq: 0, notStored: [] }
    for (let taken = 1; taken <= take; taken++) {
      const had = readEntry(
        this.shard.state,
        log,
        lane,
        place.seq + 1,
        { user: client.identity, device: client.id },
        this.clockMs,
      )
      if (had.kind === 'wait') break
      const from = place.seq + 1
      place.seq = had.kind === 'skip' ? had.to : from
      if (had.kind === 'skip' || (lateEach > 0 && taken % lateEach === 0)) place.notStored.push({ from, to: place.seq })
    }
    if (place.seq === 0) return
    client.places.set(`${log}/${lane}`, place)
    if (saying === 'later') return
    const session = saying === 'now' ? client.session : client.session - 1
    const notStored = [...place.notStored]
    const said = { log, user: client.identity, device: client.id, session, lane, notStored }
    const effects = this.#apply({ kind: 'ack', tag: 7, ref: 1, ...said, upTo: place.seq })
    const isTaken = ack(this.reference, { ...said, seq: place.seq })
    this.#confirmed(client, effects, log, isTaken ? [{ lane, seq: place.seq, notStored }] : [])
  }

  /** An app reads an entry of a log, whether its device has said that it passed it or not. */
  read(client: Client, logAt: number, lane: number, back: number): void {
    const log = [...client.attached][logAt % Math.max(1, client.attached.size)]
    const seq = (client.places.get(`${log}/${lane}`)?.seq ?? 0) - back
    const found = log === undefined ? undefined : this.reference.log(log)
    const entry = found === undefined ? undefined : this.reference.lane(found, lane)[seq - 1]
    if (log === undefined || entry === undefined || entry.isEcho) return
    const isOwn = log === client.identity
    const who = { log, user: client.identity, device: client.id, session: client.session }
    const said = { ...who, lane, seq, sender: isOwn ? entry.sender : 0, count: isOwn ? entry.count : 0 }
    const effects = this.#apply({ kind: 'read', tag: 7, ref: 1, ...said })
    const mark = read(this.reference, who, lane, seq)
    expect(effects.readMarks).toEqual(mark === undefined ? [] : [{ user: client.identity, log, lane, ...mark }])
  }

  send(send: Send): void {
    const from = this.reference.log(send.sender)
    if (from === undefined || from.removedMs !== undefined) return
    const { sender, device, kind: toKind, to, id, lane: priority, deadlineMs, receipts: isWanted, size, content } = send
    const body = new Uint8Array(size)
    const hash = hashOf(content.charCodeAt(0), priority, isWanted, body)
    const message = { sender, senderName: from.name, device, toKind, to, id, type: 0, priority, deadlineMs }
    const effects = this.#apply({ kind: 'send', tag: 7, ref: 1, ...message, receipts: isWanted, isTooLarge: false, hash, body })
    const verdict = this.reference.send(send)
    const [result] = effects.results
    const log = this.reference.log(verdict.destination)
    const told = {
      ...result,
      status: codeByNumber(result?.status ?? 0).name,
      count: log?.kind === 1 ? verdict.count : result?.count,
    }
    expect(told).toEqual({ tag: 7, ref: 1, ...verdict })
    if (!this.sends.some((one) => one.sender === sender && one.id === id && one.to === to)) this.sends.push(send)
    if (log !== undefined && result !== undefined) this.#views.answered(sender, log, send, result)
  }

  makeGroup(name: string, by: string | undefined): void {
    const maker = by === undefined ? undefined : this.reference.named(0, by)
    if (by !== undefined && maker === undefined) return
    const { settings } = this.reference
    const effects = this.#apply({ kind: 'groupCreate', tag: 7, ref: 1, group: name, by: maker?.identity ?? 0, byName: by ?? '' })
    const isDone = this.#reply(effects, [
      maker !== undefined && this.reference.groupsOf(maker.identity).length >= settings.groupsPerUser && 'too-many',
      maker !== undefined && !settings.usersMayCreateGroups && 'not-allowed',
      this.reference.named(1, name) !== undefined && 'already-exists',
    ])
    if (!isDone) return
    const group = this.#made(1, name)
    if (maker !== undefined && by !== undefined) this.reference.setRoles(group, maker.identity, by, 7)
  }

  deleteGroup(name: string, by: string | undefined): void {
    const group = this.reference.named(1, name)
    const who = by === undefined ? 0 : (this.reference.named(0, by)?.identity ?? 99)
    const effects = this.#apply({ kind: 'groupDelete', tag: 7, ref: 1, group: name, by: who })
    const mayNot = group !== undefined && who !== 0 && (this.reference.rolesOf(group, who) & 4) === 0
    if (this.#reply(effects, [group === undefined && 'not-found', mayNot && 'not-allowed']) && group !== undefined)
      this.reference.remove(group)
  }

  setMember(group: string, user: string, roles: number, by: string | undefined): void {
    const { reference } = this
    const found = reference.named(1, group)
    const member = reference.named(0, user)
    const who = by === undefined ? 0 : (reference.named(0, by)?.identity ?? 99)
    const effects = this.#apply({ kind: 'memberSet', tag: 7, ref: 1, group, user, roles, by: who })
    const before = found === undefined || member === undefined ? 0 : reference.rolesOf(found, member.identity)
    const isNew = before === 0 && roles !== 0
    const { settings } = reference
    const isUserFull = member !== undefined && reference.groupsOf(member.identity).length >= settings.groupsPerUser
    const isGroupFull = (found?.members.filter((one) => one.roles !== 0).length ?? 0) >= settings.membersPerGroup
    const rights = found === undefined || who === 0 ? 7 : reference.rolesOf(found, who)
    const isLeaving = roles === 0 && who === member?.identity
    const isDone = this.#reply(effects, [
      member === undefined && 'invalid-destination',
      found === undefined && 'not-found',
      !isLeaving && rights === 0 && 'not-member',
      !isLeaving && rights > 0 && (rights & 4) === 0 && 'not-allowed',
      isNew && (isUserFull || isGroupFull) && 'too-many',
    ])
    if (isDone && found !== undefined && member !== undefined) reference.setRoles(found, member.identity, user, roles)
  }

  deleteUser(user: string): void {
    const log = this.reference.named(0, user)
    const effects = this.#apply({ kind: 'userDelete', tag: 7, ref: 1, user, validAfterMs: this.clockMs + 1 })
    if (!this.#reply(effects, [log === undefined && 'not-found']) || log === undefined) return
    expect(effects.ended).toEqual([{ user: log.identity, code: 'user-removed', validAfterMs: 0 }])
    this.reference.remove(log)
    for (const client of this.clients) if (client.identity === log.identity) this.#leave(client)
  }

  revoke(user: string, agoMs: number): void {
    const log = this.reference.named(0, user)
    const validAfterMs = this.clockMs + 1 - agoMs
    const effects = this.#apply({ kind: 'revoke', tag: 7, ref: 1, user, validAfterMs })
    if (!this.#reply(effects, [log === undefined && 'not-found']) || log === undefined) return
    const after = Math.max(validAfterMs, this.reference.validAfterMs.get(user) ?? 0)
    expect(effects.ended).toEqual([{ user: log.identity, code: 'token-revoked', validAfterMs: after }])
    this.reference.validAfterMs.set(user, after)
    for (const client of this.clients) if (client.identity === log.identity && client.issuedAtMs <= after) this.disconnect(client)
  }

  block(user: string, other: string, isBlocked: boolean): void {
    const log = this.reference.named(0, user)
    const target = this.reference.named(0, other)
    if (log === undefined || target === undefined || log === target) return
    const who = { user: log.identity, target: target.identity, targetName: other, isBlocked }
    this.#reply(this.#apply({ kind: 'block', tag: 7, ref: 1, ...who }), [])
    this.reference.block(log, target.identity, isBlocked)
  }

  /** Lets what is told in later records be told, and compares all that can be seen. */
  check(): void {
    this.#apply()
    for (const send of this.sends) this.#checkStatus(send)
    for (const client of this.clients) if (client.isOnline) this.#checkReading(client)
    for (const user of users) this.#checkUser(user)
    for (const name of groups) this.#checkGroup(name)
  }

  #checkStatus({ sender, kind, to, id }: Send): void {
    const found = this.reference.keyOf(sender, kind, to, id)
    const told = this.#queries.messageState(sender, kind === 0 ? { user: to } : { group: to }, id)
    const status = found === undefined ? 'unknown' : this.reference.status(found.log, found.key)
    const what = `${sender} to ${to}, ${id}`
    same(`query of ${what}`, codeByNumber(told.status).name, status)
    if (found?.key.entry === undefined) return
    const { log, key } = found
    const { entry } = found.key
    if (key.receipts) same(`told of ${what}`, this.#views.statusOf(sender, log, id), status)
    if (kind === 0 || entry.isGone) return
    const { delivered, read: isRead, members } = told
    if (key.receipts) same(`counts of ${what}`, { delivered, read: isRead, members }, this.reference.counts(log, entry))
    const page = this.#queries.receipts(log.identity, sender, id, '', 100)
    const items = page?.items.map(({ user, status: code }) => ({ user, status: codeByNumber(code).name }))
    same(`receipts of ${what}`, items, receipts(this.reference, log, key))
  }

  #checkReading(client: Client): void {
    for (const identity of client.attached) {
      const log = this.reference.log(identity)
      if (log === undefined) continue
      for (const lane of lanes) {
        let seq = (client.places.get(`${identity}/${lane}`)?.seq ?? 0) + 1
        while (this.#checkSeq(client, log, lane, seq)) seq += 1
      }
    }
  }

  /** What a device gets for a seq; false when it waits. */
  #checkSeq(client: Client, log: Log, lane: number, seq: number): boolean {
    const { identity: user, id: device } = client
    const had = readEntry(this.shard.state, log.identity, lane, seq, { user, device }, this.clockMs)
    const wanted = reading(this.reference, log, lane, seq, user, device)
    const what = `${client.user}, ${device[0]}: ${log.name}, lane ${lane}, ${seq}`
    same(what, had.kind, typeof wanted === 'string' ? wanted : 'entry')
    if (had.kind !== 'entry' || typeof wanted === 'string') return had.kind !== 'wait'
    const [packet] = decodeServerMessage(had.bytes)
    if (packet?.kind !== 'deliver') throw new Error(`${what} is no DELIVER`)
    same(what, entryText(packet), entryText({ ...wanted, log: log.identity }))
    return true
  }

  #checkUser(user: string): void {
    const log = this.reference.named(0, user)
    same(user, this.#queries.identityOf(0, user), log?.identity ?? 0)
    if (log === undefined) return
    const devices = this.shard.state.log(log.identity)?.devices.map(({ id }) => id)
    same(
      `devices of ${user}`,
      devices,
      log.devices.map(({ id }) => id),
    )
    const memberships = this.#queries.membershipsOf(log.identity).map(({ identity, roles }) => [identity, roles])
    const wanted = this.reference
      .groupsOf(log.identity)
      .map((group) => [group.identity, this.reference.rolesOf(group, log.identity)])
    same(
      `groups of ${user}`,
      memberships,
      wanted.sort((one, other) => (one[0] ?? 0) - (other[0] ?? 0)),
    )
  }

  #checkGroup(name: string): void {
    const group = this.reference.named(1, name)
    same(name, this.#queries.identityOf(1, name), group?.identity ?? 0)
    if (group === undefined) return
    const members = this.#queries.members(group.identity, '', 100).map(({ user, roles }) => [user, roles])
    const wanted = group.members.filter(({ roles }) => roles !== 0).map((member) => [member.name, member.roles])
    same(
      `members of ${name}`,
      members,
      wanted.sort((one, other) => (`${one[0]}` < `${other[0]}` ? -1 : 1)),
    )
  }

  #queriesOf(shard: Shard): Queries {
    return new Queries([shard], () => this.clockMs)
  }

  /** A shard to which the same records come anew has the same rows. The one that goes on is another such. */
  checkReplay(): void {
    const before = this.shard
    this.shard = this.#replayed()
    this.#queries = this.#queriesOf(this.shard)
    expect(dump(this.#replayed(), new MemoryTables())).toEqual(dump(before, new MemoryTables()))
  }

  #replayed(): Shard {
    const shard = new Shard(0, 1, new MemoryTables())
    for (const [at, bytes] of this.#records.entries()) shard.apply(at + 1, decodeRecord(bytes))
    return shard
  }
}

/** Two answers to one question. There are so many of them that only those which differ are worth an `expect`. */
function same(what: string, told: unknown, wanted: unknown): void {
  if (JSON.stringify(told) !== JSON.stringify(wanted)) expect([what, told]).toEqual([what, wanted])
}

type Told = Pick<Entry, 'lane' | 'seq' | 'sender' | 'id' | 'count' | 'timeMs' | 'deadlineMs' | 'receipts'> & {
  readonly log: number
}

function entryText({ log, lane, seq, sender, id, count, timeMs, deadlineMs, receipts: isWanted }: Told): string {
  return `${log}/${lane}/${seq} of ${sender}: ${id}, ${count}, ${timeMs}, ${deadlineMs}, ${isWanted}`
}

function goBack(place: Place): void {
  place.seq = Math.floor(place.seq / 2)
  place.notStored = place.notStored
    .filter(({ from }) => from <= place.seq)
    .map(({ from, to }) => ({ from, to: Math.min(to, place.seq) }))
}
