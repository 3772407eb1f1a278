import { describe, expect, test } from 'vitest'
import { type CodeName, codeOf, decodeClientMessage, decodeServerMessage, ProtocolError } from '../src/index.ts'
import { acceptedCases, allRefusedCases, type Side } from './malformed.ts'
import { fromHex } from './vectors.ts'

const decoders = { client: decodeClientMessage, server: decodeServerMessage }
const cases = allRefusedCases()
const isCut = ({ name }: { readonly name: string }): boolean => name.includes('cut off after')

describe('a message that breaks the protocol is refused with a closing code [I10]', () => {
  test.each(cases.filter((row) => !isCut(row)))('$name: $code', ({ from, hex, code }) => {
    expect(verdict(from, hex)).toBe(code)
    expect(codeOf(code).isClosing).toBe(true)
  })

  test('every vector, cut off at every byte', () => {
    const cuts = cases.filter(isCut)
    const wrong = cuts.filter(({ from, hex, code }) => verdict(from, hex) !== code)
    expect(cuts.length).toBeGreaterThan(1_000)
    expect(wrong).toEqual([])
  })

  test('an error names the field that was at fault', () => {
    const decode = () => decodeClientMessage(fromHex('940b00a0c3'))
    expect(decode).toThrow(
      expect.objectContaining({ name: 'ProtocolError', field: 'typing.to', message: 'typing.to: not an address: it is empty' }),
    )
  })

  test('an error without a field says so in its text alone', () => {
    expect(new ProtocolError('too-big', '', 'a text').message).toBe('a text')
  })
})

describe('a message in an unusual form is read all the same', () => {
  test.each(acceptedCases())('$name', ({ from, hex, packets }) => {
    expect(decoders[from](fromHex(hex))).toEqual(packets)
  })
})

function verdict(from: Side, hex: string): CodeName | 'accepted' {
  try {
    decoders[from](fromHex(hex))
    return 'accepted'
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
}
