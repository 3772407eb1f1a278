/** Random packets of every kind, for the property tests. The types demand one of each. */
import fc, { type Arbitrary } from 'fast-check'
import { addressFault, type ClientPacket, limits, type ServerPacket, utf8Length } from '../src/index.ts'

// One seed by default, so that a run can be repeated; another one explores: `TEST_SEED=$RANDOM npx vitest run packages/protocol`.
fc.configureGlobal({ seed: Number(process.env.TEST_SEED ?? 1) })

type FieldsOf<P> = { readonly [N in Exclude<keyof P, 'kind'>]: Arbitrary<P[N]> }
type TableOf<P extends { readonly kind: string }> = { readonly [K in P['kind']]: FieldsOf<Extract<P, { readonly kind: K }>> }

const upTo = (max: number): Arbitrary<number> =>
  fc.oneof(
    fc.integer({ min: 0, max: Math.min(max, 300) }),
    fc.maxSafeNat().map((n) => n % (max + 1)),
    fc.constant(max),
  )
const number = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc.constantFrom(127, 128, 255, 256, 65_535, 65_536, 2 ** 32 - 1, 2 ** 32, limits.numberMax),
)
const u64 = fc.oneof(
  fc.bigInt({ min: 0n, max: limits.idMax }),
  fc.constantFrom(0n, 1n, 2n ** 32n - 1n, 2n ** 32n, 2n ** 53n, 2n ** 63n, limits.idMax),
)
const ref = upTo(0xffff_ffff)
const lane = fc.nat(15)
const type = upTo(limits.typeMax)
const code = fc.nat(999)
const roles = fc.nat(7)
const bool = fc.boolean()
const body = fc.uint8Array({ maxLength: 300 })
const str = (max: number): Arbitrary<string> =>
  fc.string({ unit: 'binary', maxLength: max }).filter((text) => utf8Length(text) <= max)
const address = fc
  .string({
    unit: fc.oneof(fc.constantFrom('a', 'é', '€', '😀', '.'), fc.string({ unit: 'binary', minLength: 1, maxLength: 1 })),
    minLength: 1,
    maxLength: 128,
  })
  .filter((name) => addressFault(name) === undefined)
const kind = fc.constantFrom<0 | 1>(0, 1)
const to = { toKind: kind, to: address }
const ranges = fc.array(fc.record({ from: number, to: number }), { maxLength: 20 })
const request = { request: ref }
const page = str(limits.pageBytes)

const clientFields: TableOf<ClientPacket> = {
  hello: {
    versionMin: fc.nat(255),
    versionMax: fc.nat(255),
    token: str(600),
    device: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    session: number,
    agent: str(limits.textBytes),
    epoch: number,
    cursors: fc.array(fc.record({ log: number, lane, seq: number, notStored: ranges }), { maxLength: 20 }),
  },
  renew: { token: str(600) },
  ping: { clientTime: number },
  send: { ref, ...to, id: u64, type, priority: lane, deadlineMs: number, receipts: bool, body },
  resume: { ref },
  ack: { log: number, lane, upTo: number, notStored: ranges },
  read: { log: number, lane, seq: number, sender: number, count: number },
  query: { ...request, messages: fc.array(fc.record({ ...to, id: u64 }), { maxLength: 20 }) },
  realtime: { ...request, ...to, id: u64, type, priority: lane, body },
  realtimeAck: { token: ref },
  typing: { ...to, isActive: bool },
  watch: { users: fc.array(address, { maxLength: 20 }), isOn: bool },
  groupCreate: { ...request, group: address },
  groupDelete: { ...request, group: address },
  memberSet: { ...request, group: address, user: address, roles },
  members: { ...request, group: address, after: page, limit: fc.integer({ min: 1, max: 256 }) },
  receipts: { ...request, group: address, id: u64, after: page, limit: fc.integer({ min: 1, max: 256 }) },
  block: { ...request, user: address, isBlocked: bool },
}

const status = fc.record({
  status: code,
  destination: number,
  count: number,
  lane,
  timeMs: number,
  delivered: number,
  read: number,
  members: number,
})

const serverFields: TableOf<ServerPacket> = {
  welcome: {
    version: fc.nat(255),
    epoch: number,
    identity: number,
    user: address,
    serverTimeMs: number,
    bodyBytesMax: number,
    expirySecondsMax: number,
    tokenExpiresMs: number,
    heartbeatMs: number,
    groups: fc.array(fc.record({ identity: number, group: address, roles }), { maxLength: 20 }),
  },
  error: { code, retryAfterMs: number, text: str(limits.textBytes) },
  pong: { clientTime: number, serverTimeMs: number },
  result: { ref, status: code, destination: number, count: number, timeMs: number },
  refuse: { ref, code, retryAfterMs: number },
  deliver: {
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
    receipts: bool,
    echoTo: fc.option(fc.record(to)),
    body,
  },
  skip: { log: number, lane, from: number, to: number, reason: fc.nat(15) },
  acked: { log: number, lane, upTo: number },
  mark: { destination: number, lane, delivered: number, read: number },
  status: { destination: number, id: u64, status: code },
  counts: { destination: number, id: u64, delivered: number, read: number, members: number },
  readMark: { log: number, lane, sender: number, mark: number },
  statuses: { ...request, statuses: fc.array(status, { maxLength: 20 }) },
  realtimeDeliver: {
    token: ref,
    sender: number,
    senderName: address,
    ...to,
    id: u64,
    type,
    priority: lane,
    timeMs: number,
    body,
  },
  realtimeResult: { ...request, status: code },
  typingEvent: { senderName: address, ...to, isActive: bool },
  presence: { user: address, state: fc.nat(2), lastSeenMs: number },
  group: { identity: number, group: address, roles },
  reply: { ...request, code },
  membersReply: { ...request, members: fc.array(fc.record({ user: address, roles }), { maxLength: 20 }), next: page },
  receiptsReply: { ...request, receipts: fc.array(fc.record({ user: address, status: code }), { maxLength: 20 }), next: page },
  renewed: { tokenExpiresMs: number },
}

/** Random packets of each kind from the client. */
export const clientArbitraries = recordsOf<ClientPacket>(clientFields)
/** Random packets of each kind from the server. */
export const serverArbitraries = recordsOf<ServerPacket>(serverFields)
/** Strings of every kind of code unit, lone surrogates too. */
export const anyText: Arbitrary<string> = fc
  .array(fc.oneof(fc.constantFrom(0xd800, 0xdbff, 0xdc00, 0xdfff, 0x7f, 0x80, 0x7ff, 0x800, 0xffff), fc.nat(0xffff)))
  .map((units) => String.fromCharCode(...units))

function recordsOf<P extends { readonly kind: string }>(
  table: TableOf<P>,
): readonly (readonly [kind: string, packet: Arbitrary<P>])[] {
  return Object.entries<Record<string, Arbitrary<unknown>>>(table).map(([kind, fields]) => [
    kind,
    fc.record({ kind: fc.constant(kind), ...fields }, { noNullPrototype: true }) as unknown as Arbitrary<P>,
  ])
}
