import { Calls } from '../calls.ts'
import type { Engine, EngineEvent, EngineOwner, OwnEngine } from '../engine.ts'
import type { PosthasteError } from '../errors.ts'
import type { Answer, AppAsk, ConnectionState, Draft, Fault, Notice } from '../machine/events.ts'
import { closedFault } from '../machine/connection.ts'
import { idAfter } from '../machine/ids.ts'
import { connectionLost } from '../machine/requests.ts'
import { Hub } from './hub.ts'
import { type Envelope, noteWatched, type Outcome, tabLock, type ToLeader, type ToTab } from './messages.ts'
import type { TabPort } from './port.ts'

/** A tab that lives and says nothing for this long is not waited for any more. */
const joinWaitMs = 5_000
/** What was said longer ago may be a dead leader's. Less than a new leader waits for this tab to join. */
const staleMs = 2_000
/** Whoever has no network and so no token is trusted after this, until its token shows otherwise. */
const identifyMs = 3_000
/** By then a page is in the back/forward cache. */
const cachedMs = 1_000
/** When nothing is answered for so long, the leader is asked for a sign of life, and given so long. */
const answerMs = 5_000
const lifeMs = 3_000
/** How many ended handlers are remembered for a new leader; of each lane only those not yet durable matter. */
const endedMax = 1_024

const nothing = (): void => {}

/**
 * This tab among those that share a store. The one that holds the lock leads: it runs the machine for all, itself included. When it
 * is closed or dies, the browser gives the lock to the next one, which goes on from the store; the others join it, ask again what was
 * not answered, and tell which handlers they run, so that nothing is lost and nothing happens twice.
 */
export class Tab implements Engine {
  /** Of the leader. The channel has the same name. */
  readonly #lock: string
  readonly #port: TabPort
  readonly #owner: EngineOwner
  /** Used once this tab leads. Made at once, so that options that can't be are refused at once. */
  readonly #engine: OwnEngine
  #hub: Hub | undefined
  #isTakingPart = false
  #leader: string | undefined
  /** Whose tab this is, '' where nothing has shown that; `undefined` before that was asked. */
  #user: string | undefined
  /** The leader that waits for that. */
  #nextLeader: string | undefined
  #connection: ConnectionState = { status: 'idle' }
  /** What the leader last said of it. */
  #told = this.#connection
  #isExpecting = false
  #isSilent = false
  /** Why this tab takes part no more. */
  #over: Fault | undefined
  readonly #calls = new Calls<AppAsk>()
  #lastId = 0n
  #receiving: Extract<EngineEvent, { kind: 'receive' }> | undefined
  readonly #watched: string[] = []
  readonly #typists = new Map<string, Extract<Notice, { kind: 'typing' }>>()
  /** Handlers by what they handle: those that run, and how the last ones ended. */
  readonly #runs = new Map<string, Outcome | undefined>()
  readonly #runKeys = new Map<number, string>()
  #run = 0

  /**
   * Does no I/O.
   * @param lock of the leader
   * @param make makes the engine that runs the machine in this tab
   */
  constructor(lock: string, port: TabPort, owner: EngineOwner, make: (owner: EngineOwner) => OwnEngine) {
    this.#lock = lock
    this.#port = port
    this.#owner = owner
    this.#engine = make({
      notice: (notice) => this.#hub?.notice(notice),
      handle: (effect) => this.#hub?.handle(effect),
      stopReceiving: nothing,
      restarted: nothing,
    })
  }

  get connection(): ConnectionState {
    return this.#connection
  }

  errorOf(fault: Fault, cause?: unknown): PosthasteError {
    return this.#engine.errorOf(fault, cause)
  }

  helped(error: unknown): unknown {
    return this.#engine.helped(error)
  }

  dispatch(event: EngineEvent): void {
    if (event.kind === 'handlerDone') this.#ended(event.run, 'done')
    else if (event.kind === 'handlerFailed') this.#ended(event.run, event.decision)
    else {
      this.#start()
      if (event.kind === 'receive') this.#receiving = event
      if (event.kind === 'watch') for (const user of event.users) noteWatched(this.#watched, user, event.isOn)
      // Without a leader: it learns of handlers and watched users when this tab joins it; the rest is now or never.
      this.#post({ kind: 'event', event })
    }
  }

  ask(ask: AppAsk, answered: (answer: Answer) => void): () => void {
    const asked = ask.kind === 'send' ? { ...ask, drafts: ask.drafts.map((draft) => this.#named(draft)) } : ask
    const begin = (call: number): void => {
      if (this.#over !== undefined) this.#calls.settle(call, { kind: 'fault', fault: this.#over })
      else {
        if (ask.kind === 'stopReceiving') this.#receiving = undefined
        this.#start()
        this.#post({ kind: 'ask', call, ask: asked })
        if (this.#hub === undefined) this.#expectLife()
      }
    }
    return this.#calls.begin(asked, answered, begin, (call) => this.#post({ kind: 'abort', call }))
  }

  /** A leader whose process is suspended holds its lock, and answers nothing: what it last said of the connection counts no more. */
  #expectLife(): void {
    if (this.#isExpecting) return
    this.#isExpecting = true
    const { clock } = this.#port
    clock.setTimer(() => {
      this.#isExpecting = false
      const leader = this.#leader
      if (leader === undefined || !this.#isFollowing || this.#calls.entries().length === 0) return
      this.#isSilent = true
      this.#send(leader, { kind: 'hello' })
      clock.setTimer(() => {
        if (this.#isSilent && this.#isFollowing) this.#show({ status: 'waiting', attempt: 1, retryInMs: 0, fault: suspended })
      }, lifeMs)
    }, answerMs)
  }

  get #isFollowing(): boolean {
    return this.#hub === undefined && this.#over === undefined
  }

  #start(): void {
    if (this.#isTakingPart || this.#over !== undefined) return
    this.#isTakingPart = true
    // A leader takes whoever it hears of and who does not hold this lock for dead: nothing is heard, and nothing said, before.
    this.#hold(tabLock(this.#lock, this.#port.id), () => {
      this.#port.listen((envelope) => this.#heard(envelope))
      this.#port.watchPage((change) => this.#pageChanged(change))
      this.#send('', { kind: 'hello' })
      this.#hold(this.#lock, () => this.#lead())
    })
  }

  #pageChanged(change: 'shown' | 'cached'): void {
    if (change === 'cached' && this.#hub !== undefined) this.#send('', { kind: 'cached' })
    // Of its own page the leader's machine knows.
    if (change === 'shown' && this.#hub === undefined) this.#post({ kind: 'event', event: { kind: 'wake' } })
  }

  #hold(lock: string, held: () => void): void {
    this.#port.hold(lock, held, (cause) => {
      // Where a page may have no locks, each runs a client of its own.
      const message = `Tabs cannot share a connection here: ${cause}`
      this.#owner.notice({ kind: 'error', fault: { code: 'not-allowed', message, retryable: false } })
      this.#lead()
    })
  }

  /** This tab has the lock: it runs the machine from now on. */
  #lead(): void {
    const { id, clock } = this.#port
    const port = {
      self: id,
      send: (tab: string, body: ToTab) => (tab === id ? this.#take(body) : this.#send(tab, body)),
      // That tab holds this lock as long as it lives.
      watch: (tab: string, gone: () => void) => {
        const free = (letGo: () => void): void => {
          letGo()
          gone()
        }
        this.#port.hold(tabLock(this.#lock, tab), free, nothing)
      },
      retire: () =>
        this.#engine.close(
          () => this.#leave(this.#connection.status === 'ended' ? this.#connection.fault : closedFault),
          nothing,
        ),
    }
    this.#port.listHeld((locks) => {
      if (this.#over !== undefined) return
      const prefix = tabLock(this.#lock)
      const tabs = locks.flatMap((lock) => (lock.startsWith(prefix) ? lock.slice(prefix.length) : [])).filter((tab) => tab !== id)
      const hub = new Hub(port, this.#engine, tabs)
      this.#hub = hub
      this.#engine.dispatch({ kind: 'start' })
      this.#send('', { kind: 'lead' })
      this.#join(id)
      clock.setTimer(() => hub.stopWaiting(), joinWaitMs)
    })
  }

  #heard({ from, to, sentMs, body }: Envelope): void {
    if (to !== '' && to !== this.#port.id) return
    if (from === this.#leader && this.#isSilent) {
      this.#isSilent = false
      this.#show(this.#told)
    }
    if (this.#hub !== undefined) this.#hub.take(from, body as ToLeader)
    else if (body.kind === 'lead') this.#ifAlive(from, () => this.#join(from))
    // A page that hears something in there is ended, and its locks are free.
    else if (body.kind === 'cached') this.#port.clock.setTimer(() => this.#over ?? this.#send('', { kind: 'hello' }), cachedMs)
    else if (from === this.#leader) {
      const take = (): void => this.#take(body as ToTab)
      // This tab was frozen: a new leader did not wait for it, and may have handed the message to another tab.
      if (body.kind === 'handle' && Math.abs(this.#port.clock.wallMs() - sentMs) > staleMs) this.#ifAlive(from, take)
      else take()
    }
  }

  /** Takes a leader at its word that lives: what one said before it died may come after what its successor says. */
  #ifAlive(leader: string, act: () => void): void {
    this.#port.listHeld((locks) => {
      const isAlive = locks.length === 0 || locks.includes(tabLock(this.#lock, leader))
      if (this.#hub === undefined && this.#over === undefined && isAlive) act()
    })
  }

  /** There is a leader: it learns what this tab does, and what it waits for. */
  #join(leader: string): void {
    if (this.#leader === leader) return
    // The leader's machine knows whose it is.
    if (this.#user === undefined && leader !== this.#port.id) {
      this.#identify(leader)
      return
    }
    const isLater = this.#leader !== undefined
    this.#leader = leader
    this.#isSilent = false
    if (isLater) this.#forgetOthers()
    const calls = this.#calls.entries()
    // Asked to stop, and to begin again after that: in this order.
    const receiving = calls.some(([, ask]) => ask.kind === 'stopReceiving') ? undefined : this.#receiving
    this.#post({ kind: 'join', user: this.#user ?? '', receiving, runs: [...this.#runs], watched: this.#watched })
    for (const [call, ask] of calls) {
      // All that waits was asked of the leader before, if there was one.
      if (!isLater || mayRepeat(ask)) this.#post({ kind: 'ask', call, ask })
      else
        this.#calls.settle(
          call,
          ask.kind === 'realtime' ? { kind: 'status', status: 'unknown' } : { kind: 'fault', fault: connectionLost },
        )
    }
    if (this.#receiving !== undefined && receiving === undefined) this.#post({ kind: 'event', event: this.#receiving })
    if (isLater) this.#owner.restarted()
  }

  /** Asks for a token before this tab joins another one, which must not act for another user. */
  #identify(leader: string): void {
    const isAsked = this.#nextLeader !== undefined
    this.#nextLeader = leader
    if (isAsked) return
    const identified = (user: string, refusal?: Fault): void => {
      if (this.#over !== undefined) return
      const isLate = this.#user !== undefined
      this.#user = user
      const next = this.#nextLeader ?? leader
      // A tab that leads by now is told by its own machine.
      if (this.#hub !== undefined) return
      if (refusal !== undefined) this.#show({ status: 'ended', fault: refusal })
      else if (isLate) this.#post({ kind: 'user', user })
      else this.#ifAlive(next, () => this.#join(next))
    }
    this.#port.clock.setTimer(() => this.#user ?? identified(''), identifyMs)
    this.#engine.identify(identified)
  }

  /** As when a connection is lost: who is there and who types is not known any more, until the new leader says so. */
  #forgetOthers(): void {
    for (const user of this.#watched) this.#owner.notice({ kind: 'presence', user, state: 'unknown', lastSeenMs: 0 })
    for (const notice of this.#typists.values()) this.#owner.notice({ ...notice, isActive: false })
    this.#typists.clear()
  }

  #take(body: ToTab): void {
    switch (body.kind) {
      case 'welcome':
        this.#tell(body.connection)
        return
      case 'notice':
        this.#notice(body.notice)
        return
      case 'answer':
        this.#calls.settle(body.call, body.answer)
        return
      case 'handle':
        this.#handle(body)
        return
      case 'stopReceiving':
        this.#receiving = undefined
        this.#owner.stopReceiving()
    }
  }

  #notice(notice: Notice): void {
    if (notice.kind === 'connection') this.#tell(notice.state)
    else {
      if (notice.kind === 'typing') {
        const key = `${notice.user} ${notice.toKind} ${notice.to}`
        this.#typists.delete(key)
        if (notice.isActive) this.#typists.set(key, notice)
      }
      this.#owner.notice(notice)
    }
  }

  #handle(body: Extract<ToTab, { kind: 'handle' }>): void {
    const { key } = body
    this.#run += 1
    this.#runKeys.set(this.#run, key)
    this.#runs.set(key, undefined)
    // It was on its way while the handler here was stopped.
    if (this.#receiving === undefined) this.#ended(this.#run, 'release')
    else this.#owner.handle({ ...body, run: this.#run })
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

  #tell(state: ConnectionState): void {
    this.#told = state
    this.#show(state)
  }

  #show(state: ConnectionState): void {
    if (JSON.stringify(state) === JSON.stringify(this.#connection)) return
    this.#connection = state
    this.#owner.notice({ kind: 'connection', state })
    // A leader whose machine has ended still holds the store, until it is closed or somebody new comes.
    if (state.status === 'ended' && this.#hub === undefined) this.#leave(state.fault)
  }

  close(closed: () => void, failed: (reason: unknown) => void): void {
    const left = (): void => {
      this.#leave(closedFault)
      this.#show({ status: 'ended', fault: this.#over ?? closedFault })
      closed()
    }
    if (this.#over === undefined && this.#hub !== undefined) this.#engine.close(left, failed)
    else left()
  }

  #leave(fault: Fault): void {
    if (this.#over !== undefined) return
    if (this.#hub === undefined) this.#post({ kind: 'leave' })
    this.#over = fault
    this.#port.leave()
    for (const [call] of this.#calls.entries()) this.#calls.settle(call, { kind: 'fault', fault })
  }

  #post(body: ToLeader): void {
    if (this.#leader === undefined || this.#over !== undefined) return
    if (this.#hub !== undefined) this.#hub.take(this.#port.id, body)
    else this.#send(this.#leader, body)
  }

  #send(to: string, body: ToLeader | ToTab): void {
    this.#port.post({ from: this.#port.id, to, sentMs: this.#port.clock.wallMs(), body })
  }

  /** A message gets its id here, so that the next leader may be given it once more without doubling it. */
  #named(draft: Draft): Draft {
    if (draft.id !== undefined) return draft
    const { clock, random } = this.#port
    this.#lastId = idAfter(this.#lastId, clock.wallMs(), random.fraction())
    return { ...draft, id: this.#lastId }
  }
}

const suspended: Fault = { ...connectionLost, message: 'The tab that holds the connection does not answer: is it suspended?' }

/** Whether asking twice does no more than asking once. */
function mayRepeat(ask: AppAsk): boolean {
  return ask.kind !== 'request' && ask.kind !== 'realtime' && ask.kind !== 'cancel' && ask.kind !== 'setAside'
}
