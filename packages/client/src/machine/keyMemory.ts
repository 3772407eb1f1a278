import type { Context } from './context.ts'
import type { Row } from './events.ts'
import { keyRange, numberRow } from './rows.ts'
import type { ServerTime } from './serverTime.ts'

/** Rows of one step of the sweep, and the pauses between steps and between rounds. */
const sweepRows = 1_000
const stepPauseMs = 1_000
const roundPauseMs = 600_000

/** Sweeps the memory of keys: a key is forgotten once its entry's deadline has passed. */
export class KeyMemory {
  readonly #context: Context
  readonly #time: ServerTime
  #from: Uint8Array = keyRange.from

  constructor(context: Context, time: ServerTime) {
    this.#context = context
    this.#time = time
  }

  opened(): void {
    this.#context.setTimer('keys', roundPauseMs / 10)
  }

  /** Asks for the next rows, once the server's time is known. */
  timer(): void {
    // Set again by the answer; where none comes, since the store can't be read, this is the next attempt.
    this.#context.setTimer('keys', roundPauseMs / 10)
    if (this.#time.isKnown) this.#context.push({ kind: 'scan', from: this.#from, to: keyRange.to, limit: sweepRows })
  }

  /** The rows that were asked for. */
  scanned(rows: readonly Row[]): void {
    const nowMs = this.#time.earliest(this.#context.now)
    for (const [key, value] of rows) if (numberRow.read(value) <= nowMs) this.#context.rows.add([key, null])
    // With fewer rows than were asked for the round is over.
    const last = rows[sweepRows - 1]?.[0]
    this.#from = last === undefined ? keyRange.from : after(last)
    this.#context.setTimer('keys', last === undefined ? roundPauseMs : stepPauseMs)
  }
}

/** The first key above this one. */
function after(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}
