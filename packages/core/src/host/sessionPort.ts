import { type LogReader, type PumpPort, type Reading, readEntry } from '../pump.ts'
import type { Queries } from './queries.ts'
import type { Session } from './session.ts'

/** What the pumps ask and tell: one after the other, so that one port serves all sessions. */
export class SessionPort implements PumpPort, LogReader {
  readonly #queries: Queries
  #session: Session | undefined
  #nowMs = 0
  user = 0
  device = ''

  constructor(queries: Queries) {
    this.#queries = queries
  }

  /** The port as this session has it, until it is another one's. */
  of(session: Session, nowMs: number): this {
    this.#session = session
    this.#nowMs = nowMs
    this.user = session.identity
    this.device = session.device
    return this
  }

  read(log: number, lane: number, seq: number): Reading {
    return readEntry(this.#queries.stateOf(log), log, lane, seq, this, this.#nowMs)
  }

  deliver(bytes: Uint8Array, isLent: boolean): void {
    this.#session?.sendBytes(bytes, isLent)
  }

  skip(log: number, lane: number, from: number, to: number, reason: number): void {
    this.#session?.send({ kind: 'skip', log, lane, from, to, reason })
  }
}
