import { webSocketTransport } from '#webSocket'
import { addressFault, limits as protocolLimits, utf8Length } from '@posthaste/protocol'
import { invalid, numberArgument, oneOf } from './arguments.ts'
import { Calls } from './calls.ts'
import { connectUrl } from './connectUrl.ts'
import type { EngineOwner, OwnEngine } from './engine.ts'
import { faultOf, helped, messageOf, PosthasteError } from './errors.ts'
import type {
  Answer,
  Ask,
  ConnectionState,
  Effect,
  Fault,
  MachineEvent,
  MachineLimits,
  Row,
  TimerName,
} from './machine/events.ts'
import { Machine } from './machine/machine.ts'
import { defaultLimits, type PosthasteOptions } from './options.ts'
import { type Clock, type Random, systemClock, systemRandom, type Transport, type TransportSocket } from './ports.ts'
import type { ClientStore } from './store.ts'
import { memoryStore } from './stores/memory.ts'

/** Rows of one read while the store is opened. */
const pageRows = 1_000
/** What may wait in the socket before messages that are sent at most once are dropped. */
const congestedBytes = 1_048_576
/** Of messages in one commit, of each direction: none takes long. */
const commitBytes = 1_048_576
const abnormalClose = 1_006

const optionNames = 'url,token,store,tabs,limits,agent,clock,random,transport'.split(',')

/** The answer to `getToken`, of whatever attempt. */
type TokenAnswer =
  | Omit<Extract<MachineEvent, { kind: 'token' }>, 'attempt'>
  | Omit<Extract<MachineEvent, { kind: 'tokenFailed' }>, 'attempt'>

/** Runs the machine: every effect becomes a call of a port, every answer an event. Holds no rule of the protocol. */
export class Runtime implements OwnEngine {
  readonly #machine: Machine
  readonly #owner: EngineOwner
  readonly #url: string
  readonly #helpUrl: string
  readonly #token: PosthasteOptions['token']
  readonly #store: ClientStore
  readonly #clock: Clock
  readonly #random: Random
  readonly #transport: Transport
  readonly #timers = new Map<TimerName, () => void>()
  readonly #calls = new Calls<Ask>()
  readonly #events: MachineEvent[] = []
  #isStepping = false
  #sockets = new Map<number, TransportSocket>()
  #socket: TransportSocket | undefined
  #storeClosed: Promise<void> | undefined

  /** Does no I/O. @throws PosthasteError `invalid-argument` */
  constructor(options: PosthasteOptions, owner: EngineOwner) {
    this.#url = urlOf(options.url)
    this.#helpUrl = `${this.#url.replace(/^ws/, 'http').split('/').slice(0, 3).join('/')}/errors`
    this.#owner = owner
    this.#token = options.token
    this.#machine = machineOf(options, (error) => this.helped(error))
    this.#store = options.store ?? memoryStore()
    this.#clock = options.clock ?? systemClock
    this.#random = options.random ?? systemRandom()
    this.#transport = options.transport ?? webSocketTransport
  }

  /** The connection as the app sees it. */
  get connection(): ConnectionState {
    return this.#machine.connection
  }

  /** The public error of a failure. */
  errorOf(fault: Fault, cause?: unknown): PosthasteError {
    const { code, message, retryable, field } = fault
    return new PosthasteError({ code, message, retryable, field, help: `${this.#helpUrl}/${code}`, cause })
  }

  helped(error: unknown): unknown {
    return helped(error, this.#helpUrl)
  }

  ask(ask: Ask, answered: (answer: Answer) => void): () => void {
    return this.#calls.begin(
      ask,
      answered,
      (call) => this.dispatch({ kind: 'ask', call, ask }),
      (call) => this.dispatch({ kind: 'abort', call }),
    )
  }

  identify(told: (user: string, refusal?: Fault) => void): void {
    void this.#fetchToken((answer) => {
      if (answer.kind === 'token') told(answer.subject ?? '')
      else if (answer.isTerminal) told('', answer.fault)
      else told('')
    })
  }

  /** Hands an event to the machine and runs what it wants. Events that come meanwhile wait for their turn. */
  dispatch(event: MachineEvent): void {
    this.#events.push(event)
    if (this.#isStepping) return
    this.#isStepping = true
    try {
      for (let next = this.#events.shift(); next !== undefined; next = this.#events.shift()) {
        const now = {
          wallMs: Math.trunc(this.#clock.wallMs()),
          monotonicMs: this.#clock.monotonicMs(),
          random: this.#random.fraction(),
          isCongested: (this.#socket?.bufferedBytes ?? 0) > congestedBytes,
        }
        for (const effect of this.#machine.step(next, now)) this.#run(effect)
      }
    } finally {
      this.#isStepping = false
    }
  }

  close(closed: () => void, failed: (reason: unknown) => void): void {
    this.ask({ kind: 'close' }, () => this.#storeClosed?.then(closed, failed))
  }

  #run(effect: Effect): void {
    switch (effect.kind) {
      case 'open':
        return void this.#open(effect.from, effect.to)
      case 'getToken':
        return void this.#fetchToken((answer) => this.dispatch({ ...answer, attempt: effect.attempt }))
      case 'openSocket':
        this.#openSocket(effect.socket)
        return
      case 'closeSocket':
        this.#closeSocket(effect.socket, effect.closeCode)
        return
      case 'write':
        this.#sockets.get(effect.socket)?.send(effect.bytes)
        return
      case 'commit':
        this.#commit(effect)
        return
      case 'lookup':
        return void this.#lookup(effect.lookup, effect.keys)
      case 'scan':
        return void this.#scan(effect)
      case 'setTimer':
        this.#setTimer(effect.timer, effect.delayMs)
        return
      case 'clearTimer':
        this.#clearTimer(effect.timer)
        return
      case 'handle':
        this.#owner.handle(effect)
        return
      case 'stopReceiving':
        this.#owner.stopReceiving()
        return
      case 'notify':
        this.#owner.notice(effect.notice)
        return
      case 'settle':
        this.#calls.settle(effect.call, effect.answer)
        return
      case 'closeStore':
        this.#closeStore()
    }
  }

  async #open(from: Uint8Array, to: Uint8Array): Promise<void> {
    try {
      await this.#store.open()
      const rows: Row[] = []
      for (let start = from; ; ) {
        const page = await this.#store.scan(start, to, pageRows)
        rows.push(...page)
        const last = page.at(-1)?.[0]
        if (page.length < pageRows || last === undefined) break
        start = Uint8Array.of(...last, 0)
      }
      if (this.#storeClosed === undefined) this.#wakeWithThePage()
      this.dispatch({ kind: 'opened', rows, newDevice: this.#random.bytes(16) })
    } catch (error) {
      this.dispatch({ kind: 'openFailed', fault: storeFault(error) })
    }
  }

  /** Answers at once where there is only ever the one token. */
  async #fetchToken(answered: (answer: TokenAnswer) => void): Promise<void> {
    let answer: TokenAnswer
    try {
      const token = typeof this.#token === 'string' ? this.#token : await this.#token()
      if (typeof token !== 'string' || utf8Length(token) < 0)
        throw new TypeError('The token function returned no well-formed string.')
      answer = { kind: 'token', token, subject: subjectOf(token) }
    } catch (error) {
      const fault = { code: 'token-failed', message: `The token function failed: ${messageOf(error)}`, retryable: true }
      const isTerminal = isRefusal(error)
      const refused = { code: 'token-refused', message: `The token function refused: ${messageOf(error)}`, retryable: false }
      answer = { kind: 'tokenFailed', fault: isTerminal ? refused : fault, isTerminal }
    }
    answered(answer)
  }

  #openSocket(socket: number): void {
    const closed = (closeCode: number): void => {
      this.#sockets.delete(socket)
      this.dispatch({ kind: 'socketClosed', socket, closeCode })
    }
    try {
      const opened = this.#transport(this.#url, {
        opened: () => this.dispatch({ kind: 'socketOpened', socket }),
        message: (bytes) => this.dispatch({ kind: 'socketMessage', socket, bytes }),
        closed,
      })
      this.#sockets.set(socket, opened)
      this.#socket = opened
    } catch {
      // A browser may forbid the address, such as ws: from a page of https:.
      closed(abnormalClose)
    }
  }

  #closeSocket(socket: number, closeCode: number): void {
    const open = this.#sockets.get(socket)
    this.#sockets.delete(socket)
    open?.close(closeCode)
  }

  #commit({ commit, writes }: Extract<Effect, { kind: 'commit' }>): void {
    this.#store.commit(writes).then(
      () => this.dispatch({ kind: 'committed', commit }),
      (error) => this.dispatch({ kind: 'commitFailed', commit, fault: storeFault(error) }),
    )
  }

  async #lookup(lookup: number, keys: readonly Uint8Array[]): Promise<void> {
    try {
      const values = await Promise.all(keys.map((key) => this.#store.get(key)))
      this.dispatch({ kind: 'found', lookup, values })
    } catch (error) {
      this.dispatch({ kind: 'readFailed', fault: storeFault(error) })
    }
  }

  async #scan({ from, to, limit }: Extract<Effect, { kind: 'scan' }>): Promise<void> {
    try {
      this.dispatch({ kind: 'scanned', rows: await this.#store.scan(from, to, limit) })
    } catch (error) {
      this.dispatch({ kind: 'readFailed', fault: storeFault(error) })
    }
  }

  #setTimer(timer: TimerName, delayMs: number): void {
    this.#timers.get(timer)?.()
    const cancel = this.#clock.setTimer(() => {
      this.#timers.delete(timer)
      this.dispatch({ kind: 'timer', timer })
    }, delayMs)
    this.#timers.set(timer, cancel)
  }

  #clearTimer(timer: TimerName): void {
    this.#timers.get(timer)?.()
    this.#timers.delete(timer)
  }

  #closeStore(): void {
    for (const cancel of this.#timers.values()) cancel()
    this.#timers.clear()
    if (typeof removeEventListener === 'function') removeEventListener('online', this.#wake)
    if (typeof document === 'object') document.removeEventListener('visibilitychange', this.#wake)
    this.#storeClosed ??= this.#store.close()
  }

  readonly #wake = ({ type }: Event): void => {
    // The network is back for other tabs too, which this one may be working for.
    if (type === 'online' || document.visibilityState === 'visible') this.dispatch({ kind: 'wake' })
  }

  /** In a browser: after sleep or a lost network there is no sense in waiting for the next attempt. */
  #wakeWithThePage(): void {
    if (typeof addEventListener === 'function') addEventListener('online', this.#wake)
    if (typeof document === 'object') document.addEventListener('visibilitychange', this.#wake)
  }
}

function urlOf(url: string | URL): string {
  const connect = connectUrl(String(url))
  if (connect === undefined)
    throw invalid(
      'url',
      `'${String(url)}' is no URL of the form ws://…, wss://…, http://… or https://…, without a name and password`,
    )
  return connect
}

/** @param helped says in an error where help is */
function machineOf(options: PosthasteOptions, helped: (error: unknown) => unknown): Machine {
  try {
    const { agent = '@posthaste/client', limits, store = {}, token } = options
    for (const name in options) oneOf(name, optionNames, 'options')
    if (typeof store !== 'object') throw invalid('store', 'must be a store')
    if (typeof token !== 'string' && typeof token !== 'function') throw invalid('token', 'must be a string or a function')
    const agentBytes = utf8Length(agent)
    if (agentBytes < 0 || agentBytes > protocolLimits.textBytes)
      throw invalid('agent', `must have 0 to ${protocolLimits.textBytes} bytes`)
    return new Machine({
      limits: limitsArgument(limits),
      commitBytes,
      wire: protocolLimits,
      agent,
      isTokenFixed: typeof token === 'string',
    })
  } catch (error) {
    throw helped(error)
  }
}

function limitsArgument(limits: PosthasteOptions['limits'] = {}): MachineLimits {
  const all: Record<string, number> & MachineLimits = { ...defaultLimits }
  for (const [name, value = all[name] ?? 0] of Object.entries(limits)) {
    oneOf(name, Object.keys(all), 'limits')
    const least = name === 'inboxMessages' ? 0 : 1
    numberArgument(value, protocolLimits.numberMax, `limits.${name}`, least)
    all[name] = value
  }
  return all
}

function storeFault(error: unknown): Fault {
  return faultOf(error, { code: 'store-failed', message: `The store failed: ${messageOf(error)}`, retryable: true })
}

function isRefusal(error: unknown): boolean {
  if (typeof error !== 'object' || error === null) return false
  const { code, isTerminal, terminal } = error as { code?: unknown; isTerminal?: unknown; terminal?: unknown }
  return code === 'token-refused' || isTerminal === true || terminal === true
}

/** The user that a JWT names, so that a wrong one is noticed before the server hears of it; `undefined` where that can't be seen. */
function subjectOf(token: string): string | undefined {
  try {
    const payload = atob((token.split('.')[1] ?? '').replaceAll('-', '+').replaceAll('_', '/'))
    const bytes = Uint8Array.from(payload, (unit) => unit.charCodeAt(0))
    const claims: unknown = JSON.parse(new TextDecoder().decode(bytes))
    const subject = typeof claims === 'object' && claims !== null && 'sub' in claims ? claims.sub : undefined
    return typeof subject === 'string' && addressFault(subject) === undefined ? subject : undefined
  } catch {
    return undefined
  }
}
