import type { ServerPacketOf } from '@posthaste/protocol'
import { codeByNumber, codeNumber } from './codes.ts'
import type { Context } from './context.ts'
import type { ConnectionState, Fault } from './events.ts'
import type { ServerTime } from './serverTime.ts'

/** Full jitter: the wait is random between 0 and the base, doubled with every attempt up to the cap. */
const backoffBaseMs = 100
const backoffCapMs = 30_000
/** A session that held this long was a good one: the next failure begins with the shortest wait. */
const goodSessionMs = 10_000
const tokenWaitMs = 60_000
/** So long the app's first calls wait to be told whose token it is. */
const firstTokenWaitMs = 3_000
const openWaitMs = 15_000
/** PROTOCOL, section 4: WELCOME follows an applied record, which may take long. */
const greetingWaitMs = 20_000
/** After a wake-up the server must be heard within this. */
const wakeWaitMs = 5_000
/** Timers beyond this overflow in some runtimes. */
const timerMaxMs = 1_000_000_000

/** Where the connection stands. */
export type StateName = (typeof stateNames)[number]
/** In the order of the table's columns. */
export const stateNames = [
  'idle',
  'opening',
  'preparing',
  'connecting',
  'greeting',
  'live',
  'waiting',
  'closing',
  'ended',
] as const

/** What can happen to it. */
export type ConnectionInput =
  | { readonly kind: 'start' | 'opened' | 'sessionStored' | 'socketOpened' | 'timer' | 'heartbeat' | 'renewTimer' | 'wake' }
  | { readonly kind: 'token'; readonly token: string; readonly subject: string | undefined }
  | { readonly kind: 'tokenFailed'; readonly fault: Fault; readonly isTerminal: boolean }
  | { readonly kind: 'socketClosed'; readonly closeCode: number }
  | { readonly kind: 'welcome'; readonly packet: ServerPacketOf<'welcome'> }
  | { readonly kind: 'error'; readonly packet: ServerPacketOf<'error'> }
  | { readonly kind: 'renewed'; readonly packet: ServerPacketOf<'renewed'> }
  /** Something is wrong that another connection may mend. */
  | { readonly kind: 'broken'; readonly fault: Fault }
  /** Something is wrong that nothing mends. */
  | { readonly kind: 'fatal'; readonly fault: Fault }
  | { readonly kind: 'close' | 'flushed' }

type InputOf<K extends ConnectionInput['kind']> = Extract<ConnectionInput, { kind: K }>

/** What the connection asks of the rest of the machine. */
export interface ConnectionOwner {
  /** The user that the store belongs to, '' for none yet. */
  readonly boundUser: string
  /** The token names that user: the store is, or from now on will be, theirs. */
  own(user: string): void
  /** As far as can be told, the store is the user's: it may be used. */
  admit(): void
  /** Takes a new session number; `sessionStored` follows once it is durable. */
  beginSession(): void
  /** Writes HELLO. */
  hello(token: string): void
  /** A session has begun. */
  live(packet: ServerPacketOf<'welcome'>, helloMs: number): void
  /** The session has ended. */
  down(): void
  /** The connection has ended for good. */
  ended(fault: Fault): void
}

/** The methods that the table names. Each takes the inputs in whose rows it stands. */
type Action = { [A in keyof Connection]: Connection[A] extends (input: never) => void ? A : never }[keyof Connection]

/** What is done in which state: every input in every state. */
// biome-ignore format: a table
export const connectionTable: { readonly [K in ConnectionInput['kind']]: readonly [Action, Action, Action, Action, Action, Action, Action, Action, Action] } = {
  //              idle     opening    preparing      connecting  greeting    live             waiting    closing         ended
  start:          ['open',  'no',      'no',          'no',       'no',       'no',            'no',      'no',           'no'],
  opened:         ['no',    'prepare', 'no',          'no',       'no',       'no',            'no',      'no',           'no'],
  sessionStored:  ['no',    'no',      'connect',     'no',       'no',       'no',            'no',      'no',           'no'],
  token:          ['no',    'no',      'takeToken',   'no',       'no',       'renew',         'no',      'no',           'no'],
  tokenFailed:    ['no',    'no',      'tokenFailed', 'no',       'no',       'renewalFailed', 'no',      'no',           'no'],
  socketOpened:   ['no',    'no',      'no',          'greet',    'no',       'no',            'no',      'no',           'no'],
  socketClosed:   ['no',    'no',      'no',          'lost',     'lost',     'lost',          'no',      'forgetSocket', 'no'],
  welcome:        ['no',    'no',      'no',          'odd',      'live',     'odd',           'no',      'no',           'no'],
  error:          ['no',    'no',      'no',          'odd',      'error',    'error',         'no',      'forgetSocket', 'no'],
  renewed:        ['no',    'no',      'no',          'odd',      'odd',      'renewed',       'no',      'no',           'no'],
  broken:         ['no',    'no',      'broken',      'broken',   'broken',   'broken',        'no',      'forgetSocket', 'no'],
  fatal:          ['fatal', 'fatal',   'fatal',       'fatal',    'fatal',    'fatal',         'fatal',   'shut',         'no'],
  timer:          ['no',    'no',      'timedOut',    'timedOut', 'timedOut', 'no',            'prepare', 'no',           'no'],
  heartbeat:      ['no',    'no',      'no',          'no',       'no',       'beat',          'no',      'no',           'no'],
  renewTimer:     ['no',    'no',      'no',          'no',       'no',       'askRenewal',    'no',      'no',           'no'],
  wake:           ['no',    'no',      'no',          'no',       'no',       'probe',         'hurry',   'no',           'no'],
  close:          ['shut',  'shut',    'close',       'close',    'close',    'close',         'close',   'no',           'no'],
  flushed:        ['no',    'no',      'no',          'no',       'no',       'no',            'no',      'shut',         'no'],
}

const unexpected: Fault = { code: 'protocol-error', message: 'The server sent a packet out of turn.', retryable: true }
/** How a connection ends that the app has closed. */
export const closedFault: Fault = { code: 'closed', message: 'The client was closed.', retryable: false }

/** The life of the connection: token, session number, socket, greeting, heartbeat, and how long to wait after a failure. */
export class Connection {
  readonly #context: Context
  readonly #time: ServerTime
  readonly #owner: ConnectionOwner
  readonly #isTokenFixed: boolean
  #state: StateName = 'idle'
  #shown: ConnectionState = { status: 'idle' }
  #attempt = 0
  #tokenAttempt = 0
  #token: string | undefined
  #isSessionStored = false
  #socket = 0
  #helloMs = 0
  #liveMs = 0
  #heartbeatMs = 0
  #heardMs = 0
  #pingedMs = 0
  #mustHearByMs = Number.POSITIVE_INFINITY
  #notBeforeMs = 0
  #tokenExpiresMs = 0
  #isAdmitted = false

  constructor(context: Context, time: ServerTime, owner: ConnectionOwner, isTokenFixed: boolean) {
    this.#context = context
    this.#time = time
    this.#owner = owner
    this.#isTokenFixed = isTokenFixed
  }

  get state(): StateName {
    return this.#state
  }

  /** As the app sees it. */
  get shown(): ConnectionState {
    return this.#shown
  }

  /** Whether that socket and that token answer belong to the present attempt. */
  isPresent(socket: number): boolean {
    return socket === this.#socket
  }

  isPresentToken(attempt: number): boolean {
    return attempt === this.#tokenAttempt
  }

  /** Looks the input up in the table, and does what stands there. */
  take(input: ConnectionInput): void {
    const action = connectionTable[input.kind][stateNames.indexOf(this.#state)] ?? 'no'
    this[action](input as never)
  }

  /** Does nothing. */
  no(): void {}

  /** Something was heard from the server. */
  heard(): void {
    this.#heardMs = this.#context.now.monotonicMs
    this.#mustHearByMs = Number.POSITIVE_INFINITY
  }

  /** Asks for the server's time. */
  ping(): void {
    this.#pingedMs = this.#context.now.monotonicMs
    this.#time.asks(this.#context.now)
    this.#context.write({ kind: 'ping', clientTime: Math.floor(this.#pingedMs) })
  }

  open(): void {
    this.#enter('opening')
  }

  prepare(): void {
    this.#enter('preparing')
    this.#token = undefined
    this.#isSessionStored = false
    this.#askToken()
    this.#owner.beginSession()
    this.#context.setTimer('connection', this.#isAdmitted ? tokenWaitMs : firstTokenWaitMs)
  }

  takeToken({ token, subject }: InputOf<'token'>): void {
    const { boundUser } = this.#owner
    if (subject !== undefined && boundUser !== '' && subject !== boundUser) {
      this.#end(wrongUser(boundUser, subject))
      return
    }
    this.#token = token
    if (subject !== undefined) this.#owner.own(subject)
    this.#admit()
    this.#connectWhenReady()
  }

  connect(): void {
    this.#isSessionStored = true
    this.#connectWhenReady()
  }

  tokenFailed({ fault, isTerminal }: InputOf<'tokenFailed'>): void {
    if (isTerminal) this.#end(fault)
    else this.#retry(fault, 0, 0)
  }

  greet(): void {
    this.#context.socket = this.#socket
    this.#helloMs = this.#context.now.monotonicMs
    this.#time.asks(this.#context.now, true)
    this.#enter('greeting')
    this.#owner.hello(this.#token ?? '')
    this.#context.setTimer('connection', greetingWaitMs)
  }

  live({ packet }: InputOf<'welcome'>): void {
    const { boundUser } = this.#owner
    if (boundUser !== '' && packet.user !== boundUser) {
      this.#end(wrongUser(boundUser, packet.user))
      return
    }
    this.#context.clearTimer('connection')
    this.#liveMs = this.#context.now.monotonicMs
    this.#heartbeatMs = Math.max(100, packet.heartbeatMs)
    this.#context.isLive = true
    this.#state = 'live'
    this.#show({ status: 'live', user: packet.user, bodyBytesMax: packet.bodyBytesMax })
    this.#owner.live(packet, this.#helloMs)
    this.#context.setTimer('heartbeat', this.#heartbeatMs)
    this.#armRenewal(packet.tokenExpiresMs)
  }

  error({ packet }: InputOf<'error'>): void {
    this.#fail(packet.code, packet.text, packet.retryAfterMs)
  }

  lost({ closeCode }: InputOf<'socketClosed'>): void {
    // All from here on are the server's, also the codes of a newer one.
    if (closeCode > 4_000 && closeCode < 5_000) {
      this.#fail(closeCode - 4_000, '', 0)
      return
    }
    const message =
      this.#state === 'connecting'
        ? 'No Posthaste server answers there.'
        : `The connection was lost (WebSocket code ${closeCode}).`
    this.#retry({ code: 'connection-lost', message, retryable: true }, 0, 0)
  }

  timedOut(): void {
    if (!this.#isAdmitted) {
      this.#admit()
      this.#context.setTimer('connection', tokenWaitMs - firstTokenWaitMs)
      return
    }
    const isPreparing = this.#state === 'preparing'
    const what = isPreparing ? (this.#token === undefined ? 'The token function' : 'The store') : 'The server'
    this.#retry(
      { code: 'timeout', message: `${what} did not answer in time.`, retryable: true },
      0,
      codeNumber('heartbeat-timeout'),
    )
  }

  beat(): void {
    const nowMs = this.#context.now.monotonicMs
    const period = this.#heartbeatMs
    const isUnasked = this.#pingedMs <= this.#heardMs
    // A page in the background may be woken up much too late: the server gets its time to answer from then on.
    const silentMs = isUnasked ? Number.POSITIVE_INFINITY : Math.max(this.#heardMs + 2 * period, this.#pingedMs + period)
    if (nowMs >= Math.min(silentMs, this.#mustHearByMs)) {
      const message = `Nothing was heard from the server for ${Math.round(nowMs - this.#heardMs)} ms.`
      this.#retry({ code: 'heartbeat-timeout', message, retryable: true }, 0, codeNumber('heartbeat-timeout'))
      return
    }
    if (nowMs >= this.#context.writtenMs + period || (isUnasked && nowMs >= this.#heardMs + period)) this.ping()
    const quietMs = this.#pingedMs > this.#heardMs ? Number.POSITIVE_INFINITY : this.#heardMs + period
    const deadMs = Math.max(this.#heardMs + 2 * period, this.#pingedMs + period)
    const nextMs = Math.min(this.#context.writtenMs + period, quietMs, deadMs, this.#mustHearByMs)
    this.#context.setTimer('heartbeat', Math.max(1, nextMs - nowMs))
  }

  /** The page woke up, or the network came back: does the connection still stand? */
  probe(): void {
    this.ping()
    this.#mustHearByMs = this.#context.now.monotonicMs + wakeWaitMs
    this.#context.setTimer('heartbeat', Math.min(wakeWaitMs, this.#heartbeatMs))
  }

  /** As above, while waiting: at once, unless the server has asked for patience. */
  hurry(): void {
    this.#context.setTimer('connection', Math.max(0, this.#notBeforeMs - this.#context.now.monotonicMs))
  }

  renewed({ packet }: InputOf<'renewed'>): void {
    this.#armRenewal(packet.tokenExpiresMs)
  }

  #armRenewal(tokenExpiresMs: number): void {
    this.#tokenExpiresMs = tokenExpiresMs
    if (tokenExpiresMs === 0 || this.#isTokenFixed) return
    const leftMs = Math.max(0, tokenExpiresMs - this.#time.middle(this.#context.now))
    this.#context.setTimer('renew', Math.min(timerMaxMs, leftMs - Math.min(60_000, leftMs / 5)))
  }

  askRenewal(): void {
    const leftMs = this.#tokenExpiresMs - this.#time.middle(this.#context.now)
    if (leftMs > timerMaxMs) this.#armRenewal(this.#tokenExpiresMs)
    else this.#askToken()
  }

  renew({ token, subject }: InputOf<'token'>): void {
    const { boundUser } = this.#owner
    if (subject !== undefined && subject !== boundUser) {
      this.#end(wrongUser(boundUser, subject))
      return
    }
    this.#context.write({ kind: 'renew', token })
  }

  renewalFailed({ fault, isTerminal }: InputOf<'tokenFailed'>): void {
    if (isTerminal) {
      this.#end(fault)
      return
    }
    this.#context.warn(fault)
    this.#context.setTimer('renew', backoffCapMs * this.#context.now.random)
  }

  /** Gives the connection up, and waits before the next. @param closeNumber a code of the table for the socket's close, 0 for none */
  #retry(fault: Fault, retryAfterMs: number, closeNumber: number): void {
    this.#admit()
    const wasGood = this.#state === 'live' && this.#context.now.monotonicMs - this.#liveMs >= goodSessionMs
    this.#leave(closeNumber)
    if (wasGood) this.#attempt = 0
    const ceilingMs = Math.min(backoffCapMs, backoffBaseMs * 2 ** Math.min(this.#attempt, 20))
    const delayMs = Math.ceil(retryAfterMs + ceilingMs * this.#context.now.random)
    this.#attempt += 1
    this.#notBeforeMs = this.#context.now.monotonicMs + retryAfterMs
    this.#state = 'waiting'
    this.#context.setTimer('connection', delayMs)
    this.#show({ status: 'waiting', attempt: this.#attempt, retryInMs: delayMs, fault })
  }

  /** Ends for good. */
  #end(fault: Fault): void {
    this.#leave(0)
    this.#context.clearTimer('connection')
    this.#state = 'ended'
    this.#show({ status: 'ended', fault })
    this.#owner.ended(fault)
  }

  /** Keeps the socket until everything is stored and acknowledged. */
  close(): void {
    if (this.#state !== 'live') this.#leave(0)
    this.#context.clearTimer('connection')
    this.#state = 'closing'
  }

  broken({ fault }: InputOf<'broken'>): void {
    this.#retry(fault, 0, codeNumber('protocol-error'))
  }

  /** A packet that may not come in this state. */
  odd(): void {
    this.broken({ kind: 'broken', fault: unexpected })
  }

  fatal({ fault }: InputOf<'fatal'>): void {
    this.#end(fault)
  }

  /** The end that the app wanted. */
  shut(): void {
    this.#end(closedFault)
  }

  /** The socket went away while closing. */
  forgetSocket(): void {
    this.#leave(0)
  }

  #fail(code: number, text: string, retryAfterMs: number): void {
    const { name, isRetryable } = codeByNumber(code)
    const isSpent = this.#isTokenFixed && (name === 'token-expired' || name === 'token-revoked')
    const message = text === '' ? `The connection ended: ${name}.` : text
    if (!isRetryable || isSpent) this.#end({ code: name, message, retryable: false })
    else this.#retry({ code: name, message, retryable: true }, retryAfterMs, 0)
  }

  #connectWhenReady(): void {
    if (this.#token === undefined || !this.#isSessionStored) return
    this.#enter('connecting')
    this.#socket += 1
    this.#context.push({ kind: 'openSocket', socket: this.#socket })
    this.#context.setTimer('connection', openWaitMs)
  }

  /** Whoever has no network and so no token yet is trusted. */
  #admit(): void {
    if (this.#isAdmitted) return
    this.#isAdmitted = true
    this.#owner.admit()
  }

  #askToken(): void {
    this.#tokenAttempt += 1
    this.#context.push({ kind: 'getToken', attempt: this.#tokenAttempt })
  }

  #leave(closeNumber: number): void {
    const hasSocket = this.#state === 'connecting' || this.#state === 'greeting' || this.#context.isLive
    this.#context.cut()
    if (hasSocket) {
      const closeCode = closeNumber === 0 ? 1_000 : 4_000 + closeNumber
      this.#context.push({ kind: 'closeSocket', socket: this.#socket, closeCode })
    }
    const wasLive = this.#context.isLive
    this.#context.socket = 0
    this.#context.isLive = false
    this.#socket += 1
    this.#tokenAttempt += 1
    this.#context.clearTimer('heartbeat')
    this.#context.clearTimer('renew')
    if (wasLive) this.#owner.down()
  }

  #enter(state: StateName): void {
    this.#state = state
    if (this.#shown.status !== 'connecting') this.#show({ status: 'connecting', attempt: this.#attempt + 1 })
  }

  #show(state: ConnectionState): void {
    this.#shown = state
    this.#context.notify({ kind: 'connection', state })
  }
}

/** How a connection ends that is not the store's user's. */
export const wrongUserCode = 'wrong-user'

/** The fault of a client whose user is not the store's. */
export function wrongUser(bound: string, user: string): Fault {
  const message = `The store belongs to '${bound}', the token to '${user}'. Give every user a store of its own.`
  return { code: wrongUserCode, message, retryable: false, field: 'token' }
}
