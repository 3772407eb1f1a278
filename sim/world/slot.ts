import type { DeviceStore } from './deviceStore.ts'
import type { Route } from './network.ts'
import type { ProcessClock } from './processClock.ts'

/** What an app remembers of a message that it has sent. */
export interface SentNote {
  readonly content: number
  /** `undefined` until the machine has made one. */
  readonly id: bigint | undefined
}

/** What an app remembers of a message that it got. */
export interface GotNote {
  readonly position: { readonly epoch: number; readonly log: number; readonly lane: number; readonly seq: number }
  readonly sender: number
  readonly count: number
}

/** One device without its process: its store, its clock and its way to the server. */
export interface Slot {
  readonly name: string
  readonly user: string
  readonly route: Route
  readonly clock: ProcessClock
  store: DeviceStore
  /** Its disk is slow. */
  isSlow: boolean
  /** What the store was at earlier times. */
  readonly old: { readonly store: DeviceStore; readonly atMs: number }[]
  readonly sent: SentNote[]
  readonly got: GotNote[]
  /** The same device id runs elsewhere too. */
  isClone: boolean
  /** Switched off for a long time. */
  isAway: boolean
  /** Switched off for good. */
  isOff: boolean
}
