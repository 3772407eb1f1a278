import type { Tables } from '../ports.ts'
import { closeDue } from './closing.ts'
import type { AppliedRecord, Command, CommandOf } from './commands.ts'
import type { Effects } from './effects.ts'
import { beginUserEnd } from './ending.ts'
import { settle } from './settling.ts'
import { type Pace, ShardState } from './state.ts'
import { applyAck, applyRead } from './verbs/ack.ts'
import { applyEcho } from './verbs/echo.ts'
import { applyForwardDone, applyForwarded, renumberForwards } from './verbs/forward.ts'
import { applyGroupCreate, applyGroupDelete, applyMemberJoin, applyMemberSet, applyMembership } from './verbs/group.ts'
import { applySend } from './verbs/send.ts'
import { applyAttach, applySession, applySessionEnd } from './verbs/session.ts'
import { applyBlock, applyRevoke, applyUserCreate, applyUserDelete } from './verbs/user.ts'

/** How many incarnations are remembered. What was connected to an older one counts as seen until the oldest of these began. */
const incarnationsMax = 64

/**
 * The deterministic state machine of the logs whose names hash to it: applies flushed records in order and returns effects. The same
 * records always give the same state (I11). No I/O but synchronous reads of its tables, no clock, no randomness.
 */
export class Shard {
  readonly state: ShardState

  /**
   * @param shards how many shards there are, 1 to 256, fixed when the data is made
   * @param pace for tests: another one than that of all servers
   */
  constructor(index: number, shards: number, tables: Tables, pace?: Pace) {
    this.state = new ShardState(index, shards, tables, pace)
  }

  /** The position of the last record applied. */
  get position(): number {
    return this.state.meta.position
  }

  /** Applies a flushed record. A record that was applied before (its writer offered it again) only moves the position. */
  apply(position: number, record: AppliedRecord): Effects {
    this.#applyRecord(position, record)
    return this.state.takeEffects()
  }

  /** Applies a record of the journal when it is opened: to the same state, but there is nobody to tell. The bytes of the record must stay as they are. */
  replay(position: number, record: AppliedRecord): void {
    this.state.isHeard = false
    this.#applyRecord(position, record)
    this.state.takeEffects()
    this.state.isHeard = true
  }

  #applyRecord(position: number, record: AppliedRecord): void {
    const state = this.state
    const meta = state.changeMeta()
    meta.position = position
    const isKnown =
      record.incarnation < meta.incarnation || (record.incarnation === meta.incarnation && record.number <= meta.recordNumber)
    if (isKnown) return
    meta.recordNumber = record.number
    if (record.clockMs > meta.clockMs) meta.clockMs = record.clockMs
    closeDue(state)
    settle(state)
    for (const command of record.commands) this.#apply(command)
  }

  /**
   * The earliest time at which an empty record would close or settle something, undefined for none.
   * @param nowMs the host's clock: what is due within an hour of it is known
   */
  nextDueMs(nowMs = this.state.clockMs): number | undefined {
    const { meta, clockMs, dueHeap } = this.state
    return meta.dequeued < meta.queued ? clockMs : dueHeap.nextMs(nowMs)
  }

  #apply(command: Command): void {
    const state = this.state
    switch (command.kind) {
      case 'begin':
        return this.#begin(command)
      case 'send':
        return applySend(state, command)
      case 'echo':
        return applyEcho(state, command)
      case 'session':
        return applySession(state, command)
      case 'attach':
        return applyAttach(state, command)
      case 'sessionEnd':
        return applySessionEnd(state, command)
      case 'ack':
        return applyAck(state, command)
      case 'read':
        return applyRead(state, command)
      case 'userCreate':
        return applyUserCreate(state, command)
      case 'userDelete':
        return applyUserDelete(state, command)
      case 'revoke':
        return applyRevoke(state, command)
      case 'groupCreate':
        return applyGroupCreate(state, command)
      case 'groupDelete':
        return applyGroupDelete(state, command)
      case 'memberSet':
        return applyMemberSet(state, command)
      case 'memberJoin':
        return applyMemberJoin(state, command)
      case 'membership':
        return applyMembership(state, command)
      case 'block':
        return applyBlock(state, command)
      case 'settings':
        return this.#settings(command)
      case 'forwarded':
        return applyForwarded(state, command, (inner) => this.#apply(inner))
      case 'forwardDone':
        return applyForwardDone(state, command)
      case 'userEnd':
        return beginUserEnd(state, command.user)
      /* v8 ignore next -- every command has its case, or this does not compile */
      default:
        command satisfies never
    }
  }

  /** A new server incarnation: all sessions of the one before have ended, and a restore has begun a new epoch. */
  #begin(command: CommandOf<'begin'>): void {
    const meta = this.state.changeMeta()
    meta.incarnation = command.incarnation
    meta.began.push({ incarnation: command.incarnation, beganMs: meta.clockMs })
    if (meta.began.length > incarnationsMax) meta.began.shift()
    if (command.epoch > meta.epoch) {
      meta.epoch = command.epoch
      meta.identities = 0
      renumberForwards(this.state)
    }
  }

  #settings(command: CommandOf<'settings'>): void {
    const { kind: _kind, ...settings } = command
    this.state.changeMeta().settings = settings
  }
}
