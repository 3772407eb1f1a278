import { EventQueue, type Scheduled } from './eventQueue.ts'
import type { Random } from './random.ts'
import type { Trace } from './trace.ts'

/** Simulated time 0, in ms since the epoch: 2026-01-01T00:00:00Z. */
export const startMs = 1_767_225_600_000

/** Points of a process at which a crash may be set to fall. */
export type CrashPoint =
  | 'append'
  | 'flushing'
  | 'flushed'
  | 'turn'
  | 'checkpoint-slice'
  | 'checkpoint-commit'
  | 'checkpoint-committed'
  | 'trim'
  | 'device-commit'
  | 'device-committed'
  | 'device-handle'
  | 'device-write'

/** True time, what is to happen in it, and what has been counted: shared by all that is simulated. */
export class World {
  nowMs = 0
  readonly trace: Trace
  readonly random: Random
  /** Faults and rare states, by name. */
  readonly counts = new Map<string, number>()
  readonly #queue = new EventQueue()
  readonly #traps = new Map<string, { left: number; crash: () => void }[]>()
  #steps = 0

  constructor(random: Random, trace: Trace) {
    this.random = random
    this.trace = trace
  }

  /** Events that have happened. */
  get steps(): number {
    return this.#steps
  }

  after(delayMs: number, action: () => void): Scheduled {
    return this.#queue.add(this.nowMs + Math.max(0, delayMs), action)
  }

  at(atMs: number, action: () => void): Scheduled {
    return this.#queue.add(Math.max(atMs, this.nowMs), action)
  }

  count(name: string, by = 1): void {
    this.counts.set(name, (this.counts.get(name) ?? 0) + by)
  }

  /** Sets a crash for when `who` passes this point for the `nth` time from now on. */
  setTrap(who: string, point: CrashPoint, nth: number, crash: () => void): void {
    const key = `${who} ${point}`
    const traps = this.#traps.get(key) ?? []
    traps.unshift({ left: nth, crash })
    this.#traps.set(key, traps)
  }

  /** All set crashes are called off. */
  clearTraps(): void {
    this.#traps.clear()
  }

  /** A process passes a point. @returns the crash that was set to fall here: after it nothing of the process may go on */
  passes(who: string, point: CrashPoint): (() => void) | undefined {
    const traps = this.#traps.get(`${who} ${point}`)
    const trap = traps?.[0]
    if (traps === undefined || trap === undefined) return undefined
    trap.left -= 1
    if (trap.left > 0) return undefined
    traps.shift()
    return trap.crash
  }

  /**
   * Lets what is due happen, until a time.
   * @param isOver looked at after every event: ends it early
   * @param stepsMax more events than this mean that something goes round in circles
   */
  run(untilMs: number, stepsMax: number, isOver: () => boolean = () => false): void {
    for (let next = this.#queue.nextMs; next !== undefined && next <= untilMs; next = this.#queue.nextMs) {
      const event = this.#queue.take()
      if (event?.action === undefined) continue
      this.nowMs = event.atMs
      this.#steps += 1
      if (this.#steps > stepsMax) throw new Error(`more than ${stepsMax} events: something goes round in circles`)
      event.action()
      if (isOver()) return
    }
    this.nowMs = Math.max(this.nowMs, untilMs)
  }
}
