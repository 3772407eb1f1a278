import { decodeServerMessage, ProtocolError, protocolVersion, type ServerPacket, type ServerPacketOf } from '@posthaste/protocol'
import { Asks, type AskTargets } from './asks.ts'
import { Connection, type ConnectionOwner, wrongUserCode } from './connection.ts'
import { Context } from './context.ts'
import { Device } from './device.ts'
import { Ephemeral } from './ephemeral.ts'
import type {
  AppEvent,
  ConnectionState,
  Effect,
  Fault,
  MachineEvent,
  MachineOptions,
  Now,
  Row,
  RowWrite,
  TimerName,
} from './events.ts'
import { Groups } from './groups.ts'
import { Inbox } from './inbox.ts'
import { KeyMemory } from './keyMemory.ts'
import { Outbox, ServerLimits } from './outbox.ts'
import { type PacketTargets, type SessionPacket, takePacket } from './packets.ts'
import { Reads } from './reads.ts'
import { Receiving } from './receiving.ts'
import { Requests } from './requests.ts'
import { keyPart, openRange, storeFormat, tables } from './rows.ts'
import { Sending } from './sending.ts'
import { ServerTime } from './serverTime.ts'
import { Statuses } from './statuses.ts'

/** A commit that failed is tried again after this. */
const storeRetryMs = 1_000
/** How often at most, and at least, the outbox is looked through for what is over. */
const sweepPauseMsMin = 1_000
const sweepPauseMsMax = 60_000

/**
 * The client as a deterministic machine: `step` takes an event and the clocks, and returns what is to be done. One commit is under
 * way at a time; meanwhile the next one gathers.
 */
export class Machine implements ConnectionOwner {
  readonly #options: MachineOptions
  readonly #context: Context
  readonly #time = new ServerTime()
  readonly #server = new ServerLimits()
  readonly #connection: Connection
  readonly #device: Device
  readonly #outbox: Outbox
  readonly #statuses: Statuses
  readonly #sending: Sending
  readonly #inbox: Inbox
  readonly #receiving: Receiving
  readonly #reads: Reads
  readonly #groups: Groups
  readonly #requests: Requests
  readonly #ephemeral: Ephemeral
  readonly #keys: KeyMemory
  readonly #asks: Asks
  readonly #targets: AskTargets & PacketTargets
  #isOpen = false
  /** Whether the app's calls are answered from the store, as far as can be told its user's own. */
  #isAdmitted = false
  /** The handler that there is once the store may be used: what stopped one before it is asked until then, too. */
  #earlyReceive: Extract<AppEvent, { kind: 'receive' }> | undefined
  #commits = 0
  #isCommitting = false
  #isStoreWaiting = false
  /** By the monotonic clock. */
  #sweepAtMs = Number.POSITIVE_INFINITY
  /** After how many answers the time was asked for because of a jump: once after each. */
  #askedAt = -1

  constructor(options: MachineOptions) {
    const context = new Context(options.commitBytes, options.wire)
    this.#context = context
    this.#options = options
    this.#connection = new Connection(context, this.#time, this, options.isTokenFixed)
    this.#device = new Device(context)
    this.#outbox = new Outbox(context, this.#device, this.#time, options.limits, this.#server)
    this.#statuses = new Statuses(context, this.#outbox)
    this.#outbox.onForget = (message) => this.#statuses.remove(message)
    this.#sending = new Sending(context, this.#outbox, this.#statuses, this.#time, this.#server)
    this.#receiving = new Receiving(context, options.limits)
    this.#groups = new Groups(context)
    this.#inbox = new Inbox(context, this.#device, this.#time, this.#receiving, (identity) => this.#groups.nameOf(identity))
    this.#reads = new Reads(context, this.#inbox.cursors)
    this.#requests = new Requests(context, this)
    this.#ephemeral = new Ephemeral(context)
    this.#keys = new KeyMemory(context, this.#time)
    this.#targets = {
      context,
      connection: this.#connection,
      device: this.#device,
      limits: options.limits,
      time: this.#time,
      server: this.#server,
      outbox: this.#outbox,
      sending: this.#sending,
      statuses: this.#statuses,
      inbox: this.#inbox,
      receiving: this.#receiving,
      reads: this.#reads,
      groups: this.#groups,
      requests: this.#requests,
      ephemeral: this.#ephemeral,
    }
    this.#asks = new Asks(this.#targets)
  }

  /** The connection as the app sees it. */
  get connection(): ConnectionState {
    return this.#connection.shown
  }

  /**
   * Takes one event.
   * @param now the clocks; the monotonic one never falls between steps
   * @returns what is to be done, in order
   */
  step(event: MachineEvent, now: Now): readonly Effect[] {
    this.#context.begin(now)
    this.#time.observe(now)
    if (!this.#asks.isClosed || event.kind === 'ask') this.#dispatch(event)
    this.#work()
    return this.#context.end()
  }

  get boundUser(): string {
    return this.#device.meta.user
  }

  own(user: string): void {
    const isNews = this.#isAdmitted && user !== this.#device.user
    this.#device.claim(user)
    if (isNews) this.#context.notify({ kind: 'user', user })
    this.#outbox.own()
  }

  admit(): void {
    this.#isAdmitted = true
    this.#context.notify({ kind: 'user', user: this.#device.user })
    this.#asks.admit()
    const early = this.#earlyReceive
    if (early !== undefined) this.#receiving.receive(early.positions, early.isBatched)
  }

  beginSession(): void {
    this.#device.beginSession()
  }

  hello(token: string): void {
    const { device, session, epoch } = this.#device.meta
    const { min: versionMin, max: versionMax } = protocolVersion
    const { agent } = this.#options
    const cursors = this.#inbox.cursors.hello()
    this.#context.write({ kind: 'hello', versionMin, versionMax, token, device, session, agent, epoch, cursors })
  }

  live(packet: ServerPacketOf<'welcome'>, helloMs: number): void {
    const { epoch } = this.#device.meta
    const isNewEpoch = epoch !== 0 && epoch !== packet.epoch
    this.#time.begin()
    this.#time.sample(helloMs, packet.serverTimeMs, this.#context.now)
    this.#server.bodyBytesMax = packet.bodyBytesMax
    this.#server.expirySecondsMax = packet.expirySecondsMax
    this.own(packet.user)
    this.#device.bind(packet.user)
    if (epoch !== packet.epoch) {
      this.#device.enterEpoch(packet.epoch, isNewEpoch, packet.serverTimeMs, packet.expirySecondsMax)
    }
    if (isNewEpoch) this.#inbox.cursors.drop()
    this.#groups.live(packet)
    this.#inbox.live(packet.identity, packet.user)
    this.#outbox.live(isNewEpoch)
    this.#statuses.live(isNewEpoch)
    this.#sending.live()
    this.#reads.live(isNewEpoch)
    this.#requests.live()
    this.#ephemeral.live()
  }

  down(): void {
    this.#sending.down()
    this.#statuses.down()
    this.#inbox.down()
    this.#reads.down()
    this.#requests.down()
    this.#ephemeral.down()
  }

  ended(fault: Fault): void {
    this.#context.clearTimer('keys')
    this.#context.clearTimer('outbox')
    if (fault.code === wrongUserCode) {
      this.#isAdmitted = false
      this.#outbox.disown(fault)
      this.#receiving.close()
    }
    this.#requests.ended(fault)
    this.#asks.ended(fault)
  }

  #dispatch(event: MachineEvent): void {
    switch (event.kind) {
      case 'start':
        this.#start()
        return
      case 'opened':
        this.#opened(event.rows, event.newDevice)
        return
      case 'openFailed':
        this.#connection.take({ kind: 'fatal', fault: event.fault })
        return
      case 'token':
      case 'tokenFailed':
        if (this.#connection.isPresentToken(event.attempt)) this.#connection.take(event)
        return
      case 'socketOpened':
      case 'socketClosed':
        if (this.#connection.isPresent(event.socket)) this.#connection.take(event)
        return
      case 'socketMessage':
        if (this.#connection.isPresent(event.socket)) this.#message(event.bytes)
        return
      case 'committed':
        this.#isCommitting = false
        this.#committed()
        return
      case 'commitFailed':
        this.#commitFailed(event.fault)
        return
      case 'found':
        this.#inbox.found(event.lookup, event.values)
        return
      case 'scanned':
        this.#keys.scanned(event.rows)
        return
      case 'readFailed':
        this.#readFailed(event.fault)
        return
      case 'timer':
        this.#timer(event.timer)
        return
      case 'wake':
        this.#connection.take(event)
        return
      default:
        this.#app(event)
    }
  }

  #app(event: AppEvent): void {
    switch (event.kind) {
      case 'ask':
        if (event.ask.kind !== 'close') this.#start()
        // The last chance for what could not be stored before.
        else this.#isStoreWaiting = false
        if (event.ask.kind === 'stopReceiving') this.#earlyReceive = undefined
        this.#asks.ask(event.call, event.ask)
        return
      case 'abort':
        this.#asks.abort(event.call)
        return
      case 'receive':
        this.#start()
        if (this.#isAdmitted) this.#receiving.receive(event.positions, event.isBatched)
        else this.#earlyReceive = event
        return
      case 'handlerDone':
        this.#receiving.done(event.run)
        return
      case 'handlerFailed':
        this.#receiving.handlerFailed(event.run, event.decision)
        return
      case 'sendOnce':
        this.#start()
        this.#sending.sendOnce(event.draft)
        return
      case 'typing':
        this.#ephemeral.typing(event.toKind, event.to, event.isActive)
        return
      case 'watch':
        this.#start()
        this.#ephemeral.watch(event.users, event.isOn)
        return
      default:
        event satisfies never
    }
  }

  #start(): void {
    if (this.#connection.state !== 'idle') return
    this.#connection.take({ kind: 'start' })
    this.#context.push({ kind: 'open', ...openRange })
  }

  #opened(rows: readonly Row[], newDevice: Uint8Array): void {
    if (this.#connection.state !== 'opening') return
    try {
      this.#load(rows, newDevice)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      const fault = {
        code: 'store-corrupt',
        message: `The store holds a row that can't be read: ${error.message}`,
        retryable: false,
      }
      this.#connection.take({ kind: 'fatal', fault })
      return
    }
    this.#isOpen = true
    this.#connection.take({ kind: 'opened' })
    this.#keys.opened()
    this.#asks.opened()
  }

  #load(rows: readonly Row[], newDevice: Uint8Array): void {
    const bodies = new Map<number, Uint8Array>()
    for (const [key, value] of rows) if (key[0] === tables.body) bodies.set(keyPart(key, 0), value)
    this.#device.open(rows.find(([key]) => key[0] === tables.meta)?.[1], newDevice)
    if (this.#device.meta.format !== storeFormat)
      throw new ProtocolError('version-unsupported', 'store', 'written by another version')
    for (const row of rows) {
      const [key, value] = row
      const table = key[0]
      if (table === tables.outbox) this.#outbox.load(keyPart(key, 0), value, bodies.get(keyPart(key, 0)))
      else if (table === tables.cursor) this.#inbox.cursors.load(row)
      else if (table === tables.read) this.#reads.load(row)
      else if (table === tables.group) this.#groups.load(row)
      else if (table !== tables.meta && table !== tables.body) this.#receiving.load(row)
    }
    for (const message of this.#outbox.messages.values()) this.#statuses.index(message)
  }

  #message(bytes: Uint8Array | null): void {
    this.#connection.heard()
    let packets: ServerPacket[]
    try {
      packets = decodeServerMessage(bytes ?? Uint8Array.of(0))
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      const fault = { code: error.code, message: `The server's message can't be read: ${error.message}`, retryable: true }
      this.#connection.take({ kind: 'broken', fault })
      return
    }
    for (const packet of packets) {
      if (packet.kind === 'welcome' || packet.kind === 'error' || packet.kind === 'renewed') {
        this.#connection.take({ kind: packet.kind, packet } as Parameters<Connection['take']>[0])
      } else if (this.#connection.state === 'live') this.#packet(packet)
      else if (this.#connection.state === 'greeting') {
        this.#broken(`${packet.kind} came before WELCOME`)
        return
      } else return
    }
  }

  #packet(packet: SessionPacket): void {
    const fault = takePacket(this.#targets, packet)
    if (fault !== undefined) this.#broken(fault)
  }

  #broken(what: string): void {
    const fault = { code: 'protocol-error', message: `The connection is broken: ${what}.`, retryable: true }
    this.#connection.take({ kind: 'broken', fault })
  }

  #timer(timer: TimerName): void {
    switch (timer) {
      case 'connection':
        this.#connection.take({ kind: 'timer' })
        return
      case 'heartbeat':
        this.#connection.take({ kind: 'heartbeat' })
        return
      case 'renew':
        this.#connection.take({ kind: 'renewTimer' })
        return
      case 'resume':
        this.#sending.resume()
        return
      case 'outbox':
        this.#sweepAtMs = Number.POSITIVE_INFINITY
        this.#outbox.sweep()
        return
      case 'handlers':
        return
      case 'typing':
        this.#ephemeral.timer()
        return
      case 'keys':
        this.#keys.timer()
        return
      case 'store':
        this.#isStoreWaiting = false
        return
      case 'query':
        return this.#statuses.timer()
      case 'realtime':
        this.#requests.timer()
    }
  }

  /** What follows from any event: everything that may be done now. */
  #work(): void {
    if (!this.#isOpen || this.#asks.isClosed) return
    this.#inbox.lookup()
    this.#inbox.cursors.acknowledgeDue()
    this.#reads.pump()
    this.#sending.drain()
    if (this.#connection.state !== 'closing') this.#receiving.pump()
    this.#flush()
    this.#armSweep()
    this.#askTime()
    if (this.#connection.state === 'closing' && !this.#isCommitting) this.#connection.take({ kind: 'flushed' })
    if (this.#connection.state === 'ended' && !this.#isCommitting) this.#asks.flushed()
  }

  #flush(): void {
    if (this.#isCommitting || this.#isStoreWaiting) return
    const writes: RowWrite[] = []
    for (const part of this.#parts()) part.prepare(writes)
    if (writes.length === 0) {
      this.#committed()
      return
    }
    this.#commits += 1
    this.#isCommitting = true
    this.#context.push({ kind: 'commit', commit: this.#commits, writes })
  }

  #committed(): void {
    this.#device.committed()
    this.#context.rows.committed()
    const sendable = this.#outbox.committed()
    this.#reads.committed()
    for (const { entry, isOutgoing } of this.#inbox.committed()) {
      if (!isOutgoing) this.#receiving.stored(entry)
      this.#context.notify({ kind: 'message', entry, isOutgoing })
    }
    this.#receiving.committed()
    this.#sending.stored(sendable)
    if (this.#connection.state === 'preparing' && this.#device.isSessionDurable) this.#connection.take({ kind: 'sessionStored' })
  }

  #commitFailed(fault: Fault): void {
    this.#isCommitting = false
    for (const part of this.#parts()) part.failed(fault)
    this.#context.warn(fault)
    if (this.#connection.state === 'closing') {
      this.#connection.take({ kind: 'flushed' })
      return
    }
    this.#isStoreWaiting = true
    const mayRecover = fault.retryable || fault.code === 'store-full'
    if (mayRecover) this.#context.setTimer('store', storeRetryMs)
    this.#connection.take({ kind: mayRecover ? 'broken' : 'fatal', fault })
    if (mayRecover) return
    // No call to stop receiving is taken any more: what handlers give back would be handed out again, without end.
    this.#receiving.close()
    this.#asks.lost(fault)
  }

  /** What fails for good fails at every connection anew. */
  #readFailed(fault: Fault): void {
    this.#context.warn(fault)
    this.#connection.take({ kind: fault.retryable ? 'broken' : 'fatal', fault })
  }

  /** The parts that store something, in the order in which their rows must be written: what an epoch voids goes first. */
  #parts(): readonly { prepare(writes: RowWrite[]): void; failed(fault: Fault): void }[] {
    const { state } = this.#connection
    const inbox = state === 'closing' ? [] : [this.#inbox]
    return [this.#context.rows, this.#device, this.#outbox, this.#reads, ...inbox, this.#receiving]
  }

  #armSweep(): void {
    if (this.#outbox.messages.size === 0 || this.#connection.state === 'ended') return
    const nowMs = this.#context.now.monotonicMs
    const atMs = Math.min(nowMs + sweepPauseMsMax, Math.max(nowMs + sweepPauseMsMin, this.#outbox.sweepMs))
    if (this.#sweepAtMs <= atMs) return
    this.#sweepAtMs = atMs
    this.#context.setTimer('outbox', atMs - nowMs)
  }

  /** The clocks jumped: nothing is judged late or in time before the server has said what time it is. */
  #askTime(): void {
    const { answers } = this.#time
    if (this.#askedAt === answers || !this.#context.isLive || !this.#time.isSuspect(this.#context.now)) return
    this.#askedAt = answers
    this.#connection.ping()
  }
}
