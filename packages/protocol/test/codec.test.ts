import { describe, expect, test } from 'vitest'
import {
  addressFault,
  addressOf,
  type ClientPacket,
  codeByNumber,
  codeNumber,
  codeOf,
  codes,
  decodeClientMessage,
  encodeClientMessage,
  encodeServerMessage,
  encodeUtf8,
  kindOf,
  limits,
  nameOf,
  Reader,
  type ServerPacket,
  statusByNumber,
  utf8Length,
  Writer,
  writeClientPacket,
} from '../src/index.ts'
import { longAddress } from './samples.ts'
import { fromHex, toHex } from './vectors.ts'

describe('Writer', () => {
  test.each([
    [0, '00'],
    [127, '7f'],
    [128, 'cc80'],
    [255, 'ccff'],
    [256, 'cd0100'],
    [65_535, 'cdffff'],
    [65_536, 'ce00010000'],
    [2 ** 32 - 1, 'ceffffffff'],
    [2 ** 32, 'cf0000000100000000'],
    [limits.numberMax, 'cf001fffffffffffff'],
  ])('writes %d in its shortest form, as a number and as an id', (value, hex) => {
    expect(written((writer) => writer.uint(value))).toBe(hex)
    expect(written((writer) => writer.u64(BigInt(value)))).toBe(hex)
  })

  test.each([-1, -200, 0.5, 200.5, 2 ** 53, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])(
    'refuses %d',
    (value) => {
      expect(() => new Writer().uint(value)).toThrow(RangeError)
    },
  )

  test('writes minus zero as zero', () => {
    expect(written((writer) => writer.uint(-0))).toBe('00')
  })

  test.each([-1n, limits.idMax + 1n])('refuses the id %d', (value) => {
    expect(() => new Writer().u64(value)).toThrow(RangeError)
  })

  test.each([
    [0, 'a0', 'c400'],
    [31, 'bf', 'c41f'],
    [32, 'd920', 'c420'],
    [255, 'd9ff', 'c4ff'],
    [256, 'da0100', 'c50100'],
    [65_535, 'daffff', 'c5ffff'],
    [65_536, 'db00010000', 'c600010000'],
  ])('writes the length %d of strings and binary in its shortest form', (length, str, bin) => {
    expect(written((writer) => writer.str('a'.repeat(length)))).toBe(str + '61'.repeat(length))
    expect(written((writer) => writer.bin(new Uint8Array(length)))).toBe(bin + '00'.repeat(length))
  })

  test.each([
    [0, '90'],
    [15, '9f'],
    [16, 'dc0010'],
    [65_535, 'dcffff'],
    [65_536, 'dd00010000'],
  ])('writes the header of an array of %d in its shortest form', (length, hex) => {
    expect(written((writer) => writer.array(length))).toBe(hex)
  })

  test.each(['\ud800', 'a\udc00', '\ud800a', '\udc00\ud800'])('refuses the lone surrogate in %j', (text) => {
    expect(() => new Writer().str(text)).toThrow(RangeError)
    expect(utf8Length(text)).toBe(-1)
    expect(encodeUtf8(text)).toBeUndefined()
  })

  test('writes what is MessagePack already as it is, and grows from nothing', () => {
    const writer = new Writer(0)
    writer.nil()
    writer.bool(true)
    writer.bool(false)
    writer.raw(fromHex('93010203'))
    expect(writer.length).toBe(7)
    expect(toHex(writer.take())).toBe('c0c3c293010203')
    expect(writer.length).toBe(0)
  })

  test.each(['take', 'takeView', 'release'] as const)('%s hands out what later writing does not touch', (method) => {
    const writer = new Writer(4)
    const taken: Uint8Array[] = []
    for (let value = 1; value <= 40; value++) {
      for (let times = 0; times < value; times++) writer.uint(value)
      taken.push(writer[method]())
      expect(writer.length).toBe(0)
    }
    expect(taken.map(toHex)).toEqual(
      taken.map((_, at) =>
        (at + 1)
          .toString(16)
          .padStart(2, '0')
          .repeat(at + 1),
      ),
    )
  })

  test('lends what was written until something else is', () => {
    const writer = new Writer(4)
    writer.uint(1)
    const lent = writer.lend()
    expect([toHex(lent), writer.length]).toEqual(['01', 0])
    writer.uint(2)
    expect(toHex(lent)).toBe('02')
  })

  test('forgets what is cut off, and only that', () => {
    const writer = new Writer()
    writer.array(2)
    writer.cut(5)
    expect(writer.length).toBe(1)
    writer.cut(0)
    expect(writer.length).toBe(0)
  })
})

describe('a packet that cannot be encoded', () => {
  const ping = { kind: 'ping', clientTime: 1 } as const

  test.each([
    { ...ping, clientTime: -1 },
    { kind: 'typing', toKind: 0, to: '\ud800', isActive: true },
    { kind: 'query', request: 1, messages: [{ toKind: 0, to: 'bob', id: -1n }] },
  ] satisfies ClientPacket[])('$kind throws and leaves the message as it was', (packet) => {
    const writer = new Writer()
    writeClientPacket(writer, ping)
    expect(() => writeClientPacket(writer, packet)).toThrow(RangeError)
    writeClientPacket(writer, ping)
    expect(decodeClientMessage(writer.take())).toEqual([ping, ping])
  })

  test('is one of the other direction too', () => {
    expect(() => encodeClientMessage([{ kind: 'renewed', tokenExpiresMs: 0 } as unknown as ClientPacket])).toThrow(RangeError)
    expect(() => encodeServerMessage([ping as unknown as ServerPacket])).toThrow(RangeError)
  })
})

describe('Reader', () => {
  test('says where it is', () => {
    const reader = new Reader(fromHex('cd0100c0'))
    expect(reader.uint('n', 1000)).toBe(256)
    expect(reader.offset).toBe(3)
    expect(reader.isDone).toBe(false)
    expect(reader.nil()).toBe(true)
    expect(reader.nil()).toBe(false)
    expect(reader.isDone).toBe(true)
  })

  test('takes the largest message of packets that is allowed', () => {
    expect(decodeClientMessage(fromHex('920300'.repeat(limits.packetsPerMessage)))).toHaveLength(limits.packetsPerMessage)
  })

  test('gives bodies as views, not copies', () => {
    const bytes = fromHex('9a040100a3626f6201000800c3c40107')
    const [packet] = decodeClientMessage(bytes)
    bytes[bytes.length - 1] = 8
    expect(packet).toMatchObject({ body: Uint8Array.of(8) })
  })
})

describe('addresses', () => {
  test.each(['a', longAddress, '...', 'ü', '\u00a0', ' ', '😀'])('%j is one', (name) => {
    expect(addressFault(name)).toBeUndefined()
  })

  test.each([
    ['', 'it is empty'],
    ['.', "'.' and '..' are not allowed"],
    ['..', "'.' and '..' are not allowed"],
    [`${longAddress}z`, 'it takes 129 bytes, 1 to 128 are allowed'],
    ['a\ud800', 'it is not well-formed Unicode'],
    ['a\tb', 'control characters are not allowed'],
    ['\u007f', 'control characters are not allowed'],
    ['\u009f', 'control characters are not allowed'],
  ])('%j is none', (name, fault) => {
    expect(addressFault(name)).toBe(fault)
  })

  test.each([{ user: 'bob' }, { group: 'team' }])('%j is its kind and its name', (address) => {
    expect(addressOf(kindOf(address), nameOf(address))).toEqual(address)
  })

  test('a user is of kind 0 and a group of kind 1', () => {
    expect([kindOf({ user: 'a' }), kindOf({ group: 'a' })]).toEqual([0, 1])
  })
})

describe('codes', () => {
  test('have names and numbers that are all different, in the order of the numbers', () => {
    const numbers = codes.map(({ number }) => number)
    expect(new Set(codes.map(({ name }) => name)).size).toBe(codes.length)
    expect(numbers).toEqual([...new Set(numbers)].sort((a, b) => a - b))
  })

  test.each(codes)('$name is found by name and by number', (code) => {
    expect(codeByNumber(code.number)).toBe(code)
    expect(codeOf(code.name as 'sent')).toBe(code)
    expect(codeNumber(code.name as 'sent')).toBe(code.number)
  })

  test('of a newer peer are told apart from all others', () => {
    expect(codeByNumber(998)).toMatchObject({ number: 0, name: 'unrecognised' })
    expect(codeOf('no-such-code' as 'sent').name).toBe('unrecognised')
  })

  test.each([
    [2, 'sent'],
    [20, 'cancelled'],
    [40, 'unknown'],
    [998, 'unknown'],
    [0, 'unknown'],
  ])('the status of number %d is %s', (number, status) => {
    expect(statusByNumber(number)).toBe(status)
  })

  test('that close a connection fit into the WebSocket codes that applications may use', () => {
    const closing = codes.filter(({ isClosing }) => isClosing)
    expect(closing.length).toBeGreaterThan(10)
    expect(closing.every(({ number }) => 4000 + number <= 4999)).toBe(true)
  })
})

function written(write: (writer: Writer) => void): string {
  const writer = new Writer(1)
  write(writer)
  return toHex(writer.take())
}
