/** Limits of the wire. Every one is checked by the decoder, so that no peer can make the other allocate or loop without bound (I10). */
export const limits = {
  /** Bytes of an address's UTF-8 name, 1 to this. */
  addressBytes: 128,
  /** Bytes of a body that any server may allow. The server's own limit comes in WELCOME and is 65,536 by default. */
  bodyBytes: 1_048_576,
  /** Bytes of a token. */
  tokenBytes: 8_192,
  /** Bytes of a text that is meant for people (agent names, error texts). */
  textBytes: 256,
  /** Bytes of a page token. */
  pageBytes: 256,
  /** Packets in one WebSocket message. */
  packetsPerMessage: 4_096,
  /** Cursors in HELLO: those of 1,000 groups and the user's own log, of 16 lanes each, and some of groups that were left. */
  cursors: 16_384,
  /** Ranges in one ACK or one cursor. */
  ranges: 256,
  /** Items of a QUERY, a page, or a WATCH. */
  items: 256,
  /** Groups of one user. */
  groups: 1_000,
  /** Ranges of values. */
  priorityMax: 15,
  typeMax: 0xffff_ffff,
  idMax: 0xffff_ffff_ffff_ffffn,
  /** Seconds that any server may let a message wait: 30 days. The server's own limit comes in WELCOME. */
  expirySeconds: 2_592_000,
  /** The largest whole number that travels outside ids: 2^53 - 1. */
  numberMax: Number.MAX_SAFE_INTEGER,
} as const

/** The protocol versions that this package speaks. HELLO carries the client's range, WELCOME what the server chose. */
export const protocolVersion = { min: 1, max: 1 } as const
