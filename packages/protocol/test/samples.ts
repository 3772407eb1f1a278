/** Packets for the golden vectors: of every kind at least a typical and an extreme one. */
import { type ClientPacket, limits, type ServerPacket } from '../src/index.ts'

const top = limits.numberMax
const idTop = limits.idMax
const u32Top = 0xffff_ffff
/** 128 bytes of UTF-8 in characters of 2, 3, 4 and 1 bytes. */
export const longAddress = `${'ü€😀'.repeat(14)}xy`
const device = Uint8Array.from({ length: 16 }, (_byte, at) => at * 17)
const hello = Uint8Array.from([0x68, 0x65, 0x6c, 0x6c, 0x6f])
const everyByte = Uint8Array.from({ length: 256 }, (_byte, at) => at)
const empty = new Uint8Array(0)
const nowMs = 1_767_225_600_000
const weekLaterMs = nowMs + 604_800_000
const id = 111_111_111_111_111_111n
const to = { toKind: 0, to: 'bob' } as const
const toTop = { toKind: 1, to: longAddress } as const
const realtime = { ...to, id, type: 3, priority: 0 } as const
const realtimeTop = { ...toTop, id: idTop, type: limits.typeMax, priority: 15 } as const
const manyRanges = Array.from({ length: 20 }, (_range, at) => ({ from: at * 1000, to: at * 1000 + 1 }))
const token = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhbGljZSJ9.c2lnbmF0dXJl'
const topRanges = [
  { from: 1, to: 1 },
  { from: 65_536, to: top },
]
const topCursors = [
  { log: 7, lane: 8, seq: 300, notStored: [] },
  { log: top, lane: 15, seq: top, notStored: topRanges },
]
const topDevice = new Uint8Array(16).fill(0xff)
const longText = '€'.repeat(85)
const longPage = 'n'.repeat(256)

/** Packets from the client. */
export const clientSamples: readonly ClientPacket[] = [
  { kind: 'hello', versionMin: 1, versionMax: 1, token, device, session: 1, agent: 'posthaste-js/0.1.0', epoch: 0, cursors: [] },
  {
    ...{ kind: 'hello', versionMin: 255, versionMax: 255, token: 'ü'.repeat(130), device: topDevice, session: top },
    ...{ agent: longText, epoch: top, cursors: topCursors },
  },
  { kind: 'renew', token: 'a.b.c' },
  { kind: 'renew', token: '' },
  { kind: 'ping', clientTime: 123_456 },
  { kind: 'ping', clientTime: top },
  { kind: 'send', ref: 1, ...to, id, type: 0, priority: 8, deadlineMs: weekLaterMs, receipts: true, body: hello },
  { kind: 'send', ref: u32Top, ...realtimeTop, deadlineMs: top, receipts: false, body: everyByte },
  { kind: 'send', ref: 2, toKind: 0, to: '…', id: 0n, type: 0, priority: 0, deadlineMs: 0, receipts: false, body: empty },
  { kind: 'resume', ref: 3 },
  { kind: 'resume', ref: u32Top },
  { kind: 'ack', log: 7, lane: 8, upTo: 31, notStored: [] },
  { kind: 'ack', log: top, lane: 0, upTo: top, notStored: manyRanges },
  { kind: 'read', log: 7, lane: 8, seq: 31, sender: 5, count: 12 },
  { kind: 'read', log: top, lane: 15, seq: top, sender: 0, count: 0 },
  { kind: 'query', request: 1, messages: [{ ...to, id }] },
  {
    kind: 'query',
    request: u32Top,
    messages: [
      { ...toTop, id: idTop },
      { toKind: 0, to: 'é', id: 1n << 63n },
    ],
  },
  { kind: 'query', request: 0, messages: [] },
  { kind: 'realtime', request: 4, ...realtime, body: hello },
  { kind: 'realtime', request: u32Top, ...realtimeTop, body: empty },
  { kind: 'realtimeAck', token: 9 },
  { kind: 'realtimeAck', token: u32Top },
  { kind: 'typing', ...to, isActive: true },
  { kind: 'typing', ...toTop, isActive: false },
  { kind: 'watch', users: ['bob', 'zoë', '山田'], isOn: true },
  { kind: 'watch', users: [], isOn: false },
  { kind: 'groupCreate', request: 5, group: 'team' },
  { kind: 'groupCreate', request: u32Top, group: longAddress },
  { kind: 'groupDelete', request: 6, group: 'team' },
  { kind: 'groupDelete', request: u32Top, group: longAddress },
  { kind: 'memberSet', request: 7, group: 'team', user: 'bob', roles: 3 },
  { kind: 'memberSet', request: u32Top, group: longAddress, user: longAddress, roles: 7 },
  { kind: 'members', request: 8, group: 'team', after: '', limit: 1 },
  { kind: 'members', request: u32Top, group: longAddress, after: longPage, limit: 256 },
  { kind: 'receipts', request: 9, group: 'team', id, after: '', limit: 100 },
  { kind: 'receipts', request: u32Top, group: longAddress, id: idTop, after: longText, limit: 256 },
  { kind: 'block', request: 10, user: 'mallory', isBlocked: true },
  { kind: 'block', request: u32Top, user: longAddress, isBlocked: false },
]

const entry = { sender: 5, senderName: 'alice', count: 12, id, type: 0, timeMs: nowMs, deadlineMs: weekLaterMs, receipts: true }
const entryTop = {
  sender: top,
  senderName: longAddress,
  count: top,
  id: idTop,
  type: limits.typeMax,
  timeMs: top,
  deadlineMs: top,
}
const entryLow = { sender: 1, senderName: '…', count: 0, id: 0n, type: 0, timeMs: 0, deadlineMs: 1, receipts: false }
const statusLow = { status: 18, destination: 0, count: 0, lane: 0, timeMs: 0, delivered: 0, read: 0, members: 0 }
const statusTop = { status: 999, destination: top, count: top, lane: 15, timeMs: top, delivered: top, read: top, members: top }

/** Packets from the server. */
export const serverSamples: readonly ServerPacket[] = [
  {
    ...{ kind: 'welcome', version: 1, epoch: 1, identity: 5, user: 'alice', serverTimeMs: nowMs, bodyBytesMax: 65_536 },
    ...{ expirySecondsMax: 2_592_000, tokenExpiresMs: nowMs + 3_600_000, heartbeatMs: 25_000 },
    groups: [{ identity: 9, group: 'team', roles: 3 }],
  },
  {
    ...{ kind: 'welcome', version: 255, epoch: top, identity: top, user: longAddress, serverTimeMs: top, bodyBytesMax: top },
    ...{ expirySecondsMax: top, tokenExpiresMs: 0, heartbeatMs: top, groups: [] },
  },
  { kind: 'error', code: 68, retryAfterMs: 0, text: 'The token has expired. Connect again with a fresh one.' },
  { kind: 'error', code: 999, retryAfterMs: top, text: '😀'.repeat(64) },
  { kind: 'pong', clientTime: 123_456, serverTimeMs: nowMs },
  { kind: 'pong', clientTime: top, serverTimeMs: top },
  { kind: 'result', ref: 1, status: 2, destination: 7, count: 1, timeMs: nowMs },
  { kind: 'result', ref: u32Top, status: 999, destination: 0, count: top, timeMs: top },
  { kind: 'refuse', ref: 3, code: 40, retryAfterMs: 250 },
  { kind: 'refuse', ref: u32Top, code: 999, retryAfterMs: top },
  { kind: 'deliver', log: 7, lane: 8, seq: 31, ...entry, echoTo: null, body: hello },
  { kind: 'deliver', log: top, lane: 15, seq: top, ...entryTop, receipts: false, echoTo: toTop, body: everyByte },
  { kind: 'deliver', log: 1, lane: 0, seq: 1, ...entryLow, echoTo: { toKind: 0, to: 'b' }, body: empty },
  { kind: 'skip', log: 7, lane: 8, from: 32, to: 40, reason: 1 },
  { kind: 'skip', log: top, lane: 15, from: top, to: top, reason: 15 },
  { kind: 'acked', log: 7, lane: 8, upTo: 40 },
  { kind: 'acked', log: top, lane: 15, upTo: top },
  { kind: 'mark', destination: 7, lane: 8, delivered: 12, read: 9 },
  { kind: 'mark', destination: top, lane: 15, delivered: top, read: 0 },
  { kind: 'status', destination: 7, id, status: 3 },
  { kind: 'status', destination: top, id: idTop, status: 999 },
  { kind: 'counts', destination: 9, id, delivered: 3, read: 1, members: 4 },
  { kind: 'counts', destination: top, id: idTop, delivered: top, read: top, members: top },
  { kind: 'readMark', log: 7, lane: 8, sender: 5, mark: 12 },
  { kind: 'readMark', log: top, lane: 15, sender: 0, mark: top },
  {
    kind: 'statuses',
    request: 1,
    statuses: [{ status: 2, destination: 7, count: 12, lane: 8, timeMs: nowMs, delivered: 0, read: 0, members: 0 }],
  },
  { kind: 'statuses', request: u32Top, statuses: [statusLow, statusTop] },
  { kind: 'realtimeDeliver', token: 1, sender: 5, senderName: 'alice', ...realtime, timeMs: nowMs, body: hello },
  { kind: 'realtimeDeliver', token: u32Top, sender: top, senderName: longAddress, ...realtimeTop, timeMs: top, body: empty },
  { kind: 'realtimeResult', request: 4, status: 4 },
  { kind: 'realtimeResult', request: u32Top, status: 999 },
  { kind: 'typingEvent', senderName: 'alice', ...to, isActive: true },
  { kind: 'typingEvent', senderName: longAddress, ...toTop, isActive: false },
  { kind: 'presence', user: 'alice', state: 1, lastSeenMs: nowMs },
  { kind: 'presence', user: longAddress, state: 2, lastSeenMs: top },
  { kind: 'group', identity: 9, group: 'team', roles: 0 },
  { kind: 'group', identity: top, group: longAddress, roles: 7 },
  { kind: 'reply', request: 5, code: 0 },
  { kind: 'reply', request: u32Top, code: 999 },
  { kind: 'membersReply', request: 8, members: [{ user: 'alice', roles: 7 }], next: '' },
  { kind: 'membersReply', request: u32Top, members: [{ user: longAddress, roles: 0 }], next: longText },
  { kind: 'receiptsReply', request: 9, receipts: [{ user: 'bob', status: 4 }], next: 'Ym9i' },
  { kind: 'receiptsReply', request: u32Top, receipts: [{ user: longAddress, status: 999 }], next: longPage },
  { kind: 'renewed', tokenExpiresMs: nowMs + 3_600_000 },
  { kind: 'renewed', tokenExpiresMs: top },
]
