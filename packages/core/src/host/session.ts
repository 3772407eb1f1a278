import { limits, type ServerPacket, Writer, writeServerPacket } from '@posthaste/protocol'
import { Pump } from '../pump.ts'

/** The bytes of a session's output that are handed to its connection at once. */
const outputBytes = 65_536

/** How far a connection has come: nothing heard, token being verified, record under way, WELCOME written, over. */
export type SessionPhase = 'new' | 'verifying' | 'joining' | 'live' | 'ended'

/** What HELLO said of one lane of a log. */
export interface HelloCursor {
  readonly lane: number
  readonly seq: number
  readonly notStored: readonly { readonly from: number; readonly to: number }[]
}

/** An ACK of a lane of a group's log that waits to be folded with later ones. */
export interface FoldedAck {
  readonly lane: number
  upTo: number
  notStored: { readonly from: number; readonly to: number }[]
}

/** What a session asks of its host: the same for all. */
export interface SessionHost {
  /** There is something to be written at the end of the turn. */
  dirty(session: Session): void
  write(session: Session, bytes: Uint8Array): void
}

/** One connection and what the gateway knows of it. */
export class Session {
  readonly connection: number
  readonly pump = new Pump()
  phase: SessionPhase = 'new'
  /** The epoch of HELLO and its cursors by log, until each log is attached. This and the other collections are made at their first use: most sessions idle. */
  epoch = 0
  cursors: Map<number, HelloCursor[]> | undefined = undefined
  user = ''
  identity = 0
  device = ''
  number = 0
  issuedAtMs = 0
  expiresAtMs = 0
  startedMs: number
  heardMs: number
  /** The ref of the next SEND, and the one from which on SENDs are ignored until RESUME; 0 for none. */
  nextRef = 1
  refusedRef = 0
  /** Token buckets for SENDs and packets, filled as time passes. */
  sendTokens = 1_000
  packetTokens = 1_000
  refilledMs: number
  foldedAcks: Map<number, FoldedAck[]> | undefined = undefined
  watched: Set<number> | undefined = undefined
  groups: Set<number> | undefined = undefined
  /** When the first of the folded ACKs came. */
  foldedMs = 0
  /** Whether the host has it among those whose folded ACKs wait. */
  isFolding = false
  isReady = false
  isDirty = false
  readonly #out = new Writer(256)
  #packets = 0
  readonly #host: SessionHost

  constructor(connection: number, nowMs: number, host: SessionHost) {
    this.connection = connection
    this.startedMs = nowMs
    this.heardMs = nowMs
    this.refilledMs = nowMs
    this.#host = host
  }

  /** Takes what HELLO said of a log. */
  takeCursors(log: number): readonly HelloCursor[] | undefined {
    const said = this.cursors?.get(log)
    this.cursors?.delete(log)
    if (this.cursors?.size === 0) this.cursors = undefined
    return said
  }

  /** Adds a packet to what is written at the end of the turn. */
  send(packet: ServerPacket): void {
    writeServerPacket(this.#out, packet)
    this.#grown()
  }

  /** Adds a packet that is encoded already. */
  sendBytes(bytes: Uint8Array): void {
    this.#out.raw(bytes)
    this.#grown()
  }

  /** Hands what has gathered to the connection. */
  flush(): void {
    this.isDirty = false
    if (this.#out.length > 0) this.#write()
  }

  #write(): void {
    this.#packets = 0
    this.#host.write(this, this.#out.release())
  }

  #grown(): void {
    this.#packets += 1
    if (this.#out.length >= outputBytes || this.#packets === limits.packetsPerMessage) this.#write()
    if (!this.isDirty) {
      this.isDirty = true
      this.#host.dirty(this)
    }
  }
}
