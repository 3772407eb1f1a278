/** What the comparison knows of Posthaste and of each peer: how it is started, and how it is loaded. */
import type { WireSettings } from './wires.ts'

/** What every contestant is asked to carry: the same pairs, windows and bodies for all. */
export interface Workload {
  /** Senders, each with a receiver of its own; every one of them has its own connection. */
  readonly pairs: number
  /** How many messages of a sender may wait for the server's confirmation. */
  readonly window: number
  /** At least 4: the first 4 hold the message's number. */
  readonly bodyBytes: number
  /** How long the load runs before it is measured. */
  readonly warmUpMs: number
  /** How long it is measured. */
  readonly measuredMs: number
}

/** The worst after which every confirmed message is still there: the loss of power, the death of the process, or neither. */
export type Durability = 'none' | 'process crash' | 'power loss'

/** A system at one of its settings. */
export interface Peer {
  /** What chooses it on the command line: `mosquitto-qos1`, or with its kin by how it begins, `mosquitto`. */
  readonly id: string
  readonly name: string
  readonly survives: Durability
  /** Why that is so. */
  readonly because: string
  /** What was set, and what a confirmation and an acknowledgement are. */
  readonly settings: string
  /** Undefined where it is not installed. */
  version(): string | undefined
  /** @throws Error when it does not listen in time */
  start(directory: string, workload: Workload): Promise<RunningPeer>
}

/** A server that listens. */
export interface RunningPeer {
  /** Its CPU time is what this process and those below it take. */
  readonly pid: number
  readonly wire: WireSettings
  stop(): Promise<void>
}
