import { type CodeName, codeNumber, codeOf, type ServerPacket } from '@posthaste/protocol'
import { type Command, decodeCommand, encodeCommand } from '../shard/commands.ts'
import type { Shard } from '../shard/shard.ts'
import { shardOfIdentity, shardOfName } from '../shard/state.ts'
import { Batcher } from './batcher.ts'
import { defaultHostLimits, type HostEdge, type HostLimits, type Verified } from './edge.ts'
import type { Answer, Gateway } from './gateway.ts'
import { Greeting } from './greeting.ts'
import { Inbound } from './inbound.ts'
import { Queries } from './queries.ts'
import { Registry } from './registry.ts'
import { Routing } from './routing.ts'
import { Session, type SessionHost } from './session.ts'
import { SessionPort } from './sessionPort.ts'
import { Volatile } from './volatile.ts'
import { Writers } from './writers.ts'

/** The tag of commands that do not come from a session. */
const submitTag = 1
/** How many sessions are written to before others get their turn, and entries per session. */
const sessionsPerTurn = 256
const entriesPerTurn = 256
const foldMs = 100
/** Each session is looked at once in so many ticks, a second; fewer sessions than this at every tick. */
const ticksPerRound = 10
const checkedMin = 256
/** Beyond this many times the bytes at which sends are refused, whoever sends anything that must be journaled is let go. */
const overwhelmedFactor = 4

/**
 * The gateway's logic: connections in, commands to the shards, effects out to sessions. It has no clock, socket or disk of its own: the
 * edge hands it events with the time, and it calls the edge. Everything that happens between two `turn`s is written together.
 */
export class Host implements Gateway {
  readonly limits: HostLimits
  readonly edge: HostEdge
  readonly registry = new Registry()
  readonly queries: Queries
  readonly batchers: readonly Batcher[]
  readonly epoch: number
  readonly incarnation: number
  nowMs: number
  isStopping = false
  readonly #greeting: Greeting
  readonly #inbound: Inbound
  readonly #routing: Routing
  readonly #volatile: Volatile
  readonly #dirty: Session[] = []
  /** Sessions with folded ACKs. */
  readonly #folding: Session[] = []
  readonly #sessionHost: SessionHost = {
    dirty: (session) => this.#dirty.push(session),
    writers: new Writers(),
    write: (session, bytes) => this.edge.write(session.connection, bytes),
  }
  readonly #ready: Session[] = []
  readonly #port: SessionPort
  readonly #answers = new Map<number, (answer: Answer) => void>()
  #nextAnswer = 1

  /**
   * @param shards all shards, replayed; @param positions the last position in each journal
   * @param isRestored begins a new epoch, of at least `epochMin` (up to 8,191): 1 above what this state has seen by default
   */
  constructor(options: {
    readonly shards: readonly Shard[]
    readonly positions: readonly number[]
    readonly edge: HostEdge
    readonly nowMs: number
    readonly isRestored?: boolean
    readonly epochMin?: number
    readonly limits?: Partial<HostLimits>
  }) {
    const { shards, edge } = options
    this.edge = edge
    this.nowMs = options.nowMs
    this.limits = { ...defaultHostLimits, ...options.limits }
    this.queries = new Queries(shards, () => this.nowMs)
    this.#port = new SessionPort(this.queries)
    let incarnation = 0
    let epoch = 0
    for (const shard of shards) {
      incarnation = Math.max(incarnation, shard.state.meta.incarnation)
      epoch = Math.max(epoch, shard.state.meta.epoch)
    }
    this.incarnation = incarnation + 1
    const isNew = epoch === 0 || options.isRestored === true
    this.epoch = isNew ? Math.max(epoch + 1, options.epochMin ?? 0) : epoch
    this.batchers = shards.map((shard, index) => {
      const position = Math.max(options.positions[index] as number, shard.position)
      return new Batcher(index, shard, edge, this.limits, {
        position,
        clockMs: shard.state.meta.clockMs,
        incarnation: this.incarnation,
      })
    })
    this.#volatile = new Volatile(this)
    this.#greeting = new Greeting(this, this.#volatile)
    this.#inbound = new Inbound(this, this.#greeting, this.#volatile)
    this.#routing = new Routing(this, this.#greeting, this.#volatile)
  }

  /** Submits the first record of this incarnation, and what the shards still owe one another. */
  begin(): void {
    for (const batcher of this.batchers) {
      batcher.submit({ kind: 'begin', incarnation: this.incarnation, epoch: this.epoch, shards: this.batchers.length })
    }
    for (const [index, batcher] of this.batchers.entries()) this.#routing.offerForwards(index, batcher.shard)
  }

  /**
   * A client has connected.
   * @param connection its number: 2 or more, and never used before in this process
   */
  connected(connection: number, nowMs: number): void {
    this.nowMs = nowMs
    if (connection <= submitTag) throw new RangeError(`connections are numbered from ${submitTag + 1}`)
    const session = new Session(connection, nowMs, this.#sessionHost)
    this.registry.byConnection.set(connection, session)
    if (this.isStopping) this.end(session, 'shutting-down')
    else if (this.registry.byConnection.size > this.limits.connections) this.end(session, 'busy')
  }

  /** A binary message has come. Its bytes are the host's from now on. */
  received(connection: number, bytes: Uint8Array, nowMs: number): void {
    this.nowMs = nowMs
    const session = this.registry.byConnection.get(connection)
    if (session === undefined || session.phase === 'ended') return
    session.heardMs = nowMs
    this.#inbound.received(session, bytes)
  }

  /** A WebSocket ping or pong has come: a sign of life that counts as a packet. */
  heard(connection: number, nowMs: number): void {
    this.nowMs = nowMs
    const session = this.registry.byConnection.get(connection)
    if (session === undefined || session.phase === 'ended') return
    session.heardMs = nowMs
    this.#inbound.heard(session)
  }

  /** A connection broke the protocol below the packets. */
  refuse(connection: number, code: CodeName, text: string): void {
    const session = this.registry.byConnection.get(connection)
    if (session !== undefined) this.end(session, code, text)
  }

  /** A token was verified. */
  verified(connection: number, verified: Verified, nowMs: number): void {
    this.nowMs = nowMs
    const session = this.registry.byConnection.get(connection)
    if (session !== undefined && session.phase !== 'ended') this.#greeting.verified(session, verified)
  }

  /** A connection is gone. What had come on it is handled first, as far as its user may send. */
  closed(connection: number, nowMs: number): void {
    this.nowMs = nowMs
    const session = this.registry.byConnection.get(connection)
    if (session?.phase === 'live' && session.backlog !== undefined) session.backlog.isClosed = true
    else if (session !== undefined) this.#leave(session)
  }

  /** A record is on disk. */
  flushed(shard: number, position: number, nowMs: number): void {
    this.nowMs = nowMs
    this.batchers[shard]?.flushed(position, (effects) => this.#routing.route(shard, effects))
  }

  /** Time passes: at least every 100 ms. */
  tick(nowMs: number): void {
    this.nowMs = nowMs
    for (const session of this.registry.next(ticksPerRound, checkedMin)) this.#checkSession(session)
    this.#inbound.tick()
    for (const session of this.#folding.splice(0)) this.#foldDue(session)
    this.#volatile.tick()
    this.#routing.tick()
  }

  /**
   * Ends a turn: handles what the last one had no room for, cuts records, runs the pumps of ready sessions, writes what has gathered.
   * @returns whether there is more to do at once
   */
  turn(nowMs: number): boolean {
    this.nowMs = nowMs
    this.#inbound.turn()
    for (const batcher of this.batchers) batcher.cut(nowMs)
    const count = Math.min(this.#ready.length, sessionsPerTurn)
    for (const session of this.#ready.splice(0, count)) this.#run(session)
    const isSpreading = this.#volatile.turn()
    for (const session of this.#dirty.splice(0)) if (session.phase !== 'ended') session.flush()
    const isWaking = this.#routing.turn()
    return this.isReading || isSpreading || isWaking || this.#ready.length > 0
  }

  /** Whether packets wait for the next turn. It should not wait for a flush then: else who sends much would be slowed down by a slow disk. */
  get isReading(): boolean {
    return this.#inbound.isReading
  }

  #run(session: Session): void {
    session.isReady = false
    if (session.phase === 'live' && session.pump.run(this.#port.of(session, this.nowMs), entriesPerTurn)) this.ready(session)
  }

  /** What is new in a lane goes to one of its many readers at once, while what the pump looks at is at hand: the next session is another part of the memory. */
  wake(session: Session, log: number, lane: number): void {
    session.pump.wake(log, lane)
    this.#run(session)
    session.flush()
  }

  /** Whether all that was submitted is applied. */
  get isIdle(): boolean {
    return this.batchers.every((batcher) => batcher.isIdle)
  }

  /**
   * Submits a command for an operator or over HTTP; the answer comes once it is flushed and applied.
   * @throws RangeError or ProtocolError for a command that a journal could not be read back with
   */
  submit(
    command: (origin: { readonly tag: number; readonly ref: number }) => Command,
    shard: number,
    answer: (answer: Answer) => void,
  ): void {
    const ref = this.#nextAnswer
    const submitted = decodeCommand(encodeCommand(command({ tag: submitTag, ref })))
    this.#nextAnswer += 1
    this.#answers.set(ref, answer)
    this.batchers[shard]?.submit(submitted)
  }

  /** Gives a submitted command its answer; false when the tag is a session's. */
  answer(tag: number, ref: number, answer: Answer): boolean {
    if (tag !== submitTag) return false
    this.#answers.get(ref)?.(answer)
    this.#answers.delete(ref)
    return true
  }

  shardOf(kind: 0 | 1, name: string): number {
    return shardOfName(kind, name, this.batchers.length)
  }

  /** Submits a command to the shard of an identity. */
  toShardOf(identity: number, command: Command): void {
    this.batchers[shardOfIdentity(identity, this.batchers.length)]?.submit(command)
  }

  /** Counts work for a session as so many packets of its user's; false when that is more than it may send. */
  charge(session: Session, packets: number): boolean {
    return this.#inbound.charge(session, packets)
  }

  /** Why sends are refused at the moment; undefined when they are not. */
  busyCode(): CodeName | undefined {
    if (this.edge.freeBytes() < this.limits.freeBytes) return 'disk-full'
    for (const batcher of this.batchers) {
      if (batcher.pendingBytes > this.limits.pendingBytes) return 'busy'
      const meta = batcher.shard.state.meta
      for (let target = 0; target < meta.forwarded.length; target++)
        if ((meta.forwarded[target] as number) - (meta.acknowledged[target] as number) > this.limits.forwards) return 'busy'
    }
    return undefined
  }

  /** Whether so much waits for the journals that nothing more is taken: not even what is never refused. */
  isOverwhelmed(): boolean {
    return this.batchers.some((batcher) => batcher.pendingBytes > overwhelmedFactor * this.limits.pendingBytes)
  }

  /** A session may have room or something to send. */
  ready(session: Session): void {
    if (session.isReady || session.phase !== 'live' || !session.pump.isWaiting) return
    session.isReady = true
    this.#ready.push(session)
  }

  /** Ends a session that has not ended with a code: a word of why, then the close. */
  end(session: Session, code: CodeName, text = codeOf(code).text, retryAfterMs = 0): void {
    session.send({ kind: 'error', code: codeNumber(code), retryAfterMs, text: text.slice(0, 200) })
    session.flush()
    this.edge.close(session.connection, code)
    this.#leave(session)
  }

  /** Tells every client when to come back, and takes no new ones. */
  stop(retryAfterMs: number): void {
    this.isStopping = true
    for (const session of this.registry.all()) {
      this.finish(session)
      this.foldAcks(session)
      if (session.phase !== 'ended') this.end(session, 'shutting-down', codeOf('shutting-down').text, retryAfterMs)
    }
  }

  /** A session ends: handles what had come. */
  finish(session: Session): void {
    this.#inbound.finish(session)
  }

  /** Sends a packet to a session by its tag. */
  tell(tag: number, packet: ServerPacket): void {
    const session = this.registry.byConnection.get(tag)
    if (session?.phase === 'live') session.send(packet)
  }

  /** A session has folded its first ACK: they are submitted when they have waited long enough. */
  folding(session: Session): void {
    session.foldedMs = this.nowMs
    if (session.isFolding) return
    session.isFolding = true
    this.#folding.push(session)
  }

  #foldDue(session: Session): void {
    session.isFolding = false
    if (session.foldedAcks === undefined) return
    if (this.nowMs - session.foldedMs >= foldMs) return this.foldAcks(session)
    session.isFolding = true
    this.#folding.push(session)
  }

  /** Submits the folded ACKs of groups. */
  foldAcks(session: Session): void {
    const folded = session.foldedAcks
    session.foldedAcks = undefined
    // order: of arrival; each is for a log of its own.
    for (const [log, lanes] of folded ?? [])
      for (const { lane, upTo, notStored } of lanes) this.submitAck(session, log, lane, upTo, notStored)
  }

  submitAck(
    session: Session,
    log: number,
    lane: number,
    upTo: number,
    notStored: readonly { readonly from: number; readonly to: number }[],
  ): void {
    const { connection: tag, identity: user, device, number } = session
    this.toShardOf(log, { kind: 'ack', tag, ref: 0, log, user, device, session: number, lane, upTo, notStored })
  }

  #checkSession(session: Session): void {
    const silentMs = this.nowMs - session.heardMs
    if (session.phase !== 'live' && session.phase !== 'ended') {
      if (this.nowMs - session.startedMs > this.limits.helloMs) this.end(session, 'auth-timeout')
      return
    }
    if (silentMs > 2 * this.limits.heartbeatMs + 5_000) return this.end(session, 'heartbeat-timeout')
    if (session.expiresAtMs > 0 && this.nowMs >= session.expiresAtMs) return this.end(session, 'token-expired')
    if (this.edge.bufferedBytes(session.connection) > this.limits.bufferedBytes) this.end(session, 'too-slow')
  }

  #leave(session: Session): void {
    const wasLive = session.phase === 'live'
    if (wasLive) this.foldAcks(session)
    session.phase = 'ended'
    this.registry.leave(session)
    if (!wasLive) return
    this.#greeting.left(session.identity, session.device, session.number)
    this.#volatile.presenceChanged(session.user)
  }
}
