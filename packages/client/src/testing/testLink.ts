import type { Clock, Random, SocketEvents, Transport } from '../ports.ts'
import type { PosthasteOptions } from '../options.ts'
import type { ClientStore } from '../store.ts'
import { MemoryEngine } from '../stores/memory.ts'
import { OrderedStore } from '../stores/ordered.ts'
import type { TestClock } from './testClock.ts'

const abnormalClose = 1_006

/** What a link asks of the server. */
export interface LinkOwner {
  readonly clock: TestClock
  /** Has something done once the present step is over: the network. */
  post(action: () => void): void
  /** Something asynchronous has begun, and later has ended. */
  busy(change: 1 | -1): void
  /** A client connects. @returns the connection, or `undefined` when nobody listens */
  connected(link: TestLink): number | undefined
  received(connection: number, bytes: Uint8Array): void
  closed(connection: number): void
}

/** One client's way to the world: its socket, clock and store, all of which the test can cut. */
export class TestLink {
  readonly transport: Transport
  readonly clock: Clock
  readonly #owner: LinkOwner
  readonly #timers = new Set<() => void>()
  #events: SocketEvents | undefined
  #connection: number | undefined
  #isCut = false
  #isDead = false

  constructor(owner: LinkOwner) {
    this.#owner = owner
    this.transport = (_url, events) => this.#open(events)
    this.clock = {
      wallMs: () => owner.clock.nowMs,
      monotonicMs: () => owner.clock.nowMs,
      setTimer: (callback, delayMs) => this.#setTimer(callback, delayMs),
    }
  }

  /** The connection is gone, without a word to either side until it is looked at; with `isCut` no new one is made. */
  cut(isCut: boolean): void {
    this.#isCut = isCut
    this.drop(abnormalClose)
  }

  /** A connection may be made again. */
  mend(): void {
    this.#isCut = false
  }

  /** The process of the client dies: nothing of it happens any more. */
  kill(): void {
    this.#isDead = true
    for (const cancel of this.#timers) cancel()
    this.#timers.clear()
    this.drop(abnormalClose)
  }

  /** Hands bytes to the client. */
  deliver(connection: number, bytes: Uint8Array): void {
    const events = this.#events
    this.#owner.post(() => {
      if (this.#connection === connection) events?.message(bytes)
    })
  }

  /** Ends the present connection, after what was sent on it. */
  drop(closeCode: number): void {
    const connection = this.#connection
    const events = this.#events
    if (connection === undefined) return
    this.#owner.post(() => {
      if (this.#connection !== connection) return
      this.#connection = undefined
      this.#owner.closed(connection)
      if (!this.#isDead) events?.closed(closeCode)
    })
  }

  /** The token function, or the token, as this client sees it. */
  token(token: PosthasteOptions['token']): PosthasteOptions['token'] {
    return typeof token === 'string' ? token : () => this.#guard(async () => await token())
  }

  /** The store as this client sees it. */
  store(store: ClientStore): ClientStore {
    return {
      tabs: store.tabs,
      open: () => this.#guard(() => store.open()),
      commit: (writes) => this.#guard(() => store.commit(writes)),
      get: (key) => this.#guard(() => store.get(key)),
      scan: (from, to, limit) => this.#guard(() => store.scan(from, to, limit)),
      close: () => this.#guard(() => store.close()),
    }
  }

  /** Has the server know that something is under way. After the client's death nothing is answered. */
  async #guard<T>(call: () => Promise<T>): Promise<T> {
    if (this.#isDead) return await new Promise<never>(() => {})
    this.#owner.busy(1)
    try {
      return await call()
    } finally {
      this.#owner.busy(-1)
      // Whoever called is dead and hears no more; the wait must not count as something under way.
      if (this.#isDead) await new Promise<never>(() => {})
    }
  }

  #open(events: SocketEvents): ReturnType<Transport> {
    this.#owner.post(() => {
      if (this.#isDead) return
      const connection = this.#isCut ? undefined : this.#owner.connected(this)
      this.#connection = connection
      this.#events = events
      if (connection === undefined) events.closed(abnormalClose)
      else events.opened()
    })
    return {
      bufferedBytes: 0,
      send: (bytes) => this.#send(events, bytes),
      close: (closeCode) => {
        if (this.#events === events) this.drop(closeCode)
      },
    }
  }

  #send(events: SocketEvents, bytes: Uint8Array): void {
    const connection = this.#connection
    if (this.#isDead || this.#events !== events || connection === undefined) return
    this.#owner.post(() => {
      if (this.#connection === connection) this.#owner.received(connection, bytes)
    })
  }

  #setTimer(callback: () => void, delayMs: number): () => void {
    if (this.#isDead) return () => {}
    const cancel = this.#owner.clock.setTimer(() => {
      this.#timers.delete(cancel)
      callback()
    }, delayMs)
    this.#timers.add(cancel)
    return () => {
      this.#timers.delete(cancel)
      cancel()
    }
  }
}

/** The disk of a device: what is stored on it outlives its clients. */
export class TestDevice {
  readonly #engine = new KeptEngine()

  /** A new store over this disk, as a process that starts opens it. */
  open(): ClientStore {
    return new OrderedStore(this.#engine)
  }
}

class KeptEngine extends MemoryEngine {
  override async close(): Promise<void> {}
}

/** Chance from a seed (mulberry32): the same in every run. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  const next = (): number => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), state | 1)
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
  return { fraction: next, bytes: (count) => Uint8Array.from({ length: count }, () => Math.floor(next() * 256)) }
}
