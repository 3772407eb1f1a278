/// <reference lib="esnext.disposable" preserve="true" />
import {
  decodeRecord,
  Host,
  type HostEdge,
  type HostLimits,
  MemoryJournal,
  MemoryTables,
  Shard,
  type Verified,
} from '@posthaste/core'
import { type CodeName, codeNumber } from '@posthaste/protocol'
import { nameArgument } from '../arguments.ts'
import type { PosthasteOptions } from '../options.ts'
import { Posthaste } from '../posthaste.ts'
import type { ClientStore } from '../store.ts'
import { contentHash } from './contentHash.ts'
import { TestClock } from './testClock.ts'
import { type LinkOwner, seededRandom, TestDevice, TestLink } from './testLink.ts'

/** How a test server is made. */
export interface TestServerOptions {
  /** What the clocks show at first, in ms since the epoch; default 2026-01-01T00:00:00Z. */
  readonly startMs?: number | undefined
  /** `manual`: nothing is durable, so nothing `sent`, before `flush()`. Default `automatic`. */
  readonly flushing?: 'automatic' | 'manual' | undefined
  /** Limits of the gateway. */
  readonly limits?: { readonly [name in keyof HostLimits]?: HostLimits[name] | undefined } | undefined
  /** Makes the clients' chance repeatable; default 1. */
  readonly seed?: number | undefined
}

/** A client of a test server: who it is, and whatever else `Posthaste` takes. */
export interface TestClientOptions extends Omit<PosthasteOptions, 'url' | 'token' | 'transport' | 'clock' | 'random'> {
  readonly user: string
  /** Default: tokens of the test server for that user. */
  readonly token?: PosthasteOptions['token'] | undefined
  /** Names the device. Clients of one device, one after the other, share what is stored on it. Default: a device of its own. */
  readonly device?: string | undefined
  /** Instead of the device's own store, which is in memory. */
  readonly store?: ClientStore | undefined
}

const newYear2026Ms = 1_767_225_600_000
/** The server looks around this often while something happens, and this often while nothing does. */
const busyTickMs = 100
const idleTickMs = 5_000
const busyMs = 2_000
/** Turns of the event loop after which something must be going round in circles. */
const turnsMax = 100_000
const firstConnection = 2

/** Makes a server in this process: the real logic, with memory for a disk and a clock that stands still until `advance`. */
export function createTestServer(options: TestServerOptions = {}): TestServer {
  return new TestServer(options)
}

/**
 * A server in this process. The network and the disk take no time and work by themselves; time passes only in `advance`. Nothing
 * here uses a timer, so that it works with and without faked ones.
 */
export class TestServer {
  readonly #options: TestServerOptions
  readonly #clock: TestClock
  readonly #edge: HostEdge
  readonly #owner: LinkOwner
  readonly #links = new Map<number, TestLink>()
  readonly #linkOf = new WeakMap<Posthaste, TestLink>()
  readonly #clients: Posthaste[] = []
  readonly #devices = new Map<string, TestDevice>()
  #queue: (() => void)[] = []
  #isPosted = false
  #busy = 0
  #journal: MemoryJournal
  #host: Host | undefined
  #shard: Shard | undefined
  #nextConnection = firstConnection
  #tickedMs = 0
  #workedMs = 0
  #seed: number

  /** @internal */
  constructor(options: TestServerOptions) {
    this.#options = options
    this.#clock = new TestClock(options.startMs ?? newYear2026Ms)
    this.#journal = new MemoryJournal({ flushing: options.flushing ?? 'automatic' })
    this.#seed = options.seed ?? 1
    this.#edge = this.#hostEdge()
    this.#owner = {
      clock: this.#clock,
      post: (action) => this.#post(action),
      busy: (change) => {
        this.#busy += change
      },
      connected: (link) => this.#connected(link),
      received: (connection, bytes) => this.#host?.received(connection, bytes, this.nowMs),
      closed: (connection) => this.#host?.closed(connection, this.nowMs),
    }
    this.restart()
  }

  /** What the clocks show, in ms since the epoch. */
  get nowMs(): number {
    return this.#clock.nowMs
  }

  /** Makes a client, and its user where there is none yet. It connects when it is first used, as any. */
  client(options: TestClientOptions): Posthaste {
    const { user, device, store, ...others } = options
    this.createUser(user)
    const link = new TestLink(this.#owner)
    this.#seed += 1
    const client = new Posthaste({
      ...others,
      token: link.token(others.token ?? (() => this.token(user))),
      url: 'ws://test.invalid',
      store: link.store(store ?? this.#deviceOf(user, device).open()),
      transport: link.transport,
      clock: link.clock,
      random: seededRandom(this.#seed),
    })
    this.#clients.push(client)
    this.#linkOf.set(client, link)
    return client
  }

  /** Makes a user that was never connected, so that messages to it wait. */
  createUser(user: string): void {
    nameArgument(user, 'user')
    this.#host?.submit(
      (origin) => ({ kind: 'userCreate', ...origin, user }),
      0,
      () => {},
    )
    this.#post(() => {})
  }

  /** A token for that user, such as a token function returns. Good for `expiresInMs`, or for ever. */
  token(user: string, expiresInMs?: number): string {
    const claims = { sub: user, iat: this.nowMs, exp: expiresInMs === undefined ? 0 : this.nowMs + expiresInMs }
    let binary = ''
    for (const byte of new TextEncoder().encode(JSON.stringify(claims))) binary += String.fromCharCode(byte)
    return `test.${btoa(binary)}.`
  }

  /** Waits until nothing happens any more without time passing. @throws Error when that never comes about */
  async settle(): Promise<void> {
    for (let turns = 0, quiet = 0; quiet < 3; turns++) {
      if (turns === turnsMax) throw new Error('The clients and the server do not come to rest.')
      quiet = this.#isResting && !this.#work() ? quiet + 1 : 0
      await turnOfTheLoop()
    }
  }

  /** Lets time pass, in as many steps as there are timers on the way, and settles. */
  async advance(ms: number): Promise<void> {
    const untilMs = this.nowMs + ms
    await this.settle()
    while (this.nowMs < untilMs) {
      this.#clock.moveTo(Math.min(untilMs, this.#clock.nextMs ?? untilMs, this.#nextTickMs()))
      if (!this.#work()) continue
      await turnOfTheLoop()
      if (!this.#isResting) await this.settle()
    }
    await this.settle()
  }

  /** Makes durable what was written so far. Only with `flushing: 'manual'` there is anything to do. */
  async flush(): Promise<void> {
    await this.settle()
    this.#journal.flush()
    await this.settle()
  }

  /** The server dies: connections are gone, and what was not flushed. */
  crash(): void {
    this.#journal = this.#journal.crash()
    this.#host = undefined
    this.#shard = undefined
    for (const link of this.#links.values()) link.drop(1_006)
    this.#links.clear()
  }

  /** Starts the server again after `crash`, from what is in the journal. */
  restart(): void {
    if (this.#host !== undefined) this.crash()
    const shard = new Shard(0, 1, new MemoryTables())
    for (const { position, bytes } of this.#journal.read(1)) shard.replay(position, decodeRecord(bytes))
    this.#shard = shard
    const given = Object.entries(this.#options.limits ?? {}).filter(([, value]) => value !== undefined)
    // Time passes only when the test says so: no rate of packets is too high meanwhile.
    const limits = { packetsPerSecond: Number.MAX_SAFE_INTEGER, ...Object.fromEntries(given) }
    const positions = [this.#journal.lastPosition]
    this.#host = new Host({ shards: [shard], positions, edge: this.#edge, nowMs: this.nowMs, limits })
    this.#host.begin()
    this.#post(() => {})
  }

  /** Cuts the client's connection, and keeps it from making another one until `reconnect`. */
  disconnect(client: Posthaste): void {
    this.#linkOf.get(client)?.cut(true)
  }

  /** Lets the client connect again, which it does when its wait is over: at most 30 s. */
  reconnect(client: Posthaste): void {
    this.#linkOf.get(client)?.mend()
  }

  /** Cuts the client's connection once. */
  cut(client: Posthaste): void {
    this.#linkOf.get(client)?.cut(false)
  }

  /** The client's process dies: nothing of it happens any more. What is on its device stays for the next client. */
  kill(client: Posthaste): void {
    this.#linkOf.get(client)?.kill()
    const at = this.#clients.indexOf(client)
    if (at >= 0) this.#clients.splice(at, 1)
  }

  /** Closes all clients. */
  async close(): Promise<void> {
    await Promise.all(this.#clients.splice(0).map((client) => client.close()))
    await this.settle()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** Whether nothing is under way on the network or a disk. */
  get #isResting(): boolean {
    return !this.#isPosted && this.#busy === 0
  }

  #deviceOf(user: string, device: string | undefined): TestDevice {
    const name = `${user} ${device}`
    const known = device === undefined ? undefined : this.#devices.get(name)
    const found = known ?? new TestDevice()
    if (device !== undefined) this.#devices.set(name, found)
    return found
  }

  #connected(link: TestLink): number | undefined {
    if (this.#host === undefined) return undefined
    const connection = this.#nextConnection
    this.#nextConnection += 1
    this.#links.set(connection, link)
    this.#host.connected(connection, this.nowMs)
    return connection
  }

  #hostEdge(): HostEdge {
    return {
      write: (connection, bytes) => this.#links.get(connection)?.deliver(connection, bytes.slice()),
      close: (connection, code) => {
        this.#links.get(connection)?.drop(4_000 + codeNumber(code))
        this.#links.delete(connection)
      },
      bufferedBytes: () => 0,
      setPaused: () => undefined,
      append: (_shard, position, bytes) => this.#append(position, bytes.slice()),
      verify: (connection, token) => this.#post(() => this.#host?.verified(connection, this.#verify(token), this.nowMs)),
      hash: contentHash,
      freeBytes: () => this.#journal.freeBytes(),
    }
  }

  #append(position: number, bytes: Uint8Array): void {
    const host = this.#host
    this.#journal.append(position, bytes).then(() => {
      // What was flushed before a crash is told to nobody after it.
      this.#post(() => (host === this.#host ? host?.flushed(0, position, this.nowMs) : undefined))
    })
  }

  #verify(token: string): Verified {
    const refuse = (code: CodeName): Verified => ({ isOk: false, code, text: 'Use the tokens of this test server.' })
    try {
      const bytes = Uint8Array.from(atob(token.split('.')[1] ?? ''), (unit) => unit.charCodeAt(0))
      const { sub, iat, exp } = JSON.parse(new TextDecoder().decode(bytes))
      if (exp !== 0 && exp <= this.nowMs) return refuse('token-expired')
      return { isOk: true, user: nameArgument(sub, 'sub'), issuedAtMs: iat, expiresAtMs: exp }
    } catch {
      return refuse('token-invalid')
    }
  }

  /** Has something done in a turn of its own, after what was posted before. */
  #post(action: () => void): void {
    this.#queue.push(action)
    if (this.#isPosted) return
    this.#isPosted = true
    void turnOfTheLoop().then(() => {
      this.#isPosted = false
      this.#work()
    })
  }

  /** Does what was posted and what is due. @returns whether there was anything */
  #work(): boolean {
    const queue = this.#queue
    this.#queue = []
    for (const action of queue) action()
    const hasFired = this.#clock.fire()
    if (this.nowMs >= this.#nextTickMs()) this.#tick()
    while (this.#host?.turn(this.nowMs) === true);
    const hasWorked = queue.length > 0 || hasFired
    if (hasWorked) this.#workedMs = this.nowMs
    return hasWorked || this.#queue.length > 0
  }

  #tick(): void {
    this.#tickedMs = this.nowMs
    this.#host?.tick(this.nowMs)
  }

  #nextTickMs(): number {
    const periodMs = this.nowMs - this.#workedMs < busyMs ? busyTickMs : idleTickMs
    const dueMs = this.#shard?.nextDueMs() ?? Number.POSITIVE_INFINITY
    const nextMs = this.#tickedMs + periodMs
    return dueMs > this.#tickedMs ? Math.min(nextMs, dueMs) : nextMs
  }
}

/** The end of this turn of the event loop: everything that waits for promises is done then. No timer, so nothing that a test may fake. */
function turnOfTheLoop(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(undefined)
  })
}
