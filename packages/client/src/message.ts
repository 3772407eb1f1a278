import { type Address, addressOf } from '@posthaste/protocol'
import type { Entry, Position, RealtimeEntry } from './machine/events.ts'

export type { Position } from './machine/events.ts'

/** What `markRead` tells the server: everything of this sender up to this count. */
export interface ReadMark {
  /** The sender's identity, 0 for a group's message. */
  readonly sender: number
  readonly count: number
}

/** A message as JSON: ids as decimal strings, the body in base64. */
export interface MessageJson {
  readonly key: string
  readonly id: string
  readonly from: { readonly user: string }
  readonly to: Address
  readonly timeMs: number
  readonly type: number
  readonly priority: number
  readonly body: string
  readonly position: Position
  readonly readMark: ReadMark
  readonly redelivered: boolean
  readonly outgoing: boolean
}

/** A received message. */
export class Message {
  /** Unique among all that this device ever receives; safe in URLs. A unique constraint on it makes a handler's effects happen once. */
  readonly key: string
  /** The sender's id of the message, 0 to 2^64 - 1. */
  readonly id: bigint
  readonly from: { readonly user: string }
  /** This user, or the group. For an outgoing message: to whom another device of this user sent it. */
  readonly to: Address
  /** When the server received it, in ms since the epoch. */
  readonly timeMs: number
  readonly type: number
  readonly priority: number
  /** A copy: what is done to it, nobody else sees. */
  readonly body: Uint8Array
  /** Where it stands: an app that stores the last one per (log, lane) together with its own effects gets each message exactly once. */
  readonly position: Position
  /** What `markRead` tells. */
  readonly readMark: ReadMark
  /** Whether a handler may have been started for it before. */
  readonly redelivered: boolean
  /** Whether another device of this user sent it. Only observers see those. */
  readonly outgoing: boolean

  /** @internal */
  constructor(entry: Entry, redelivered: boolean, outgoing: boolean) {
    const { position, sender, count } = entry
    const { epoch, log, lane, seq } = position
    const isOwnLog = 'user' in addressOf(entry.toKind, entry.to)
    // With the deadline, since an id may be used again once its key has ended.
    if (entry.id === 0n) this.key = `${log}-${epoch}.${lane}.${seq}`
    else if (outgoing) this.key = `to-${entry.toKind}-${urlSafe(entry.to)}-${entry.id}-${entry.deadlineMs}`
    else this.key = `${log}-${sender}-${entry.id}-${entry.deadlineMs}`
    this.id = entry.id
    this.from = { user: entry.senderName }
    this.to = addressOf(entry.toKind, entry.to)
    this.timeMs = entry.timeMs
    this.type = entry.type
    this.priority = lane
    this.body = entry.body.slice()
    this.position = position
    this.readMark = isOwnLog ? { sender, count } : { sender: 0, count: 0 }
    this.redelivered = redelivered
    this.outgoing = outgoing
  }

  /** The body as text. @throws TypeError when it is not well-formed UTF-8 */
  text(): string {
    return textOf(this.body)
  }

  /** The body as JSON. @throws SyntaxError or TypeError when it is none */
  json(): unknown {
    return JSON.parse(this.text())
  }

  toJSON(): MessageJson {
    const { key, from, to, timeMs, type, priority, position, readMark, redelivered, outgoing } = this
    const body = base64Of(this.body)
    return { key, id: String(this.id), from, to, timeMs, type, priority, body, position, readMark, redelivered, outgoing }
  }
}

/** A message that was sent to who is connected now, and is stored nowhere. */
export class RealtimeMessage {
  readonly id: bigint
  readonly from: { readonly user: string }
  readonly to: Address
  readonly timeMs: number
  readonly type: number
  readonly priority: number
  readonly body: Uint8Array

  /** @internal */
  constructor(entry: RealtimeEntry) {
    this.id = entry.id
    this.from = { user: entry.senderName }
    this.to = addressOf(entry.toKind, entry.to)
    this.timeMs = entry.timeMs
    this.type = entry.type
    this.priority = entry.priority
    this.body = entry.body.slice()
  }

  /** The body as text. @throws TypeError when it is not well-formed UTF-8 */
  text(): string {
    return textOf(this.body)
  }

  /** The body as JSON. @throws SyntaxError or TypeError when it is none */
  json(): unknown {
    return JSON.parse(this.text())
  }

  toJSON(): Pick<MessageJson, 'id' | 'from' | 'to' | 'timeMs' | 'type' | 'priority' | 'body'> {
    return { ...this, id: String(this.id), body: base64Of(this.body) }
  }
}

function textOf(body: Uint8Array): string {
  return new TextDecoder('utf-8', { fatal: true }).decode(body)
}

function urlSafe(name: string): string {
  return base64Of(new TextEncoder().encode(name)).replaceAll('+', '-').replaceAll('/', '_').replaceAll('=', '')
}

function base64Of(body: Uint8Array): string {
  let text = ''
  for (const byte of body) text += String.fromCharCode(byte)
  return btoa(text)
}
