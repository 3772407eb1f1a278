import { type Address, addressFault, groupKind, kindOf, limits, nameOf, userKind, utf8Length } from '@posthaste/protocol'
import { PosthasteError } from './errors.ts'
import type { Draft, Position } from './machine/events.ts'
import { defaultExpirySeconds } from './machine/outboxMessage.ts'

/** A message to send. */
export interface SendOptions {
  /** A user's name, or `{ user }` or `{ group }`. */
  readonly to: string | Address
  /** Bytes, or text, which is sent as UTF-8. At most what the server allows: 65,536 bytes by default. */
  readonly body: Uint8Array | string
  /** 0 to 2^64 - 1; made by the SDK when left out. 0n is fire-and-forget: sent now or never, without a status. */
  readonly id?: bigint | undefined
  /** What kind of message it is, as the apps agree: 0 (default) to 4,294,967,295. */
  readonly type?: number | undefined
  /** 0 (highest) to 15 (lowest), default 8. */
  readonly priority?: number | undefined
  /** Within how many seconds a device must have stored it: default 7 days, or what the server allows if that is less; at most 30 days (the server's limit). 0: only to who is connected now. */
  readonly expirySeconds?: number | undefined
  /** Whether delivered and read shall be told: default true. */
  readonly receipts?: boolean | undefined
}

const encoder = new TextEncoder()

/** An argument that can't be. */
export function invalid(field: string, text: string): PosthasteError {
  return new PosthasteError({ code: 'invalid-argument', message: `${field} ${text}`, retryable: false, field })
}

/** The address that the app means. @throws PosthasteError `invalid-argument` */
export function addressArgument(to: string | Address, field = 'to'): Address {
  const address = typeof to === 'string' ? { user: to } : to
  if (typeof address !== 'object' || address === null) throw invalid(field, "must be a user's name, { user } or { group }")
  const kinds = Number('user' in address) + Number('group' in address)
  const name: unknown = kinds === 1 ? nameOf(address) : undefined
  if (typeof name !== 'string') throw invalid(field, "must be a user's name, { user } or { group }")
  const fault = addressFault(name)
  if (fault !== undefined) throw invalid(field, `is not an address of 1 to ${limits.addressBytes} bytes: ${fault}`)
  return address
}

/** The name of a user or a group. @throws PosthasteError `invalid-argument` */
export function nameArgument(name: string, field: string): string {
  const fault = typeof name === 'string' ? addressFault(name) : 'it is not a string'
  if (fault !== undefined) throw invalid(field, `is not a name of 1 to ${limits.addressBytes} bytes: ${fault}`)
  return name
}

/** An id. @throws PosthasteError `invalid-argument` */
export function idArgument(id: bigint, field = 'id'): bigint {
  if (typeof id !== 'bigint' || id < 0n || id > limits.idMax) throw invalid(field, `must be a bigint from 0 to ${limits.idMax}`)
  return id
}

/** The message as the machine takes it. @throws PosthasteError `invalid-argument` with the field and what is allowed, `too-large` */
export function draftOf(options: SendOptions): Draft {
  if (typeof options !== 'object' || options === null) throw invalid('options', 'must be { to, body, … }')
  const { to, body, id, type = 0, priority = 8, expirySeconds = defaultExpirySeconds, receipts = true } = options
  const address = addressArgument(to)
  if (id !== undefined) idArgument(id)
  numberArgument(type, limits.typeMax, 'type')
  numberArgument(priority, limits.priorityMax, 'priority')
  numberArgument(expirySeconds, limits.expirySeconds, 'expirySeconds')
  if (typeof receipts !== 'boolean') throw invalid('receipts', 'must be a boolean')
  const toKind = kindOf(address) === userKind ? userKind : groupKind
  return { toKind, to: nameOf(address), id, type, priority, expirySeconds, receipts, body: bodyOf(body) }
}

/** A whole number from `min` to `max`. @throws PosthasteError `invalid-argument` */
export function numberArgument(value: number, max: number, field: string, min = 0): void {
  if (!Number.isInteger(value) || value < min || value > max)
    throw invalid(field, `must be a whole number from ${min} to ${max}, not ${value}`)
}

/** An array. @throws PosthasteError `invalid-argument` */
export function arrayArgument(value: unknown, field: string): void {
  if (!Array.isArray(value)) throw invalid(field, 'must be an array')
}

/** One of a few words. @throws PosthasteError `invalid-argument` */
export function oneOf(word: string, words: readonly string[], field: string): void {
  if (!words.includes(word)) throw invalid(field, `must be of ${words.join(', ')}, not '${word}'`)
}

/** Where a message stands. @throws PosthasteError `invalid-argument` */
export function positionArgument(position: Position, field = 'position'): Position {
  if (typeof position !== 'object' || position === null) throw invalid(field, 'must be { epoch, log, lane, seq }')
  const { epoch, log, lane, seq } = position
  for (const [name, value] of Object.entries({ epoch, log, seq })) numberArgument(value, limits.numberMax, `${field}.${name}`)
  numberArgument(lane, limits.priorityMax, `${field}.lane`)
  return { epoch, log, lane, seq }
}

/** A copy of the bytes, since the app may go on using its own. */
function bodyOf(body: Uint8Array | string): Uint8Array {
  if (typeof body !== 'string' && !(body instanceof Uint8Array)) throw invalid('body', 'must be a Uint8Array or a string')
  if (typeof body === 'string' && utf8Length(body) < 0) throw invalid('body', 'is not well-formed Unicode: send bytes')
  const bytes = typeof body === 'string' ? encoder.encode(body) : new Uint8Array(body)
  if (bytes.length <= limits.bodyBytes) return bytes
  const message = `The body has ${bytes.length} bytes; no server takes more than ${limits.bodyBytes}.`
  throw new PosthasteError({ code: 'too-large', message, retryable: false, field: 'body' })
}
