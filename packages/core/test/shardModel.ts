import type { CodeName } from '@posthaste/protocol'
import type { Settings } from '../src/index.ts'

/**
 * The rules of a shard as one would say them: lists of what there is, and a look through all of it for every question. No marks but those that
 * the rules name, no trim points but *the longest prefix that is gone*, no counters.
 */

const dayMs = 86_400_000
const hourMs = 3_600_000
export const laneCount = 16

/** Seqs that were passed and not stored. */
export interface Range {
  readonly from: number
  readonly to: number
}

/** An installation of a user, as a log knows it. */
export interface Device {
  readonly id: string
  session: number
  isOnline: boolean
  seenMs: number
  readonly cursors: number[]
  readonly starts: number[]
  /** Per lane: up to where it had said what it stored before it went back, 0 where it has not. */
  readonly confirmed: number[]
}

/** Whoever is or was in a group. A stay is what it may read: after `from`, up to `to`, per lane. */
export interface Member {
  readonly user: number
  readonly name: string
  roles: number
  readonly stays: { readonly from: number[]; to: number[] | undefined }[]
  devices: Device[]
  /** Per lane: the last seq that a device said that it stored, and up to where the app has read. */
  readonly marks: number[]
  readonly reads: number[]
}

/** One message in a log. */
export interface Entry {
  readonly sender: number
  readonly device: string
  readonly id: bigint
  readonly lane: number
  readonly seq: number
  readonly count: number
  readonly timeMs: number
  readonly deadlineMs: number
  readonly receipts: boolean
  readonly isEcho: boolean
  /** Groups: how many may receive it. */
  readonly members: number
  /** The users of whom a device said that it stored it; in a user's log at most the one. */
  readonly storedBy: number[]
  /** Its deadline has come. */
  isClosed: boolean
  /** Nobody can have it any more. */
  isGone: boolean
  /** It was passed, or its deadline came, before any device had stored it: no mark speaks for it. */
  isHole: boolean
  /** It was stored when its sender might not be told so any more: what was told before stays. */
  final: 'sent' | 'expired' | undefined
  /** What its sender knew when it was blocked. */
  shown: { readonly isDelivered: boolean; readonly isRead: boolean } | undefined
}

/** What a (destination, sender, id) came to. */
export interface Key {
  readonly sender: number
  readonly id: bigint
  readonly content: string
  readonly timeMs: number
  readonly deadlineMs: number
  readonly receipts: boolean
  /** Why it was refused for good; undefined when it was accepted. */
  readonly refusal: CodeName | undefined
  readonly entry: Entry | undefined
}

/** A user's or group's identity, for ever. */
export interface Log {
  readonly identity: number
  readonly kind: 0 | 1
  readonly name: string
  removedMs: number | undefined
  readonly entries: Entry[]
  readonly keys: Key[]
  readonly blocked: number[]
  readonly readMarks: { readonly sender: number; readonly lane: number; count: number }[]
  devices: Device[]
  readonly members: Member[]
}

/** A message as it comes. */
export interface Send {
  readonly sender: number
  readonly device: string
  readonly kind: 0 | 1
  readonly to: string
  readonly id: bigint
  readonly content: string
  readonly size: number
  readonly lane: number
  readonly deadlineMs: number
  readonly receipts: boolean
}

/** What a sender is told. */
export interface Verdict {
  readonly status: CodeName
  readonly destination: number
  readonly count: number
  readonly timeMs: number
  readonly deadlineMs: number
}

/** The state of the rules, and what happens to it. */
export class ReferenceShard {
  clockMs = 0
  settings: Settings
  readonly logs: Log[] = []
  readonly validAfterMs = new Map<string, number>()

  constructor(settings: Settings) {
    this.settings = settings
  }

  /** The user or group of that name, unless it was deleted. */
  named(kind: 0 | 1, name: string): Log | undefined {
    return this.logs.find((log) => log.kind === kind && log.name === name && log.removedMs === undefined)
  }

  log(identity: number): Log | undefined {
    return this.logs.find((log) => log.identity === identity)
  }

  /** The time of a record: what is due is closed, dropped, ended. */
  at(clockMs: number): void {
    this.clockMs = clockMs
    for (const log of this.logs) {
      for (const device of log.devices) if (device.isOnline) device.seenMs = clockMs
      const lastMs = clockMs - this.settings.deviceDays * dayMs
      log.devices = log.devices.filter(({ isOnline, seenMs }) => isOnline || seenMs > lastMs)
      for (const entry of log.entries) if (log.removedMs === undefined && entry.deadlineMs <= clockMs) this.#close(entry)
    }
    this.#endOld()
    this.sweep()
  }

  #close(entry: Entry): void {
    if (entry.isClosed) return
    entry.isClosed = true
    if (entry.storedBy.length === 0) entry.isHole = true
    // Nobody can ask for or confirm what has no key.
    if (entry.id === 0n || entry.isEcho) entry.isGone = true
  }

  /** The longest expiry, an hour and a day after its deletion an address is as if it had never been. */
  #endOld(): void {
    const lifeMs = this.settings.expirySecondsMax * 1_000 + hourMs + dayMs
    const isOver = ({ removedMs }: Log): boolean => removedMs !== undefined && removedMs + lifeMs <= this.clockMs
    for (const log of this.logs.filter(isOver)) {
      this.logs.splice(this.logs.indexOf(log), 1)
      const isLeft = this.logs.some(({ kind, name }) => kind === log.kind && name === log.name)
      if (!isLeft && log.kind === 0) this.validAfterMs.delete(log.name)
    }
  }

  /** What all devices have passed and one has stored is gone, in order: nothing overtakes what may still be wanted. */
  sweep(): void {
    for (const log of this.logs.filter(({ kind, removedMs }) => kind === 0 && removedMs === undefined)) {
      for (let lane = 0; lane < laneCount; lane++) {
        for (const entry of this.lane(log, lane)) {
          if (!entry.isGone && !this.#isDone(log, entry)) break
          entry.isGone = true
        }
      }
    }
  }

  #isDone(log: Log, entry: Entry): boolean {
    if (entry.isClosed && entry.deadlineMs + dayMs <= this.clockMs) return true
    if (log.devices.length === 0) return entry.isClosed
    const isPassed = log.devices.every(({ cursors }) => (cursors[entry.lane] ?? 0) >= entry.seq)
    return isPassed && (entry.storedBy.length > 0 || entry.isClosed || entry.isEcho)
  }

  lane(log: Log, lane: number): Entry[] {
    return log.entries.filter((entry) => entry.lane === lane)
  }

  head(log: Log, lane: number): number {
    return this.lane(log, lane).length
  }

  /** Up to where everything is gone. */
  trimPoint(log: Log, lane: number): number {
    const entries = this.lane(log, lane)
    const first = entries.findIndex(({ isGone }) => !isGone)
    return first < 0 ? entries.length : first
  }

  make(kind: 0 | 1, name: string, identity: number): Log {
    const log: Log = {
      identity,
      kind,
      name,
      removedMs: undefined,
      entries: [],
      keys: [],
      blocked: [],
      readMarks: [],
      devices: [],
      members: [],
    }
    this.logs.push(log)
    return log
  }

  /** A user or group is deleted: at once for everybody. */
  remove(log: Log): void {
    log.removedMs = this.clockMs
    if (log.kind === 1) return
    this.validAfterMs.set(log.name, Math.max(this.clockMs, this.validAfterMs.get(log.name) ?? 0))
    for (const group of this.logs) this.setRoles(group, log.identity, log.name, 0)
  }

  /** Members of deleted groups are told, in the record after. */
  tellRemoved(): void {
    for (const group of this.logs) {
      if (group.kind === 1 && group.removedMs !== undefined)
        for (const { user, name } of group.members) this.setRoles(group, user, name, 0)
    }
  }

  groupsOf(user: number): Log[] {
    return this.logs.filter(({ members }) => members.some((member) => member.user === user && member.roles !== 0))
  }

  rolesOf(group: Log, user: number): number {
    return group.members.find((member) => member.user === user)?.roles ?? 0
  }

  setRoles(group: Log, user: number, name: string, roles: number): void {
    const found = group.members.find((member) => member.user === user)
    if (found === undefined && roles === 0) return
    const zeros = (): number[] => new Array<number>(laneCount).fill(0)
    const member = found ?? { user, name, roles: 0, stays: [], devices: [], marks: zeros(), reads: zeros() }
    if (found === undefined) group.members.push(member)
    const heads = zeros().map((_, lane) => this.head(group, lane))
    if ((member.roles & 2) === 0 && (roles & 2) !== 0) member.stays.push({ from: heads, to: undefined })
    const last = member.stays.at(-1)
    if ((member.roles & 2) !== 0 && (roles & 2) === 0 && last !== undefined) last.to = heads
    if (member.stays.length > 8) member.stays.shift()
    member.roles = roles
  }

  mayRead(member: Member, lane: number, seq: number): boolean {
    return member.stays.some(({ from, to }) => seq > (from[lane] ?? 0) && (to === undefined || seq <= (to[lane] ?? 0)))
  }

  block(log: Log, target: number, isBlocked: boolean): void {
    const at = log.blocked.indexOf(target)
    if (isBlocked && at < 0) {
      const mine = log.entries.filter(({ sender, isEcho }) => sender === target && !isEcho)
      for (const entry of mine) entry.shown = { isDelivered: this.#isDelivered(entry), isRead: this.isReadByUser(log, entry) }
      log.blocked.push(target)
    }
    if (!isBlocked && at >= 0) log.blocked.splice(at, 1)
  }

  /** A message: what came before has its verdict. Then deadline, rights, limits. */
  send(send: Send): Verdict {
    const { clockMs } = this
    const known = this.keyOf(send.sender, send.kind, send.to, send.id)
    if (known !== undefined) {
      const { key, log } = known
      const isSame = key.content === send.content
      const count = isSame && key.entry !== undefined && !key.entry.isHole ? key.entry.count : 0
      const status = isSame ? this.status(log, key) : 'conflict'
      return { status, destination: log.identity, count, timeMs: key.timeMs, deadlineMs: key.deadlineMs }
    }
    const log = this.named(send.kind, send.to)
    const told = { destination: log?.identity ?? 0, count: 0, timeMs: clockMs, deadlineMs: send.deadlineMs }
    if (log === undefined) return { ...told, status: 'invalid-destination' }
    // Once a key would have ended nobody knows whether the message came before.
    if (send.deadlineMs + dayMs <= clockMs) return { ...told, status: 'unknown' }
    if (send.deadlineMs <= clockMs) return { ...told, status: 'expired' }
    if (send.deadlineMs > clockMs + this.settings.expirySecondsMax * 1_000 + hourMs) return { ...told, status: 'invalid' }
    const refusal = this.#refusal(log, send)
    const entry = refusal === undefined ? this.#append(log, send) : undefined
    const { sender, id, content, deadlineMs, receipts } = send
    if (id !== 0n) log.keys.push({ sender, id, content, timeMs: clockMs, deadlineMs, receipts, refusal, entry })
    if (entry === undefined) return { ...told, status: refusal ?? 'unknown' }
    this.dropOldest(log)
    if (log.kind === 0 && log.identity !== sender) this.#echo(send)
    return { ...told, status: 'sent', count: entry.count }
  }

  #refusal(log: Log, { sender, size }: Send): CodeName | undefined {
    const { bodyBytes, inboxEntries, groupEntries } = this.settings
    if (size > bodyBytes) return 'too-large'
    if (log.kind === 1 && this.rolesOf(log, sender) === 0) return 'not-member'
    if (log.kind === 1 && (this.rolesOf(log, sender) & 1) === 0) return 'not-allowed'
    if (log.blocked.includes(sender)) return 'blocked'
    const waiting = log.entries.filter((entry) => !entry.isEcho && !entry.isClosed && entry.storedBy.length === 0)
    if (waiting.length >= (log.kind === 1 ? groupEntries : inboxEntries)) return 'inbox-full'
    const mine = waiting.filter((entry) => entry.sender === sender)
    return log.kind === 0 && mine.length >= inboxEntries / 2 ? 'inbox-full' : undefined
  }

  #append(log: Log, send: Send, isEcho = false): Entry {
    const { sender, device, id, lane, deadlineMs, receipts } = send
    const before = log.entries.filter((entry) => entry.sender === sender && entry.lane === lane && !entry.isEcho)
    const receivers = log.members.filter((member) => (member.roles & 2) !== 0 && member.user !== sender)
    const entry: Entry = {
      sender,
      device: log.kind === 1 || isEcho ? device : '',
      id,
      lane,
      seq: this.head(log, lane) + 1,
      count: isEcho ? 0 : before.length + 1,
      timeMs: this.clockMs,
      deadlineMs,
      receipts: receipts && !isEcho,
      isEcho,
      members: log.kind === 1 ? receivers.length : 1,
      storedBy: [],
      isClosed: false,
      isGone: false,
      isHole: false,
      final: undefined,
      shown: undefined,
    }
    log.entries.push(entry)
    return entry
  }

  /** The sender's other devices learn of it, as far as a quarter of the log's limit goes. */
  #echo(send: Send): void {
    const log = this.log(send.sender)
    if (log === undefined || log.removedMs !== undefined || log.devices.every(({ id }) => id === send.device)) return
    const echoes = log.entries.filter((entry) => entry.isEcho && !entry.isGone && !entry.isClosed)
    if (echoes.length < this.settings.inboxEntries / 4) this.#append(log, send, true)
  }

  /** What was delivered and is kept for devices that lag is limited: the oldest goes. */
  dropOldest(log: Log): void {
    const most = log.kind === 1 ? this.settings.groupEntries : this.settings.inboxEntries
    const isKept = (entry: Entry): boolean => entry.storedBy.length > 0 && !entry.isEcho && !entry.isClosed && !entry.isGone
    this.sweep()
    for (let kept = log.entries.filter(isKept); kept.length > most; kept = log.entries.filter(isKept)) {
      const [oldest] = kept.sort((one, other) => one.timeMs - other.timeMs)
      if (oldest !== undefined) oldest.isGone = true
      this.sweep()
    }
  }

  /** The key that answers for a message while it lives: that of the present identity, or of one that the name had before. */
  keyOf(sender: number, kind: 0 | 1, name: string, id: bigint): { readonly log: Log; readonly key: Key } | undefined {
    if (id === 0n) return undefined
    const logs = this.logs.filter((log) => log.kind === kind && log.name === name).reverse()
    for (const log of logs) {
      const key = log.keys.find((one) => one.sender === sender && one.id === id && this.clockMs < one.deadlineMs + dayMs)
      if (key !== undefined) return { log, key }
    }
    return undefined
  }

  /** How a message stands, for its sender. */
  status(log: Log, key: Key): CodeName {
    const { entry, refusal } = key
    if (entry === undefined) return refusal ?? 'unknown'
    if (log.kind === 1) return this.#groupStatus(log, entry)
    const isStored = entry.storedBy.length > 0
    if (!isStored && log.removedMs !== undefined && log.removedMs < entry.deadlineMs) return 'removed'
    if (entry.final !== undefined) return entry.final
    if (!isStored) return this.clockMs >= entry.deadlineMs ? 'expired' : 'sent'
    if (!entry.receipts) return 'sent'
    const isBlocked = log.blocked.includes(entry.sender)
    const { isDelivered, isRead } = isBlocked
      ? (entry.shown ?? { isDelivered: false, isRead: false })
      : { isDelivered: true, isRead: this.isReadByUser(log, entry) }
    return isDelivered ? (isRead ? 'read' : 'delivered') : 'sent'
  }

  #groupStatus(log: Log, entry: Entry): CodeName {
    const { delivered, read, members } = this.counts(log, entry)
    const isWaitedFor = delivered === 0 || (entry.receipts && delivered < members)
    const isRemoved = log.removedMs !== undefined && log.removedMs < entry.deadlineMs && isWaitedFor
    const isExpired = this.clockMs >= entry.deadlineMs && (delivered === 0 || entry.isHole)
    if (entry.receipts && members > 0 && read >= members) return 'read'
    if (entry.receipts && members > 0 && delivered >= members) return 'delivered'
    if (isRemoved) return 'removed'
    return isExpired ? 'expired' : 'sent'
  }

  /** How many members have stored and read a message. */
  counts(log: Log, entry: Entry): { readonly delivered: number; readonly read: number; readonly members: number } {
    const stored = log.members.filter(({ user }) => entry.storedBy.includes(user))
    const read = stored.filter(({ reads }) => (reads[entry.lane] ?? 0) >= entry.seq)
    return { delivered: stored.length, read: read.length, members: entry.members }
  }

  #isDelivered(entry: Entry): boolean {
    return entry.storedBy.length > 0 && entry.receipts && entry.final === undefined
  }

  isReadByUser(log: Log, entry: Entry): boolean {
    const mark = log.readMarks.find(({ sender, lane }) => sender === entry.sender && lane === entry.lane)
    return this.#isDelivered(entry) && (mark?.count ?? 0) >= entry.count
  }
}
