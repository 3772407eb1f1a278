import type {
  Effect,
  Fault,
  MachineEvent,
  MachineLimits,
  MachineOptions,
  TimerName,
} from '../../packages/client/src/machine/events.ts'
import { Machine } from '../../packages/client/src/machine/machine.ts'
import type { DeviceStore } from './deviceStore.ts'
import type { ClientEnd, Link, Route, ServerEnd } from './network.ts'
import { Link as NetworkLink } from './network.ts'
import { serverText } from './packetText.ts'
import type { ProcessClock } from './processClock.ts'
import type { Random } from './random.ts'
import type { AppClient, Seen } from './appClient.ts'
import { readToken } from './tokens.ts'
import type { CrashPoint, World } from './world.ts'

/** What the app of a device is told; it answers by `dispatch`. */
export interface DeviceApp {
  handle(effect: Extract<Effect, { kind: 'handle' }>): void
  stopReceiving(): void
  notice(effect: Extract<Effect, { kind: 'notify' }>): void
  settled(effect: Extract<Effect, { kind: 'settle' }>): void
  /** A commit is durable, though nobody was told yet. @param judgedMs what the server's clock showed when the machine decided it */
  stored(writes: Extract<Effect, { kind: 'commit' }>['writes'], judgedMs: number): void
  ended(): void
}

/** What a device process needs of the rest. */
export interface DeviceParts {
  readonly name: string
  /** Tells this run of a machine from all others of the schedule. */
  readonly run: number
  readonly world: World
  readonly random: Random
  readonly store: DeviceStore
  readonly clock: ProcessClock
  readonly route: Route
  /** The server that answers at the moment. */
  readonly server: () => ServerEnd
  readonly limits: MachineLimits
  readonly commitBytes: number
  readonly wire: MachineOptions['wire']
  /** The longest that a commit takes at the moment. */
  readonly storeMsMax: () => number
  /** A token, or why there is none. */
  readonly token: () => { readonly token: string } | { readonly fault: Fault; readonly isTerminal: boolean }
}

/** One run of a device: the real machine over a simulated store, network and clock, as `client/src/runtime.ts` drives it. */
export class DeviceProcess implements ClientEnd, AppClient {
  readonly tab = 0
  readonly parts: DeviceParts
  readonly #machine: Machine
  readonly #app: DeviceApp
  readonly #timers = new Map<TimerName, number>()
  readonly #events: MachineEvent[] = []
  readonly #links = new Map<number, Link>()
  #timerNumber = 0
  #isStepping = false
  #isDead = false
  #isStoreClosed = false
  #pausedUntilMs = 0
  /** When what has come in a pause is taken. */
  #wakesMs = 0
  /** Commits that fail from now on. */
  failingCommits = 0
  failingFault: Fault = storeFailed
  /** The writes that are on their way to the disk. */
  #writing: Extract<Effect, { kind: 'commit' }> | undefined
  #writingMs = 0
  /** The connection that was opened last. */
  link: Link | undefined

  constructor(parts: DeviceParts, makeApp: (process: DeviceProcess) => DeviceApp) {
    this.parts = parts
    const { limits, commitBytes, wire, name: agent } = parts
    this.#machine = new Machine({ limits, commitBytes, wire, agent, isTokenFixed: false })
    this.#app = makeApp(this)
  }

  get isDead(): boolean {
    return this.#isDead
  }

  get connection(): ReturnType<() => Machine['connection']> {
    return this.#machine.connection
  }

  /** What the server's clock shows to which this process was connected last. */
  serverMs(trueMs: number): number {
    return this.link?.serverClock(trueMs) ?? 0
  }

  /** What is so at the moment at which something is told. */
  get seen(): Seen {
    return {
      run: this.parts.run,
      epoch: this.link?.serverEpoch ?? 0,
      isLive: this.connection.status === 'live',
      serverMs: this.serverMs(this.parts.world.nowMs),
    }
  }

  after(ms: number, action: () => void): void {
    this.parts.world.after(ms, action)
  }

  /** The process is killed. @param isSilent its computer loses power, so that nobody hears of it */
  crash(isSilent: boolean): void {
    if (this.#isDead) return
    this.#isDead = true
    const { random, world } = this.parts
    const writing = this.#writing
    if (writing !== undefined && random.isLucky(0.5)) {
      world.count('commit kept in a crash')
      this.#apply(writing)
    } else if (writing !== undefined) world.count('commit lost in a crash')
    // order: of opening.
    for (const link of this.#links.values()) link.clientDied(isSilent)
    this.#links.clear()
  }

  /** The process does not run for a while. @param isClockStopped its monotonic clock stands still meanwhile, as in sleep */
  pause(ms: number, isClockStopped: boolean): void {
    const { clock, world } = this.parts
    this.#pausedUntilMs = Math.max(this.#pausedUntilMs, world.nowMs + ms)
    if (isClockStopped) world.at(this.#pausedUntilMs, () => clock.stall(ms))
  }

  /** Hands an event to the machine and runs what it wants. Events that come meanwhile wait for their turn. */
  dispatch(event: MachineEvent): void {
    if (this.#isDead) return
    this.#events.push(event)
    this.#work()
  }

  /** Takes what has come, in its order, unless the process is paused: then once it goes on. */
  #work(): void {
    const { world } = this.parts
    if (this.#isStepping || this.#isDead) return
    if (world.nowMs < this.#pausedUntilMs) {
      if (this.#wakesMs === this.#pausedUntilMs) return
      this.#wakesMs = this.#pausedUntilMs
      world.at(this.#wakesMs, () => this.#work())
      return
    }
    this.#isStepping = true
    for (let next = this.#events.shift(); next !== undefined && !this.#isDead; next = this.#events.shift()) this.#step(next)
    this.#isStepping = false
  }

  socketOpened(socket: number): void {
    this.dispatch({ kind: 'socketOpened', socket })
  }

  socketMessage(socket: number, bytes: Uint8Array): void {
    const { world, name } = this.parts
    world.trace.note(world.nowMs, name, 'received', bytes.length, () => serverText(bytes))
    world.trace.bytes(bytes)
    this.dispatch({ kind: 'socketMessage', socket, bytes })
  }

  socketClosed(socket: number, closeCode: number): void {
    this.#links.delete(socket)
    this.dispatch({ kind: 'socketClosed', socket, closeCode })
  }

  #step(event: MachineEvent): void {
    const { clock, random, world } = this.parts
    const now = {
      wallMs: Math.trunc(clock.wallMs(world.nowMs)),
      monotonicMs: clock.monotonicMs(world.nowMs),
      random: random.fraction(),
      isCongested: false,
    }
    for (const effect of this.#machine.step(event, now)) {
      if (this.#isDead) return
      this.#run(effect)
    }
  }

  #run(effect: Effect): void {
    const { world, name } = this.parts
    switch (effect.kind) {
      case 'open':
        return this.#later(() => this.#open(effect))
      case 'getToken':
        return this.#later(() => this.#token(effect.attempt))
      case 'openSocket':
        return this.#openSocket(effect.socket)
      case 'closeSocket':
        this.#links.get(effect.socket)?.closeByClient()
        this.#links.delete(effect.socket)
        return
      case 'write':
        if (this.#passes('device-write')) return
        this.#links.get(effect.socket)?.toServer(effect.bytes)
        return
      case 'commit':
        return this.#commit(effect)
      case 'lookup':
        return this.#later(() => {
          const values = effect.keys.map((key) => this.parts.store.get(key))
          this.dispatch({ kind: 'found', lookup: effect.lookup, values })
        })
      case 'scan':
        return this.#later(() =>
          this.dispatch({ kind: 'scanned', rows: this.parts.store.scan(effect.from, effect.to, effect.limit) }),
        )
      case 'setTimer':
        return this.#setTimer(effect.timer, effect.delayMs)
      case 'clearTimer':
        this.#timers.delete(effect.timer)
        return
      case 'handle':
        this.#app.handle(effect)
        this.#passes('device-handle')
        return
      case 'stopReceiving':
        return this.#app.stopReceiving()
      case 'notify':
        world.trace.note(world.nowMs, name, effect.notice.kind, 0, () => noticeText(effect.notice))
        return this.#app.notice(effect)
      case 'settle':
        return this.#app.settled(effect)
      case 'closeStore':
        return this.#closeStore()
      default:
        effect satisfies never
    }
  }

  #open({ from, to }: Extract<Effect, { kind: 'open' }>): void {
    const { random, store } = this.parts
    this.dispatch({ kind: 'opened', rows: store.scan(from, to, Number.MAX_SAFE_INTEGER), newDevice: random.bytes(16) })
  }

  #token(attempt: number): void {
    const got = this.parts.token()
    if ('fault' in got) this.dispatch({ kind: 'tokenFailed', attempt, fault: got.fault, isTerminal: got.isTerminal })
    else this.dispatch({ kind: 'token', attempt, token: got.token, subject: readToken(got.token)?.user })
  }

  #openSocket(socket: number): void {
    const { world, random, route, server } = this.parts
    this.link = new NetworkLink(world, random, route, this, server(), socket, this.parts.store.number)
    this.#links.set(socket, this.link)
  }

  #commit(effect: Extract<Effect, { kind: 'commit' }>): void {
    const { world, random, name, storeMsMax } = this.parts
    if (this.#isStoreClosed) throw new Error('a commit after the store was closed')
    if (this.#writing !== undefined) throw new Error('two commits at once')
    this.#writing = effect
    this.#writingMs = world.nowMs
    if (this.#passes('device-commit')) return
    const takesMs = random.skewed(0, storeMsMax())
    if (takesMs > 100) world.count('commit over 100 ms')
    world.after(takesMs, () => {
      if (this.#isDead) return
      this.#writing = undefined
      if (this.failingCommits > 0) {
        this.failingCommits -= 1
        world.count('commit failed')
        this.dispatch({ kind: 'commitFailed', commit: effect.commit, fault: this.failingFault })
        return
      }
      world.trace.note(world.nowMs, name, 'committed', effect.writes.length)
      this.#apply(effect)
      if (this.#passes('device-committed')) return
      this.dispatch({ kind: 'committed', commit: effect.commit })
    })
  }

  #apply(effect: Extract<Effect, { kind: 'commit' }>): void {
    this.parts.store.apply(effect.writes)
    this.#app.stored(effect.writes, this.serverMs(this.#writingMs))
  }

  #setTimer(timer: TimerName, delayMs: number): void {
    const { clock, random, world } = this.parts
    this.#timerNumber += 1
    const number = this.#timerNumber
    this.#timers.set(timer, number)
    const lateMs = random.isLucky(0.05) ? random.skewed(0, 200) : 0
    if (lateMs > 10) world.count('timer over 10 ms late')
    const dueMs = clock.monotonicMs(world.nowMs) + delayMs
    const fire = (): void => {
      if (this.#isDead || this.#timers.get(timer) !== number) return
      // Timers run on the monotonic clock: what it missed they wait for.
      const leftMs = Math.max(clock.trueDelayMs(dueMs - clock.monotonicMs(world.nowMs)), this.#pausedUntilMs - world.nowMs)
      if (leftMs > 0.001) {
        world.after(leftMs, fire)
        return
      }
      this.#timers.delete(timer)
      this.dispatch({ kind: 'timer', timer })
    }
    world.after(clock.trueDelayMs(delayMs) + lateMs, fire)
  }

  #closeStore(): void {
    if (this.#isStoreClosed) return
    this.#isStoreClosed = true
    this.#app.ended()
  }

  /** Ends a process whose client has closed. */
  exit(): void {
    this.#isDead = true
    // order: of opening.
    for (const link of this.#links.values()) link.closeByClient()
  }

  #later(action: () => void): void {
    const { random, world } = this.parts
    world.after(random.skewed(0, 10), () => {
      if (!this.#isDead) action()
    })
  }

  #passes(point: CrashPoint): boolean {
    const { world, name } = this.parts
    const crash = world.passes(name, point)
    crash?.()
    return crash !== undefined
  }
}

/** How a store fails that may work again. */
export const storeFailed: Fault = { code: 'store-failed', message: 'The disk failed.', retryable: true }

function noticeText(notice: Extract<Effect, { kind: 'notify' }>['notice']): string {
  switch (notice.kind) {
    case 'status':
      return `${notice.message.id} ${notice.previous} → ${notice.message.status}`
    case 'connection':
      return notice.state.status === 'ended' || notice.state.status === 'waiting'
        ? `${notice.state.status}: ${notice.state.fault.code}`
        : notice.state.status
    case 'error':
      return notice.fault.code
    case 'message':
      return `log ${notice.entry.position.log} lane ${notice.entry.position.lane} seq ${notice.entry.position.seq} id ${notice.entry.id}`
    default:
      return ''
  }
}
