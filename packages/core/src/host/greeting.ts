import { addressFault, type ClientPacketOf, type CodeName, codeByNumber, protocolVersion, userKind } from '@posthaste/protocol'
import type { Device, LogRow, MemberRow } from '../rows/rows.ts'
import type { SessionResult } from '../shard/effects.ts'
import { deviceIndex, perLane } from '../shard/state.ts'
import type { Verified } from './edge.ts'
import type { Gateway } from './gateway.ts'
import type { Session } from './session.ts'
import type { Volatile } from './volatile.ts'

/** As how many packets it counts to attach a group, and to look up a log that a cursor names: about what these take. */
const attachPackets = 4
const cursorPackets = 1

/** From HELLO to WELCOME: the token, the session's record, the groups' logs. */
export class Greeting {
  readonly #host: Gateway
  readonly #volatile: Volatile

  constructor(host: Gateway, volatile: Volatile) {
    this.#host = host
    this.#volatile = volatile
  }

  /** HELLO has come. */
  hello(session: Session, hello: ClientPacketOf<'hello'>): void {
    if (hello.versionMin > protocolVersion.max || hello.versionMax < protocolVersion.min) {
      const { min, max } = protocolVersion
      return this.#host.end(session, 'version-unsupported', `this server speaks versions ${min} to ${max}`)
    }
    session.phase = 'verifying'
    session.device = hex(hello.device)
    session.number = hello.session
    session.epoch = hello.epoch
    for (const { log, lane, seq, notStored } of hello.cursors) {
      session.cursors ??= new Map()
      const cursors = session.cursors.get(log)
      if (cursors === undefined) session.cursors.set(log, [{ lane, seq, notStored }])
      else if (!cursors.some((cursor) => cursor.lane === lane)) cursors.push({ lane, seq, notStored })
    }
    this.#host.edge.verify(session.connection, hello.token)
  }

  /** The token of HELLO or RENEW was verified. */
  verified(session: Session, verified: Verified): void {
    if (!verified.isOk) return this.#host.end(session, verified.code, verified.text)
    if (session.phase === 'live') return this.#renewed(session, verified)
    if (session.phase !== 'verifying') return
    const fault = addressFault(verified.user)
    if (fault !== undefined) return this.#host.end(session, 'token-invalid', `its user is no address: ${fault}`)
    session.phase = 'joining'
    session.user = verified.user
    session.issuedAtMs = verified.issuedAtMs
    session.expiresAtMs = verified.expiresAtMs
    const shard = this.#host.shardOf(userKind, verified.user)
    const log = this.#host.queries.identityOf(userKind, verified.user)
    this.#host.batchers[shard]?.submit({
      kind: 'session',
      tag: session.connection,
      ref: 0,
      user: verified.user,
      issuedAtMs: wholeMs(verified.issuedAtMs),
      device: session.device,
      session: session.number,
      epoch: session.epoch,
      log,
      cursors: session.cursors?.get(log) ?? [],
    })
  }

  /** A session's or an attachment's record was applied. */
  applied(result: SessionResult): void {
    const isOwn = result.log === result.user
    const session = this.#host.registry.byConnection.get(result.tag)
    if (session === undefined || session.phase === 'ended') {
      // Its connection has closed meanwhile: without this, the device would count as online for ever.
      if (isOwn && result.code === 0) this.left(result.user, result.device, result.session)
      return
    }
    if (!isOwn) return this.#attached(session, result.log)
    if (result.code !== 0) return this.#host.end(session, codeByNumber(result.code).name as CodeName)
    this.#joined(session, result.user)
  }

  /** A session has ended. */
  left(user: number, device: string, session: number): void {
    this.#host.toShardOf(user, { kind: 'sessionEnd', user, device, session })
  }

  /** Begins to read a group's log. */
  attach(session: Session, group: number): void {
    const { connection: tag, identity: user, device, number, epoch } = session
    const cursors = session.cursors?.get(group) ?? []
    const devices = (this.#host.queries.stateOf(user).log(user) as LogRow).devices.map(({ id }) => id)
    const command = { kind: 'attach', tag, ref: 0, group, user, device, session: number, epoch, cursors, devices } as const
    this.#host.toShardOf(group, command)
  }

  #joined(session: Session, identity: number): void {
    const host = this.#host
    for (const other of host.registry.ofUser(identity)) {
      if (other.device !== session.device) continue
      host.finish(other)
      if (other.phase === 'live') host.end(other, 'replaced')
    }
    const open = host.registry.ofUser(identity).filter(({ backlog }) => backlog?.isClosed !== true)
    if (open.length >= host.limits.connectionsPerUser) {
      this.left(identity, session.device, session.number)
      return host.end(session, 'too-many-connections')
    }
    session.identity = identity
    const groups = host.queries.membershipsOf(identity)
    const cost = attachPackets * groups.length + cursorPackets * (session.cursors?.size ?? 0)
    // However much its user has, a HELLO alone is never too much.
    if (!host.charge(session, Math.min(cost, host.limits.packetsPerSecond / 2))) {
      this.left(identity, session.device, session.number)
      return host.end(session, 'flood')
    }
    session.phase = 'live'
    host.registry.join(session)
    host.registry.read(session, identity)
    const log = host.queries.stateOf(identity).log(identity)
    const slot = log?.devices[deviceIndex(log.devices, session.device)]
    if (log !== undefined && slot !== undefined)
      session.pump.attach(identity, this.#begin(session, identity, log, slot), headsOf(log))
    this.#welcome(session, groups)
    for (const { identity: group } of groups) this.attach(session, group)
    const attached = new Set(groups.map((group) => group.identity))
    // A group that it has left it reads to the end of its stay.
    // order: that of HELLO.
    for (const group of [...(session.cursors?.keys() ?? [])]) {
      if (attached.has(group)) continue
      const wasMember = host.queries.stateOf(group).members.get(group, identity) !== undefined
      if (wasMember) this.attach(session, group)
      else session.takeCursors(group)
    }
    this.#volatile.presenceChanged(session.user)
    host.ready(session)
  }

  /**
   * Where the pump begins in each lane: at the client's own cursor, which takes only what follows it, so that what lies before the
   * device's start or the trim point is skipped on the wire too. A cursor that the log doesn't know begins where the shard has put it.
   */
  #begin(session: Session, identity: number, log: LogRow, device: Device): readonly number[] {
    const isSameEpoch = session.epoch === this.#host.epoch
    const said = session.takeCursors(identity)
    if (said === undefined) return fromTheStart
    const begins = perLane(0)
    for (const { lane, seq } of said) {
      if (isSameEpoch) begins[lane] = seq <= (log.lanes[lane]?.head ?? 0) ? seq : (device.cursors[lane] as number)
    }
    return begins
  }

  #welcome(
    session: Session,
    groups: readonly { readonly identity: number; readonly group: string; readonly roles: number }[],
  ): void {
    const host = this.#host
    const settings = host.queries.stateOf(session.identity).settings
    session.send({
      kind: 'welcome',
      version: protocolVersion.max,
      epoch: host.epoch,
      identity: session.identity,
      user: session.user,
      serverTimeMs: Math.floor(host.nowMs),
      bodyBytesMax: settings.bodyBytes,
      expirySecondsMax: settings.expirySecondsMax,
      tokenExpiresMs: Math.floor(session.expiresAtMs),
      heartbeatMs: host.limits.heartbeatMs,
      groups,
    })
  }

  #attached(session: Session, group: number): void {
    if (session.pump.has(group)) return
    const host = this.#host
    const state = host.queries.stateOf(group)
    // The record that attached it was applied just now: it has all of these.
    const log = state.log(group) as LogRow
    const { devices } = state.members.get(group, session.identity) as MemberRow
    const device = devices[deviceIndex(devices, session.device)] as Device
    host.registry.read(session, group)
    session.pump.attach(group, this.#begin(session, group, log, device), headsOf(log))
    host.ready(session)
  }

  #renewed(session: Session, verified: Extract<Verified, { isOk: true }>): void {
    if (verified.user !== session.user) return this.#host.end(session, 'token-invalid', 'the token is for another user')
    const validAfterMs = this.#host.queries.validAfterMs(session.user)
    if (wholeMs(verified.issuedAtMs) <= validAfterMs) return this.#host.end(session, 'token-revoked')
    session.issuedAtMs = verified.issuedAtMs
    session.expiresAtMs = verified.expiresAtMs
    session.send({ kind: 'renewed', tokenExpiresMs: Math.floor(verified.expiresAtMs) })
  }
}

/** The cursors of a device that has none. */
const fromTheStart: readonly number[] = perLane(0)

function headsOf(log: LogRow): number[] {
  return log.lanes.map((lane) => lane?.head ?? 0)
}

/** A time as records hold it. */
function wholeMs(ms: number): number {
  return Math.min(Number.MAX_SAFE_INTEGER, Math.max(0, Math.floor(ms)))
}

function hex(bytes: Uint8Array): string {
  let text = ''
  for (const byte of bytes) text += byte.toString(16).padStart(2, '0')
  return text
}
