import { limits as serverLimits } from '@posthaste/protocol'
import { Shard, decodeRecord, defaultHostLimits } from '@posthaste/core'
import type { Plan } from '../plan/plan.ts'
import { App } from './app.ts'
import { type DeviceApp, type DeviceParts, DeviceProcess } from './deviceProcess.ts'
import { DeviceStore } from './deviceStore.ts'
import { Intruder } from './intruder.ts'
import { Route, type ServerEnd } from './network.ts'
import type { Origin } from './origin.ts'
import { Page } from './page.ts'
import { ProcessClock } from './processClock.ts'
import { Profile } from './profile.ts'
import { Random } from './random.ts'
import { Recorder } from './recorder.ts'
import { ServerDisk, type ShardStore } from './serverDisk.ts'
import { ServerProcess } from './serverProcess.ts'
import type { DeviceSlot } from './deviceSlot.ts'
import { writeToken } from './tokens.ts'
import { Trace } from './trace.ts'
import { Wire } from './wire.ts'
import { startMs, World } from './world.ts'

/** How long after an end an app starts its client again, at most. */
const restartMsMax = 3_000
/** How long a commit of a slow disk takes, at most. */
const slowStoreMsMax = 2_000
/** How long after its first page a browser opens the others, at most. */
const openMsMax = 300
/** More backups than this are not kept. */
const backupsMax = 3

/** Everything of one schedule: the server, its disk, the devices, and what they are put through. */
export class Simulation {
  readonly plan: Plan
  readonly world: World
  readonly recorder: Recorder
  readonly random: Random
  readonly disk: ServerDisk
  readonly slots: DeviceSlot[] = []
  server: ServerProcess | undefined
  isHealed = false
  /** What the server's wall clock is off by, and its drift. */
  serverOffsetMs = 0
  #offsetMsMax = 0
  #offsetMs = 0
  readonly #serverRate: number
  readonly #wire: Wire
  #backups: { readonly stores: readonly ShardStore[]; readonly atMs: number }[] = []
  /** From when the backup is that was put back, until the epoch after it is durable. */
  #restoredMs: number | undefined
  #stores = 0
  /** The latest that there was. */
  #epoch = 0
  failingTokens = 0

  constructor(plan: Plan, isTraced: boolean) {
    const { options } = plan
    this.plan = plan
    this.random = new Random(options.seed, 'simulation')
    this.world = new World(this.random.stream('world'), new Trace(isTraced))
    this.recorder = new Recorder(this.world, options.isSmall, options.limits.bufferedBytes ?? defaultHostLimits.bufferedBytes)
    this.#wire = new Wire(this.world, this.recorder)
    this.disk = new ServerDisk(options.shards, options.flushMsMax)
    this.#serverRate = 1 + this.#drift()
    for (let user = 0; user < options.users; user++)
      for (let device = 0; device < options.devices; device++)
        this.#addSlot(`u${user}.d${device}`, `u${user}`, options.hasTabs === true && device % 2 === 0)
  }

  /** Starts everything. */
  begin(): void {
    this.startServer(false, 0)
    const random = this.random.stream('start')
    for (const slot of this.slots) this.world.after(random.skewed(0, this.plan.options.startMsMax), () => this.startDevice(slot))
  }

  /** How long it takes the server's clock to show what it has shown before, in ms. */
  get clockBehindMs(): number {
    return (this.#offsetMsMax - this.#offsetMs) / this.#serverRate
  }

  /** Whoever answers on the network: the server, or nobody. */
  readonly serverEnd = (): ServerEnd => this.server ?? nobody

  /** Starts the server, if it is down. */
  startServer(isRestored: boolean, backupMs: number): void {
    if (this.server !== undefined) return
    const { world, disk } = this
    // Who restores says so at every start until the server runs: its first record may not have reached the disk.
    if (isRestored) this.#restoredMs = backupMs
    const isOfBackup = this.#restoredMs !== undefined
    const { options } = this.plan
    const random = this.random.stream(`server ${world.steps}`)
    this.#offsetMs = this.serverOffsetMs
    this.#offsetMsMax = Math.max(this.#offsetMsMax, this.#offsetMs)
    const wallMs = startMs + world.nowMs * this.#serverRate + this.#offsetMs
    const clock = new ProcessClock(this.#serverRate, 0, wallMs - world.nowMs * this.#serverRate)
    const { settings, limits } = options
    const parts = {
      world,
      random,
      options,
      disk,
      wire: this.#wire,
      settings,
      limits,
      onFailure: () => this.crashServer(false, 500),
    }
    const server = new ServerProcess(parts, clock, isOfBackup, this.#epoch + 1)
    this.server = server
    this.#epoch = Math.max(this.#epoch, server.epoch)
    this.recorder.record({ kind: 'serverStarted', epoch: server.epoch, isRestored: isOfBackup, backupMs: this.#restoredMs ?? 0 })
    world.trace.note(world.nowMs, 'server', 'starts', server.epoch)
    server.begin()
  }

  /** Kills the server, and starts it again after a while. */
  crashServer(isSilent: boolean, downMs: number): void {
    const { server, world } = this
    if (server === undefined) return
    this.server = undefined
    if (server.hasBegun) this.#restoredMs = undefined
    server.crash(isSilent)
    world.trace.note(world.nowMs, 'server', isSilent ? 'loses power' : 'is killed')
    this.recorder.record({ kind: 'serverCrashed', serverMs: server.clock(world.nowMs) })
    world.after(downMs, () => {
      this.disk.isFailing = false
      this.startServer(false, 0)
    })
  }

  /** The server has stopped by itself, with everything in its tables. */
  stopped(): void {
    this.server = undefined
    this.#restoredMs = undefined
  }

  /** Keeps what is durable now; but of a server that is restored and has not recorded so, which would be the old backup once more. */
  backup(): void {
    if (this.#restoredMs !== undefined && this.server?.hasBegun !== true) return
    this.#backups.push({ stores: this.disk.backup(), atMs: this.world.nowMs })
    if (this.#backups.length > backupsMax) this.#backups.shift()
  }

  /** Puts a backup in the place of the disk, all shards together, which begins a new epoch. False when there is none. */
  restore(choice: number): boolean {
    const backup = this.#backups[choice % Math.max(1, this.#backups.length)]
    if (backup === undefined || this.server === undefined) return false
    const { server, world } = this
    this.server = undefined
    server.crash(false)
    this.recorder.record({ kind: 'serverCrashed', serverMs: server.clock(world.nowMs) })
    this.disk.restore(backup.stores)
    world.trace.note(world.nowMs, 'server', 'is restored', backup.atMs)
    this.startServer(true, backup.atMs)
    return true
  }

  /** Starts a device's process, if it has none; a browser with one to three pages. */
  startDevice(slot: DeviceSlot): void {
    if (slot.process !== undefined || slot.isOff || slot.isAway || slot.isIntruded) return
    if (slot.profile !== undefined) {
      this.#startProfile(slot, slot.profile)
      return
    }
    const { world, recorder } = this
    const { options } = this.plan
    const random = this.random.stream(`${slot.name} ${world.steps}`)
    const process = this.#makeProcess(
      slot,
      random,
      () => this.#token(slot),
      (made) => {
        const ended = (code: string): void => this.#ended(slot, made, code)
        const app = new App({ world, random, options, recorder, slot, ended, isHealed: () => this.isHealed }, made)
        slot.app = app
        return app
      },
    )
    slot.process = process
    recorder.record({ kind: 'opened', store: slot.store.number })
    world.trace.note(world.nowMs, slot.name, 'starts')
    process.dispatch({ kind: 'start' })
    slot.app?.receive()
  }

  /**
   * Opens the device's store with a client of another user. Its process must be gone; it starts again after that.
   * @param ms when the intruder is killed, if it comes with a token at once; else it is trusted until it gets one
   */
  intrude(slot: DeviceSlot, ms: number, hasToken: boolean): void {
    const { world } = this
    slot.isIntruded = true
    let intruder: Intruder | undefined
    let hasLeft = false
    const leave = (): void => {
      // Another one may be there by the time at which this one would have been killed.
      if (hasLeft) return
      hasLeft = true
      slot.isIntruded = false
      process.crash(false)
      this.startDevice(slot)
    }
    let missing = hasToken ? 0 : 1
    const token = (): ReturnType<DeviceParts['token']> => {
      if (missing === 0) return { token: writeToken({ user: `${slot.user}-other`, issuedAtMs: world.nowMs, expiresAtMs: 0 }) }
      missing -= 1
      intruder?.trust()
      return { fault: noToken, isTerminal: false }
    }
    const random = this.random.stream(`${slot.name} intruder ${world.steps}`)
    const process = this.#makeProcess({ ...slot, name: `${slot.name} intruder` }, random, token, (made) => {
      intruder = new Intruder(this.recorder, slot, made, leave)
      return intruder
    })
    world.trace.note(world.nowMs, slot.name, 'is opened by another user')
    // Whoever is trusted and killed before it is found out has written what the store's user will send.
    if (hasToken) world.after(ms, leave)
    if (hasToken) process.dispatch({ kind: 'receive', positions: [], isBatched: false })
    intruder?.write(slot.user)
  }

  #makeProcess(
    slot: DeviceSlot,
    random: Random,
    token: DeviceParts['token'],
    makeApp: (process: DeviceProcess) => DeviceApp,
  ): DeviceProcess {
    const { options } = this.plan
    const parts = {
      name: slot.name,
      run: this.recorder.runNumber(),
      world: this.world,
      random,
      store: slot.store,
      clock: slot.clock,
      route: slot.route,
      server: this.serverEnd,
      limits: options.machine,
      commitBytes: options.commitBytes,
      wire: options.wire ?? serverLimits,
      storeMsMax: () => (slot.isSlow ? slowStoreMsMax : options.storeMsMax),
      token,
    }
    return new DeviceProcess(parts, makeApp)
  }

  #startProfile(slot: DeviceSlot, profile: Profile): void {
    const { world } = this
    if (profile.pages.length > 0) return
    world.trace.note(world.nowMs, slot.name, 'starts')
    const random = this.random.stream(`${slot.name} ${world.steps}`)
    profile.open()
    for (let more = random.below(3); more > 0; more--) world.after(random.skewed(0, openMsMax), () => profile.open())
  }

  #makePage(slot: DeviceSlot, origin: Origin, profile: Profile): Page {
    const { world, recorder } = this
    const { options } = this.plan
    const random = this.random.stream(`${slot.name} page ${world.steps}`)
    return new Page({
      world,
      random,
      recorder,
      slot,
      origin,
      makeProcess: (app) =>
        this.#makeProcess(
          slot,
          random,
          () => this.#token(slot),
          () => app,
        ),
      makeApp: (page) => {
        const ended = (code: string): void => {
          // As for a device that is no browser.
          if (this.isHealed && code === 'too-many-devices') slot.isOff = true
          profile.ended(page)
        }
        return new App({ world, random, options, recorder, slot, ended, isHealed: () => this.isHealed }, page)
      },
    })
  }

  /** Kills a device's process. @param downMs when it starts again; `undefined`: not by itself */
  crashDevice(slot: DeviceSlot, isSilent: boolean, downMs: number | undefined): void {
    const { process, profile } = slot
    if (profile === undefined ? process === undefined : profile.pages.length === 0) return
    profile?.killAll(isSilent)
    process?.crash(isSilent)
    slot.process = undefined
    this.world.trace.note(this.world.nowMs, slot.name, isSilent ? 'loses power' : 'is killed')
    if (profile === undefined) this.recorder.record({ kind: 'crashed', store: slot.store.number })
    if (downMs !== undefined) this.world.after(downMs, () => this.startDevice(slot))
  }

  /** Gives a device another store: nothing, or what an earlier one was. Its process must be gone. */
  replaceStore(slot: DeviceSlot, from: DeviceStore | undefined, asOfMs: number): void {
    this.recorder.record({ kind: 'storeLost', store: slot.store.number })
    slot.store = this.#newStore(slot.user, slot.name, from, asOfMs)
  }

  /** A second device with a copy of the store of the first, and so with its id. */
  clone(slot: DeviceSlot): void {
    const copy = this.#addSlot(`${slot.name}c${this.slots.length}`, slot.user, false, slot.store)
    copy.isClone = true
    slot.isClone = true
    this.startDevice(copy)
  }

  /** Another state of each shard: from nothing, by all records that ever were durable. */
  replayed(): Shard[] {
    return this.disk.stores.map(({ journal }, index, { length }) => {
      const shard = new Shard(index, length, new ServerDisk(1, 1).stores[0]?.tables ?? never())
      for (const { position, bytes } of journal.archive) shard.replay(position, decodeRecord(bytes))
      return shard
    })
  }

  #ended(slot: DeviceSlot, process: DeviceProcess, code: string): void {
    if (slot.process !== process) return
    // The others stay, so that it would not get in later either.
    if (this.isHealed && code === 'too-many-devices') slot.isOff = true
    this.world.after(this.random.skewed(10, restartMsMax), () => {
      if (slot.process !== process) return
      if (!process.isDead) process.exit()
      slot.process = undefined
      this.startDevice(slot)
    })
  }

  #token(slot: DeviceSlot): ReturnType<ConstructorParameters<typeof DeviceProcess>[0]['token']> {
    const { options } = this.plan
    if (this.failingTokens > 0) {
      this.failingTokens -= 1
      return { fault: noToken, isTerminal: false }
    }
    const nowMs = this.server?.nowMs() ?? startMs + this.world.nowMs
    const issuedAtMs = Math.floor(nowMs)
    const expiresAtMs = options.tokenLifeMs === 0 || this.isHealed ? 0 : issuedAtMs + options.tokenLifeMs
    return { token: writeToken({ user: slot.user, issuedAtMs, expiresAtMs }) }
  }

  #addSlot(name: string, user: string, isBrowser: boolean, from?: DeviceStore): DeviceSlot {
    const { options } = this.plan
    const random = this.random.stream(`slot ${name}`)
    const offsetMs = (random.fraction() - 0.5) * 2 * options.wallOffsetMsMax
    const slot: DeviceSlot = {
      name,
      user,
      route: new Route(name, options.latencyMs),
      clock: new ProcessClock(1 + this.#drift(), offsetMs, random.between(0, 1_000_000)),
      store: this.#newStore(user, name, from, this.world.nowMs),
      isSlow: false,
      profile: isBrowser ? this.#makeProfile(name, () => slot) : undefined,
      process: undefined,
      app: undefined,
      isIntruded: false,
      old: [],
      sent: [],
      got: [],
      isClone: false,
      asleepUntilMs: 0,
      isAway: false,
      isOff: false,
    }
    this.slots.push(slot)
    return slot
  }

  #makeProfile(name: string, slotOf: () => DeviceSlot): Profile {
    return new Profile({
      world: this.world,
      random: this.random.stream(`profile ${name}`),
      makePage: (origin, profile) => this.#makePage(slotOf(), origin, profile),
      isOn: () => !slotOf().isOff && !slotOf().isAway,
    })
  }

  #newStore(user: string, device: string, from: DeviceStore | undefined, asOfMs: number): DeviceStore {
    this.#stores += 1
    const store = new DeviceStore(this.#stores, user, from)
    this.recorder.record({ kind: 'storeMade', store: store.number, user, device, parent: from?.number ?? 0, asOfMs })
    return store
  }

  #drift(): number {
    const { driftPpm } = this.plan.options
    return (this.random.fraction() - 0.5) * 2 * driftPpm * 1e-6
  }
}

/** Nobody listens. */
const noToken = { code: 'token-failed', message: 'no token at the moment', retryable: true } as const
const nobody: ServerEnd = {
  isUp: false,
  epoch: 0,
  clock: () => 0,
  accepted: () => {},
  received: () => {},
  closed: () => {},
}

function never(): never {
  throw new Error('a disk has a shard')
}
