import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { encodeUtf8, ProtocolError, Reader, Writer } from '../src/index.ts'

function read(text: string): string {
  const writer = new Writer()
  writer.str(text)
  return new Reader(writer.take()).str('name', 1_000)
}

describe('names that are read again and again', () => {
  it('are each what was written, however they displace one another', () => {
    const name = fc.oneof(
      fc.string({ unit: fc.constantFrom('a', 'b'), maxLength: 6 }),
      fc.string({ unit: 'grapheme', maxLength: 30 }),
      fc.string({ maxLength: 60 }),
    )
    fc.assert(
      fc.property(fc.array(name, { minLength: 1, maxLength: 200 }), (names) => {
        for (const text of [...names, ...names]) expect(read(text)).toBe(text)
      }),
      { seed: 5 },
    )
  })

  it('are whole, however long, also where a character of two units falls on the end of a part', () => {
    for (let before = 0; before < 4; before++) {
      const text = `${'a'.repeat(before)}${'é🚀'.repeat(1_000)}`
      const writer = new Writer()
      writer.str(text)
      expect(new Reader(writer.take()).str('name', 10_000)).toBe(text)
    }
  })

  it('are not taken for others that end in the same way', () => {
    for (const text of ['xender-1', 'sender-1', 'sexder-1', 'sender-1']) expect(read(text)).toBe(text)
  })

  it('are refused when ill-formed, also after one of the same length and end was read', () => {
    const bytes = encodeUtf8('name-1234') ?? new Uint8Array()
    expect(read('name-1234')).toBe('name-1234')
    const bad = Uint8Array.of(0xa9, ...bytes)
    bad[2] = 0xff
    expect(() => new Reader(bad).str('name', 100)).toThrow()
  })
})

it('bytes whose values are the units of a name that was read are still no UTF-8', () => {
  for (let number = 0; number < 20_000; number++) {
    const units = [0xc0 + (number % 61), 0x80 + (number % 67), 0xa0 + (number % 71), 0xe0 + (number % 29)]
    expect(read(String.fromCharCode(...units)).length).toBe(4)
    expect(() => new Reader(Uint8Array.of(0xa4, ...units)).str('name', 100)).toThrow()
  }
})

const anyBytes = fc.uint8Array({ maxLength: 20 })
const octetsOf = (bytes: Uint8Array): string => String.fromCharCode(...bytes)

it('octets, and what lies within other bytes, are written as binary, and read as octets again', () => {
  fc.assert(
    fc.property(fc.oneof(anyBytes, fc.uint8Array({ minLength: 16, maxLength: 16 })), (bytes) => {
      const writer = new Writer()
      writer.bin(bytes)
      const binary = writer.take()
      writer.octets(octetsOf(bytes))
      expect(writer.take()).toEqual(binary)
      writer.binOf(Uint8Array.of(1, ...bytes, 2), 1, bytes.length)
      expect(writer.take()).toEqual(binary)
      expect(new Reader(binary).octets('hash', 20)).toBe(octetsOf(bytes))
    }),
  )
})

it('octets are refused where there is no binary, too long a one, or not all of it', () => {
  const refused = (...bytes: number[]): string => {
    try {
      return new Reader(Uint8Array.from(bytes)).octets('hash', 2)
    } catch (error) {
      return error instanceof ProtocolError ? error.code : String(error)
    }
  }
  expect(refused(0xa1, 0x41)).toBe('malformed-packet')
  expect(refused(0xc4, 3, 1, 2, 3)).toBe('too-big')
  expect(refused(0xc4, 2, 1)).toBe('malformed-packet')
  expect(refused(0xc4, 2, 0x41, 0xff)).toBe('A\u00ff')
  for (const text of ['x'.repeat(256), '\u0100']) expect(() => new Writer().octets(text)).toThrow(RangeError)
})
