import type { EngineOwner, OwnEngine } from '../../packages/client/src/engine.ts'
import type { ConnectionState, MachineEvent } from '../../packages/client/src/machine/events.ts'
import type { Clock } from '../../packages/client/src/ports.ts'
import { Tab } from '../../packages/client/src/tabs/tab.ts'
import type { App } from './app.ts'
import type { AppClient, Seen } from './appClient.ts'
import type { DeviceApp, DeviceProcess } from './deviceProcess.ts'
import type { Origin, OriginPage } from './origin.ts'
import { PageEngine, type SeenNotice } from './pageEngine.ts'
import type { ProcessClock } from './processClock.ts'
import type { Random } from './random.ts'
import type { Recorder } from './recorder.ts'
import type { Slot } from './slot.ts'
import type { World } from './world.ts'

/** What a page needs of the rest. */
export interface PageParts {
  readonly world: World
  readonly random: Random
  readonly recorder: Recorder
  readonly slot: Slot
  readonly origin: Origin
  /** The process that runs the machine once this page leads. */
  readonly makeProcess: (app: DeviceApp) => DeviceProcess
  readonly makeApp: (page: Page) => App
}

const lock = 'posthaste/store'
const callOffMsMax = 50

/** One page of a browser: an app and the real `Tab`, which shares the store of its profile with the other pages. */
export class Page implements AppClient, OriginPage {
  readonly id: string
  readonly tab: number
  readonly random: Random
  readonly clock: Clock
  readonly app: App
  readonly #parts: PageParts
  readonly #tab: Tab
  readonly #engine: PageEngine
  #isDead = false
  #hasEnded = false
  #frozenUntilMs = 0
  #isInTurn = false
  #askedRun = 0
  #answeredRun = 0
  /** What waits for the page to go on, in its order. */
  readonly #waiting: (() => void)[] = []
  #seen: Seen = { run: 0, epoch: 0, isLive: false, serverMs: 0 }

  constructor(parts: PageParts) {
    const { slot, origin, random, world } = parts
    this.#parts = parts
    this.tab = parts.recorder.tabNumber()
    this.id = `${slot.name}.t${this.tab}`
    this.random = random
    this.clock = clockOf(world, slot.clock, (action) => this.run(action))
    let engine: PageEngine | undefined
    const make = (theirs: EngineOwner): OwnEngine => {
      const began = (): void => {
        if (this.app.running > 0) world.count('state: a tab whose handler ran took the lead')
      }
      engine = new PageEngine(theirs, { ...parts, after: (ms, action) => this.after(ms, action), began })
      return engine
    }
    const owner: EngineOwner = {
      notice: (notice) => this.#notice(notice),
      handle: (effect) => this.app.handle(effect),
      stopReceiving: () => this.app.stopReceiving(),
      restarted: () => this.app.restarted(),
    }
    this.#tab = new Tab(lock, origin.port(this), owner, make)
    if (engine === undefined) throw new Error('a tab makes its engine at once')
    this.#engine = engine
    this.app = parts.makeApp(this)
    parts.recorder.record({ kind: 'tabOpened', store: slot.store.number, tab: this.tab })
    world.trace.note(world.nowMs, this.id, 'opens')
  }

  get isDead(): boolean {
    return this.#isDead
  }

  /** Whether its client has ended: it takes part no more. */
  get hasEnded(): boolean {
    return this.#hasEnded
  }

  /** Whether it runs the machine. */
  get isLeading(): boolean {
    return this.#engine.hasBegun && !this.#isDead && !this.process.isDead
  }

  /** Used while it leads. */
  get process(): DeviceProcess {
    return this.#engine.process
  }

  /** Calls, its own and others', whose answers the machine in this page owes. */
  get owed(): number {
    return this.#engine.waiting
  }

  get connection(): ConnectionState {
    return this.#tab.connection
  }

  get seen(): Seen {
    return this.#seen
  }

  get isFrozen(): boolean {
    return this.#parts.world.nowMs < this.#frozenUntilMs
  }

  /** What happens to it while it is frozen waits, and comes in its order once it goes on. */
  run(action: () => void): void {
    if (this.#isDead) return
    // What a turn of the page does itself waits for nothing.
    if (this.#isInTurn) action()
    else if (!this.isFrozen && this.#waiting.length === 0) this.#turn(action)
    else this.#waiting.push(action)
  }

  dispatch(event: MachineEvent): void {
    this.run(() => {
      if (event.kind === 'ask') this.#ask(event)
      else this.#tab.dispatch(event as Parameters<Tab['dispatch']>[0])
    })
  }

  after(ms: number, action: () => void): void {
    this.#parts.world.after(ms, () => this.run(action))
  }

  /** The browser lets it wait. The clock is the profile's. */
  freeze(ms: number): void {
    const { world, recorder, slot } = this.#parts
    const untilMs = world.nowMs + ms
    if (this.#isDead || untilMs <= this.#frozenUntilMs) return
    this.#frozenUntilMs = untilMs
    this.process.pause(ms, false)
    world.trace.note(world.nowMs, this.id, 'is frozen', ms)
    recorder.record({ kind: 'frozen', store: slot.store.number, tab: this.tab, untilMs })
    world.at(untilMs, () => this.#goOn())
  }

  /** Whether it was answered by that run of the machine, which it asks if it has not. */
  isAnsweredBy(run: number): boolean {
    if (this.#askedRun !== run) {
      this.#askedRun = run
      this.app.ask({ kind: 'pending' }, () => {
        this.#answeredRun = run
      })
    }
    return this.#answeredRun === run
  }

  /** It is killed. @param isSilent its computer loses power */
  kill(isSilent: boolean): void {
    if (this.#isDead) return
    this.#end('killed')
    this.#isDead = true
    this.process.crash(isSilent)
    if (this.#engine.hasBegun) this.#parts.recorder.record({ kind: 'crashed', store: this.#parts.slot.store.number })
    this.#parts.origin.kill(this)
  }

  /** Its client takes leave. @param closed its page may go */
  close(closed: () => void): void {
    this.run(() => this.#tab.close(closed, closed))
  }

  /** The page of a client that has closed goes. */
  exit(): void {
    this.#isDead = true
    if (!this.process.isDead) this.process.exit()
  }

  #goOn(): void {
    while (!this.isFrozen && !this.#isDead) {
      const action = this.#waiting.shift()
      if (action === undefined) return
      this.#turn(action)
    }
  }

  #turn(action: () => void): void {
    this.#isInTurn = true
    action()
    this.#isInTurn = false
  }

  #ask({ call, ask }: Extract<MachineEvent, { kind: 'ask' }>): void {
    const answered = (answer: Parameters<Parameters<Tab['ask']>[1]>[0]): void => {
      if (!this.#isDead) this.app.settled({ kind: 'settle', call, answer })
    }
    if (ask.kind === 'close')
      this.#tab.close(
        () => answered({ kind: 'done' }),
        () => answered({ kind: 'done' }),
      )
    else {
      const callOff = this.#tab.ask(ask, answered)
      if (this.app.mayCallOff(call, ask))
        this.after(this.random.skewed(0, callOffMsMax), () => this.app.calledOff(call) && callOff())
    }
  }

  #notice(notice: SeenNotice): void {
    if (notice.seen !== undefined) this.#seen = notice.seen
    if (notice.kind === 'connection' && notice.state.status === 'ended') this.#end(notice.state.fault.code)
    this.app.notice({ notice }, this.#seen)
  }

  /** It takes part no more. */
  #end(code: string): void {
    if (this.#hasEnded) return
    this.#hasEnded = true
    const { world } = this.#parts
    world.trace.note(world.nowMs, this.id, `ends: ${code}`)
    this.#parts.recorder.record({ kind: 'tabEnded', store: this.#parts.slot.store.number, tab: this.tab, code })
  }
}

/** The clock of the page's computer. Timers wait while the page is frozen. */
function clockOf(world: World, clock: ProcessClock, run: (action: () => void) => void): Clock {
  return {
    wallMs: () => clock.wallMs(world.nowMs),
    monotonicMs: () => clock.monotonicMs(world.nowMs),
    setTimer: (callback, delayMs) => {
      const timer = world.after(clock.trueDelayMs(delayMs), () => run(callback))
      return () => {
        timer.action = undefined
      }
    },
  }
}
