import { invalid, type SendOptions } from './arguments.ts'
import type { Message, RealtimeMessage } from './message.ts'

/** A kind of message that carries JSON: its type number, and what its bodies must look like. */
export interface JsonKind<T> {
  readonly type: number
  /** What to add to `to` for sending this value. */
  encode(value: T): Pick<SendOptions, 'type' | 'body'>
  /** Whether a message is of this kind. */
  matches(message: Message | RealtimeMessage): boolean
  /** The value of a message of this kind. @throws whatever `parse` throws; PosthasteError `invalid-argument` for another type */
  decode(message: Message | RealtimeMessage): T
}

/**
 * Declares a kind of message that carries JSON.
 * @param type the message type, 0 to 4,294,967,295
 * @param parse checks what came and gives it its type; it throws for what it does not accept
 * @example
 * const chat = jsonKind(1, (value) => chatSchema.parse(value))
 * await alice.send({ to: 'bob', ...chat.encode({ text: 'hello' }) })
 */
export function jsonKind<T>(type: number, parse: (value: unknown) => T): JsonKind<T> {
  return {
    type,
    encode: (value) => ({ type, body: JSON.stringify(value) }),
    matches: (message) => message.type === type,
    decode: (message) => {
      if (message.type !== type) throw invalid('message', `has the type ${message.type}, not ${type}`)
      return parse(message.json())
    },
  }
}
