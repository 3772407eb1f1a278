import { decodeRecord, Host, type HostEdge, type HostLimits, type Settings, Shard, type Verified } from '@posthaste/core'
import { type CodeName, codeNumber } from '@posthaste/protocol'
import { contentHash } from '../../packages/client/src/testing/contentHash.ts'
import type { SimOptions } from '../plan/options.ts'
import { Checkpointer, type CheckpointParts } from './checkpointer.ts'
import type { Link, ServerEnd } from './network.ts'
import { clientText } from './packetText.ts'
import type { ProcessClock } from './processClock.ts'
import type { Random } from './random.ts'
import { readToken } from './tokens.ts'
import type { ServerDisk } from './serverDisk.ts'
import type { Wire } from './wire.ts'
import { type CrashPoint, startMs, type World } from './world.ts'

/** Thrown at a point where a crash was set: the process is gone, and nothing of what it was doing goes on. */
export class Killed extends Error {
  readonly crash: () => void

  constructor(crash: () => void) {
    super('killed')
    this.crash = crash
  }
}

/** What a server process needs of the rest. */
export interface ServerParts {
  readonly world: World
  readonly random: Random
  readonly options: SimOptions
  readonly disk: ServerDisk
  readonly wire: Wire
  /** Settings and gateway limits, as the operator's command line has them. */
  readonly settings: Partial<Settings>
  readonly limits: Partial<HostLimits>
  /** The process stops by itself: its disk failed. */
  readonly onFailure: () => void
}

const busyTickMs = 100
const idleTickMs = 2_500
const busyMs = 2_000
/** While nobody is connected only what is due counts. */
const emptyTickMs = 600_000
const stopRetryMs = 500

/** One run of the server: the real host over simulated disks and connections, as `server/src/gateway.ts` and `engine.ts` drive it. */
export class ServerProcess implements HostEdge, ServerEnd {
  readonly host: Host
  readonly shards: readonly Shard[]
  readonly #parts: ServerParts
  readonly #clock: ProcessClock
  readonly #links = new Map<number, Link>()
  readonly #checkpointers: readonly Checkpointer[]
  readonly #isFlushing: boolean[] = []
  #nextConnection = 2
  #isTurnDue = false
  #recordsInFlight = 0
  #isDead = false
  #workedMs = 0
  #tickAtMs = Number.POSITIVE_INFINITY
  #onStopped: (() => void) | undefined

  /** Replays the journals, as after any end of the process before. */
  constructor(parts: ServerParts, clock: ProcessClock, isRestored: boolean, epochMin: number) {
    this.#parts = parts
    this.#clock = clock
    const { disk, world } = parts
    this.shards = disk.stores.map(({ tables, journal }, index) => {
      const shard = new Shard(index, disk.stores.length, tables)
      const from = shard.position
      for (const { position, bytes } of journal.flushed) if (position > from) shard.replay(position, decodeRecord(bytes))
      return shard
    })
    const positions = disk.stores.map(({ journal }) => journal.lastPosition)
    const { limits } = parts
    this.host = new Host({ shards: this.shards, positions, edge: this, nowMs: this.nowMs(), isRestored, epochMin, limits })
    this.#checkpointers = this.shards.map((shard, index) => new Checkpointer(this.#checkpointParts(shard, index)))
    this.#workedMs = world.nowMs
  }

  get isUp(): boolean {
    return !this.#isDead && !this.host.isStopping
  }

  get epoch(): number {
    return this.host.epoch
  }

  get isCheckpointing(): boolean {
    return this.#checkpointers.some(({ isBusy }) => isBusy)
  }

  /** Whether the first record of this process is applied in every shard: its epoch is in all journals then. */
  get hasBegun(): boolean {
    return this.shards.every(({ state }) => state.meta.incarnation === this.host.incarnation)
  }

  /** The clock of this process: the wall clock at its start, then monotonic. */
  readonly clock = (trueMs: number): number => this.#clock.monotonicMs(trueMs)

  /** The first record, the settings, the timers. */
  begin(): void {
    this.#enter(() => {
      this.host.begin()
      if (Object.keys(this.#parts.settings).length > 0)
        for (const batcher of this.host.batchers)
          batcher.submit({ kind: 'settings', ...batcher.shard.state.settings, ...this.#parts.settings })
    })
    this.#armTick()
  }

  /** The process is killed. @param isSilent with its computer */
  crash(isSilent: boolean): void {
    if (this.#isDead) return
    this.#isDead = true
    const { disk, random, world } = this.#parts
    for (const { journal } of disk.stores) {
      const survivors = random.between(0, journal.unflushedCount)
      if (journal.unflushedCount > survivors) world.count('unflushed record lost', journal.unflushedCount - survivors)
      if (survivors > 0) world.count('unflushed record kept', survivors)
      journal.crash(survivors)
    }
    // order: of connecting.
    for (const link of [...this.#links.values()]) link.serverDied(isSilent)
    this.#links.clear()
  }

  /** Stops as a signal would have it: tells clients when to come back, waits for what is under way, leaves no journal behind. */
  stop(stopped: () => void): void {
    this.#onStopped = stopped
    this.#enter(() => this.host.stop(stopRetryMs))
  }

  /** Does what was submitted from outside of a connection, such as over HTTP. */
  wake(): void {
    this.#enter(() => {})
  }

  /** Begins a checkpoint of each shard at once. */
  checkpointNow(): void {
    this.#enter(() => {
      for (const checkpointer of this.#checkpointers) checkpointer.begin()
    })
  }

  accepted(link: Link): void {
    link.connection = this.#nextConnection
    this.#nextConnection += 1
    this.#links.set(link.connection, link)
    this.#parts.wire.opened(link, this.epoch)
    this.#enter(() => this.host.connected(link.connection, this.nowMs()))
  }

  received(link: Link, bytes: Uint8Array): void {
    const { trace, nowMs } = this.#parts.world
    trace.note(nowMs, 'server', 'received', bytes.length, () => `from ${link.route.name}: ${clientText(bytes)}`)
    trace.bytes(bytes)
    this.#parts.wire.in(link, bytes)
    this.#enter(() => this.host.received(link.connection, bytes, this.nowMs()))
  }

  closed(link: Link): void {
    this.#links.delete(link.connection)
    this.#enter(() => this.host.closed(link.connection, this.nowMs()))
  }

  write(connection: number, bytes: Uint8Array): void {
    const link = this.#links.get(connection)
    if (link === undefined) return
    this.#parts.wire.out(link, bytes)
    link.toClient(bytes.slice())
  }

  close(connection: number, code: CodeName): void {
    const { trace, nowMs } = this.#parts.world
    trace.note(nowMs, 'server', 'closes', codeNumber(code), () => `connection ${connection}: ${code}`)
    this.#links.get(connection)?.closeByServer(4_000 + codeNumber(code))
    this.#links.delete(connection)
  }

  bufferedBytes(connection: number): number {
    return this.#links.get(connection)?.heldBytes ?? 0
  }

  append(shard: number, position: number, bytes: Uint8Array): void {
    this.#pass('append')
    const { disk, world } = this.#parts
    disk.stores[shard]?.journal.append(position, bytes)
    this.#checkpointers[shard]?.appended(bytes.length)
    this.#recordsInFlight += 1
    world.trace.note(
      world.nowMs,
      'server',
      'append',
      position,
      () => `shard ${shard} position ${position}, ${bytes.length} bytes`,
    )
    world.trace.bytes(bytes)
    this.#flush(shard)
  }

  /** Processors take no time here: what comes all the same waits in the host. */
  setPaused(): void {}

  verify(connection: number, token: string): void {
    const { random, world } = this.#parts
    world.after(random.skewed(0, 20), () =>
      this.#enter(() => this.host.verified(connection, this.#verified(token), this.nowMs())),
    )
  }

  hash(type: number, priority: number, receipts: boolean, body: Uint8Array): string {
    return contentHash(type, priority, receipts, body)
  }

  freeBytes(): number {
    return this.#parts.disk.isNearlyFull ? 1_048_576 : 2 ** 40
  }

  nowMs(): number {
    return this.clock(this.#parts.world.nowMs)
  }

  #verified(token: string): Verified {
    const read = readToken(token)
    if (read === undefined) return { isOk: false, code: 'token-invalid', text: 'no token' }
    if (read.expiresAtMs > 0 && read.expiresAtMs <= this.nowMs()) return { isOk: false, code: 'token-expired', text: 'expired' }
    return { isOk: true, user: read.user, issuedAtMs: read.issuedAtMs, expiresAtMs: read.expiresAtMs }
  }

  /** One transaction at a time: what is appended meanwhile goes into the next. */
  #flush(shard: number): void {
    const store = this.#parts.disk.stores[shard]
    if (store === undefined || this.#isFlushing[shard] === true || store.journal.unflushedCount === 0) return
    this.#isFlushing[shard] = true
    const count = store.journal.unflushedCount
    const { disk, random, world } = this.#parts
    const takesMs = random.skewed(0.1, disk.flushMsMax)
    if (takesMs > 100) world.count('flush over 100 ms')
    world.after(takesMs, () =>
      this.#enter(() => {
        this.#pass('flushing')
        if (disk.isFailing) {
          world.count('flush error')
          this.#parts.onFailure()
          return
        }
        const positions = store.journal.flush(count)
        this.#pass('flushed')
        this.#isFlushing[shard] = false
        for (const position of positions) {
          this.#recordsInFlight -= 1
          this.host.flushed(shard, position, this.nowMs())
          this.#step()
        }
        this.#flush(shard)
      }, true),
    )
  }

  #step(): void {
    for (const shard of this.shards) shard.state.generations.trimLoaded(this.#parts.options.loadedRows)
    for (const checkpointer of this.#checkpointers) if (!this.isCheckpointing && checkpointer.isDue) checkpointer.begin()
  }

  /** Runs something of this process, and plans the turn that follows it. */
  #enter(action: () => void, isUrgent = false): void {
    if (this.#isDead) return
    try {
      action()
      if (!this.#isDead) this.#due(isUrgent)
    } catch (error) {
      if (!(error instanceof Killed)) throw error
      error.crash()
    }
  }

  #pass(point: CrashPoint): void {
    const crash = this.#parts.world.passes('server', point)
    if (crash !== undefined) throw new Killed(crash)
  }

  /** As the gateway has it: while a record is being flushed, the turn waits for it. */
  #due(isUrgent: boolean): void {
    this.#workedMs = this.#parts.world.nowMs
    if (this.#isTurnDue || (this.#recordsInFlight > 0 && !isUrgent && !this.host.isReading)) return
    this.#isTurnDue = true
    this.#parts.world.after(0.02, () => {
      this.#isTurnDue = false
      this.#turn()
    })
    if (this.#parts.world.nowMs + busyTickMs < this.#tickAtMs) this.#armTick()
  }

  #turn(): void {
    if (this.#isDead) return
    try {
      this.#pass('turn')
      const isMore = this.host.turn(this.nowMs())
      if (isMore) this.#due(false)
      if (this.#onStopped !== undefined && this.host.isIdle) this.#stopped()
    } catch (error) {
      if (!(error instanceof Killed)) throw error
      error.crash()
    }
  }

  #stopped(): void {
    const stopped = this.#onStopped
    this.#onStopped = undefined
    if (this.isCheckpointing) {
      this.#onStopped = stopped
      this.#parts.world.after(5, () => this.#turn())
      return
    }
    this.#isDead = true
    for (const checkpointer of this.#checkpointers) checkpointer.finish()
    // order: of connecting.
    for (const link of [...this.#links.values()]) link.serverDied(false)
    stopped?.()
  }

  #armTick(): void {
    const { world } = this.#parts
    const isBusy = world.nowMs - this.#workedMs < busyMs
    const periodMs = isBusy ? busyTickMs : this.#links.size > 0 ? idleTickMs : emptyTickMs
    let atMs = world.nowMs + periodMs
    for (const shard of this.shards) {
      const dueMs = shard.nextDueMs(this.nowMs()) ?? Number.POSITIVE_INFINITY
      const inMs = Math.max(0, dueMs - this.nowMs())
      if (dueMs - startMs < Number.MAX_SAFE_INTEGER) atMs = Math.min(atMs, world.nowMs + Math.max(busyTickMs, inMs))
    }
    this.#tickAtMs = atMs
    world.at(atMs, () => {
      if (this.#isDead || this.#tickAtMs !== atMs) return
      this.#tick()
      this.#armTick()
    })
  }

  #tick(): void {
    const { nowMs } = this.#parts.world
    const workedMs = this.#workedMs
    this.#enter(() => {
      this.host.tick(this.nowMs())
      this.#step()
    }, true)
    // The tick itself is no work.
    if (this.#workedMs === nowMs) this.#workedMs = workedMs
  }

  #checkpointParts(shard: Shard, index: number): CheckpointParts {
    const { world, random, options, disk } = this.#parts
    const store = disk.stores[index]
    if (store === undefined) throw new RangeError(`no shard ${index}`)
    return {
      world,
      random,
      options,
      shard,
      store,
      pass: (point) => this.#pass(point),
      enter: (action) => this.#enter(action),
    }
  }
}
