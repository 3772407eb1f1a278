import type { Engine, HandleEffect } from '../engine.ts'
import { closedFault, wrongUser, wrongUserCode } from '../machine/connection.ts'
import { earlyMax, tooEarly } from '../machine/asks.ts'
import type { AppAsk, Notice } from '../machine/events.ts'
import { isRetryable } from '../machine/outboxMessage.ts'
import { entryKey } from '../machine/rows.ts'
import { noteWatched, type Outcome, type Receiving, type ToLeader, type ToTab } from './messages.ts'

/** A handler's run: at which tab, under which number of the machine, and how it ended if the machine does not know yet. */
interface Run {
  readonly tab: string
  run: number
  outcome: Outcome | undefined
}

/** A tab that the leader serves. */
interface Member {
  /** '' where nothing has shown that. */
  user: string
  /** What it said before it was known whose the store is. */
  readonly early: ToLeader[]
  readonly watched: string[]
  /** What calls off its calls. */
  readonly asked: Map<number, () => void>
  /** Answers to `stopReceiving`, once its handlers have ended. */
  readonly stopped: (() => void)[]
}

/** How the hub reaches its tabs. */
export interface HubPort {
  /** The leader's own tab, which is preferred for handlers. */
  readonly self: string
  send(tab: string, body: ToTab): void
  /** Calls back when the tab is gone. */
  watch(tab: string, gone: () => void): void
  /** The engine has ended by itself, and a tab that is new would begin again: give the machine up. */
  retire(): void
}

/** Runs the machine for all tabs: their calls go in, answers and notices go out, and one tab's handler gets each message. */
export class Hub {
  readonly #port: HubPort
  readonly #engine: Engine
  readonly #members = new Map<string, Member>()
  /** In the order in which they registered. */
  readonly #receivers = new Map<string, Receiving>()
  readonly #runs = new Map<string, Run>()
  /** What waits until a handler of its lane has ended that was called for the leader before. */
  readonly #held: HandleEffect[] = []
  readonly #presence = new Map<string, Notice>()
  /** Tabs that live and have not said yet which handlers they run: nothing is handed over before. */
  readonly #awaited: Set<string>
  /** Whose the store is, '' where nothing has shown that; `undefined` while nobody may use it. */
  #user: string | undefined

  /**
   * @param engine what it tells and hands over comes to `notice` and `handle`
   * @param others the other tabs that live
   */
  constructor(port: HubPort, engine: Engine, others: readonly string[]) {
    this.#port = port
    this.#awaited = new Set(others)
    this.#engine = engine
    for (const tab of others) port.watch(tab, () => this.#gone(tab))
  }

  /** No further tab is waited for. */
  stopWaiting(): void {
    if (this.#awaited.size === 0) return
    this.#awaited.clear()
    this.#receive()
  }

  /** A tab says something. */
  take(tab: string, body: ToLeader): void {
    if (body.kind === 'hello') {
      // Whoever comes after the end begins again.
      if (this.#engine.connection.status === 'ended') this.#port.retire()
      else this.#port.send(tab, { kind: 'lead' })
      return
    }
    if (body.kind === 'join') {
      this.#join(tab, body)
      return
    }
    const member = this.#members.get(tab)
    if (member === undefined) return
    if (body.kind === 'user') {
      member.user = body.user
      this.#refuses(tab, member)
    } else if (body.kind === 'ended') this.#ended(tab, body.key, body.outcome)
    else if (body.kind === 'leave') this.#gone(tab)
    else if (this.#user === undefined && tab !== this.#port.self) this.#keep(tab, member, body)
    else if (body.kind === 'ask') this.#ask(tab, member, body.call, body.ask)
    else if (body.kind === 'abort') member.asked.get(body.call)?.()
    else if (body.event.kind === 'receive') {
      this.#receivers.set(tab, body.event)
      this.#receive()
    } else if (body.event.kind === 'watch') this.#watch(tab, member, body.event.users, body.event.isOn)
    else this.#engine.dispatch(body.event)
  }

  notice(notice: Notice): void {
    if (notice.kind === 'user') {
      this.#admit(notice.user)
      return
    }
    if (notice.kind === 'presence') this.#presence.set(notice.user, notice)
    const code = notice.kind === 'connection' && notice.state.status === 'ended' ? notice.state.fault.code : undefined
    // Another tab goes on after this one was closed, or turned out to be another user's than the store.
    const isOwn = code === closedFault.code || code === wrongUserCode
    const tabs = isOwn ? [this.#port.self] : [...this.#members.keys()]
    for (const tab of tabs) this.#port.send(tab, { kind: 'notice', notice: tab === this.#port.self ? notice : slim(notice) })
    if (code === wrongUserCode) this.#port.retire()
  }

  #keep(tab: string, { early }: Member, body: ToLeader): void {
    if (early.length < earlyMax) early.push(body)
    else if (body.kind === 'ask')
      this.#port.send(tab, { kind: 'answer', call: body.call, answer: { kind: 'fault', fault: tooEarly } })
    else if (body.kind === 'event') {
      this.#port.send(tab, { kind: 'notice', notice: { kind: 'error', fault: tooEarly } })
      // It would take itself for one that receives.
      if (body.event.kind === 'receive') this.#port.send(tab, { kind: 'stopReceiving' })
    }
  }

  /** The store is that user's: tabs of others must not use it. */
  #admit(user: string): void {
    this.#user = user
    for (const [tab, member] of [...this.#members]) {
      if (!this.#refuses(tab, member)) for (const body of member.early.splice(0)) this.take(tab, body)
    }
  }

  #refuses(tab: string, { user }: Member): boolean {
    const owner = this.#user ?? ''
    if (user === '' || owner === '' || user === owner) return false
    this.#gone(tab)
    this.#port.send(tab, {
      kind: 'notice',
      notice: { kind: 'connection', state: { status: 'ended', fault: wrongUser(owner, user) } },
    })
    return true
  }

  handle(effect: HandleEffect): void {
    const { run, entry } = effect
    const key = entryKey(entry.position)
    const known = this.#runs.get(key)
    if (known !== undefined) {
      // A tab began with it for the leader before.
      known.run = run
      if (known.outcome !== undefined) this.#settle(key, known, known.outcome)
      return
    }
    if (this.#isBusy(key)) {
      this.#held.push(effect)
      return
    }
    const tab = this.#receiver
    if (tab === undefined) {
      // The last one went away a moment ago, and the machine is about to hear of it.
      this.#engine.dispatch({ kind: 'handlerFailed', run, decision: 'release' })
      return
    }
    this.#runs.set(key, { tab, run, outcome: undefined })
    this.#port.send(tab, { ...effect, key })
  }

  /** The holder's own handler first, then the one that is there longest. */
  get #receiver(): string | undefined {
    if (this.#receivers.has(this.#port.self)) return this.#port.self
    const [first] = this.#receivers.keys()
    return first
  }

  #join(tab: string, { user, receiving, runs, watched }: Extract<ToLeader, { kind: 'join' }>): void {
    const member: Member = { user, early: [], watched: [], asked: new Map(), stopped: [] }
    if (this.#refuses(tab, member)) return
    for (const [key, outcome] of runs) if (!this.#runs.has(key)) this.#runs.set(key, { tab, run: 0, outcome })
    this.#port.send(tab, { kind: 'welcome', connection: this.#engine.connection })
    if (!this.#members.has(tab)) {
      this.#members.set(tab, member)
      if (tab !== this.#port.self && !this.#awaited.has(tab)) this.#port.watch(tab, () => this.#gone(tab))
      this.#watch(tab, member, watched, true)
    }
    if (receiving !== undefined) this.#receivers.set(tab, receiving)
    this.#awaited.delete(tab)
    this.#receive()
  }

  /** The tab was closed, or its process died: its handlers' messages go to another one. */
  #gone(tab: string): void {
    const member = this.#members.get(tab)
    this.#members.delete(tab)
    this.#awaited.delete(tab)
    const wasReceiving = this.#receivers.delete(tab)
    if (wasReceiving && this.#receivers.size === 0) this.#engine.ask({ kind: 'stopReceiving' }, () => {})
    for (const [key, run] of this.#runs) {
      // What its handlers have done stays done, whether or not the machine has asked by now.
      const isDone = run.outcome === 'done' || run.outcome === 'set-aside'
      if (run.tab === tab && !isDone) this.#settle(key, run, 'release')
    }
    this.#handHeld()
    for (const callOff of member?.asked.values() ?? []) callOff()
    if (member !== undefined) this.#watch(tab, member, [...member.watched], false)
    this.#receive()
  }

  #receive(): void {
    const receiving = this.#receivers.get(this.#receiver ?? '')
    if (this.#awaited.size > 0 || receiving === undefined) return
    const positions = [...this.#receivers.values()].flatMap((one) => one.positions)
    this.#engine.dispatch({ kind: 'receive', positions, isBatched: receiving.isBatched })
  }

  #ask(tab: string, member: Member, call: number, ask: AppAsk): void {
    const answer = (body: Extract<ToTab, { kind: 'answer' }>['answer']): void => {
      member.asked.delete(call)
      // This tab is being closed: the next leader is asked again.
      if (tab !== this.#port.self && body.kind === 'fault' && body.fault.code === 'closed') return
      this.#port.send(tab, { kind: 'answer', call, answer: body })
    }
    if (ask.kind === 'stopReceiving') {
      this.#receivers.delete(tab)
      if (this.#receivers.size > 0) {
        member.stopped.push(() => answer({ kind: 'done' }))
        this.#tellStopped(tab)
        return
      }
    }
    // The same message, handed over once more: how its handler ended before does not count.
    if (ask.kind === 'setAside') this.#forget(entryKey(ask.position))
    member.asked.set(call, () => {})
    const callOff = this.#engine.ask(ask, answer)
    // Unless it was answered at once.
    if (member.asked.has(call)) member.asked.set(call, callOff)
  }

  #ended(tab: string, key: string, outcome: Outcome): void {
    const run = this.#runs.get(key)
    if (run?.tab !== tab) return
    if (outcome === 'stop') {
      const wasLast = this.#receivers.delete(tab) && this.#receivers.size === 0
      this.#port.send(tab, { kind: 'stopReceiving' })
      if (wasLast && run.run === 0) this.#engine.ask({ kind: 'stopReceiving' }, () => {})
    }
    // Where another tab has a handler, that one goes on. To stop is not kept for later: it would stop the handler that is there by then.
    const end = outcome === 'stop' && (this.#receivers.size > 0 || run.run === 0) ? 'release' : outcome
    if (run.run === 0 && end !== 'release') run.outcome = end
    else this.#settle(key, run, end)
    this.#handHeld()
  }

  /** The machine goes on from what is stored: it may hand over what stands before a message that a handler runs for. */
  #isBusy(key: string): boolean {
    const lane = laneOf(key)
    for (const [other, { run, outcome }] of this.#runs)
      if (run === 0 && outcome === undefined && laneOf(other) === lane) return true
    return false
  }

  #handHeld(): void {
    for (const effect of this.#held.splice(0)) this.handle(effect)
  }

  #forget(key: string): void {
    if (this.#runs.get(key)?.outcome !== undefined) this.#runs.delete(key)
  }

  #settle(key: string, { tab, run }: Run, outcome: Outcome): void {
    this.#runs.delete(key)
    if (run > 0 && outcome === 'done') this.#engine.dispatch({ kind: 'handlerDone', run })
    else if (run > 0 && outcome !== 'done') this.#engine.dispatch({ kind: 'handlerFailed', run, decision: outcome })
    this.#tellStopped(tab)
  }

  #tellStopped(tab: string): void {
    const member = this.#members.get(tab)
    // How others ended stays here for a machine that may ask again.
    if (member === undefined || [...this.#runs.values()].some((run) => run.tab === tab && !run.outcome)) return
    for (const tell of member.stopped.splice(0)) tell()
  }

  #watch(tab: string, member: Member, users: readonly string[], isOn: boolean): void {
    for (const user of users) {
      noteWatched(member.watched, user, isOn)
      const known = this.#presence.get(user)
      if (isOn && known !== undefined) this.#port.send(tab, { kind: 'notice', notice: known })
      if (![...this.#members.values()].some(({ watched }) => watched.includes(user))) this.#presence.delete(user)
    }
    this.#engine.dispatch({ kind: 'watch', users, isOn })
  }
}

/** What the keys of one lane begin with. */
function laneOf(key: string): string {
  return key.slice(0, key.lastIndexOf(' '))
}

/** Bodies of outgoing messages stay where they are, but of one that failed: each tab may send it again. */
function slim(notice: Notice): Notice {
  if ((notice.kind !== 'status' && notice.kind !== 'forgotten') || isRetryable(notice.message.status)) return notice
  return { ...notice, message: { ...notice.message, body: undefined } }
}
