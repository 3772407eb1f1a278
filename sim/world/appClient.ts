import type { ConnectionState, MachineEvent } from '../../packages/client/src/machine/events.ts'

/** What was so when a machine told something: what it tells may be on its way for a while. */
export interface Seen {
  /** The machine's number. */
  readonly run: number
  /** The server's epoch of which the device heard last. */
  readonly epoch: number
  readonly isLive: boolean
  /** What the server's clock showed. */
  readonly serverMs: number
}

/** How an app reaches its client: the machine of its own, or a page of a browser among others. */
export interface AppClient {
  /** The number of the page; 0 without pages. */
  readonly tab: number
  readonly isDead: boolean
  readonly connection: ConnectionState
  readonly seen: Seen
  dispatch(event: MachineEvent): void
  /** Once its process has run for so long. */
  after(ms: number, action: () => void): void
  /** Ends the process of a client that has closed. */
  exit(): void
}
