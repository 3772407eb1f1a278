/** How commands and records are stored; what is written out for the hot path does what its fields say. */
import { ProtocolError, Reader, Writer } from '@posthaste/protocol'
import * as schema from '@posthaste/protocol/schema'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  ack,
  decodeCommand,
  decodeRecord,
  encodeCommand,
  encodeRecord,
  logicVersion,
  recordVersion,
  type ShardRecord,
  send,
} from '../src/shard/commands.ts'

const number = fc.oneof(fc.nat(300), fc.maxSafeNat())
const name = fc.string({ minLength: 1, maxLength: 20 }).filter((text) => !['.', '..'].includes(text))
const hex = fc.string({ unit: fc.constantFrom('0', 'a', 'f'), minLength: 32, maxLength: 32 })
const origin = { tag: number, ref: number }
const arbitraries = {
  send: fc.record({
    kind: fc.constant('send'),
    ...origin,
    sender: number,
    senderName: name,
    device: hex,
    toKind: fc.constantFrom(0, 1),
    to: name,
    id: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    type: fc.nat(0xffff_ffff),
    priority: fc.nat(15),
    deadlineMs: number,
    receipts: fc.boolean(),
    isTooLarge: fc.boolean(),
    hash: fc.string({ unit: fc.nat(255).map((unit) => String.fromCharCode(unit)), maxLength: 16 }),
    body: fc.uint8Array({ maxLength: 40 }),
  }),
  ack: fc.record({
    kind: fc.constant('ack'),
    ...origin,
    log: number,
    user: number,
    device: hex,
    session: number,
    lane: fc.nat(15),
    upTo: number,
    notStored: fc.array(fc.record({ from: number, to: number }), { maxLength: 5 }),
  }),
}

function outcomeOf(shape: schema.AnyShape, bytes: Uint8Array): unknown {
  const reader = new Reader(bytes)
  try {
    const elements = reader.array('command', 32)
    reader.uint('command number', 999)
    return [schema.readFields(reader, shape, elements), reader.offset]
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return [error.code, error.field, error.message]
  }
}

describe.each([
  [send as schema.AnyShape, arbitraries.send],
  [ack as schema.AnyShape, arbitraries.ack],
] as const)('a command that is written out', (shape, arbitrary) => {
  it(`[I11] ${shape.kind} is the same bytes, and is read as the same command or refused for the same reason`, () => {
    const byFields = { ...shape, written: undefined }
    const commands = arbitrary as fc.Arbitrary<{ readonly kind: string }>
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 })
    fc.assert(
      fc.property(commands, changes, (command, changed) => {
        const [writer, other] = [new Writer(), new Writer()]
        schema.writePacket(writer, shape, command)
        schema.writePacket(other, byFields, command)
        const bytes = writer.take()
        expect(bytes).toEqual(other.take())
        for (const [at, value] of changed) bytes[1 + (at % (bytes.length - 1))] = value
        expect(outcomeOf(shape, bytes)).toEqual(outcomeOf(byFields, bytes))
      }),
      { seed: 5, numRuns: 1_000 },
    )
  })
})

/** What reading fails by: the code and the field of an error. */
function faultOf(read: () => unknown): string {
  try {
    read()
    return ''
  } catch (error) {
    return error instanceof ProtocolError ? `${error.code} ${error.field}` : `${error}`
  }
}

describe('a stored record', () => {
  const record: ShardRecord = {
    clockMs: 5,
    incarnation: 6,
    number: 7,
    commands: [
      { kind: 'userEnd', user: 9 },
      { kind: 'sessionEnd', user: 9, device: '0'.repeat(32), session: 4 },
    ],
  }
  const bytes = encodeRecord(record, new Writer(256))
  const spoilt = (at: number, value = 0xc0): Uint8Array => Uint8Array.from(bytes, (byte, place) => (place === at ? value : byte))

  it('[I11] is read as it was written', () => {
    expect(decodeRecord(bytes)).toEqual(record)
    expect(recordVersion(bytes)).toBe(logicVersion)
    for (const command of record.commands) expect(decodeCommand(encodeCommand(command))).toEqual(command)
  })

  it('[I11] of another version says so, and is not read', () => {
    const later = spoilt(1, logicVersion + 1)
    expect([recordVersion(later), faultOf(() => decodeRecord(later))]).toEqual([logicVersion + 1, 'out-of-range version'])
  })

  it('[I11] that is spoilt is refused, and its error names what is', () => {
    const fields = [
      'record',
      'version',
      'clock',
      'incarnation',
      'number',
      'commands',
      'command',
      'command number',
      'userEnd.user',
    ]
    expect(fields.map((_, at) => faultOf(() => decodeRecord(spoilt(at))))).toEqual(
      fields.map((field) => `malformed-packet ${field}`),
    )
    expect([0, 1].map((at) => faultOf(() => recordVersion(spoilt(at))))).toEqual([
      'malformed-packet record',
      'malformed-packet version',
    ])
    expect(faultOf(() => decodeRecord(spoilt(7, 99)))).toBe('RangeError: no such command')
  })
})
