import { type AddressKind, groupKind, type ServerPacketOf, userKind } from '@posthaste/protocol'
import type { Context } from './context.ts'
import type { Device } from './device.ts'
import type { Entry, RowWrite } from './events.ts'
import { addRange, Cursors, type LaneCursor } from './cursors.ts'
import { echoKey, entryRow, numberRow, rowKey, tables } from './rows.ts'
import type { ServerTime } from './serverTime.ts'

type Deliver = ServerPacketOf<'deliver'>

/** Keys of entries stored by this process that are remembered in memory; all are in the store. */
const recentMax = 50_000
/** So long after its deadline a message's key lives, in ms: what comes under it later is another message. */
const keyGraceMs = 86_400_000
/** A commit takes at most this much, so that none takes long. */
const commitEntries = 1_024

/** What came and is not in a commit yet: an entry, or a range to pass. */
interface Arrival {
  readonly lane: LaneCursor
  readonly from: number
  readonly to: number
  readonly packet: Deliver | undefined
  /** Whether its key is in the store; `undefined` while that has to be looked up. */
  isRepeated: boolean | undefined
}

/** An entry that is stored now. */
export interface StoredEntry {
  readonly entry: Entry
  /** What another device of this user sent: told to observers only, and not kept. */
  readonly isOutgoing: boolean
}

/** What the inbox asks of what comes after it. */
export interface InboxOwner {
  readonly takesAny: boolean
  /** Whether there is room for one more entry of that many bytes. */
  hasRoom(bytes: number): boolean
  /** The entry goes into the next commit. */
  willStore(entry: Entry): void
  /** That commit failed. */
  wasNotStored(entry: Entry): void
}

/**
 * Entries from the wire to the store. Per (log, lane) exactly the next one is accepted; an entry and the cursor that passes it are
 * one commit; only then it is acknowledged (PROTOCOL, section 6).
 */
export class Inbox {
  readonly cursors: Cursors
  readonly #context: Context
  readonly #device: Device
  readonly #time: ServerTime
  readonly #owner: InboxOwner
  readonly #groupName: (identity: number) => string
  #arrived: Arrival[] = []
  #building: StoredEntry[] = []
  #identity = 0
  #user = ''
  /** With the deadlines of their messages. */
  readonly #recent = new Map<string, number>()
  /** Keys that the commit being made will remember. */
  #remembering: string[] = []
  #lookups = 0
  #lookedUp: Arrival[] | undefined

  constructor(context: Context, device: Device, time: ServerTime, owner: InboxOwner, groupName: (identity: number) => string) {
    this.#context = context
    this.#device = device
    this.#time = time
    this.#owner = owner
    this.#groupName = groupName
    this.cursors = new Cursors(context)
  }

  /** A session has begun for this user. */
  live(identity: number, user: string): void {
    this.#identity = identity
    this.#user = user
  }

  /** The connection is gone: what was not in a commit will come again. */
  down(): void {
    this.#arrived = []
    this.#lookedUp = undefined
  }

  /** An entry came. @returns whether it stands where it must; if not, the connection is broken */
  deliver(packet: Deliver): boolean {
    const lane = this.cursors.lane(packet.log, packet.lane)
    if (packet.seq > lane.seq + 1) return false
    if (packet.seq <= lane.seq) {
      this.cursors.acknowledgeAgain(lane, packet.seq)
      return true
    }
    lane.seq = packet.seq
    const isRepeated = this.#isDoubtful(packet) ? undefined : false
    this.#arrived.push({ lane, from: packet.seq, to: packet.seq, packet, isRepeated })
    return true
  }

  /** A range to pass came. @returns as above */
  skip(packet: ServerPacketOf<'skip'>): boolean {
    const lane = this.cursors.lane(packet.log, packet.lane)
    if (packet.from > lane.seq + 1) return false
    if (packet.to <= lane.seq) {
      this.cursors.acknowledgeAgain(lane, packet.to)
      return true
    }
    this.#arrived.push({ lane, from: lane.seq + 1, to: packet.to, packet: undefined, isRepeated: false })
    lane.seq = packet.to
    return true
  }

  /** Looks up the keys of what may have been stored in an older epoch. One look-up at a time; the next ones gather. */
  lookup(): void {
    if (this.#lookedUp !== undefined) return
    const doubtful = this.#arrived.filter((arrival) => arrival.isRepeated === undefined)
    if (doubtful.length === 0) return
    this.#lookedUp = doubtful
    this.#lookups += 1
    const keys = doubtful.flatMap(({ packet }) => (packet === undefined ? [] : [keyRowOf(packet)]))
    this.#context.push({ kind: 'lookup', lookup: this.#lookups, keys })
  }

  /** The answer to a look-up. */
  found(lookup: number, values: readonly (Uint8Array | undefined)[]): void {
    if (lookup !== this.#lookups || this.#lookedUp === undefined) return
    for (const [at, arrival] of this.#lookedUp.entries()) {
      const value = values[at]
      arrival.isRepeated = value !== undefined && isOfKey(arrival.packet, numberRow.read(value))
    }
    this.#lookedUp = undefined
  }

  /** Judges what came, as of now, and adds it to a commit. While the clocks are suspect nothing is judged. */
  prepare(writes: RowWrite[]): void {
    const isSuspect = this.#time.isSuspect(this.#context.now)
    let bytes = 0
    let taken = 0
    for (const arrival of this.#arrived) {
      const { packet } = arrival
      if (taken >= commitEntries || bytes >= this.#context.commitBytes) break
      if (packet !== undefined && (isSuspect || arrival.isRepeated === undefined)) break
      if (packet !== undefined && this.#owner.takesAny && !this.#owner.hasRoom(packet.body.length)) break
      bytes += packet?.body.length ?? 0
      taken += 1
      this.#pass(arrival, writes)
    }
    this.#arrived = taken === this.#arrived.length ? [] : this.#arrived.slice(taken)
    this.cursors.prepare(writes, writes.length > 0)
  }

  /** The commit is durable: acknowledges it. @returns what was stored, in order */
  committed(): readonly StoredEntry[] {
    const stored = this.#building
    this.#building = []
    this.#remembering = []
    this.cursors.committed()
    return stored
  }

  /** Nothing was stored; the caller closes the connection, and the entries come again. */
  failed(): void {
    for (const { entry, isOutgoing } of this.#building) if (!isOutgoing) this.#owner.wasNotStored(entry)
    for (const key of this.#remembering) this.#recent.delete(key)
    this.#remembering = []
    this.#building = []
    this.down()
    this.cursors.failed()
  }

  #pass({ lane, from, to, packet, isRepeated }: Arrival, writes: RowWrite[]): void {
    lane.built = { seq: to, notStored: lane.built.notStored }
    this.cursors.touch(lane)
    // What is stored already counts as stored, also when it comes again too late.
    if (packet !== undefined && (isRepeated === true || this.#isRecent(packet))) return
    const isMissed = packet === undefined || !this.#owner.takesAny || this.#isLate(packet) || this.#isOfOlderEpoch(packet)
    if (isMissed) lane.built = { seq: to, notStored: addRange(lane.built.notStored, { from, to }) }
    else this.#store(packet, writes)
  }

  #store(packet: Deliver, writes: RowWrite[]): void {
    const entry = this.#entryOf(packet)
    const isOutgoing = packet.echoTo !== null
    this.#building.push({ entry, isOutgoing })
    if (entry.id !== 0n) {
      writes.push([keyRowOf(packet), numberRow.write(entry.deadlineMs)])
      this.#remember(keyOf(packet), entry.deadlineMs)
    }
    if (isOutgoing) return
    const { epoch, log, lane, seq } = entry.position
    writes.push([rowKey(tables.inbox, epoch, log, lane, seq), entryRow.write(entry)])
    this.#owner.willStore(entry)
  }

  #entryOf(packet: Deliver): Entry {
    const { log, lane, seq, sender, count, senderName, id, type, timeMs, deadlineMs, receipts, echoTo } = packet
    const position = { epoch: this.#device.meta.epoch, log, lane, seq }
    const own: { toKind: AddressKind; to: string } =
      log === this.#identity ? { toKind: userKind, to: this.#user } : { toKind: groupKind, to: this.#groupName(log) }
    const { toKind, to } = echoTo ?? own
    // A copy: the packet's body is a view into a whole message.
    const body = new Uint8Array(packet.body)
    return { position, sender, count, senderName, toKind, to, id, type, timeMs, deadlineMs, receipts, body }
  }

  #isLate(packet: Deliver): boolean {
    return this.#time.latest(this.#context.now) >= packet.deadlineMs
  }

  #isOfOlderEpoch(packet: Deliver): boolean {
    return packet.id === 0n && packet.timeMs < this.#device.meta.skipOnceBeforeMs
  }

  /** Within one epoch the server's own keys outlive the entries, so that only what was stored in an older one is looked up. */
  #isDoubtful(packet: Deliver): boolean {
    return packet.id !== 0n && this.#time.earliest(this.#context.now) < this.#device.meta.repeatsUntilMs
  }

  #isRecent(packet: Deliver): boolean {
    return packet.id !== 0n && isOfKey(packet, this.#recent.get(keyOf(packet)))
  }

  #remember(key: string, deadlineMs: number): void {
    this.#recent.set(key, deadlineMs)
    this.#remembering.push(key)
    if (this.#recent.size <= recentMax) return
    const [oldest] = this.#recent.keys()
    if (oldest !== undefined) this.#recent.delete(oldest)
  }
}

/** Whether the server took this entry while the key of the stored one with this deadline lived, so that it is the same message. */
function isOfKey(packet: Deliver | undefined, deadlineMs: number | undefined): boolean {
  return packet !== undefined && deadlineMs !== undefined && packet.timeMs < deadlineMs + keyGraceMs
}

/** What tells a message from all others: for an echo its destination, since its sender may have used the id for several. */
function keyOf({ log, sender, id, echoTo }: Deliver): string {
  return echoTo === null ? `${log} ${sender} ${id}` : `to ${echoTo.toKind} ${id} ${echoTo.to}`
}

function keyRowOf({ log, sender, id, echoTo }: Deliver): Uint8Array {
  return echoTo === null ? rowKey(tables.key, log, sender, id) : echoKey(echoTo.toKind, echoTo.to, id)
}
