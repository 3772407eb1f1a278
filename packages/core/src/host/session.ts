import { type ClientPacket, limits, type ServerPacket, writeServerPacket } from '@posthaste/protocol'
import { Pump } from '../pump.ts'
import type { SharedWriter, Writers } from './writers.ts'

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

/** A message of which packets are not handled yet. */
export interface Rest {
  readonly packets: readonly ClientPacket[]
  /** The next one. */
  at: number
}

/** Messages of a connection that wait until its user may send again. */
export interface Backlog {
  /** What is left of a message that was begun. */
  rest: Rest | undefined
  readonly messages: Uint8Array[]
  bytes: number
  /** Whether its connection is gone. */
  isClosed: boolean
}

/** What a session asks of its host: the same for all. */
export interface SessionHost {
  /** There is something to be written at the end of the turn. */
  dirty(session: Session): void
  readonly writers: Writers
  /** The bytes are lent, as to `HostEdge.write`. */
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
  /** WebSocket pings and pongs before WELCOME. */
  earlySigns = 0
  heardMs: number
  /** The ref of the next SEND, and the one from which on SENDs are ignored until RESUME; 0 for none. */
  nextRef = 1
  refusedRef = 0
  /** A token bucket for SENDs, filled as time passes. */
  sendTokens = 1_000
  refilledMs: number
  /** What waits until its user may send again; undefined when it is read. */
  backlog: Backlog | undefined = undefined
  foldedAcks: Map<number, FoldedAck[]> | undefined = undefined
  watched: Set<string> | undefined = undefined
  groups: Set<number> | undefined = undefined
  /** When the first of the folded ACKs came. */
  foldedMs = 0
  /** Whether the host has it among those whose folded ACKs wait. */
  isFolding = false
  isReady = false
  isDirty = false
  /** What is to be written: one packet that was encoded already, which is not copied, or what has gathered; never both. */
  #alone: Uint8Array | undefined
  #out: SharedWriter | undefined
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
    const out = this.#gathering()
    writeServerPacket(out, packet)
    this.#grown(out.length)
  }

  /** Adds a packet that is encoded already. @param isLent whether its bytes may be others soon: then they are copied at once */
  sendBytes(bytes: Uint8Array, isLent = false): void {
    if (this.#packets === 0 && !isLent) {
      this.#alone = bytes
      return this.#grown(bytes.length)
    }
    const out = this.#gathering()
    out.raw(bytes)
    this.#grown(out.length)
  }

  /** Hands what has gathered to the connection. */
  flush(): void {
    this.isDirty = false
    if (this.#packets > 0) this.#write()
  }

  #gathering(): SharedWriter {
    this.#out ??= this.#host.writers.take()
    if (this.#alone !== undefined) this.#out.raw(this.#alone)
    this.#alone = undefined
    return this.#out
  }

  #write(): void {
    const out = this.#out
    const bytes = this.#alone ?? (out as SharedWriter).lend()
    this.#packets = 0
    this.#alone = undefined
    this.#out = undefined
    this.#host.write(this, bytes)
    if (out !== undefined) this.#host.writers.giveBack(out, bytes.length)
  }

  /** @param length how many bytes are to be written by now */
  #grown(length: number): void {
    this.#packets += 1
    if (length >= outputBytes || this.#packets === limits.packetsPerMessage) this.#write()
    if (!this.isDirty) {
      this.isDirty = true
      this.#host.dirty(this)
    }
  }
}
