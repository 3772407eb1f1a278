import { readFileSync } from 'node:fs'
import { Packr, unpackMultiple } from 'msgpackr'
import { describe, expect, test } from 'vitest'
import { clientShapes, decodeClientMessage, decodeServerMessage, serverShapes } from '../src/index.ts'
import { fromHex, toPlain, vectorFiles, vectorsUrl } from './vectors.ts'

interface Vector {
  readonly packet: { readonly kind: string }
  readonly hex: string
}

const sides = [
  { side: 'client', shapes: clientShapes, decode: decodeClientMessage },
  { side: 'server', shapes: serverShapes, decode: decodeServerMessage },
] as const

describe('the golden vectors', () => {
  test.each([...vectorFiles()])('%s is what the code writes today', (name, text) => {
    expect(readFileSync(new URL(name, vectorsUrl), 'utf8')).toBe(text)
  })

  describe.each(sides)('from the $side', ({ side, shapes, decode }) => {
    const vectors: readonly Vector[] = JSON.parse(readFileSync(new URL(`${side}.json`, vectorsUrl), 'utf8'))

    test.each(vectors)('$packet.kind $hex is read as its packet', ({ packet, hex }) => {
      expect(toPlain(decode(fromHex(hex)))).toEqual([packet])
    })

    test.each(shapes.map(({ kind }) => kind))('%s has at least two', (kind) => {
      expect(vectors.filter(({ packet }) => packet.kind === kind).length).toBeGreaterThanOrEqual(2)
    })

    test.each(vectors)('$packet.kind $hex means the same to another MessagePack library', ({ hex }) => {
      const elements = elementsOf(decode(fromHex(hex))[0], shapes)
      expect(unpackMultiple(fromHex(hex)).map(comparable)).toEqual([comparable(elements)])
    })

    test.each(vectors)('$packet.kind $hex is understood as another MessagePack library writes it', ({ packet, hex }) => {
      const written = new Packr({ useRecords: false }).pack(widened(elementsOf(decode(fromHex(hex))[0], shapes)))
      expect(toPlain(decode(new Uint8Array(written)))).toEqual([packet])
    })
  })
})

/** The elements of a packet's array: its number, then its fields, tuples as arrays. */
function elementsOf(
  packet: { readonly kind: string } | undefined,
  shapes: readonly { number: number; kind: string }[],
): unknown[] {
  const { kind, ...fields } = packet ?? { kind: '' }
  return [shapes.find((shape) => shape.kind === kind)?.number, ...Object.values(fields).map(untupled)]
}

function untupled(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(untupled)
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value
  return Object.values(value).map(untupled)
}

/** Numbers and bigints alike, since libraries choose either by the width; bytes as plain lists. */
function comparable(value: unknown): unknown {
  if (typeof value === 'number' && Number.isInteger(value)) return BigInt(value)
  if (value instanceof Uint8Array) return { bytes: [...value] }
  return Array.isArray(value) ? value.map(comparable) : value
}

/** Numbers that msgpackr would write as floats become bigints, which it writes as 64-bit integers. */
function widened(value: unknown): unknown {
  if (typeof value === 'number' && value > 0xffff_ffff) return BigInt(value)
  return Array.isArray(value) ? value.map(widened) : value
}
