import { limits } from '../limits.ts'
import { address, bool, kind, list, optional, type PacketOf, packet, str, tuple, u64, uint } from '../schema.ts'
import { body, code, lane, number, page, ref, roles, type } from './fields.ts'

/** The packets from the server to the client. */

/** The session has begun: its record is applied. */
export const welcome = packet(32, 'welcome', {
  version: uint(255),
  /** When it differs from the epoch of HELLO, the device's cursors are void and every log begins again at its trim point. */
  epoch: number,
  /** The identity of the user, and so of the user's own log. */
  identity: number,
  user: address,
  serverTimeMs: number,
  bodyBytesMax: number,
  expirySecondsMax: number,
  /** When the token expires, 0 for never. */
  tokenExpiresMs: number,
  /** Silence after which the client must send a PING, and twice that after which either side gives the other up. */
  heartbeatMs: number,
  groups: list(tuple({ identity: number, group: address, roles }), limits.groups),
})

/** Why the connection is closed right after. */
export const error = packet(33, 'error', { code, retryAfterMs: number, text: str(limits.textBytes) })

export const pong = packet(34, 'pong', { clientTime: number, serverTimeMs: number })

/** The verdict on a SEND: its record is flushed and applied. */
export const result = packet(35, 'result', {
  ref,
  /** A status: sent, or why not; for a message that came before, the status that it has. */
  status: code,
  /** The identity of the destination, 0 when there is none. */
  destination: number,
  /** The message's number among those of this sender in the log's lane; 0 when no MARK speaks for it. */
  count: number,
  timeMs: number,
})

/** SENDs from `ref` on are ignored until RESUME. */
export const refuse = packet(36, 'refuse', { ref, code, retryAfterMs: number })

/** An entry of a log, exactly as it is stored. */
export const deliver = packet(37, 'deliver', {
  log: number,
  lane,
  seq: number,
  sender: number,
  senderName: address,
  count: number,
  id: u64,
  type,
  timeMs: number,
  deadlineMs: number,
  /** Whether the sender wants receipts. */
  receipts: bool,
  /** For the echo of what another device of the same user sent: to whom. Else nil. */
  echoTo: optional(tuple({ toKind: kind, to: address })),
  body,
})

/** The device must pass these without getting them. `reason`: 1 closed, 2 trimmed, 3 no right, 4 its own, 5 before its start. */
export const skip = packet(38, 'skip', { log: number, lane, from: number, to: number, reason: uint(15) })

/** The ranges not stored that ACK or HELLO told of, up to here, are journaled: they need not be told again. */
export const acked = packet(39, 'acked', { log: number, lane, upTo: number })

/** What this user sent to a destination in a lane is delivered and read up to these counts. Never falls. */
export const mark = packet(40, 'mark', { destination: number, lane, delivered: number, read: number })

/** The explicit status of a message of this user. After `sent` or `expired` marks no longer speak for it, after `delivered` they do. */
export const status = packet(41, 'status', { destination: number, id: u64, status: code })

/** A message to a group: stored by `delivered`, read by `read` of `members` members. */
export const counts = packet(42, 'counts', { destination: number, id: u64, delivered: number, read: number, members: number })

/** What this user has read, on any device: by count per sender in the own log, by seq in a group's (sender 0). */
export const readMark = packet(43, 'readMark', { log: number, lane, sender: number, mark: number })

/** The answer to QUERY, in its order. */
export const statuses = packet(44, 'statuses', {
  request: ref,
  statuses: list(
    tuple({
      status: code,
      destination: number,
      count: number,
      lane,
      timeMs: number,
      delivered: number,
      read: number,
      members: number,
    }),
    limits.items,
  ),
})

/** A real-time message. `token` 0 wants no REALTIME_ACK. */
export const realtimeDeliver = packet(45, 'realtimeDeliver', {
  token: ref,
  sender: number,
  senderName: address,
  toKind: kind,
  to: address,
  id: u64,
  type,
  priority: lane,
  timeMs: number,
  body,
})

export const realtimeResult = packet(46, 'realtimeResult', { request: ref, status: code })

export const typingEvent = packet(47, 'typingEvent', { senderName: address, toKind: kind, to: address, isActive: bool })

/** `state`: 0 offline, 1 online, 2 not to be known. `lastSeenMs` is 0 when unknown. */
export const presence = packet(48, 'presence', { user: address, state: uint(2), lastSeenMs: number })

/** The user's rights in a group have changed; 0: no longer a member. */
export const group = packet(49, 'group', { identity: number, group: address, roles })

/** The end of a request: code 0 is success, else a code of the table. */
export const reply = packet(50, 'reply', { request: ref, code })

/** A page; `next` is '' on the last one. */
export const membersReply = packet(51, 'membersReply', {
  request: ref,
  members: list(tuple({ user: address, roles }), limits.items),
  next: page,
})

export const receiptsReply = packet(52, 'receiptsReply', {
  request: ref,
  receipts: list(tuple({ user: address, status: code }), limits.items),
  next: page,
})

export const renewed = packet(53, 'renewed', { tokenExpiresMs: number })

export const serverShapes = [
  welcome,
  error,
  pong,
  result,
  refuse,
  deliver,
  skip,
  acked,
  mark,
  status,
  counts,
  readMark,
  statuses,
  realtimeDeliver,
  realtimeResult,
  typingEvent,
  presence,
  group,
  reply,
  membersReply,
  receiptsReply,
  renewed,
] as const

export type ServerPacket = PacketOf<(typeof serverShapes)[number]>
export type ServerPacketOf<K extends ServerPacket['kind']> = Extract<ServerPacket, { kind: K }>

/** Why a range was skipped, as numbers of SKIP. */
export const skipReasons = { closed: 1, trimmed: 2, noRight: 3, own: 4, beforeStart: 5 } as const
