import type { Invariant } from '../checker/violation.ts'
import type { History, HistoryEvent } from '../history.ts'
import type { Random } from '../world/random.ts'

/** A way to falsify a history, and what the checker must then say. */
export interface Corruption {
  readonly name: string
  /** Any of these. */
  readonly caughtAs: readonly Invariant[]
  /** Falsifies a copy; false where the history has nothing to falsify. */
  corrupt(history: History, random: Random): boolean
}

/** One of them, if there are any. */
export function pick<T>(random: Random, items: readonly T[]): T | undefined {
  return items.length === 0 ? undefined : random.pick(items)
}

/** Puts an event after another one. */
export function insertAfter(history: History, event: HistoryEvent, added: HistoryEvent): void {
  history.events.splice(history.events.indexOf(event) + 1, 0, added)
}

/** Puts an event in the place of another one. */
export function replace(history: History, event: HistoryEvent, by: HistoryEvent): void {
  history.events[history.events.indexOf(event)] = by
}

/** Takes events out. */
export function remove(history: History, isGone: (event: HistoryEvent) => boolean): void {
  history.events.splice(0, history.events.length, ...history.events.filter((event) => !isGone(event)))
}
