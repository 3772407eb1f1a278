import type { Gateway } from './gateway.ts'
import type { Backlog, Rest, Session } from './session.ts'

/** What counts as full is filled in this time: so much is handled until more has come, and one message more. */
const burstMs = 100
/** So many packets of a user are handled in a turn: code that runs for the first time takes some 10 µs for each, and a message has up to 4,096. */
const packetsPerTurn = 250

/** A client pings once in a while, and has 10 seconds to say HELLO. */
const earlySignsMax = 100

/** How many packets a user may send now: it fills as time passes, and what a packet costs is known when it is there, so that some may be owed. */
export interface Allowance {
  packets: number
  filledMs: number
  /** The turn in which it was last used, and how much of what a turn has room for is left in that one. */
  turn: number
  leftInTurn: number
}

/**
 * Who may send how many packets. All connections of a user share one allowance, whoever comes back goes on with what was left, and of those
 * who have used theirs up nothing more is read for a while: everybody else is served meanwhile.
 */
export class Allowances {
  readonly #host: Gateway
  readonly #serve: (session: Session, message: Uint8Array | Rest) => Rest | undefined
  /** Of those that are not full. */
  readonly #byUser = new Map<number, Allowance>()
  /** Who is not read until time has passed, and until the next turn, in the order in which they are served then. */
  readonly #held: Session[] = []
  readonly #next: Session[] = []
  #turn = 0

  /** @param serve does what a message asks for, and gives back what of it has no room in this turn */
  constructor(host: Gateway, serve: (session: Session, message: Uint8Array | Rest) => Rest | undefined) {
    this.#host = host
    this.#serve = serve
  }

  get #most(): number {
    return (this.#host.limits.packetsPerSecond * burstMs) / 1_000
  }

  /** Serves a message of a session, or keeps it until its user may send again. */
  received(session: Session, bytes: Uint8Array): void {
    if (session.backlog === undefined && !this.#isDue(session)) {
      const rest = this.#serve(session, bytes)
      if (rest !== undefined) this.#hold(session).rest = rest
      return
    }
    const backlog = this.#hold(session)
    backlog.messages.push(bytes)
    backlog.bytes += bytes.length
    if (backlog.bytes > this.#host.limits.bufferedBytes) this.#host.end(session, 'flood')
  }

  /** A ping or pong of the WebSocket has come, which counts as a packet. */
  heard(session: Session): void {
    if (session.phase !== 'live') session.earlySigns += 1
    // Nobody has to say much before it is known who it is.
    if (session.earlySigns > earlySignsMax) this.#host.end(session, 'flood')
    else if (!this.take(this.of(session), 1)) this.#host.end(session, 'flood')
    else if (this.#isDue(session)) this.#hold(session)
  }

  /** Takes what a packet costs; false when more is owed than comes in a second: even of what came in one go that was too much. */
  take(allowance: Allowance, cost: number): boolean {
    allowance.packets -= cost
    allowance.leftInTurn = this.#leftInTurn(allowance) - cost
    allowance.turn = this.#turn
    return allowance.packets > -this.#host.limits.packetsPerSecond
  }

  /** Whether the rest of what a user sends is for the next turn. */
  isTurnOver(allowance: Allowance): boolean {
    return this.#leftInTurn(allowance) <= 0
  }

  /** Time has passed: those who wait for it are served in turn, a message each, as long as they may send. */
  tick(): void {
    // order: of their first packets; each is a user's own.
    for (const [user, allowance] of this.#byUser) if (this.#fill(allowance) === this.#most) this.#byUser.delete(user)
    this.#serveAll(this.#held.splice(0))
  }

  /** Whether something is left for the next turn. */
  get isReading(): boolean {
    return this.#next.length > 0
  }

  /** A turn begins: what had no room in the last one is served. */
  turn(): void {
    this.#turn += 1
    this.#serveAll(this.#next.splice(0))
  }

  /** Serves what a session has left, as far as its user may send: it ends, and could not be served in later turns. */
  finish(session: Session): void {
    const { backlog } = session
    if (backlog === undefined) return
    const mayGoOn = (): boolean => session.phase === 'live' && (backlog.rest !== undefined || !this.#isSpent(this.of(session)))
    while (mayGoOn() && this.#serveNext(session, backlog));
  }

  #serveAll(sessions: Session[]): void {
    for (let session = sessions.shift(); session !== undefined; session = sessions.shift()) {
      const { backlog } = session
      if (session.phase !== 'live' || backlog === undefined) continue
      const allowance = this.of(session)
      const isSpent = backlog.rest === undefined && this.#isSpent(allowance)
      if (this.isTurnOver(allowance)) this.#next.push(session)
      else if (isSpent && !backlog.isClosed) this.#held.push(session)
      // Nobody waits for the answers to what a flood has left.
      else if (isSpent || !this.#serveNext(session, backlog)) this.#goOn(session, backlog)
      // What of a message is left comes before what others of its user have sent.
      else if (backlog.rest !== undefined) this.#next.push(session)
      else sessions.push(session)
    }
  }

  /** Serves what has waited longest; false when nothing has. */
  #serveNext(session: Session, backlog: Backlog): boolean {
    const next = backlog.rest ?? backlog.messages.shift()
    if (next === undefined) return false
    if (next === backlog.rest) backlog.rest = undefined
    else backlog.bytes -= (next as Uint8Array).length
    // It was not silent meanwhile.
    session.heardMs = this.#host.nowMs
    backlog.rest = this.#serve(session, next)
    return true
  }

  /** Whether it is to be held. Whoever has not said yet who it is has nothing to send but one HELLO. */
  #isDue(session: Session): boolean {
    if (session.phase !== 'live') return false
    const allowance = this.of(session)
    return this.#isSpent(allowance) || this.isTurnOver(allowance)
  }

  #hold(session: Session): Backlog {
    if (session.backlog === undefined) {
      session.backlog = { rest: undefined, messages: [], bytes: 0, isClosed: false }
      const waiting = this.isTurnOver(this.of(session)) ? this.#next : this.#held
      waiting.push(session)
      this.#host.edge.setPaused(session.connection, true)
    }
    return session.backlog
  }

  #goOn(session: Session, { isClosed }: Backlog): void {
    session.backlog = undefined
    if (isClosed) this.#host.closed(session.connection, this.#host.nowMs)
    else this.#host.edge.setPaused(session.connection, false)
  }

  #isSpent(allowance: Allowance): boolean {
    return this.#fill(allowance) <= 0
  }

  #leftInTurn(allowance: Allowance): number {
    return allowance.turn === this.#turn ? allowance.leftInTurn : packetsPerTurn
  }

  /** What a session may use of: until time passes, the same for all that its user sends. */
  of(session: Session): Allowance {
    // Whoever has not said yet who it is has one of its own.
    const key = session.identity === 0 ? -session.connection : session.identity
    let allowance = this.#byUser.get(key)
    if (allowance === undefined) {
      allowance = { packets: this.#most, filledMs: this.#host.nowMs, turn: this.#turn, leftInTurn: packetsPerTurn }
      this.#byUser.set(key, allowance)
    }
    return allowance
  }

  /** @returns how many packets there are now */
  #fill(allowance: Allowance): number {
    const { nowMs, limits } = this.#host
    const elapsedMs = Math.max(0, nowMs - allowance.filledMs)
    allowance.filledMs = nowMs
    allowance.packets = Math.min(this.#most, allowance.packets + (elapsedMs * limits.packetsPerSecond) / 1_000)
    return allowance.packets
  }
}
