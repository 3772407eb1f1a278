import { hash } from 'node:crypto'
import { hashBytes, Host, type HostEdge, type HostLimits, type Verified } from '@posthaste/core'
import type { CodeName } from '@posthaste/protocol'
import type { TokenVerifier } from './auth/index.ts'
import type { Engine } from './engine.ts'
import type { LimitSettings } from './limits.ts'
import type { Logger } from './logging.ts'
import { AfterAccepting } from './sockets/accepting.ts'
import { LocalSockets } from './sockets/local.ts'
import { GatewayProcesses } from './sockets/processes.ts'
import { closeMs, type SocketEvents, type Sockets } from './sockets/sockets.ts'

/** What a message may hold beside a body. */
const overheadBytes = 65_536
const messageBytesMin = 327_680
const tickMs = 100
/** Bodies up to this size are hashed without memory of their own. */
const hashedBytes = 65_536
/** What clocks may differ by before it is logged. */
const driftMs = 1_000
const aheadText = 'The system clock is behind what this server recorded before: the server goes on from there'
const fullText = 'The disk of the data directory is nearly full: messages are refused with disk-full until it has room'
const driftText = 'The system clock was set, or the machine slept: the server goes on by its own clock until it is started again'
/** How long clients wait after the server stops. */
const comeBackMs = 1_000

/** Parts that a gateway is made of. */
export interface GatewayOptions {
  readonly engine: Engine
  readonly auth: TokenVerifier
  readonly logger: Logger
  readonly isRestored: boolean
  /** With that, of at least this number. */
  readonly epochMin: number
  /** Limits of the shards to set; the first record sets them. */
  readonly settings: LimitSettings
  readonly limits: Partial<HostLimits>
  /** How many processes hold the sockets of clients; 0: this one does. */
  readonly gateways: number
  /** Called when a journal has failed: nothing may be told to anybody after it. */
  readonly onFailure: (error: unknown) => void
}

/** The edge around the host: sockets, the clock, the journals, tokens. */
export class Gateway implements HostEdge, SocketEvents {
  readonly host: Host
  readonly #engine: Engine
  readonly #auth: TokenVerifier
  readonly #onFailure: (error: unknown) => void
  readonly #sockets: Sockets
  readonly #turns = new AfterAccepting(
    () => this.#sockets.accepted,
    () => this.#turn(),
  )
  readonly #timers: NodeJS.Timeout[] = []
  readonly #settings: LimitSettings
  readonly #logger: Logger
  /** How far the server's time is ahead of this process's clock: it never falls behind what was recorded before. */
  readonly #aheadMs: number
  /** How far it was from the system's clock when that was logged. */
  #driftMs = 0
  readonly #hashed = Buffer.alloc(6 + hashedBytes)
  #isTurnDue = false
  /** Whether the server stops and all that was accepted is applied: nothing may be journaled any more, not even that something is due. */
  #isOver = false
  #isDiskFull = false
  /** Records that are on their way to the disk. */
  #recordsInFlight = 0

  constructor(options: GatewayOptions) {
    this.#engine = options.engine
    this.#auth = options.auth
    this.#onFailure = options.onFailure
    this.#logger = options.logger
    const shards = options.engine.stores.map(({ shard }) => shard)
    this.#aheadMs = Math.max(0, ...shards.map(({ state }) => state.meta.clockMs - nowMs()))
    if (this.#aheadMs > driftMs) this.#logger.warn({ aheadMs: Math.round(this.#aheadMs) }, aheadText)
    const positions = options.engine.stores.map(({ journal }) => journal.lastPosition)
    this.host = new Host({
      shards,
      positions,
      edge: this,
      nowMs: this.#nowMs(),
      isRestored: options.isRestored,
      epochMin: options.epochMin,
      limits: options.limits,
    })
    this.#settings = options.settings
    const bodyBytes = options.settings.bodyBytes ?? shards[0]?.state.settings.bodyBytes ?? 0
    const messageBytesMax = Math.max(messageBytesMin, bodyBytes + overheadBytes)
    const served = { messageBytesMax, heartbeatMs: this.host.limits.heartbeatMs }
    this.#sockets =
      options.gateways === 0
        ? new LocalSockets(served, options.logger, this)
        : new GatewayProcesses(options.gateways, { ...served, logLevel: options.logger.level }, options.logger, this)
  }

  /** Begins: the first record, the timers. Nothing may be submitted before. */
  begin(): void {
    this.freeBytes()
    this.host.begin()
    this.#applySettings()
    this.#due()
    this.#timers.push(setInterval(() => this.#tick(), tickMs))
  }

  /** Begins to take connections. Resolves with the port once it listens. */
  listen(port: number, host: string): Promise<number> {
    return this.#sockets.listen(port, host)
  }

  /** Takes no new connections, tells clients when to come back, and waits until all that was accepted is applied. */
  async stop(): Promise<void> {
    this.#sockets.stopListening()
    this.host.stop(comeBackMs)
    this.#due()
    while (!this.#isOver) await new Promise((resolve) => setTimeout(resolve, 2))
    for (const timer of this.#timers) clearInterval(timer)
    const ended = performance.now()
    while (this.#sockets.size > 0 && performance.now() - ended < closeMs) await new Promise((resolve) => setTimeout(resolve, 5))
    await this.#sockets.end()
  }

  #applySettings(): void {
    if (Object.keys(this.#settings).length === 0) return
    for (const batcher of this.host.batchers)
      batcher.submit({ kind: 'settings', ...batcher.shard.state.settings, ...this.#settings })
  }

  /** Does what is to be done after something was submitted from outside a socket. */
  wake(): void {
    this.#due()
  }

  write(connection: number, bytes: Uint8Array): void {
    this.#sockets.write(connection, bytes)
  }

  close(connection: number, code: CodeName): void {
    this.#sockets.close(connection, code)
  }

  bufferedBytes(connection: number): number {
    return this.#sockets.bufferedBytes(connection)
  }

  setPaused(connection: number, isPaused: boolean): void {
    this.#sockets.setPaused(connection, isPaused)
  }

  append(shard: number, position: number, bytes: Uint8Array): void {
    const store = this.#engine.stores[shard]
    if (store === undefined) return
    store.journalBytes += bytes.length
    this.#recordsInFlight += 1
    store.journal.append(position, bytes).then(
      () => {
        this.#recordsInFlight -= 1
        this.host.flushed(shard, position, this.#nowMs())
        this.#engine.step()
        this.#due(true)
      },
      (error: unknown) => this.#onFailure(error),
    )
  }

  verify(connection: number, token: string): void {
    this.#auth.verify(token).then(
      (verified: Verified) => {
        const isForEver = !verified.isOk || verified.expiresAtMs === 0
        const told = isForEver ? verified : { ...verified, expiresAtMs: verified.expiresAtMs + this.#sinceSystemMs() }
        this.host.verified(connection, told, this.#nowMs())
        this.#due()
      },
      (error: unknown) => this.#onFailure(error),
    )
  }

  hash(type: number, priority: number, receipts: boolean, body: Uint8Array): string {
    // Hashed before anything else happens, so one buffer serves all but large bodies.
    const content = body.length <= hashedBytes ? this.#hashed.subarray(0, 6 + body.length) : Buffer.allocUnsafe(6 + body.length)
    content.writeUInt32BE(type, 0)
    content[4] = priority
    content[5] = receipts ? 1 : 0
    content.set(body, 6)
    return hash('sha256', content, 'binary').slice(0, hashBytes)
  }

  freeBytes(): number {
    const freeBytes = this.#engine.freeBytes()
    const neededBytes = this.host.limits.freeBytes
    if (freeBytes < neededBytes !== this.#isDiskFull) {
      this.#isDiskFull = !this.#isDiskFull
      if (this.#isDiskFull) this.#logger.error({ freeBytes, neededBytes }, fullText)
      else this.#logger.info({ freeBytes }, 'The disk has room again')
    }
    return freeBytes
  }

  connected(connection: number): void {
    this.host.connected(connection, this.#nowMs())
  }

  message(connection: number, bytes: Uint8Array): void {
    this.host.received(connection, bytes, this.#nowMs())
  }

  refused(connection: number, code: CodeName, text: string): void {
    this.host.refuse(connection, code, text)
  }

  heard(connection: number): void {
    this.host.heard(connection, this.#nowMs())
  }

  closed(connection: number): void {
    this.host.closed(connection, this.#nowMs())
  }

  read(): void {
    this.#due()
  }

  /**
   * Has a turn taken once the event loop has read what has come. While a record is being flushed, the turn waits for it: commands and packets
   * gather, so that there are fewer and larger records and fewer writes the more there is to do. `tick` doesn't wait, should the disk be slow,
   * nor do packets that had no room in the last turn.
   */
  #due(isUrgent = false): void {
    if (this.#isTurnDue || (this.#recordsInFlight > 0 && !isUrgent && !this.host.isReading)) return
    this.#isTurnDue = true
    this.#turns.soon()
  }

  #turn(): void {
    this.#isTurnDue = false
    this.#isOver ||= this.host.isStopping && this.host.isIdle
    if (this.#isOver) return
    if (this.host.turn(this.#nowMs())) this.#due()
  }

  /** The server's time, in ms since the epoch: that of the process, but never before the last record. */
  #nowMs(): number {
    return nowMs() + this.#aheadMs
  }

  /** Tokens go by the system's clock, and so does who revokes them; what the host compares with its own is told by that one. */
  #sinceSystemMs(): number {
    return this.#nowMs() - Date.now()
  }

  /** The server's time goes on evenly when the system's clock is set, and while the machine sleeps it stands still. */
  #watchClock(): void {
    const drift = this.#sinceSystemMs() - this.#aheadMs
    if (Math.abs(drift - this.#driftMs) < driftMs) return
    this.#driftMs = drift
    this.#logger.warn({ driftMs: Math.round(drift) }, driftText)
  }

  #tick(): void {
    this.#watchClock()
    this.host.tick(this.#nowMs())
    this.#engine.step()
    this.#due(true)
  }
}

/** The time of this process in ms since the epoch: the wall clock at its start, then monotonic. */
function nowMs(): number {
  return performance.timeOrigin + performance.now()
}
