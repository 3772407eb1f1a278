/** What is written out for the hot path does what its fields say. */
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type AnyShape, ProtocolError, Reader, Writer } from '../src/index.ts'
import { clientShapesToRead, serverShapesToWrite } from '../src/packets/hot.ts'
import * as schema from '../src/schema.ts'
import { clientArbitraries, serverArbitraries } from './arbitraries.ts'

const shapes: readonly AnyShape[] = [...clientShapesToRead, ...serverShapesToWrite]
const cases = [...clientArbitraries, ...serverArbitraries].flatMap(([kind, packet]) => {
  const shape = shapes.find((one) => one.kind === kind && one.written !== undefined)
  return shape === undefined ? [] : [{ kind, shape, byFields: { ...shape, written: undefined }, packet }]
})

function bytesOf(shape: AnyShape, packet: { readonly kind: string }): Uint8Array {
  const writer = new Writer()
  schema.writePacket(writer, shape, packet)
  return writer.take()
}

function outcomeOf(shape: AnyShape, bytes: Uint8Array): unknown {
  const reader = new Reader(bytes)
  try {
    const elements = reader.array('packet', 32)
    reader.uint('packet number', 999)
    return [schema.readFields(reader, shape, elements), reader.offset]
  } catch (error) {
    if (!(error instanceof ProtocolError)) throw error
    return [error.code, error.field, error.message]
  }
}

test('some packets are written out', () => {
  expect(cases.map(({ kind }) => kind)).toEqual(['send', 'ack', 'result', 'mark'])
})

describe.each(cases)('$kind, written out', ({ shape, byFields, packet }) => {
  test('is the same bytes', () => {
    fc.assert(
      fc.property(packet, (one) => {
        expect(bytesOf(shape, one)).toEqual(bytesOf(byFields, one))
      }),
    )
  })

  test('is read as the same packet, or refused for the same reason', () => {
    const changes = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 3 })
    fc.assert(
      fc.property(packet, changes, fc.option(fc.nat()), (one, changed, cut) => {
        const bytes = bytesOf(byFields, one)
        for (const [at, value] of changed) bytes[1 + (at % (bytes.length - 1))] = value
        const shown = cut === null ? bytes : bytes.subarray(0, cut % bytes.length)
        expect(outcomeOf(shape, shown)).toEqual(outcomeOf(byFields, shown))
      }),
      { numRuns: 1_000 },
    )
  })
})
