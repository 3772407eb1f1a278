import { cpSync, mkdtempSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Run } from '../cli/program.ts'
import { bundled } from '../process/compiled.ts'
import { Place, pause, randomOf, until } from '../process/place.ts'
import { contentsOf } from './deviceStore.ts'
import { readNotes } from './history.ts'
import { HttpSender } from './httpSender.ts'
import { judge, type Verdict } from './judge.ts'
import type { PartyConfig } from './party.ts'
import { FaultyWire } from './wire.ts'

/** `serve` is the server as it is shipped, `gateways` the same with two processes that hold the sockets; the others make checkpoints all the time, with four shards and with one. */
export const serverKinds = ['eager', 'eager-single', 'serve', 'gateways'] as const
/** One of them. */
export type ServerKind = (typeof serverKinds)[number]

/** What a run is made of. */
export interface RigOptions {
  readonly seed: number
  /** How often the server is killed, and how often one of the SDK's processes. */
  readonly kills: number
  readonly sdkKills: number
  readonly server: ServerKind
  /** Once it says so, nothing more is disturbed: what happened until then is judged. */
  readonly isOver?: () => boolean
  readonly progress?: (line: string) => void
}

/** How a run went. */
export interface RigResult extends Verdict {
  /** How often each fault was done. */
  readonly faultCounts: Readonly<Record<string, number>>
}

const partyEntry = fileURLToPath(new URL('party.ts', import.meta.url))
const group = 'team'
const toGroup = `group:${group}`
const lanes = 16
/** r1 has two devices. One acknowledges each message before it takes the next, the others several at a time. */
const receivers = [
  { user: 'r1', device: 'a', acknowledge: 'strict' },
  { user: 'r1', device: 'b', acknowledge: 'batched' },
  { user: 'r2', device: 'a', acknowledge: 'batched' },
] as const
const senders = [
  { user: 's1', destinations: ['r1', 'r2', toGroup] },
  { user: 's2', destinations: ['r1', toGroup] },
] as const
/**
 * By how much the senders' notes grow before the server is killed again: something was acknowledged in between, some 90 bytes a message.
 */
const progressBytes = { min: 4_000, max: 360_000 } as const
/** How likely a server that was killed is killed while it starts, again each time. */
const killAtStartShare = 0.5
const progressMs = 180_000
const drainMs = 240_000
const hour = 3_600

/** A server, senders, receivers and a wire between, all real, and what disturbs them. */
export class Rig {
  readonly #options: RigOptions
  readonly #place: Place
  readonly #random: () => number
  readonly #senders: Party[] = []
  readonly #receivers: Party[] = []
  readonly #faultCounts: Record<string, number> = {}
  readonly #faults: string[] = []
  /** How long the server took to start. */
  #startMs = 0
  #wire: FaultyWire | undefined
  #http: HttpSender | undefined

  constructor(options: RigOptions) {
    this.#options = options
    this.#place = new Place(options.server)
    this.#random = randomOf(options.seed)
  }

  /** Runs to the end: disturbs, heals, drains and judges. @throws when it does not come to rest after it was healed */
  async run(): Promise<RigResult> {
    try {
      await this.#start()
      await this.#disturb()
      await this.#heal()
      return await this.#judge()
    } catch (error) {
      this.#faults.push(String(error))
      throw error
    } finally {
      if (this.#faults.length > 0) this.#keep()
      await this.#http?.abandon()
      await this.#wire?.close()
      await this.#place.end()
    }
  }

  async #start(): Promise<void> {
    const place = this.#place
    await this.#startServer()
    const users = [...new Set([...receivers, ...senders].map(({ user }) => user))]
    await place.createUsers([...users, 'h1'])
    await place.call('POST', '/v1/groups', { name: group })
    for (const user of users) {
      const roles = senders.some((sender) => sender.user === user) ? ['send'] : ['receive']
      await place.call('PUT', `/v1/groups/${group}/members/${user}`, { roles })
    }
    this.#wire = await FaultyWire.open(place.port)
    const program = bundled(partyEntry)
    for (const { user, device, acknowledge } of receivers) {
      const lastCount =
        senders.flatMap(({ destinations }) => destinations.filter((to) => to === user || to === toGroup)).length * lanes
      this.#receivers.push(this.#party(program, user, device, { destinations: [], lastCount, acknowledge }))
    }
    // A device gets what is sent from its first connection on.
    await Promise.all(this.#receivers.map((party) => party.wait('live')))
    for (const { user, destinations } of senders)
      this.#senders.push(this.#party(program, user, 'a', { destinations, lastCount: 0, acknowledge: 'strict' }))
    this.#http = new HttpSender(place, 'h1', 'r1')
  }

  #party(
    program: string,
    user: string,
    device: string,
    rest: Pick<PartyConfig, 'destinations' | 'lastCount' | 'acknowledge'>,
  ): Party {
    const place = this.#place
    const token = place.token(user, { exp: Date.now() / 1_000 + 24 * hour })
    const name = `${user}-${device}`
    const paths = { store: place.ground.path(`store-${name}`), notes: place.ground.path(`notes-${name}`) }
    const seed = this.#options.seed + this.#senders.length + this.#receivers.length
    const config = { user, url: this.#wire?.url ?? '', token, ...paths, seed, ...rest }
    const party = new Party(place, program, name, config, (fault) => this.#faults.push(fault))
    party.start()
    return party
  }

  async #startServer(): Promise<void> {
    const startedMs = performance.now()
    const run = await this.#place.start()
    this.#startMs = performance.now() - startedMs
    void run.ended.then(({ code, stdout, stderr }) => {
      if (code !== null && code !== 0) this.#faults.push(`[I12] the server ended with ${code}: ${stderr} ${stdout.slice(-500)}`)
    })
  }

  async #disturb(): Promise<void> {
    const { kills, sdkKills, progress, isOver } = this.#options
    const count = (name: FaultName) => this.#faultCounts[name] ?? 0
    const killed = () => count('server kill') + count('kill at start')
    let told = 0
    while (isOver?.() !== true && (killed() < kills || count('SDK kill') < sdkKills)) {
      const name = this.#pick(killed() < kills, count('SDK kill') < sdkKills)
      await this.#do(name)
      this.#count(name)
      if (this.#faults.length > 0) return
      const done = killed()
      if (done >= told + Math.max(10, kills / 20)) {
        told = done
        progress?.(
          `${done} of ${kills} server kills, ${count('SDK kill')} of ${sdkKills} SDK kills, ${this.#noted()} bytes noted`,
        )
      }
    }
  }

  #count(name: FaultName): void {
    this.#faultCounts[name] = (this.#faultCounts[name] ?? 0) + 1
  }

  #pick(mayKillServer: boolean, mayKillSdk: boolean): PickedFault {
    const { kills, sdkKills } = this.#options
    const weights: Record<PickedFault, number> = {
      'server kill': mayKillServer ? 10 : 0,
      // So that both come to their ends together.
      'SDK kill': mayKillSdk ? (20 * sdkKills) / Math.max(1, kills) : 0,
      'server stop': 1,
      'SDK stop': 1,
      'cut of all': 1,
      'cut of some': 2,
      'half-open': 1,
      delay: 2,
      'gateway kill': this.#options.server === 'gateways' ? 3 : 0,
      'clean restart': mayKillServer ? 0.5 : 0,
    }
    let at = this.#random() * Object.values(weights).reduce((sum, weight) => sum + weight, 0)
    for (const name of faultNames) {
      at -= weights[name]
      if (at < 0) return name
    }
    return 'delay'
  }

  async #do(name: PickedFault): Promise<void> {
    await pause(this.#random() * 120)
    switch (name) {
      case 'server kill':
        return await this.#killServer()
      case 'clean restart':
        return await this.#restartServer(() => this.#stopServer())
      case 'SDK kill': {
        const party = this.#anyParty()
        await party.kill()
        party.start()
        return
      }
      case 'gateway kill':
        return this.#killGateway()
      case 'server stop':
        return await this.#freeze(this.#place.server)
      case 'SDK stop':
        return await this.#freeze(this.#anyParty().run)
      case 'cut of all':
        return this.#wire?.cut()
      case 'cut of some':
        return this.#wire?.cut(() => this.#random() < 0.4)
      case 'half-open':
        void this.#wire?.goDead(200 + this.#random() * 800)
        return
      case 'delay':
        if (this.#wire !== undefined) this.#wire.delayMs = this.#random() < 0.5 ? 0 : this.#random() * 30
    }
  }

  async #restartServer(end: () => Promise<void>): Promise<void> {
    await this.#progress()
    await end()
    await pause(this.#random() * 50)
    await this.#startServer()
  }

  async #killServer(): Promise<void> {
    await this.#restartServer(async () => {
      await this.#place.kill()
      while (this.#random() < killAtStartShare) await this.#killAtStart()
    })
  }

  #killGateway(): void {
    const pids = this.#place.gateways()
    const pid = pids[Math.floor(this.#random() * pids.length)]
    if (pid !== undefined) process.kill(pid, 'SIGKILL')
  }

  /** Mostly before it listens, while it opens what the last kill left. */
  async #killAtStart(): Promise<void> {
    // It ends before it listens: what is wrong with that, its code says.
    const starting = this.#place.start().catch(() => {})
    await pause(this.#random() * this.#startMs)
    await this.#place.kill()
    await starting
    const { code, stderr } = (await this.#place.server?.ended) ?? {}
    if (code !== null) this.#faults.push(`[I12] the server ended with ${code} as it started: ${stderr}`)
    this.#count('kill at start')
  }

  async #stopServer(): Promise<void> {
    const run = this.#place.server
    await this.#place.stop()
    const { code, signal } = (await run?.ended) ?? {}
    if (code !== 0) this.#faults.push(`[I12] the server was stopped and ended with ${code ?? signal}`)
  }

  /** Something was acknowledged since the last call: a server that is killed before it does anything proves nothing. */
  async #progress(): Promise<void> {
    const { min, max } = progressBytes
    const enough = this.#noted() + min + this.#random() * (max - min)
    await until(
      () => this.#noted() > enough,
      () => `the senders make no progress: ${this.#senders.map(({ run }) => run?.stderr())}`,
      progressMs,
    )
  }

  /** Bytes of what the senders noted. */
  #noted(): number {
    return this.#senders.reduce((sum, { config }) => sum + (statSync(config.notes, { throwIfNoEntry: false })?.size ?? 0), 0)
  }

  #anyParty(): Party {
    const all = [...this.#receivers, ...this.#senders]
    const party = all[Math.floor(this.#random() * all.length)]
    if (party === undefined) throw new RangeError('there are no parties')
    return party
  }

  async #freeze(run: Run | undefined): Promise<void> {
    run?.child.kill('SIGSTOP')
    await pause(50 + this.#random() * 600)
    run?.child.kill('SIGCONT')
  }

  async #heal(): Promise<void> {
    if (this.#wire !== undefined) this.#wire.delayMs = 0
    await this.#http?.end()
    await Promise.all(this.#senders.map((party) => party.say('stop', 'drained')))
    await Promise.all(this.#receivers.map((party) => party.wait('complete')))
    for (const party of [...this.#senders, ...this.#receivers]) await party.end()
  }

  async #judge(): Promise<RigResult> {
    const histories = this.#senders.map(({ config }) => ({ name: config.user, notes: readNotes(config.notes) }))
    const devices = await Promise.all(
      this.#receivers.map(async ({ name, config }) => {
        const { keys, inboxCount } = await contentsOf(config.store)
        const destinations = [config.user, toGroup]
        return { name, destinations, notes: readNotes(config.notes), storedKeys: keys, inboxCount }
      }),
    )
    const verdict = judge([...histories, { name: 'h1', notes: this.#http?.notes ?? [] }], devices)
    this.#faults.push(...verdict.faults)
    return { ...verdict, faults: this.#faults, faultCounts: this.#faultCounts }
  }

  /** Keeps the files of a run that went wrong. */
  #keep(): void {
    const kept = mkdtempSync(join(tmpdir(), 'posthaste-kept-'))
    cpSync(this.#place.ground.directory, kept, { recursive: true })
    this.#options.progress?.(`its files are kept in ${kept}`)
  }
}

const faultNames = [
  'server kill',
  'SDK kill',
  'server stop',
  'SDK stop',
  'cut of all',
  'cut of some',
  'half-open',
  'delay',
  'gateway kill',
  'clean restart',
] as const
type PickedFault = (typeof faultNames)[number]
/** A kill at the start follows another one. */
type FaultName = PickedFault | 'kill at start'

/** A process of the SDK that can be killed and started again. */
class Party {
  run: Run | undefined
  readonly name: string
  readonly config: PartyConfig
  readonly #place: Place
  readonly #program: string
  readonly #onFault: (fault: string) => void

  constructor(place: Place, program: string, name: string, config: PartyConfig, onFault: (fault: string) => void) {
    this.#place = place
    this.#program = program
    this.name = name
    this.config = config
    this.#onFault = onFault
  }

  start(): void {
    const run = this.#place.ground.node(this.#program, [JSON.stringify(this.config)], { input: null })
    this.run = run
    void run.ended.then(({ code, stderr }) => {
      if (code !== null && code !== 0) this.#onFault(`[I12] ${this.name} ended with ${code}: ${stderr}`)
    })
  }

  async kill(): Promise<void> {
    this.run?.child.kill('SIGKILL')
    await this.run?.ended
  }

  async end(): Promise<void> {
    this.run?.child.stdin.write('end\n')
    await this.run?.ended
  }

  /** Gives a command and waits for its answer. */
  async say(command: string, answer: string): Promise<void> {
    this.run?.child.stdin.write(`${command}\n`)
    await this.wait(answer)
  }

  async wait(answer: string): Promise<void> {
    await until(
      () => this.run?.stdout().includes(answer) === true,
      () => `${this.name} is not ${answer}: ${this.run?.stderr()}`,
      drainMs,
    )
  }
}
