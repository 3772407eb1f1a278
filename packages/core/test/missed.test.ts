/** What a member's devices have passed without storing it, below what they have stored. */
import { describe, expect, it } from 'vitest'
import { dayMs } from './client.ts'
import { deliveredIn, missedBy, type Span, team } from './ground.ts'

const lane = 8

describe('what a member has not stored, below what it has', () => {
  it.each([
    [
      'the first of a range',
      [
        [1, 2],
        [4, 9],
      ],
      [
        [4, 5],
        [7, 7],
      ],
    ],
    [
      'the last',
      [
        [1, 4],
        [6, 9],
      ],
      [
        [3, 4],
        [7, 7],
      ],
    ],
    [
      'one in the middle',
      [
        [1, 3],
        [5, 9],
      ],
      [
        [3, 3],
        [5, 5],
        [7, 7],
      ],
    ],
    [
      'all of it',
      [
        [1, 2],
        [6, 9],
      ],
      [[7, 7]],
    ],
    [
      'another range',
      [
        [1, 6],
        [8, 9],
      ],
      [[3, 5]],
    ],
    ['everything', [], []],
  ] as [string, Span[], Span[]][])('[I6] is remembered until another device stores it: %s', (_what, notStored, left) => {
    const made = team(9)
    made.ack('bob', 1, 9, {
      to: '#team',
      notStored: [
        [3, 5],
        [7, 7],
      ],
    })
    expect([missedBy(made), deliveredIn(made)]).toEqual([
      [
        [3, 5],
        [7, 7],
      ],
      '110001011',
    ])
    made.ack('bob', 2, 9, { to: '#team', notStored })
    const isLeft = (seq: number): boolean => left.some(([from, to]) => seq >= from && seq <= to)
    const counted = [1, 2, 3, 4, 5, 6, 7, 8, 9].map((seq) => (isLeft(seq) ? 0 : 1)).join('')
    expect([missedBy(made), deliveredIn(made)]).toEqual([left, counted])
    // A third one stores the rest.
    made.connect('bob', 4)
    made.connect('bob', 4, {}, '#team')
    made.connect('bob', 4, { [lane]: [0] }, '#team')
    made.ack('bob', 4, 9, { to: '#team' })
    expect([missedBy(made), deliveredIn(made)]).toEqual([[], '111111111'])
  })

  it('[I6] begins above what its other devices have stored', () => {
    const made = team(10)
    made.ack('bob', 1, 5, { to: '#team' })
    made.ack('bob', 2, 10, {
      to: '#team',
      notStored: [
        [1, 2],
        [4, 8],
      ],
    })
    expect([missedBy(made), deliveredIn(made)]).toEqual([[[6, 8]], '1111100011'])
  })

  it('[I6] includes what a device had passed alone before', () => {
    const made = team(10)
    made.ack('bob', 1, 4, { to: '#team', notStored: [[1, 4]] })
    expect(missedBy(made)).toEqual([])
    made.ack('bob', 1, 10, { to: '#team', notStored: [[7, 8]] })
    expect([missedBy(made), deliveredIn(made)]).toEqual([
      [
        [1, 4],
        [7, 8],
      ],
      '0000110011',
    ])
    made.ack('bob', 2, 8, { to: '#team', notStored: [[2, 3]] })
    expect([missedBy(made), deliveredIn(made)]).toEqual([[[2, 3]], '1001111111'])
  })

  it('[I10] is forgotten when it is gone', () => {
    const made = team(0)
    made.fill('alice', '#team', 6, { deadlineMs: made.clockMs + 1_000 })
    made.send('alice', '#team', { id: 7 })
    made.ack('bob', 1, 6, {
      to: '#team',
      notStored: [
        [2, 3],
        [5, 5],
      ],
    })
    expect(missedBy(made)).toEqual([
      [2, 3],
      [5, 5],
    ])
    made.pass(1_000)
    made.pass(dayMs - 1_000)
    expect(made.seqs('#team').length).toBe(7)
    made.pass(1_000)
    made.fill('alice', '#team', 9, {}, 8)
    made.ack('bob', 1, 8, { to: '#team' })
    expect([made.seqs('#team'), missedBy(made)]).toEqual([[7, 8, 9], []])
  })

  it('[I10] is forgotten up to the last that is gone', () => {
    const made = team(0)
    made.fill('alice', '#team', 3, { deadlineMs: made.clockMs + 1_000 })
    made.fill('alice', '#team', 6, { deadlineMs: made.clockMs + 2 * dayMs }, 4)
    made.ack('bob', 1, 6, {
      to: '#team',
      notStored: [
        [2, 3],
        [5, 5],
      ],
    })
    // The third stored what nobody else did: its key is all that keeps it.
    made.ack('carol', 3, 3, { to: '#team' })
    made.pass(1_000)
    made.pass(dayMs)
    expect(made.seqs('#team')).toEqual([4, 5, 6])
    made.fill('alice', '#team', 7, {}, 7)
    made.ack('bob', 1, 7, { to: '#team' })
    expect(missedBy(made)).toEqual([[5, 5]])
  })

  it('[I10] is not remembered where none of it could count, if that is short enough to look at', () => {
    const made = team(0)
    made.fill('bob', '#team', 1_030)
    made.fill('alice', '#team', 1_031, {}, 1_031)
    made.ack('bob', 1, 1_031, { to: '#team', notStored: [[1, 1_024]] })
    expect(missedBy(made)).toEqual([])
    const other = team(0)
    other.fill('bob', '#team', 1_030)
    other.fill('alice', '#team', 1_031, {}, 1_031)
    other.ack('bob', 1, 1_031, { to: '#team', notStored: [[1, 1_025]] })
    expect(missedBy(other)).toEqual([[1, 1_025]])
  })

  it.each([
    [256, [3, 3]],
    [257, [1, 3]],
  ] as const)(
    '[I10] [I6] is 256 ranges at most: of more, the first two are one, and count no more: %i',
    (ranges, [first, last]) => {
      const made = team(2 * ranges + 2)
      const notStored = Array.from({ length: ranges }, (_, at) => [2 * at + 1, 2 * at + 1] as const)
      made.ack('bob', 1, 2 * ranges + 2, { to: '#team', notStored })
      const marks = made.marks('bob', '#team')
      expect(marks?.missed.length).toBe(256)
      expect(marks?.missed.slice(0, 2)).toEqual(
        ranges === 256
          ? [
              { from: 1, to: 1, isVague: false },
              { from: first, to: last, isVague: false },
            ]
          : [
              { from: first, to: last, isVague: true },
              { from: 5, to: 5, isVague: false },
            ],
      )
      made.ack('bob', 2, 6, { to: '#team' })
      expect(deliveredIn(made).slice(0, 6)).toBe(ranges === 256 ? '111111' : '010111')
    },
  )
})
