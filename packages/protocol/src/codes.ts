/**
 * The one table of statuses and error codes: their numbers on the wire, their names everywhere else, and what they mean.
 * Numbers and names are stable: they are never reused or changed.
 */

/** What a code means to whoever gets it. */
export interface Code {
  readonly number: number
  readonly name: string
  /** Whether the same thing may succeed later without a change. */
  readonly isRetryable: boolean
  /** Whether the connection is closed with it; the WebSocket close code is then 4000 + number. */
  readonly isClosing: boolean
  readonly text: string
}

const rows = [
  // Statuses of outgoing messages: 1–39.
  [1, 'outbox', false, false, 'Stored by the SDK, not yet accepted by the server.'],
  [2, 'sent', false, false, "In the server's journal and flushed to disk."],
  [3, 'expired', false, false, 'The deadline passed and no device has said that it stored the message.'],
  [4, 'delivered', false, false, 'Stored by a device of the destination (a group: by one of every member).'],
  [5, 'read', false, false, 'Marked read by the receiving app (a group: by every member).'],
  [10, 'invalid-destination', false, false, 'The destination does not exist.'],
  [11, 'inbox-full', false, false, 'The destination holds as many undelivered messages as it may.'],
  [12, 'blocked', false, false, 'The destination has blocked the sender.'],
  [13, 'not-member', false, false, 'The sender is not a member of the group.'],
  [14, 'not-allowed', false, false, 'The sender lacks the right to do this.'],
  [15, 'too-large', false, false, 'The body is larger than the server allows.'],
  [16, 'conflict', false, false, 'A message with the same key but other content came before. The first one stays.'],
  [17, 'removed', false, false, 'The destination was deleted while the message waited.'],
  [18, 'unknown', false, false, 'Nobody knows any more.'],
  [19, 'invalid', false, false, 'The deadline lies beyond what the server allows.'],
  [20, 'cancelled', false, false, 'Cancelled by the app before the server had it.'],
  // Refusals of single packets: 40–59.
  [40, 'busy', true, false, 'The server has no room for more at the moment.'],
  [41, 'rate-limited', true, false, 'More than the server allows in this time.'],
  [42, 'disk-full', true, false, "The server's disk is nearly full. Nothing was lost."],
  [43, 'too-many-keys', true, false, 'The sender has as many messages within their deadlines as it may.'],
  [44, 'not-found', false, false, 'There is no such thing.'],
  [45, 'already-exists', false, false, 'There is one of that name already.'],
  [46, 'too-many', false, false, 'A limit on the number of such things is reached.'],
  // Ends of connections: 60–99.
  [60, 'malformed-packet', false, true, 'The packet is not valid MessagePack of the shape that its number demands.'],
  [61, 'unknown-packet', false, true, 'There is no packet of that number in this direction.'],
  [62, 'too-big', false, true, 'A message, packet or field is larger than its limit.'],
  [63, 'out-of-range', false, true, 'A field lies outside its allowed range.'],
  [64, 'version-unsupported', false, true, 'Client and server share no protocol version.'],
  [65, 'hello-expected', false, true, 'The first packet must be HELLO, and there must be only one.'],
  [66, 'auth-timeout', true, true, 'No HELLO came in time.'],
  [67, 'token-invalid', false, true, 'The token is not valid: wrong signature, audience or form.'],
  [68, 'token-expired', true, true, 'The token has expired. Connect again with a fresh one.'],
  [69, 'token-revoked', true, true, "The token was issued before the user's tokens were revoked."],
  [70, 'replaced', false, true, 'A newer session of the same device has taken over.'],
  [71, 'stale-session', false, true, 'A newer session of the same device was here before.'],
  [72, 'too-many-devices', false, true, 'The user has as many devices as it may, and all are online.'],
  [73, 'too-many-connections', true, true, 'The user has as many connections as it may.'],
  [74, 'too-slow', true, true, 'The client did not take what was written to it in time.'],
  [75, 'heartbeat-timeout', true, true, 'Nothing was heard from the peer in time.'],
  [76, 'shutting-down', true, true, 'The server is stopping. Connect again after the time it names.'],
  [77, 'protocol-error', false, true, 'A packet that is not allowed in this state.'],
  [78, 'flood', true, true, 'Far more packets than the server allows.'],
  [79, 'internal', true, true, 'The server failed.'],
  [80, 'user-removed', false, true, 'The user was deleted.'],
] as const satisfies readonly (readonly [number, string, boolean, boolean, string])[]

type Row = (typeof rows)[number]
/** The name of any code. */
export type CodeName = Row[1]
/** The names of the statuses that an outgoing message can have. */
export type Status = Extract<
  Row,
  readonly [0 | 1 | 2 | 3 | 4 | 5 | 10 | 11 | 12 | 13 | 14 | 15 | 16 | 17 | 18 | 19 | 20, ...unknown[]]
>[1]

/** All codes, in the order of their numbers. */
export const codes: readonly Code[] = rows.map(([number, name, isRetryable, isClosing, text]) => ({
  number,
  name,
  isRetryable,
  isClosing,
  text,
}))

const byName = new Map<string, Code>(codes.map((code) => [code.name, code]))
const byNumber = new Map<number, Code>(codes.map((code) => [code.number, code]))
const unknownCode: Code = {
  number: 0,
  name: 'unrecognised',
  isRetryable: false,
  isClosing: false,
  text: 'A code of a newer version.',
}

/** The code of that name. */
export function codeOf(name: CodeName): Code {
  return byName.get(name) ?? unknownCode
}

/** The number of a code on the wire. */
export function codeNumber(name: CodeName): number {
  return codeOf(name).number
}

/** The code of that number; an unknown one (a newer peer's) is named `unrecognised`. */
export function codeByNumber(number: number): Code {
  return byNumber.get(number) ?? unknownCode
}

/** The status of that number, `unknown` for a number that is no status. */
export function statusByNumber(number: number): Status {
  const code = byNumber.get(number)
  return code !== undefined && code.number < 40 ? (code.name as Status) : 'unknown'
}
