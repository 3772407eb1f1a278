import { Calls } from '../calls.ts'
import type { Answered, Engine, EngineEvent, EngineOwner, TabsFactory } from '../engine.ts'
import type { PosthasteError } from '../errors.ts'
import type { Answer, AppAsk, ConnectionState, Draft, Fault } from '../machine/events.ts'
import { closedFault } from '../machine/connection.ts'
import { idAfter } from '../machine/ids.ts'
import { Hub } from './hub.ts'
import { type Envelope, leaderLock, type Outcome, type Receiving, tabLock, type ToLeader, type ToTab } from './messages.ts'

/** A tab that lives and says nothing for this long is not waited for any more. */
const joinWaitMs = 5_000
/** How many ended handlers are remembered for a new leader; of each lane only those not yet durable matter. */
const endedMax = 1_024

const lostFault: Fault = {
  code: 'connection-lost',
  message: 'The tab that ran the client was closed before the answer came; whether it acted is not known.',
  retryable: true,
}

/** One engine for all tabs of an origin that use the store of that name. */
export function sharedBetweenTabs(name: string): TabsFactory {
  return (owner, make) => new Tab(name, owner, make)
}

/**
 * This tab among those that share a store. The one that holds the lock leads: it runs the machine for all, itself included. When it
 * is closed or dies, the browser gives the lock to the next one, which goes on from the store; the others join it, ask again what was
 * not answered, and tell which handlers they run, so that nothing is lost and nothing happens twice.
 */
class Tab implements Engine {
  readonly #name: string
  readonly #owner: EngineOwner
  readonly #id = Math.random().toString(36).slice(2)
  /** Used once this tab leads. Made at once, so that options that can't be are refused at once. */
  readonly #engine: Engine
  #hubOwner: EngineOwner | undefined
  #hub: Hub | undefined
  #channel: BroadcastChannel | undefined
  readonly #ending = new AbortController()
  readonly #releases: (() => void)[] = []
  #leader: string | undefined
  #connection: ConnectionState = { status: 'idle' }
  /** Why this tab takes part no more. */
  #over: Fault | undefined
  readonly #calls = new Calls<AppAsk>((fault) => this.errorOf(fault))
  /** Those of the calls that a leader was asked. */
  readonly #asked = new Set<number>()
  #lastId = 0n
  #receiving: Receiving | undefined
  readonly #watched: string[] = []
  /** Handlers by what they handle: those that run, and how the last ones ended. */
  readonly #runs = new Map<string, Outcome | undefined>()
  readonly #runKeys = new Map<number, string>()
  #run = 0

  constructor(name: string, owner: EngineOwner, make: (owner: EngineOwner) => Engine) {
    this.#name = name
    this.#owner = owner
    this.#engine = make({
      notice: (notice) => this.#hubOwner?.notice(notice),
      handle: (effect) => this.#hubOwner?.handle(effect),
      stopReceiving: () => {},
      restarted: () => {},
    })
  }

  get connection(): ConnectionState {
    return this.#connection
  }

  errorOf(fault: Fault, cause?: unknown): PosthasteError {
    return this.#engine.errorOf(fault, cause)
  }

  dispatch(event: EngineEvent): void {
    if (event.kind === 'handlerDone') this.#ended(event.run, 'done')
    else if (event.kind === 'handlerFailed') this.#ended(event.run, event.decision)
    else {
      this.#start()
      if (event.kind === 'receive') this.#receiving = { positions: event.positions, isBatched: event.isBatched }
      if (event.kind === 'watch') this.#noteWatched(event.users, event.isOn)
      // Without a leader: it learns of handlers and watched users when this tab joins it; the rest is now or never.
      this.#post({ kind: 'event', event })
    }
  }

  ask<A extends AppAsk>(ask: A, signal?: AbortSignal): Promise<Answered<A>> {
    const asked = ask.kind === 'send' ? { ...ask, drafts: ask.drafts.map((draft) => this.#named(draft)) } : ask
    const abort = (call: number): void => {
      this.#asked.delete(call)
      this.#post({ kind: 'abort', call })
    }
    return this.#calls.begin(asked, signal, (call) => this.#begin(call, asked), abort)
  }

  #begin(call: number, ask: AppAsk): void {
    if (this.#over !== undefined) this.#settle(call, { kind: 'fault', fault: this.#over })
    else {
      if (ask.kind === 'stopReceiving') this.#receiving = undefined
      this.#start()
      this.#postCall(call, ask)
    }
  }

  #settle(call: number, answer: Answer): void {
    this.#asked.delete(call)
    this.#calls.settle(call, answer)
  }

  #start(): void {
    if (this.#channel !== undefined || this.#over !== undefined) return
    this.#channel = new BroadcastChannel(leaderLock(this.#name))
    this.#channel.onmessage = ({ data }: MessageEvent<Envelope>) => this.#heard(data)
    this.#hold(tabLock(this.#name, this.#id), () => {
      this.#send('', { kind: 'hello' })
      this.#hold(leaderLock(this.#name), () => this.#lead())
    })
  }

  /** Holds a lock from when it is free until this tab takes part no more. */
  #hold(lock: string, held: () => unknown): void {
    const { signal } = this.#ending
    navigator.locks
      .request(lock, { signal }, () => new Promise<void>((release) => this.#releases.push(release) && held()))
      .catch((cause) => {
        // Where a page may have no locks, each runs a client of its own.
        if (!signal.aborted) this.#owner.notice({ kind: 'error', fault: { ...lostFault, message: String(cause) } })
        if (!signal.aborted) this.#lead()
      })
  }

  /** This tab has the lock: it runs the machine from now on. */
  async #lead(): Promise<void> {
    const prefix = tabLock(this.#name)
    const { held = [] } = await navigator.locks.query().catch(() => ({}) as LockManagerSnapshot)
    if (this.#over !== undefined) return
    const tabs = held.flatMap(({ name = '' }) => (name.startsWith(prefix) ? [name.slice(prefix.length)] : []))
    const port = {
      self: this.#id,
      send: (tab: string, body: ToTab) => (tab === this.#id ? this.#take(body) : this.#send(tab, body)),
      watch: (tab: string, gone: () => void) => this.#watch(tab, gone),
      retire: () => void this.close(),
    }
    const make = (owner: EngineOwner): Engine => {
      this.#hubOwner = owner
      return this.#engine
    }
    const others = tabs.filter((tab) => tab !== this.#id)
    const hub = new Hub(port, make, others)
    this.#hub = hub
    this.#send('', { kind: 'lead' })
    this.#join(this.#id)
    const timer = setTimeout(() => hub.stopWaiting(), joinWaitMs)
    this.#releases.push(() => clearTimeout(timer))
  }

  /** Waits for the lock that a tab holds as long as it lives. */
  #watch(tab: string, gone: () => void): void {
    const { signal } = this.#ending
    navigator.locks.request(tabLock(this.#name, tab), { signal }, gone).catch(() => {})
  }

  #heard({ from, to, body }: Envelope): void {
    if (to !== '' && to !== this.#id) return
    if (this.#hub !== undefined) this.#hub.take(from, body as ToLeader)
    else if (body.kind === 'lead') this.#join(from)
    else if (from === this.#leader) this.#take(body as ToTab)
  }

  /** There is a leader: it learns what this tab does, and what it waits for. */
  #join(leader: string): void {
    if (this.#leader === leader) return
    const isLater = this.#leader !== undefined
    this.#leader = leader
    this.#post({ kind: 'join', receiving: this.#receiving, runs: [...this.#runs], watched: this.#watched })
    for (const [call, ask] of this.#calls.entries()) this.#postCall(call, ask)
    if (isLater) this.#owner.restarted()
  }

  #take(body: ToTab): void {
    switch (body.kind) {
      case 'lead':
        return
      case 'welcome':
        this.#show(body.connection)
        return
      case 'notice':
        if (body.notice.kind === 'connection') this.#show(body.notice.state)
        else this.#owner.notice(body.notice)
        return
      case 'answer':
        this.#settle(body.call, body.answer)
        return
      case 'handle':
        this.#handle(body)
        return
      case 'stopReceiving':
        this.#receiving = undefined
        this.#owner.stopReceiving()
    }
  }

  #handle({ key, entry, redelivered, attempt }: Extract<ToTab, { kind: 'handle' }>): void {
    this.#run += 1
    this.#runKeys.set(this.#run, key)
    this.#runs.set(key, undefined)
    // It was on its way while the handler here was stopped.
    if (this.#receiving === undefined) this.#ended(this.#run, 'release')
    else this.#owner.handle({ kind: 'handle', run: this.#run, entry, redelivered, attempt })
  }

  #ended(run: number, outcome: Outcome): void {
    const key = this.#runKeys.get(run)
    if (key === undefined) return
    this.#runKeys.delete(run)
    this.#runs.delete(key)
    // The others leave the message where it is, so that a new leader needs no word of them.
    if (outcome === 'done' || outcome === 'set-aside') this.#runs.set(key, outcome)
    for (const [old, known] of this.#runs) {
      if (this.#runs.size - this.#runKeys.size <= endedMax) break
      if (known !== undefined) this.#runs.delete(old)
    }
    this.#post({ kind: 'ended', key, outcome })
  }

  #show(state: ConnectionState): void {
    if (JSON.stringify(state) === JSON.stringify(this.#connection)) return
    this.#connection = state
    this.#owner.notice({ kind: 'connection', state })
    // A leader whose machine has ended still holds the store, until it is closed or somebody new comes.
    if (state.status === 'ended' && this.#hub === undefined) this.#leave(state.fault)
  }

  async close(): Promise<void> {
    if (this.#over === undefined && this.#hub !== undefined) {
      await this.#engine.close()
    }
    this.#leave(closedFault)
    this.#show({ status: 'ended', fault: this.#over ?? closedFault })
  }

  #leave(fault: Fault): void {
    if (this.#over !== undefined) return
    if (this.#hub === undefined) this.#post({ kind: 'leave' })
    this.#over = fault
    this.#ending.abort()
    for (const release of this.#releases) release()
    this.#channel?.close()
    for (const [call] of this.#calls.entries()) this.#settle(call, { kind: 'fault', fault })
  }

  #post(body: ToLeader): void {
    if (this.#leader === undefined || this.#over !== undefined) return
    if (this.#hub !== undefined) this.#hub.take(this.#id, body)
    else this.#send(this.#leader, body)
  }

  #postCall(call: number, ask: AppAsk): void {
    if (this.#leader === undefined) return
    if (this.#asked.has(call) && !mayRepeat(ask)) {
      this.#settle(call, ask.kind === 'realtime' ? { kind: 'status', status: 'unknown' } : { kind: 'fault', fault: lostFault })
      return
    }
    this.#asked.add(call)
    this.#post({ kind: 'ask', call, ask })
  }

  #send(to: string, body: ToLeader | ToTab): void {
    const envelope: Envelope = { from: this.#id, to, body }
    this.#channel?.postMessage(envelope)
  }

  #noteWatched(users: readonly string[], isOn: boolean): void {
    for (const user of users) {
      const at = this.#watched.indexOf(user)
      if (isOn) this.#watched.push(user)
      else if (at >= 0) this.#watched.splice(at, 1)
    }
  }

  /** A message gets its id here, so that the next leader may be given it once more without doubling it. */
  #named(draft: Draft): Draft {
    if (draft.id !== undefined) return draft
    const chance = crypto.getRandomValues(new Uint32Array(1))[0] ?? 0
    this.#lastId = idAfter(this.#lastId, Date.now(), chance / 2 ** 32)
    return { ...draft, id: this.#lastId }
  }
}

/** Whether asking twice does no more than asking once. */
function mayRepeat(ask: AppAsk): boolean {
  return ask.kind !== 'request' && ask.kind !== 'realtime' && ask.kind !== 'cancel' && ask.kind !== 'setAside'
}
