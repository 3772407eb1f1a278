import type { ServerPacket, ServerPacketOf } from '@posthaste/protocol'
import type { Context } from './context.ts'
import type { Ephemeral } from './ephemeral.ts'
import type { MachineLimits } from './events.ts'
import type { Groups } from './groups.ts'
import type { Inbox } from './inbox.ts'
import type { Reads } from './reads.ts'
import type { Requests } from './requests.ts'
import type { Sending } from './sending.ts'
import type { ServerTime } from './serverTime.ts'
import type { Statuses } from './statuses.ts'

/** A packet that belongs to a session, rather than to the life of the connection. */
export type SessionPacket = Exclude<ServerPacket, { kind: 'welcome' | 'error' | 'renewed' }>

/** Who takes packets. */
export interface PacketTargets {
  readonly context: Context
  readonly limits: MachineLimits
  readonly time: ServerTime
  readonly sending: Sending
  readonly statuses: Statuses
  readonly inbox: Inbox
  readonly reads: Reads
  readonly groups: Groups
  readonly requests: Requests
  readonly ephemeral: Ephemeral
}

/** Who takes which packet; a string says, for people, what is wrong with its place. */
const takers: { readonly [K in SessionPacket['kind']]: (to: PacketTargets, packet: ServerPacketOf<K>) => unknown } = {
  pong: ({ time, context, sending }, packet) => {
    time.sample(packet.clientTime, packet.serverTimeMs, context.now)
    sending.timed()
  },
  result: ({ sending }, packet) => sending.result(packet),
  refuse: ({ sending }, packet) => sending.refuse(packet),
  deliver: ({ inbox }, packet) => (inbox.deliver(packet) ? undefined : gap(packet.log, packet.lane, packet.seq)),
  skip: ({ inbox }, packet) => (inbox.skip(packet) ? undefined : gap(packet.log, packet.lane, packet.from)),
  acked: ({ inbox }, packet) => inbox.cursors.acked(packet),
  mark: ({ statuses }, packet) => statuses.mark(packet),
  status: ({ statuses }, packet) => statuses.status(packet),
  counts: ({ statuses }, packet) => statuses.counts(packet),
  statuses: ({ statuses }, packet) => statuses.statuses(packet),
  readMark: ({ reads }, packet) => reads.readMark(packet),
  realtimeDeliver: ({ context, limits }, packet) => limits.inboxMessages > 0 && takeRealtime(context, packet),
  realtimeResult: ({ requests }, packet) => requests.realtimeResult(packet),
  typingEvent: ({ ephemeral }, packet) => ephemeral.typingEvent(packet),
  presence: ({ ephemeral }, packet) => ephemeral.presence(packet),
  group: ({ groups }, packet) => groups.group(packet),
  reply: ({ requests }, packet) => requests.reply(packet),
  membersReply: ({ requests }, packet) => requests.members(packet),
  receiptsReply: ({ requests }, packet) => requests.receipts(packet),
}

/** Hands a packet to whom it concerns. @returns what is wrong when it shows that the connection is broken */
export function takePacket(targets: PacketTargets, packet: SessionPacket): string | undefined {
  const take: (to: PacketTargets, packet: never) => unknown = takers[packet.kind]
  const fault = take(targets, packet as never)
  return typeof fault === 'string' ? fault : undefined
}

/** The app gets it first; then the sender may be told. */
function takeRealtime(context: Context, { token, ...entry }: ServerPacketOf<'realtimeDeliver'>): void {
  context.notify({ kind: 'realtime', entry: { ...entry, body: new Uint8Array(entry.body) } })
  if (token > 0) context.write({ kind: 'realtimeAck', token })
}

function gap(log: number, lane: number, seq: number): string {
  return `an entry is missing before ${seq} of lane ${lane} of log ${log}`
}
