import {
  type ClientPacketOf,
  codeNumber,
  groupKind,
  type ServerPacket,
  userKind,
  Writer,
  writeServerPacket,
} from '@posthaste/protocol'
import type { LogRow } from '../rows/rows.ts'
import { Fanout } from './fanout.ts'
import type { Gateway } from './gateway.ts'
import type { Session } from './session.ts'

interface Pending {
  readonly session: Session
  /** The user or group that it was sent to: only who may receive from it may confirm it. */
  readonly toKind: 0 | 1
  readonly destination: number
  readonly request: number
  readonly endMs: number
}

const tokenMax = 0xffff_ffff
/** How many receivers of a real-time message cost as much as one SEND. */
const targetsPerSend = 16

function encoded(packet: ServerPacket): Uint8Array {
  const writer = new Writer(256)
  writeServerPacket(writer, packet)
  return writer.take()
}

/** What is never journaled: real-time messages, typing, presence. At most once; rights are judged in the shard, read-only. */
export class Volatile {
  readonly #host: Gateway
  readonly #fanout: Fanout
  /** Users whose watchers are being told, and whether they must be told again. */
  readonly #changed = new Map<string, boolean>()
  readonly #pending = new Map<number, Pending>()
  #token = 0

  constructor(host: Gateway) {
    this.#host = host
    this.#fanout = new Fanout(host.limits.pendingBytes)
  }

  /** Goes on with what is for many. @returns whether there is more to do at once */
  turn(): boolean {
    return this.#fanout.turn()
  }

  /** Hands a real-time message to the devices that are connected now, some of them a turn. */
  realtime(session: Session, packet: ClientPacketOf<'realtime'>): void {
    const { request, toKind, to, id, type, priority, body } = packet
    const tell = (status: number): void => {
      if (id !== 0n) session.send({ kind: 'realtimeResult', request, status })
    }
    const { queries } = this.#host
    if (session.sendTokens <= 0 || this.#fanout.isFull) return tell(codeNumber('rate-limited'))
    const refusal = queries.refusal(session.identity, toKind, to)
    if (refusal !== undefined) return tell(codeNumber(refusal))
    if (body.length > queries.stateOf(session.identity).settings.bodyBytes) return tell(codeNumber('too-large'))
    const destination = queries.identityOf(toKind, to)
    const targets = this.#charged(session, toKind, destination)
    const token = id === 0n ? 0 : this.#nextToken()
    const { identity: sender, user: senderName } = session
    const timeMs = Math.floor(this.#host.nowMs)
    const bytes = encoded({ kind: 'realtimeDeliver', token, sender, senderName, toKind, to, id, type, priority, timeMs, body })
    if (token !== 0)
      this.#pending.set(token, { session, toKind, destination, request, endMs: this.#host.nowMs + this.#host.limits.realtimeMs })
    let isGiven = false
    const give = (target: Session): void => {
      if (!this.#isTarget(session, toKind, destination, target)) return
      isGiven = true
      target.sendBytes(bytes)
    }
    const done = (): void => {
      if (!isGiven && this.#pending.delete(token) && session.phase === 'live') tell(codeNumber('expired'))
    }
    this.#fanout.add({ targets, bytes: bytes.length, give, done })
  }

  /** A device has handed it to its app: the first one decides. */
  realtimeAck(session: Session, token: number): void {
    const pending = this.#pending.get(token)
    if (pending === undefined || !this.#isTarget(pending.session, pending.toKind, pending.destination, session)) return
    this.#pending.delete(token)
    if (pending.session.phase === 'live')
      pending.session.send({ kind: 'realtimeResult', request: pending.request, status: codeNumber('delivered') })
  }

  typing(session: Session, packet: ClientPacketOf<'typing'>): void {
    const { toKind, to, isActive } = packet
    const { queries } = this.#host
    if (session.sendTokens <= 0 || queries.refusal(session.identity, toKind, to) !== undefined) return
    if (this.#fanout.isFull) return
    const destination = queries.identityOf(toKind, to)
    const targets = this.#charged(session, toKind, destination)
    const bytes = encoded({ kind: 'typingEvent', senderName: session.user, toKind, to, isActive })
    const give = (target: Session): void => {
      const isTarget = this.#isTarget(session, toKind, destination, target)
      if (isTarget && !queries.isBlocked(session.identity, target.identity)) target.sendBytes(bytes)
    }
    this.#fanout.add({ targets, bytes: bytes.length, give, done: () => undefined })
  }

  /** Begins or ends to tell a session of the presence of users. */
  watch(session: Session, packet: ClientPacketOf<'watch'>): void {
    const { registry, limits } = this.#host
    for (const user of packet.users) {
      if (packet.isOn && (session.watched?.size ?? 0) >= limits.watchesPerSession) {
        session.send({ kind: 'presence', user, state: 2, lastSeenMs: 0 })
        continue
      }
      registry.watch(session, user, packet.isOn)
      if (packet.isOn) this.#tellPresence(session, user)
    }
  }

  /** A user's session has begun or ended. Watchers are told what is true by then: once more, if it changes meanwhile. */
  presenceChanged(user: string): void {
    const targets = this.#host.registry.watchersOf(user)
    if (this.#changed.has(user)) this.#changed.set(user, true)
    else if (targets.length > 0) {
      this.#changed.set(user, false)
      const give = (watcher: Session): void => {
        const isHidden = this.#isHidden(watcher, this.#host.queries.identityOf(userKind, user))
        if (watcher.watched?.has(user) === true && !isHidden) this.#tellPresence(watcher, user)
      }
      const done = (): void => {
        const isAgain = this.#changed.get(user)
        this.#changed.delete(user)
        if (isAgain === true) this.presenceChanged(user)
      }
      this.#fanout.add({ targets, bytes: 0, give, done })
    }
  }

  /** A user has blocked another, or does so no more: whoever watches hears nothing more, or the truth again. */
  blockChanged(user: number, target: number): void {
    const { queries, registry } = this.#host
    // Its row outlives it by days.
    const { name } = queries.stateOf(user).log(user) as LogRow
    for (const session of registry.ofUser(target)) if (session.watched?.has(name) === true) this.#tellPresence(session, name)
  }

  /** Gives up what nobody has confirmed in time. */
  tick(): void {
    // order: in order of time, since all wait equally long. Not a copy: there may be very many, and few of them are due.
    for (const [token, pending] of this.#pending) {
      if (pending.endMs > this.#host.nowMs) return
      this.#pending.delete(token)
      if (pending.session.phase === 'live')
        pending.session.send({ kind: 'realtimeResult', request: pending.request, status: codeNumber('unknown') })
    }
  }

  /** Whether that user has blocked the session's. */
  #isHidden(session: Session, identity: number): boolean {
    return identity !== 0 && this.#host.queries.isBlocked(identity, session.identity)
  }

  #tellPresence(session: Session, user: string): void {
    const { queries, registry, nowMs } = this.#host
    const identity = queries.identityOf(userKind, user)
    if (identity === 0 || this.#isHidden(session, identity))
      return session.send({ kind: 'presence', user, state: 2, lastSeenMs: 0 })
    const isOnline = registry.ofUser(identity).length > 0
    const lastSeenMs = isOnline ? Math.floor(nowMs) : queries.lastSeenMs(identity)
    session.send({ kind: 'presence', user, state: isOnline ? 1 : 0, lastSeenMs })
  }

  /** The sessions that may be targets. What goes to many counts as several SENDs. */
  #charged(session: Session, toKind: 0 | 1, identity: number): readonly Session[] {
    const { registry } = this.#host
    const targets = toKind === groupKind ? registry.ofLog(identity) : registry.ofUser(identity)
    session.sendTokens -= 1 + targets.length / targetsPerSend
    return targets
  }

  /** Whether a session gets what another one sends to a user or group: in a group the sender's other devices don't. */
  #isTarget(session: Session, toKind: 0 | 1, identity: number, target: Session): boolean {
    if (toKind !== groupKind) return target !== session && target.identity === identity
    return target.identity !== session.identity && (this.#host.queries.rolesOf(identity, target.identity) & 2) !== 0
  }

  #nextToken(): number {
    this.#token = (this.#token % tokenMax) + 1
    return this.#token
  }
}
