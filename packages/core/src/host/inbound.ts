import {
  addressOf,
  type ClientPacket,
  type ClientPacketOf,
  type CodeName,
  codeNumber,
  decodeClientMessage,
  limits,
  ProtocolError,
} from '@posthaste/protocol'
import type { Command } from '../shard/commands.ts'
import { type Allowance, Allowances } from './allowances.ts'
import type { Greeting } from './greeting.ts'
import type { Gateway } from './gateway.ts'
import type { Rest, Session } from './session.ts'
import type { Volatile } from './volatile.ts'
import type { GroupMember } from './queries.ts'

/** How long a refused sender waits. */
const refusedMs = 1_000
const keysRefusedMs = 60_000
/** As how many packets it counts to verify a token, and to look a row up: about what these take, so that no packet is cheap to send and dear to answer. */
const renewPackets = 1_000
const lookUpPackets = 8

/** What a session's packets do: one handler each. */
export class Inbound {
  readonly #host: Gateway
  readonly #greeting: Greeting
  readonly #volatile: Volatile
  readonly #allowances: Allowances

  constructor(host: Gateway, greeting: Greeting, volatile: Volatile) {
    this.#host = host
    this.#allowances = new Allowances(host, (session, message) => this.#message(session, message))
    this.#greeting = greeting
    this.#volatile = volatile
  }

  /** A message has come. */
  received(session: Session, bytes: Uint8Array): void {
    this.#allowances.received(session, bytes)
  }

  /** A ping or pong of the WebSocket has come. */
  heard(session: Session): void {
    this.#allowances.heard(session)
  }

  /** Counts work for a session as so many packets of its user's; false when that is more than it may send. */
  charge(session: Session, packets: number): boolean {
    return this.#allowances.take(this.#allowances.of(session), packets)
  }

  /** Time has passed. */
  tick(): void {
    this.#allowances.tick()
  }

  /** A session ends: handles what had come. */
  finish(session: Session): void {
    this.#allowances.finish(session)
  }

  /** Whether packets have no room in this turn. */
  get isReading(): boolean {
    return this.#allowances.isReading
  }

  /** A turn begins. */
  turn(): void {
    this.#allowances.turn()
  }

  /** @returns what of a message has no room in this turn */
  #message(session: Session, message: Uint8Array | Rest): Rest | undefined {
    this.#refill(session)
    const allowance = this.#allowances.of(session)
    try {
      const rest = message instanceof Uint8Array ? { packets: decodeClientMessage(message), at: 0 } : message
      const { packets } = rest
      while (rest.at < packets.length) {
        if (!this.#handle(session, packets[rest.at++] as ClientPacket, allowance)) return undefined
        const isLeft = rest.at < packets.length && session.phase === 'live'
        if (isLeft && this.#allowances.isTurnOver(allowance)) return rest
      }
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      this.#host.end(session, error.code, error.message)
    }
    return undefined
  }

  /** Handles a packet; false when the session has ended. */
  #handle(session: Session, packet: ClientPacket, allowance: Allowance): boolean {
    if (session.phase !== 'live') {
      if (packet.kind === 'hello' && session.phase === 'new') this.#greeting.hello(session, packet)
      else this.#host.end(session, session.phase === 'new' ? 'hello-expected' : 'protocol-error')
      return session.phase !== ('ended' as string)
    }
    if (!this.#allowances.take(allowance, costOf(packet)) || this.#host.isOverwhelmed()) this.#host.end(session, 'flood')
    else this.#live(session, packet)
    return session.phase === 'live'
  }

  #refill(session: Session): void {
    const { limits, nowMs } = this.#host
    const gained = Math.min(1_000, nowMs - session.refilledMs) / 1_000
    if (gained <= 0) return
    session.refilledMs = nowMs
    session.sendTokens = Math.min(limits.sendsPerSecond, session.sendTokens + gained * limits.sendsPerSecond)
  }

  #live(session: Session, packet: ClientPacket): void {
    const host = this.#host
    switch (packet.kind) {
      case 'hello':
        return host.end(session, 'hello-expected')
      case 'renew':
        return host.edge.verify(session.connection, packet.token)
      case 'ping':
        return session.send({ kind: 'pong', clientTime: packet.clientTime, serverTimeMs: Math.floor(host.nowMs) })
      case 'send':
        return this.#send(session, packet)
      case 'resume':
        return this.#resume(session, packet.ref)
      case 'ack':
        return this.#ack(session, packet)
      case 'read':
        return this.#read(session, packet)
      case 'query':
        return this.#query(session, packet)
      case 'realtime':
        return this.#volatile.realtime(session, packet)
      case 'realtimeAck':
        return this.#volatile.realtimeAck(session, packet.token)
      case 'typing':
        return this.#volatile.typing(session, packet)
      case 'watch':
        return this.#volatile.watch(session, packet)
      case 'members':
        return this.#members(session, packet)
      case 'receipts':
        return this.#receipts(session, packet)
      default:
        return this.#request(session, packet)
    }
  }

  #send(session: Session, packet: ClientPacketOf<'send'>): void {
    if (session.refusedRef !== 0) return
    if (packet.ref !== session.nextRef) return this.#host.end(session, 'protocol-error', `ref ${session.nextRef} was expected`)
    const refusal = this.#refusal(session, packet)
    if (refusal !== undefined) {
      session.refusedRef = packet.ref
      const retryAfterMs = refusal === 'too-many-keys' ? keysRefusedMs : refusedMs
      return session.send({ kind: 'refuse', ref: packet.ref, code: codeNumber(refusal), retryAfterMs })
    }
    session.nextRef += 1
    const { queries, edge } = this.#host
    const isTooLarge = packet.body.length > queries.stateOf(session.identity).settings.bodyBytes
    const { ref, toKind, to, id, type, priority, deadlineMs, receipts } = packet
    this.#host.batchers[this.#host.shardOf(toKind, to)]?.submit({
      kind: 'send',
      tag: id === 0n ? 0 : session.connection,
      ref,
      sender: session.identity,
      senderName: session.user,
      device: session.device,
      toKind,
      to,
      id,
      type,
      priority,
      deadlineMs,
      receipts,
      isTooLarge,
      hash: id === 0n ? '' : edge.hash(type, priority, receipts, packet.body),
      body: isTooLarge ? packet.body.subarray(0, 0) : packet.body,
    })
  }

  #refusal(session: Session, packet: ClientPacketOf<'send'>): CodeName | undefined {
    const { limits, queries } = this.#host
    const busy = this.#journalRefusal(session)
    if (busy !== undefined || packet.id === 0n) return busy
    return queries.livingKeys(packet.toKind, packet.to, session.identity) >= limits.keysPerSender ? 'too-many-keys' : undefined
  }

  /** Why nothing new is journaled for a session at the moment. What only confirms, ACK and READ, is always taken. */
  #journalRefusal(session: Session): CodeName | undefined {
    if (session.sendTokens <= 0) return 'rate-limited'
    session.sendTokens -= 1
    return this.#host.busyCode()
  }

  #resume(session: Session, ref: number): void {
    if (session.refusedRef === 0 || ref !== session.refusedRef)
      return this.#host.end(session, 'protocol-error', 'no SEND of that ref was refused')
    session.refusedRef = 0
    session.nextRef = ref
  }

  #ack(session: Session, packet: ClientPacketOf<'ack'>): void {
    const { log, lane, upTo, notStored } = packet
    if (!session.pump.has(log)) return
    const progress = session.pump.acked(log, lane, upTo, this.#host.nowMs)
    if (progress === 'beyond') return this.#host.end(session, 'protocol-error', 'an ACK beyond what was delivered')
    // It would change nothing. What names ranges is journaled all the same: ACKED answers it.
    if (progress === 'again' && notStored.length === 0) return
    this.#host.ready(session)
    if (log === session.identity) return this.#host.submitAck(session, log, lane, upTo, notStored)
    const ofLog = session.foldedAcks?.get(log)
    const folded = ofLog?.find((one) => one.lane === lane)
    // An ACK has room for so many ranges: one more than it has would be a record that can't be read back.
    if (folded !== undefined && folded.notStored.length + notStored.length > limits.ranges) {
      this.#host.foldAcks(session)
      return this.#ack(session, packet)
    }
    if (session.foldedAcks === undefined) this.#host.folding(session)
    session.foldedAcks ??= new Map()
    if (ofLog === undefined) session.foldedAcks.set(log, [{ lane, upTo, notStored: [...notStored] }])
    else if (folded === undefined) ofLog.push({ lane, upTo, notStored: [...notStored] })
    else {
      folded.upTo = Math.max(folded.upTo, upTo)
      folded.notStored.push(...notStored)
    }
  }

  #read(session: Session, packet: ClientPacketOf<'read'>): void {
    const { kind, log, lane, seq, sender, count } = packet
    const { connection: tag, identity: user, device, number } = session
    const mark = this.#host.queries.readMark(log, user, lane, sender)
    // It would move nothing: marks never fall. The user's other devices were told when it moved.
    if (mark !== undefined && mark >= (log === user ? count : seq))
      return session.send({ kind: 'readMark', log, lane, sender: log === user ? sender : 0, mark })
    if (log !== user) this.#host.foldAcks(session)
    this.#host.toShardOf(log, { kind, tag, ref: 0, log, user, device, session: number, lane, seq, sender, count })
  }

  #query(session: Session, packet: ClientPacketOf<'query'>): void {
    const statuses = packet.messages.map(({ toKind, to, id }) => {
      const { deadlineMs: _deadlineMs, ...state } = this.#host.queries.messageState(session.identity, addressOf(toKind, to), id)
      return state
    })
    session.send({ kind: 'statuses', request: packet.request, statuses })
  }

  #members(session: Session, packet: ClientPacketOf<'members'>): void {
    const { queries } = this.#host
    const group = queries.identityOf(1, packet.group)
    const { request } = packet
    if (group === 0) return session.send({ kind: 'reply', request, code: codeNumber('not-found') })
    if (queries.rolesOf(group, session.identity) === 0)
      return session.send({ kind: 'reply', request, code: codeNumber('not-member') })
    const items = queries.members(group, packet.after, packet.limit)
    const next = items.length < packet.limit ? '' : (items[items.length - 1] as GroupMember).user
    session.send({ kind: 'membersReply', request, members: items.map(({ user, roles }) => ({ user, roles })), next })
  }

  #receipts(session: Session, packet: ClientPacketOf<'receipts'>): void {
    const { queries } = this.#host
    const { request, id, after, limit } = packet
    const group = queries.identityOf(1, packet.group)
    const page = group === 0 ? undefined : queries.receipts(group, session.identity, id, after, limit)
    if (page === undefined) return session.send({ kind: 'reply', request, code: codeNumber('not-found') })
    // What was not known when the packet was counted. Whoever owes too much is found out at its next one.
    this.charge(session, lookUpPackets * Math.max(0, page.looked - limit))
    session.send({ kind: 'receiptsReply', request, receipts: page.items, next: page.next })
  }

  #request(session: Session, packet: ClientPacketOf<'groupCreate' | 'groupDelete' | 'memberSet' | 'block'>): void {
    const host = this.#host
    const refusal = this.#journalRefusal(session)
    if (refusal !== undefined) return session.send({ kind: 'reply', request: packet.request, code: codeNumber(refusal) })
    const origin = { tag: session.connection, ref: packet.request }
    const by = session.identity
    const submit = (shard: number, command: Command): void => host.batchers[shard]?.submit(command)
    switch (packet.kind) {
      case 'groupCreate':
        return host.toShardOf(by, { kind: 'groupCreate', ...origin, group: packet.group, by, byName: session.user })
      case 'groupDelete':
        return submit(host.shardOf(1, packet.group), { kind: 'groupDelete', ...origin, group: packet.group, by })
      case 'memberSet': {
        const { group, user, roles } = packet
        return submit(host.shardOf(0, user), { kind: 'memberSet', ...origin, group, user, roles, by })
      }
      case 'block': {
        const target = host.queries.identityOf(0, packet.user)
        if (target === 0 || target === by)
          return session.send({ kind: 'reply', request: packet.request, code: codeNumber('invalid-destination') })
        return host.toShardOf(by, {
          kind: 'block',
          ...origin,
          user: by,
          target,
          targetName: packet.user,
          isBlocked: packet.isBlocked,
        })
      }
      /* v8 ignore next -- every request has its case, or this does not compile */
      default:
        packet satisfies never
    }
  }
}

/** As how many packets a packet counts. */
function costOf(packet: ClientPacket): number {
  switch (packet.kind) {
    case 'renew':
      return renewPackets
    case 'ack':
      return 1 + packet.notStored.length
    case 'query':
      return 1 + lookUpPackets * packet.messages.length
    case 'watch':
      return 1 + lookUpPackets * packet.users.length
    case 'members':
    case 'receipts':
      return 1 + lookUpPackets * packet.limit
    case 'memberSet':
      return 1 + lookUpPackets
    default:
      return 1
  }
}
