import type { CodeName } from '@posthaste/protocol'

/** What the host does to the world: sockets, journals, tokens. The server's shell implements it, and so does the simulator. */
export interface HostEdge {
  /**
   * Writes a message. The bytes are lent: they may be others once this returns, so whoever keeps them makes a copy. The same array twice in a
   * row holds the same bytes: a message that is for many sessions is encoded once.
   */
  write(connection: number, bytes: Uint8Array): void
  /** Closes with WebSocket code 4000 + the code's number, after what was written. */
  close(connection: number, code: CodeName): void
  /** Bytes written that the connection has not taken yet. */
  bufferedBytes(connection: number): number
  /** Reads nothing more of a connection, or goes on. What has been read already may still come. */
  setPaused(connection: number, isPaused: boolean): void
  /** Appends a record. The edge calls `flushed` once it is on disk; a failure must stop the process. */
  append(shard: number, position: number, bytes: Uint8Array): void
  /** Verifies a token. The edge calls `verified` once it knows. */
  verify(connection: number, token: string): void
  /** The first 128 bits of a SHA-256 over type (4 bytes), priority (1), receipts (1), body: a character for each byte. */
  hash(type: number, priority: number, receipts: boolean, body: Uint8Array): string
  /** Bytes free for the journals. */
  freeBytes(): number
}

/** What became of a token. */
export type Verified =
  | { readonly isOk: true; readonly user: string; readonly issuedAtMs: number; readonly expiresAtMs: number }
  | { readonly isOk: false; readonly code: CodeName; readonly text: string }

/** The limits of the gateway. None of them is consulted by `apply`. */
export interface HostLimits {
  readonly helloMs: number
  readonly heartbeatMs: number
  readonly connections: number
  readonly connectionsPerUser: number
  /** Of a connection. */
  readonly sendsPerSecond: number
  /** Of all connections of a user. */
  readonly packetsPerSecond: number
  /** Bytes of commands that may wait for the journal before sends are refused. */
  readonly pendingBytes: number
  /** Commands that may wait for another shard before sends are refused. */
  readonly forwards: number
  /** Bytes a connection may leave untaken, or may have waiting, before it is closed. */
  readonly bufferedBytes: number
  readonly freeBytes: number
  readonly keysPerSender: number
  readonly realtimeMs: number
  readonly watchesPerSession: number
  /** Records in flight per journal. */
  readonly recordsInFlight: number
  readonly recordBytes: number
}

/** The limits of a gateway for which none are given. */
export const defaultHostLimits: HostLimits = {
  helloMs: 10_000,
  heartbeatMs: 20_000,
  connections: 100_000,
  connectionsPerUser: 32,
  sendsPerSecond: 20_000,
  packetsPerSecond: 100_000,
  pendingBytes: 33_554_432,
  forwards: 100_000,
  bufferedBytes: 8_388_608,
  freeBytes: 67_108_864,
  keysPerSender: 10_000_000,
  realtimeMs: 5_000,
  watchesPerSession: 4_096,
  recordsInFlight: 2,
  recordBytes: 8_388_608,
}
