import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  codeOf,
  decodeClientMessage,
  decodeServerMessage,
  decodeUtf8,
  encodeClientMessage,
  encodeServerMessage,
  encodeUtf8,
  ProtocolError,
} from '../src/index.ts'
import { anyText, clientArbitraries, serverArbitraries } from './arbitraries.ts'

const client = { side: 'client', encode: encodeClientMessage, decode: decodeClientMessage, arbitraries: clientArbitraries }
const server = { side: 'server', encode: encodeServerMessage, decode: decodeServerMessage, arbitraries: serverArbitraries }
const anyClient = fc.array(fc.oneof(...clientArbitraries.map(([, packet]) => packet)), { minLength: 1, maxLength: 5 })
const anyServer = fc.array(fc.oneof(...serverArbitraries.map(([, packet]) => packet)), { minLength: 1, maxLength: 5 })
const hostile = fc.oneof(
  fc.uint8Array({ maxLength: 200 }),
  mutated(anyClient.map(encodeClientMessage)),
  mutated(anyServer.map(encodeServerMessage)),
)

describe('what is written is what is read', () => {
  test.each(client.arbitraries)('%s', (_kind, packet) => {
    fc.assert(
      fc.property(packet, (sent) => {
        expect(decodeClientMessage(encodeClientMessage([sent]))).toEqual([sent])
      }),
    )
  })

  test.each(server.arbitraries)('%s', (_kind, packet) => {
    fc.assert(
      fc.property(packet, (sent) => {
        expect(decodeServerMessage(encodeServerMessage([sent]))).toEqual([sent])
      }),
    )
  })

  test('several packets in one message keep their order', () => {
    fc.assert(
      fc.property(anyClient, (sent) => {
        expect(decodeClientMessage(encodeClientMessage(sent))).toEqual(sent)
      }),
    )
    fc.assert(
      fc.property(anyServer, (sent) => {
        expect(decodeServerMessage(encodeServerMessage(sent))).toEqual(sent)
      }),
    )
  })

  test('a message is read the same wherever in a larger buffer it lies', () => {
    fc.assert(
      fc.property(anyClient, fc.nat(20), fc.nat(20), (sent, before, after) => {
        const bytes = encodeClientMessage(sent)
        const buffer = new Uint8Array(before + bytes.length + after).fill(0xc1)
        buffer.set(bytes, before)
        expect(decodeClientMessage(buffer.subarray(before, before + bytes.length))).toEqual(sent)
      }),
    )
  })
})

describe('hostile bytes [I10]', () => {
  test('end in a ProtocolError with a closing code, or are packets that can be written and read again', () => {
    let refused = 0
    let accepted = 0
    const check = (bytes: Uint8Array): void => {
      for (const { encode, decode } of [client, server] as const) {
        try {
          const packets = decode(bytes)
          expect(decode((encode as (sent: unknown) => Uint8Array)(packets))).toEqual(packets)
          accepted += 1
        } catch (error) {
          if (!(error instanceof ProtocolError)) throw error
          expect(codeOf(error.code).isClosing).toBe(true)
          refused += 1
        }
      }
    }
    fc.assert(fc.property(hostile, check), { numRuns: 5_000 })
    expect(refused).toBeGreaterThan(100)
    expect(accepted).toBeGreaterThan(100)
  })

  test.each([
    ['nested arrays', new Uint8Array(2 ** 21).fill(0x91)],
    [
      'long arrays that are not there',
      Uint8Array.from({ length: 2 ** 21 }, (_byte, at) => [0xdd, 0, 0, 0x3e, 0x80][at % 5] ?? 0),
    ],
    ['a million tiny values', new Uint8Array(2 ** 21)],
    ['as many ranges as fit into 2 MiB', cursorsOfRanges()],
  ])('%s are dealt with in well under a second', (_name, bytes) => {
    const begin = performance.now()
    expect(() => decodeServerMessage(bytes)).toThrow(ProtocolError)
    expect(() => decodeClientMessage(bytes)).toThrow(ProtocolError)
    // About 0.2 s at most here; the margin is for a busy machine.
    expect(performance.now() - begin).toBeLessThan(5_000)
  })
})

describe('UTF-8', () => {
  test('is written and read as the platform does it, but for lone surrogates, which have no form', () => {
    fc.assert(
      fc.property(anyText, (text) => {
        const expected = /\p{Surrogate}/u.test(text) ? undefined : new TextEncoder().encode(text)
        const bytes = encodeUtf8(text)
        expect(bytes).toEqual(expected)
        if (bytes !== undefined) expect(decodeUtf8(bytes, 0, bytes.length)).toBe(text)
      }),
      { numRuns: 1_000 },
    )
  })

  test('is refused exactly where a strict decoder of the platform refuses it', () => {
    const byte = fc.oneof(fc.constantFrom(0xc2, 0xe0, 0xed, 0xef, 0xf0, 0xf4, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf), fc.nat(255))
    const strict = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })
    const expected = (bytes: Uint8Array): string | undefined => {
      try {
        return strict.decode(bytes)
      } catch {
        return undefined
      }
    }
    const check = (list: number[]): void => {
      const bytes = Uint8Array.from(list)
      expect(decodeUtf8(bytes, 0, bytes.length)).toBe(expected(bytes))
    }
    fc.assert(fc.property(fc.array(byte, { maxLength: 8 }), check), { numRuns: 10_000 })
  })
})

/** Some bytes of a message changed, dropped, doubled, or its end cut off. */
function mutated(messages: fc.Arbitrary<Uint8Array>): fc.Arbitrary<Uint8Array> {
  const edit = fc.record({
    at: fc.nat(400),
    drop: fc.nat(3),
    put: fc.array(fc.oneof(fc.nat(255), fc.constantFrom(0xc0, 0xcf, 0xd3, 0xdc, 0xdd, 0xff)), { maxLength: 3 }),
  })
  return fc.tuple(messages, fc.array(edit, { maxLength: 4 })).map(([message, edits]) => {
    const bytes = [...message]
    for (const { at, drop, put } of edits) bytes.splice(at % (bytes.length + 1), drop, ...put)
    return Uint8Array.from(bytes)
  })
}

/** A HELLO full of cursors, each with 256 ranges, that ends too early. */
function cursorsOfRanges(): Uint8Array {
  const cursor = [0x94, 1, 1, 1, 0xdc, 1, 0, ...Array.from({ length: 256 }, () => [0x92, 1, 1]).flat()]
  const head = [0x99, 1, 1, 1, 0xa0, 0xc4, 16, ...Array.from({ length: 16 }, () => 0), 1, 0xa0, 0, 0xdc, 0x3e, 0x80]
  const bytes = new Uint8Array(2 ** 21)
  bytes.set(head)
  for (let at = head.length; at + cursor.length <= bytes.length; at += cursor.length) bytes.set(cursor, at)
  return bytes.subarray(0, bytes.length - 1)
}
