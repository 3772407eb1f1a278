/** Messages that break the protocol, each with the code that it ends with, and odd ones that are allowed. */
import { type CodeName, encodeClientMessage, encodeServerMessage, limits, Writer } from '../src/index.ts'
import { clientSamples, longAddress, serverSamples } from './samples.ts'

/** Which side sent the message. */
export type Side = 'client' | 'server'

/** A message that must be refused. */
export interface RefusedCase {
  readonly name: string
  readonly from: Side
  readonly hex: string
  readonly code: CodeName
}

/** A message in an unusual form that must be read as these packets. */
export interface AcceptedCase {
  readonly name: string
  readonly from: Side
  readonly hex: string
  readonly packets: readonly unknown[]
}

const text = (value: string): string => written((writer) => writer.str(value))
const number = (value: number): string => written((writer) => writer.uint(value))

/** A PING (number 3) with that clientTime. */
const ping = (time: string): string => `9203${time}`
/** A RENEW (number 2) with that token. */
const renew = (token: string): string => `9202${token}`
/** A TYPING (number 11) to that address. */
const typing = (to: string, kind = '00'): string => `940b${kind}${to}c3`
/** A RESUME (number 5) with that ref. */
const resume = (ref: string): string => `9205${ref}`

interface SendFields {
  readonly to: string
  readonly id: string
  readonly type: string
  readonly priority: string
  readonly receipts: string
  readonly body: string
}

/** A SEND (number 4), right but for the given fields. */
function send(fields: Partial<SendFields>): string {
  const right = { to: text('bob'), id: '01', type: '00', priority: '08', receipts: 'c3', body: 'c400' }
  const { to, id, type, priority, receipts, body } = { ...right, ...fields }
  return `9a040100${to}${id}${type}${priority}00${receipts}${body}`
}

/** A HELLO (number 1) with these cursors, and that device. */
const hello = (cursors: string, device = `c410${'00'.repeat(16)}`): string =>
  `99010101${text('')}${device}01${text('')}00${cursors}`

type Row = readonly [name: string, hex: string, code: CodeName]

const encodingRows: readonly Row[] = [
  ['an empty message', '', 'malformed-packet'],
  ['a message that is no array', '03', 'malformed-packet'],
  ['an empty array', '90', 'malformed-packet'],
  ['a packet whose number is a string', '92a13300', 'malformed-packet'],
  ['a float 32 of 1.0', ping('ca3f800000'), 'malformed-packet'],
  ['a float 64 of 1.0', ping('cb3ff0000000000000'), 'malformed-packet'],
  ['a float as the packet number', '92cb400800000000000000', 'malformed-packet'],
  ['a float as an id', send({ id: 'cb3ff0000000000000' }), 'malformed-packet'],
  ['a fixmap', ping('80'), 'malformed-packet'],
  ['a map 16', ping('de0000'), 'malformed-packet'],
  ['a map 32', ping('df00000000'), 'malformed-packet'],
  ['a map instead of a packet', '8103', 'malformed-packet'],
  ['a fixext 1', ping('d40000'), 'malformed-packet'],
  ['a fixext 16', ping(`d800${'00'.repeat(16)}`), 'malformed-packet'],
  ['an ext 8', ping('c70000'), 'malformed-packet'],
  ['an ext 16', ping('c8000000'), 'malformed-packet'],
  ['an ext 32', ping('c90000000000'), 'malformed-packet'],
  ['the byte that MessagePack never uses', ping('c1'), 'malformed-packet'],
  ['nil for an integer', ping('c0'), 'malformed-packet'],
  ['a boolean for an integer', ping('c3'), 'malformed-packet'],
  ['an integer for a boolean', send({ receipts: '01' }), 'malformed-packet'],
  ['nil for a boolean', send({ receipts: 'c0' }), 'malformed-packet'],
  ['a string for binary', send({ body: 'a0' }), 'malformed-packet'],
  ['binary for a string', send({ to: 'c403626f62' }), 'malformed-packet'],
  ['an array for a string', send({ to: '90' }), 'malformed-packet'],
  ['an integer for an array', hello('00'), 'malformed-packet'],
  ['nil for an array', hello('c0'), 'malformed-packet'],
  ['bytes left over that begin no packet', `${ping('00')}00`, 'malformed-packet'],
  ['a packet that says it has a field too few', '9103', 'malformed-packet'],
  ['a packet that says it has a field too many', '930300', 'malformed-packet'],
  ['a field more than the array says', '92030000', 'malformed-packet'],
  ['a tuple with an element too few', hello('9193010101'), 'malformed-packet'],
  ['a tuple with an element too many', hello('9195010101900100'), 'malformed-packet'],
  ['100,000 nested arrays', '91'.repeat(100_000), 'malformed-packet'],
  ['100,000 nested arrays in a field', `9203${'91'.repeat(100_000)}`, 'malformed-packet'],
  ['arrays nested where a list of lists may be', hello('91'.repeat(1_000)), 'malformed-packet'],
]

const integerRows: readonly Row[] = [
  ['a negative fixint', ping('ff'), 'out-of-range'],
  ['the lowest negative fixint', ping('e0'), 'out-of-range'],
  ['a negative int 8', ping('d080'), 'out-of-range'],
  ['a negative int 16', ping('d1ffff'), 'out-of-range'],
  ['a negative int 32', ping('d280000000'), 'out-of-range'],
  ['a negative int 64', ping('d3ffffffffffffffff'), 'out-of-range'],
  ['a negative fixint as an id', send({ id: 'ff' }), 'out-of-range'],
  ['a negative int 8 as an id', send({ id: 'd0ff' }), 'out-of-range'],
  ['a negative int 64 as an id', send({ id: 'd3ffffffffffffffff' }), 'out-of-range'],
  ['the lowest int 64 as an id', send({ id: 'd38000000000000000' }), 'out-of-range'],
  ['2^53', ping('cf0020000000000000'), 'out-of-range'],
  ['2^53 + 1, which no double can hold', ping('cf0020000000000001'), 'out-of-range'],
  ['2^64 - 1 where no id is', ping('cfffffffffffffffff'), 'out-of-range'],
  ['priority 16', send({ priority: '10' }), 'out-of-range'],
  ['type 2^32', send({ type: 'cf0000000100000000' }), 'out-of-range'],
  ['ref 2^32', resume('cf0000000100000000'), 'out-of-range'],
  ['address kind 2', typing(text('bob'), '02'), 'out-of-range'],
  ['roles 8', `950f01${text('team')}${text('bob')}08`, 'out-of-range'],
  ['a page of 0', `951001${text('team')}a000`, 'out-of-range'],
  ['a page of 257', `951001${text('team')}a0cd0101`, 'out-of-range'],
  ['version 256', `9901cd010001${text('')}c410${'00'.repeat(16)}01${text('')}0090`, 'out-of-range'],
  ['packet number 2^53', '92cf002000000000000000', 'out-of-range'],
]

const numberRows: readonly Row[] = [
  ['packet number 0', '9100', 'unknown-packet'],
  ['packet number 19', '921300', 'unknown-packet'],
  ['packet number 2^53 - 1', '92cf001fffffffffffff00', 'unknown-packet'],
  ["a server's packet", '92233401', 'unknown-packet'],
  ['a right packet, then an unknown one', `${ping('00')}9163`, 'unknown-packet'],
]

const stringRows: readonly Row[] = [
  ['a lone continuation byte', renew('a180'), 'malformed-packet'],
  ['an overlong form of 2 bytes', renew('a2c0af'), 'malformed-packet'],
  ['another overlong form of 2 bytes', renew('a2c1bf'), 'malformed-packet'],
  ['an overlong form of 3 bytes', renew('a3e080af'), 'malformed-packet'],
  ['an overlong form of 4 bytes', renew('a4f08080af'), 'malformed-packet'],
  ['NUL in two bytes', renew('a2c080'), 'malformed-packet'],
  ['a lone high surrogate', renew('a3eda080'), 'malformed-packet'],
  ['a lone low surrogate', renew('a3edbfbf'), 'malformed-packet'],
  ['a pair of surrogates, each encoded by itself', renew('a6eda0bdedb880'), 'malformed-packet'],
  ['a code point above U+10FFFF', renew('a4f4908080'), 'malformed-packet'],
  ['a first byte above F4', renew('a4f5808080'), 'malformed-packet'],
  ['a first byte FF', renew('a1ff'), 'malformed-packet'],
  ['a character cut off by the end of the string', renew('a2e282'), 'malformed-packet'],
  ['a character cut off by another one', renew('a3e28241'), 'malformed-packet'],
  ['a character that would go on after the string', `${renew('a1c3')}a9`, 'malformed-packet'],
]

const addressRows: readonly Row[] = [
  ['an empty address', typing(text('')), 'out-of-range'],
  ['the address .', typing(text('.')), 'out-of-range'],
  ['the address ..', typing(text('..')), 'out-of-range'],
  ['an address with U+0000', typing(text('a\u0000b')), 'out-of-range'],
  ['an address with a line feed', typing(text('a\nb')), 'out-of-range'],
  ['an address with U+001F', typing(text('\u001f')), 'out-of-range'],
  ['an address with U+007F', typing(text('a\u007f')), 'out-of-range'],
  ['an address with U+0080', typing(text('\u0080')), 'out-of-range'],
  ['an address with U+009F', typing(text('\u009f')), 'out-of-range'],
  ['an address of 129 bytes', typing(text(`${longAddress}z`)), 'too-big'],
  ['an address of 129 bytes in 65 characters', typing(text(`${'é'.repeat(64)}z`)), 'too-big'],
  ['an address that is not UTF-8', typing('a1e9'), 'malformed-packet'],
  ['a bad address among the users of WATCH', `930c92${text('bob')}${text('..')}c3`, 'out-of-range'],
]

const lengthRows: readonly Row[] = [
  ['a str 8 longer than the message', renew('d905616161'), 'malformed-packet'],
  ['a str 32 of 4 GiB', renew('dbffffffff'), 'too-big'],
  ['a token of 8,193 bytes', renew(text('t'.repeat(limits.tokenBytes + 1))), 'too-big'],
  ['an agent of 257 bytes', `99010101a0c410${'00'.repeat(16)}01${text('a'.repeat(257))}0090`, 'too-big'],
  ['a bin 8 longer than the message', send({ body: 'c4ff00' }), 'malformed-packet'],
  ['a bin 16 longer than the message', send({ body: 'c5ffff00' }), 'malformed-packet'],
  ['a bin 32 of 1 MiB that is not there', send({ body: 'c600100000' }), 'malformed-packet'],
  ['a bin 32 of 1 MiB and a byte', send({ body: 'c600100001' }), 'too-big'],
  ['a bin 32 of 4 GiB', send({ body: 'c6ffffffff' }), 'too-big'],
  ['a device of 15 bytes', hello('90', `c40f${'00'.repeat(15)}`), 'out-of-range'],
  ['a device of 17 bytes', hello('90', `c411${'00'.repeat(17)}`), 'too-big'],
  ['an array 32 of 2^32 - 1 as a packet', 'ddffffffff', 'too-big'],
  ['a packet of 33 elements', 'dc002103', 'too-big'],
  ['an array 16 longer than the message', hello('dc3e80'), 'malformed-packet'],
  ['16,385 cursors', hello('dc4001'), 'too-big'],
  ['an array 32 of 2^32 - 1 cursors', hello('ddffffffff'), 'too-big'],
  ['257 ranges in ACK', `9506010801dc0101${'920101'.repeat(257)}`, 'too-big'],
  ['257 messages in QUERY', `930801dc0101${`9300${text('bob')}01`.repeat(257)}`, 'too-big'],
  ['257 users in WATCH', `930cdc0101${text('bob').repeat(257)}c3`, 'too-big'],
  ['4,097 packets', ping('00').repeat(4_097), 'too-big'],
]

/** A DELIVER (number 37) with that echoTo. */
const deliver = (echoTo: string): string => `9e2507080905${text('a')}0101000000c2${echoTo}c400`

const serverRows: readonly Row[] = [
  ['a SEND from the server', '92040a', 'unknown-packet'],
  ['PRESENCE with state 3', `9430${text('bob')}0300`, 'out-of-range'],
  ['SKIP with reason 16', '96260708091010', 'out-of-range'],
  ['code 1,000', '933201cd03e8', 'out-of-range'],
  ['echoTo as a boolean', deliver('c3'), 'malformed-packet'],
  ['echoTo with one element', deliver('9100'), 'malformed-packet'],
  ['1,001 groups', `9b20010105${text('alice')}0000000000dc03e9`, 'too-big'],
]

/** Every message of the vectors cut off after each of its bytes. The first byte of a cut is always there. */
function truncated(): RefusedCase[] {
  const client = clientSamples.map((packet) => ({
    from: 'client' as const,
    kind: packet.kind,
    bytes: encodeClientMessage([packet]),
  }))
  const server = serverSamples.map((packet) => ({
    from: 'server' as const,
    kind: packet.kind,
    bytes: encodeServerMessage([packet]),
  }))
  return [...client, ...server].flatMap(({ from, kind, bytes }) =>
    Array.from({ length: bytes.length - 1 }, (_byte, at) => ({
      name: `${kind} cut off after ${at + 1} of ${bytes.length} bytes`,
      from,
      hex: Buffer.from(bytes.subarray(0, at + 1)).toString('hex'),
      code: 'malformed-packet' as const,
    })),
  )
}

/** Messages that must be refused, for the vectors: no longer than 20,000 digits each. */
export function refusedCases(): RefusedCase[] {
  return allRefusedCases().filter(({ hex, name }) => hex.length <= 20_000 && !name.includes('cut off after'))
}

/** All messages that must be refused. */
export function allRefusedCases(): RefusedCase[] {
  const client = [...encodingRows, ...integerRows, ...numberRows, ...stringRows, ...addressRows, ...lengthRows]
  return [
    ...client.map(([name, hex, code]) => ({ name, from: 'client' as const, hex, code })),
    ...serverRows.map(([name, hex, code]) => ({ name, from: 'server' as const, hex, code })),
    ...truncated(),
  ]
}

/** Messages in other than the customary form, which must be read all the same: libraries differ in the widths that they write. */
export function acceptedCases(): AcceptedCase[] {
  const widths: readonly (readonly [string, string])[] = [
    ['uint 8', 'cc05'],
    ['uint 16', 'cd0005'],
    ['uint 32', 'ce00000005'],
    ['uint 64', 'cf0000000000000005'],
    ['int 8', 'd005'],
    ['int 16', 'd10005'],
    ['int 32', 'd200000005'],
    ['int 64', 'd30000000000000005'],
  ]
  const sent = {
    kind: 'send',
    ref: 1,
    toKind: 0,
    to: 'bob',
    id: 1n,
    type: 0,
    priority: 8,
    deadlineMs: 0,
    receipts: true,
    body: new Uint8Array(),
  }
  const rows: readonly (readonly [string, string, unknown])[] = [
    ...widths.map(([name, hex]) => [`5 as ${name}`, ping(hex), { kind: 'ping', clientTime: 5 }] as const),
    ...widths.map(([name, hex]) => [`id 5 as ${name}`, send({ id: hex }), { ...sent, id: 5n }] as const),
    ['2^53 - 1 as int 64', ping('d3001fffffffffffff'), { kind: 'ping', clientTime: limits.numberMax }],
    ['id 2^63 - 1 as int 64', send({ id: 'd37fffffffffffffff' }), { ...sent, id: 0x7fff_ffff_ffff_ffffn }],
    ['a packet number as uint 64', `92cf0000000000000003${number(7)}`, { kind: 'ping', clientTime: 7 }],
    ['a packet as array 16', 'dc00020307', { kind: 'ping', clientTime: 7 }],
    ['a packet as array 32', 'dd000000020307', { kind: 'ping', clientTime: 7 }],
    ['a str 8 shorter than 32 bytes', renew('d90161'), { kind: 'renew', token: 'a' }],
    ['a str 16 shorter than 256 bytes', renew('da000161'), { kind: 'renew', token: 'a' }],
    ['a str 32 shorter than 65,536 bytes', renew('db0000000161'), { kind: 'renew', token: 'a' }],
    ['a bin 16 shorter than 256 bytes', send({ body: 'c5000107' }), { ...sent, body: Uint8Array.of(7) }],
    ['a bin 32 shorter than 65,536 bytes', send({ body: 'c60000000107' }), { ...sent, body: Uint8Array.of(7) }],
    ['U+0000 in a text that is no address', renew('a100'), { kind: 'renew', token: '\u0000' }],
    ['a byte order mark, which is kept', renew('a3efbbbf'), { kind: 'renew', token: '\ufeff' }],
    ['a noncharacter', renew('a3efbfbf'), { kind: 'renew', token: '\uffff' }],
    ['the highest code point', renew('a4f48fbfbf'), { kind: 'renew', token: '\u{10ffff}' }],
    ['U+00A0 in an address', typing(text('\u00a0')), { kind: 'typing', toKind: 0, to: '\u00a0', isActive: true }],
    ['the address ...', typing(text('...')), { kind: 'typing', toKind: 0, to: '...', isActive: true }],
  ]
  const single = rows.map(([name, hex, packet]) => ({ name, from: 'client' as const, hex, packets: [packet] }))
  const two = [
    { kind: 'ping', clientTime: 1 },
    { kind: 'ping', clientTime: 2 },
  ]
  return [...single, { name: 'two packets in one message', from: 'client', hex: ping('01') + ping('02'), packets: two }]
}

function written(write: (writer: Writer) => void): string {
  const writer = new Writer()
  write(writer)
  return Buffer.from(writer.take()).toString('hex')
}
