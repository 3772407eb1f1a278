import { codes } from '@posthaste/protocol'
import { expect, it } from 'vitest'
import { codeByNumber, codeNumber, codeRows, statusByNumber } from '../../src/machine/codes.ts'

it('the client’s table of codes is the protocol’s, without the words', () => {
  expect(codeRows).toEqual(codes.map(({ text: _, ...row }) => row))
  expect(codeNumber('flood')).toBe(78)
  expect(codeByNumber(999).name).toBe('unrecognised')
  expect([statusByNumber(0), statusByNumber(4), statusByNumber(9), statusByNumber(40)]).toEqual([
    'unknown',
    'delivered',
    'unknown',
    'unknown',
  ])
})
