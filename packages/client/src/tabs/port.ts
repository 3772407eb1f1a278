import type { Clock, Random } from '../ports.ts'
import type { Envelope } from './messages.ts'

/** What a tab needs of its browser: one port for each tab, which the tab gives back with `leave`. */
export interface TabPort {
  /** Tells the tab from all others of its origin. */
  readonly id: string
  readonly clock: Clock
  readonly random: Random
  /** Takes part in the channel: what other tabs post is heard from now on, what each of them posts in its order. */
  listen(heard: (envelope: Envelope) => void): void
  post(envelope: Envelope): void
  /**
   * Waits for a lock, and holds it until it is let go, or the tab leaves or dies.
   * @param refused called where a page may have no locks
   */
  hold(lock: string, held: (letGo: () => void) => void, refused: (cause: unknown) => void): void
  /** Asks which locks are held, by whatever tab; none where that can't be known. */
  listHeld(answer: (locks: readonly string[]) => void): void
  /**
   * Calls back when the user comes back to this tab's page, and when that is put into the back/forward cache: it is frozen then, and
   * holds its locks until it is shown again, or hears something, which ends it.
   */
  watchPage(changed: (change: 'shown' | 'cached') => void): void
  /** Takes part no more: gives up all locks, what it waits for, and the channel. What was posted before still arrives. */
  leave(): void
}
