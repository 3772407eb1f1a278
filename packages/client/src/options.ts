import type { MachineLimits } from './machine/events.ts'
import type { Clock, Random, Transport } from './ports.ts'
import type { ClientStore } from './store.ts'

/** How a client is made. */
export interface PosthasteOptions {
  /** Where the server is: `ws://`, `wss://`, `http://` or `https://`. `/v1/connect` is added when there is no path. */
  readonly url: string | URL
  /**
   * The user's token, or what gets a fresh one: called before every connection, and before the token expires. When it throws an
   * error with `code: 'token-refused'` or `isTerminal: true`, the client ends; any other error is tried again, later and later.
   */
  readonly token: string | (() => string | Promise<string>)
  /** What keeps the outbox and the inbox. Default: memory, which forgets everything when the process ends. */
  readonly store?: ClientStore | undefined
  /**
   * Whether the tabs of a browser that use the same store share one connection: all are live, one of them runs the client for all, and
   * when it is closed another goes on. Each message goes to the handler of one tab; all tabs observe. Default: true where the store
   * is of IndexedDB and the page may use locks. A tab that joins another one's connection calls `token` once, to say whose it
   * is: one of another user ends as `wrong-user`. The tabs must be of one version of the app.
   */
  readonly tabs?: boolean | undefined
  /** Limits of what is kept. `inboxMessages: 0` makes a device that only sends: what comes waits at the server for the user's others. */
  readonly limits?: { readonly [name in keyof MachineLimits]?: MachineLimits[name] | undefined } | undefined
  /** Named to the server, for its operator: at most 256 bytes. */
  readonly agent?: string | undefined
  readonly clock?: Clock | undefined
  readonly random?: Random | undefined
  readonly transport?: Transport | undefined
}

/** What a client keeps if it is not told otherwise. */
export const defaultLimits: MachineLimits = {
  outboxMessages: 10_000,
  outboxBytes: 67_108_864,
  inboxMessages: 10_000,
  inboxBytes: 67_108_864,
}
