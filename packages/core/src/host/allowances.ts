import type { Gateway } from './gateway.ts'
import type { Backlog, Session } from './session.ts'

/** What counts as full is filled in this time: so much is handled in one go, and one message more. */
const burstMs = 100

/** How many packets a user may send now: it fills as time passes, and what a packet costs is known when it is there, so that some may be owed. */
interface Allowance {
  packets: number
  filledMs: number
}

/**
 * Who may send how many packets. All connections of a user share one allowance, whoever comes back goes on with what was left, and of those
 * who have used theirs up nothing more is read for a while: everybody else is served meanwhile.
 */
export class Allowances {
  readonly #host: Gateway
  readonly #serve: (session: Session, bytes: Uint8Array) => void
  /** Of those that are not full. */
  readonly #byUser = new Map<number, Allowance>()
  /** Who is not read, in the order in which they are served next. */
  #held: Session[] = []

  /** @param serve does what a message asks for */
  constructor(host: Gateway, serve: (session: Session, bytes: Uint8Array) => void) {
    this.#host = host
    this.#serve = serve
  }

  get #most(): number {
    return (this.#host.limits.packetsPerSecond * burstMs) / 1_000
  }

  /** Serves a message of a session, or keeps it until its user may send again. */
  received(session: Session, bytes: Uint8Array): void {
    if (session.backlog === undefined && !this.#isDue(session)) return this.#serve(session, bytes)
    const backlog = this.#hold(session)
    backlog.messages.push(bytes)
    backlog.bytes += bytes.length
    if (backlog.bytes > this.#host.limits.bufferedBytes) this.#host.end(session, 'flood')
  }

  /** A ping or pong of the WebSocket has come, which counts as a packet. */
  heard(session: Session): void {
    if (!this.take(session, 1)) this.#host.end(session, 'flood')
    else if (this.#isDue(session)) this.#hold(session)
  }

  /** Takes what a packet costs; false when more is owed than comes in a second: even of what came in one go that was too much. */
  take(session: Session, cost: number): boolean {
    const allowance = this.#of(session)
    allowance.packets -= cost
    return allowance.packets > -this.#host.limits.packetsPerSecond
  }

  /** Time has passed: those who wait are served in turn, a message each, as long as they may send. */
  tick(): void {
    // order: of their first packets; each is a user's own.
    for (const [user, allowance] of this.#byUser) if (this.#fill(allowance) === this.#most) this.#byUser.delete(user)
    const waiting: Session[] = []
    for (let session = this.#held.shift(); session !== undefined; session = this.#held.shift()) {
      const { backlog } = session
      if (session.phase !== 'live' || backlog === undefined) continue
      const next = this.#isSpent(session) ? undefined : backlog.messages.shift()
      if (next !== undefined) {
        backlog.bytes -= next.length
        // It was not silent meanwhile.
        session.heardMs = this.#host.nowMs
        this.#held.push(session)
        this.#serve(session, next)
      } else if (this.#isSpent(session)) waiting.push(session)
      else this.#goOn(session)
    }
    this.#held = waiting
  }

  /** Whether it is to be held. Whoever has not said yet who it is has nothing to send but one HELLO. */
  #isDue(session: Session): boolean {
    return session.phase === 'live' && this.#isSpent(session)
  }

  #hold(session: Session): Backlog {
    if (session.backlog === undefined) {
      session.backlog = { messages: [], bytes: 0 }
      this.#held.push(session)
      this.#host.edge.setPaused(session.connection, true)
    }
    return session.backlog
  }

  #goOn(session: Session): void {
    session.backlog = undefined
    this.#host.edge.setPaused(session.connection, false)
  }

  #isSpent(session: Session): boolean {
    return this.#fill(this.#of(session)) <= 0
  }

  #of(session: Session): Allowance {
    // Whoever has not said yet who it is has one of its own.
    const key = session.identity === 0 ? -session.connection : session.identity
    let allowance = this.#byUser.get(key)
    if (allowance === undefined) {
      allowance = { packets: this.#most, filledMs: this.#host.nowMs }
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
