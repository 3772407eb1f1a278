import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { binSize, limits, strSize, u64Size, uintSize, Writer } from '../src/index.ts'

function written(write: (writer: Writer) => void): number {
  const writer = new Writer()
  write(writer)
  return writer.length
}

/** Where the form of a number or of a length changes. */
const edges = [0, 0x1f, 0x20, 0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000]

describe('how many bytes a writer takes', () => {
  it('is known of every number', () => {
    const number = fc.oneof(fc.constantFrom(...edges, 0xffff_ffff, 0x1_0000_0000), fc.nat(limits.numberMax))
    fc.assert(
      fc.property(number, (value) => {
        expect(uintSize(value)).toBe(written((writer) => writer.uint(value)))
      }),
    )
  })

  it('is known of every id', () => {
    const id = fc.oneof(fc.constantFrom(...edges.map(BigInt), 0xffff_ffffn, 0x1_0000_0000n), fc.bigInt(0n, 2n ** 64n - 1n))
    fc.assert(
      fc.property(id, (value) => {
        expect(u64Size(value)).toBe(written((writer) => writer.u64(value)))
      }),
    )
  })

  it('is known of every string', () => {
    for (const length of edges) {
      const text = 'a'.repeat(length)
      expect(strSize(text)).toBe(written((writer) => writer.str(text)))
    }
    const text = fc.string({ unit: 'grapheme', maxLength: 100 })
    fc.assert(
      fc.property(text, (value) => {
        expect(strSize(value)).toBe(written((writer) => writer.str(value)))
      }),
    )
  })

  it('is known of every binary', () => {
    for (const length of edges) expect(binSize(length)).toBe(written((writer) => writer.bin(new Uint8Array(length))))
  })
})
