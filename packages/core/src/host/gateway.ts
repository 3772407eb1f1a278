import type { CodeName, ServerPacket } from '@posthaste/protocol'
import type { Command } from '../shard/commands.ts'
import type { SendResult } from '../shard/effects.ts'
import type { Batcher } from './batcher.ts'
import type { HostEdge, HostLimits } from './edge.ts'
import type { Queries } from './queries.ts'
import type { Registry } from './registry.ts'
import type { Session } from './session.ts'

/** What a submitted command came to: the verdict on a send, or the end of a request. */
export type Answer =
  | { readonly kind: 'result'; readonly result: SendResult }
  | { readonly kind: 'reply'; readonly code: number; readonly value: number; readonly isNew: boolean }

/** What the parts of the host ask of it. */
export interface Gateway {
  readonly limits: HostLimits
  readonly edge: HostEdge
  readonly registry: Registry
  readonly queries: Queries
  readonly batchers: readonly Batcher[]
  readonly epoch: number
  readonly nowMs: number
  /** Gives a submitted command its answer; false when the tag is a session's. */
  answer(tag: number, ref: number, answer: Answer): boolean
  /** The shard of a user or group. */
  shardOf(kind: 0 | 1, name: string): number
  /** Submits a command to the shard of an identity. */
  toShardOf(identity: number, command: Command): void
  /** Why sends are refused at the moment; undefined when they are not. */
  busyCode(): CodeName | undefined
  /** Whether so much waits for the journals that nothing more is taken. */
  isOverwhelmed(): boolean
  /** A session may have room or something to send. */
  ready(session: Session): void
  /** A session has something new in a lane: it is written to at once. */
  wake(session: Session, log: number, lane: number): void
  /** Counts work for a session as so many packets of its user's; false when that is more than it may send. */
  charge(session: Session, packets: number): boolean
  /** Ends a session with a code: a word of why, then the close. */
  end(session: Session, code: CodeName, text?: string, retryAfterMs?: number): void
  /** A session ends: handles what had come. */
  finish(session: Session): void
  /** A connection is gone. */
  closed(connection: number, nowMs: number): void
  /** Sends a packet to a session by its tag. */
  tell(tag: number, packet: ServerPacket): void
  /** A session has folded its first ACK: they are submitted when they have waited long enough. */
  folding(session: Session): void
  /** Submits the folded ACKs of groups. */
  foldAcks(session: Session): void
  /** Submits an ACK. */
  submitAck(
    session: Session,
    log: number,
    lane: number,
    upTo: number,
    notStored: readonly { readonly from: number; readonly to: number }[],
  ): void
}
