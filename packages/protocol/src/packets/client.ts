import { limits } from '../limits.ts'
import { address, bool, kind, list, type PacketOf, packet, str, tuple, u64, uint } from '../schema.ts'
import { body, device, lane, messageName, number, page, pageSize, ranges, ref, roles, type } from './fields.ts'

/** The packets from the client to the server. */

/** The first packet of a connection. Answered by WELCOME or ERROR. */
export const hello = packet(1, 'hello', {
  versionMin: uint(255),
  versionMax: uint(255),
  token: str(limits.tokenBytes),
  device,
  /** Grows with every connection of the device, and is persisted before it is used. */
  session: number,
  agent: str(limits.textBytes),
  /** The epoch in which the cursors were written, 0 when there are none. */
  epoch: number,
  /** What the device has passed, per log and lane, and which ranges within it were passed but not stored and not yet acknowledged. */
  cursors: list(tuple({ log: number, lane, seq: number, notStored: ranges }), limits.cursors),
})

/** A fresh token for the same user, before the old one expires. Answered by RENEWED or ERROR. */
export const renew = packet(2, 'renew', { token: str(limits.tokenBytes) })

/** Asks for PONG: keeps the connection alive and the estimate of server time fresh. */
export const ping = packet(3, 'ping', { clientTime: number })

/** A message. Answered by RESULT (unless its id is 0) or REFUSE. */
export const send = packet(4, 'send', {
  /** 1, 2, 3 … within the session, without gaps; after REFUSE it goes on at the refused number. */
  ref,
  toKind: kind,
  to: address,
  id: u64,
  type,
  priority: lane,
  /** Absolute, in server time, the same in every retry. */
  deadlineMs: number,
  /** Whether the sender wants to be told of delivered and read. */
  receipts: bool,
  body,
})

/** After REFUSE: the SENDs that follow count on from `ref`. */
export const resume = packet(5, 'resume', { ref })

/** The device has durably passed everything up to `upTo`, and stored all of it but `notStored`. */
export const ack = packet(6, 'ack', { log: number, lane, upTo: number, notStored: ranges })

/** The app has read up to this message: one of a user's log by its sender's count, one of a group's by its seq (sender and count 0). */
export const read = packet(7, 'read', { log: number, lane, seq: number, sender: number, count: number })

/** Asks for the statuses of earlier messages. Answered by STATUSES. */
export const query = packet(8, 'query', { request: ref, messages: list(messageName, limits.items) })

/** A real-time message: to whoever is connected now. Answered by REALTIME_RESULT unless its id is 0. */
export const realtime = packet(9, 'realtime', { request: ref, toKind: kind, to: address, id: u64, type, priority: lane, body })

/** The device has handed a real-time message to the app. */
export const realtimeAck = packet(10, 'realtimeAck', { token: ref })

/** The user is typing to a destination, or has stopped. */
export const typing = packet(11, 'typing', { toKind: kind, to: address, isActive: bool })

/** Begin or end being told of the presence of these users. */
export const watch = packet(12, 'watch', { users: list(address, limits.items), isOn: bool })

/** Requests: answered by REPLY with the same number, or by the reply of their own. */
export const groupCreate = packet(13, 'groupCreate', { request: ref, group: address })
export const groupDelete = packet(14, 'groupDelete', { request: ref, group: address })
/** Sets a member's rights; 0 removes it. Needs admin, except for leaving. */
export const memberSet = packet(15, 'memberSet', { request: ref, group: address, user: address, roles })
export const members = packet(16, 'members', { request: ref, group: address, after: page, limit: pageSize })
/** Who of a group has stored and read a message that this user sent. */
export const receipts = packet(17, 'receipts', { request: ref, group: address, id: u64, after: page, limit: pageSize })
export const block = packet(18, 'block', { request: ref, user: address, isBlocked: bool })

export const clientShapes = [
  hello,
  renew,
  ping,
  send,
  resume,
  ack,
  read,
  query,
  realtime,
  realtimeAck,
  typing,
  watch,
  groupCreate,
  groupDelete,
  memberSet,
  members,
  receipts,
  block,
] as const

export type ClientPacket = PacketOf<(typeof clientShapes)[number]>
export type ClientPacketOf<K extends ClientPacket['kind']> = Extract<ClientPacket, { kind: K }>
