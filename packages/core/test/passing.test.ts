/** What follows when a device passes messages, those that it stored and those that it did not. */
import { codeNumber } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { passGroup, passOwn, rangesWithin } from '../src/shard/passing.ts'
import { dayMs } from './client.ts'
import { deliveredIn, Ground, missedBy, roomy, type Span, team } from './ground.ts'

const lane = 8
/** Alice has written `count` messages to bob, who has devices 1 and 2. */
function inbox(count: number, pace = roomy): Ground {
  const made = new Ground({ pace })
  made.users('alice', 'bob')
  for (const device of [1, 2]) made.connect('bob', device)
  made.fill('alice', 'bob', count)
  return made
}

/** A message of which the deadline is now, and which is not closed yet: its lane rests after a long search. */
function restingAt(made: Ground, to: string, draft: { id?: number } = {}): void {
  made.fill('alice', to, 1_300, {}, 1_001)
  made.send('alice', to, { id: 998, deadlineMs: made.clockMs + 10 })
  made.send('alice', to, { id: 999, deadlineMs: made.clockMs + 12, ...draft })
  made.pass(10)
  made.clockMs += 2
}

describe('ranges of a lane', () => {
  it.each([
    [
      'those within',
      [
        [3, 4],
        [6, 6],
      ],
      [
        [3, 4],
        [6, 6],
      ],
    ],
    [
      'in order',
      [
        [6, 6],
        [8, 9],
        [3, 4],
      ],
      [
        [3, 4],
        [6, 6],
        [8, 9],
      ],
    ],
    [
      'without those before and after',
      [
        [1, 2],
        [11, 12],
        [5, 5],
      ],
      [[5, 5]],
    ],
    [
      'cut to what is within',
      [
        [1, 4],
        [9, 14],
      ],
      [
        [3, 4],
        [9, 10],
      ],
    ],
    [
      'without overlaps',
      [
        [3, 6],
        [4, 5],
        [5, 8],
      ],
      [
        [3, 6],
        [7, 8],
      ],
    ],
    ['one', [[1, 20]], [[3, 10]]],
    ['none', [], []],
  ] as [string, Span[], Span[]][])('are taken after 2 and up to 10: %s', (_which, ranges, within) => {
    const given = ranges.map(([from, to]) => ({ from, to }))
    expect(rangesWithin(given, 2, 10)).toEqual(within.map(([from, to]) => ({ from, to })))
    expect(given).toEqual(ranges.map(([from, to]) => ({ from, to })))
  })
})

describe('a device that passes its own log', () => {
  it('[I1] is not moved by what lies behind it, and nothing else is', () => {
    const made = inbox(6)
    made.ack('bob', 1, 5)
    made.apply({ kind: 'settings', ...made.state.settings, inboxEntries: 1 })
    const [log, device] = [made.state.log(made.log('bob')), made.device('bob', 1)]
    if (log === undefined || device === undefined) throw new Error('no device')
    const looked = [3, 5].map((upTo) => passOwn(made.state, made.log('bob'), log, device, { lane, upTo, notStored: [] }, 9))
    expect([looked, device.cursors[lane], log.kept]).toEqual([[0, 0], 5, 6])
  })

  it('[I10] counts the rows of each of its lanes', () => {
    const made = inbox(3, { commandRows: 4, recordRows: 1 })
    made.fill('alice', 'bob', 5, {}, 4)
    made.fill('alice', 'bob', 10, { lane: 9 }, 6)
    made.ack('bob', 1, 3)
    made.connect('bob', 1, { 8: [5], 9: [5] })
    expect([8, 9].map((one) => made.device('bob', 1)?.cursors[one])).toEqual([5, 2])
  })

  it('[I6] tells nothing more of what is closed', () => {
    const made = inbox(1)
    made.send('alice', 'bob', { id: 2, deadlineMs: made.clockMs + 1_000 })
    expect(made.pass(1_000).statuses.map(({ id }) => id)).toEqual([2n])
    expect(made.ack('bob', 1, 2, { notStored: [[2, 2]] }).statuses).toEqual([])
    expect(made.status('alice', 'bob', 2)).toBe('expired')
  })

  it.each([
    [-1, 'sent'],
    [0, 'expired'],
  ] as const)('[I6] tells what it did not store as expired from the deadline on, closed or not: %i ms from it', (ms, status) => {
    const made = inbox(0)
    restingAt(made, 'bob')
    made.clockMs += ms
    const { statuses } = made.ack('bob', 1, 302, { notStored: [[301, 302]] })
    expect(made.entry('bob', 302)?.isClosed).toBe(false)
    expect(statuses).toMatchObject([{ id: 999n, status: codeNumber(status) }])
    expect(made.status('alice', 'bob', 999)).toBe(status)
  })

  it('[I1] keeps what one of its devices has still to get', () => {
    const made = inbox(4)
    made.ack('bob', 1, 4, { notStored: [[2, 2]] })
    expect(made.seqs('bob')).toEqual([1, 2, 3, 4])
    made.ack('bob', 2, 1)
    expect(made.seqs('bob')).toEqual([2, 3, 4])
    // The last device passes the second one unstored, too: it stays for a device that may come, until its deadline.
    made.ack('bob', 2, 4, { notStored: [[2, 2]] })
    expect(made.seqs('bob')).toEqual([2, 3, 4])
    made.pass(dayMs)
    expect(made.seqs('bob')).toEqual([])
  })
})

describe("a member's device that passes a group's log", () => {
  it('[I1] is not moved by what lies behind it, and is not seen by that', () => {
    const made = team(6)
    made.ack('bob', 1, 5, { to: '#team' })
    const [group, identity] = [made.log('#team'), made.log('bob')]
    const [log, device, member] = [made.state.log(group), made.device('bob', 1, '#team'), made.state.members.get(group, identity)]
    if (log === undefined || device === undefined || member === undefined) throw new Error('no device')
    const before = made.clockMs
    made.pass(100)
    const pass = (upTo: number): number =>
      passGroup(made.state, group, log, { identity, member, device }, { lane, upTo, notStored: [] }, 9)
    expect([pass(3), pass(5), device.cursors[lane], device.seenMs]).toEqual([0, 0, 5, before])
    expect([pass(6), device.cursors[lane], device.seenMs]).toEqual([1, 6, before + 100])
  })

  it.each([
    ['a long one is', [[1, 9]], 3, 9],
    ['a short one is', [[2, 2]], 5, 5],
    ['one of two messages is', [[4, 5]], 8, 8],
    ['none is', [], 3, 3],
  ] as [string, Span[], number, number][])(
    '[I10] counts the messages of a range that it did not store: %s',
    (_which, notStored, rows, reached) => {
      const made = team(12, { commandRows: rows, recordRows: 1 })
      made.ack('bob', 1, 12, { to: '#team', notStored })
      expect(made.device('bob', 1, '#team')?.cursors[lane]).toBe(reached)
    },
  )

  it('[I10] counts a range of thousands as 1,024 messages', () => {
    const made = team(0, { commandRows: 1_030, recordRows: 1 })
    made.fill('alice', '#team', 3_000)
    made.ack('bob', 1, 3_000, { to: '#team', notStored: [[1, 2_000]] })
    expect(made.device('bob', 1, '#team')?.cursors[lane]).toBe(2_005)
  })

  it('[I10] passes over what another one has stored at once, but for what that has not', () => {
    const made = team(20, { commandRows: 15, recordRows: 1 })
    made.ack('bob', 1, 12, { to: '#team', notStored: [[5, 6]] })
    expect(missedBy(made)).toEqual([[5, 6]])
    made.ack('bob', 2, 20, { to: '#team', notStored: [[16, 17]] })
    expect(made.device('bob', 2, '#team')?.cursors[lane]).toBe(20)
    expect(deliveredIn(made)).toBe('11111111111111100111')
    expect(missedBy(made)).toEqual([[16, 17]])
  })

  it('[I6] counts each message once, whichever devices say that they stored it, and however often', () => {
    const made = team(8)
    made.ack('bob', 1, 5, { to: '#team' })
    made.ack('bob', 2, 8, {
      to: '#team',
      notStored: [
        [3, 4],
        [8, 8],
      ],
    })
    expect(deliveredIn(made)).toBe('11111110')
    made.ack('bob', 1, 8, { to: '#team' })
    made.ack('carol', 3, 8, { to: '#team', notStored: [[1, 7]] })
    expect(deliveredIn(made)).toBe('11111112')
    for (const seq of [0, 8]) made.connect('bob', 2, { [lane]: [seq] }, '#team')
    expect(deliveredIn(made)).toBe('11111112')
  })

  it('[I6] counts what it stored among what is gone', () => {
    const made = team(2)
    made.send('alice', '#team', { id: 0, deadlineMs: made.clockMs + 1_000 })
    made.fill('alice', '#team', 4, {}, 3)
    made.pass(1_000)
    made.ack('bob', 1, 5, { to: '#team' })
    expect([made.seqs('#team'), deliveredIn(made)]).toEqual([[1, 2, 4, 5], '1111'])
  })

  it("[I6] tells a sender of what has an id and asks for receipts, and of one's own nothing", () => {
    const made = team(1)
    made.send('alice', '#team', { id: 0 })
    made.send('alice', '#team', { id: 3, receipts: false })
    made.send('bob', '#team', { id: 4 })
    made.send('alice', '#team', { id: 5 })
    const { counts } = made.ack('bob', 1, 5, { to: '#team' })
    expect(counts.map(({ id, delivered: stored, members }) => [id, stored, members])).toEqual([
      [1n, 1, 2],
      [5n, 1, 2],
    ])
  })

  it('[I6] has read what it stores later, of what its member has read up to', () => {
    const made = team(6)
    made.ack('bob', 1, 6, { to: '#team', notStored: [[2, 4]] })
    made.read('bob', 1, 3, { to: '#team' })
    expect(made.counts('#team')).toBe('11 00 00 00 10 10')
    made.ack('bob', 2, 6, { to: '#team' })
    expect(made.counts('#team')).toBe('11 11 11 10 10 10')
  })

  it('[I10] gives the group and the sender back the room of what it is the first to store', () => {
    const made = team(3)
    const room = (): (number | undefined)[] => {
      const [log, contact] = [made.state.log(made.log('#team')), made.state.contacts.get(made.log('#team'), made.log('alice'))]
      return [log?.waiting, log?.waitingBytes, contact?.waiting, contact?.waitingBytes]
    }
    const bytes = made.entry('#team', 1)?.bytes.length ?? 0
    expect(room()).toEqual([3, 3 * bytes, 3, 3 * bytes])
    made.ack('bob', 1, 2, { to: '#team' })
    for (const [user, device] of [
      ['bob', 2],
      ['carol', 3],
    ] as const)
      made.ack(user, device, 2, { to: '#team' })
    expect(room()).toEqual([1, bytes, 1, bytes])
  })

  it('[I10] has what it stores late dropped before what came after it, at the limit', () => {
    const made = team(4)
    made.apply({ kind: 'settings', ...made.state.settings, groupEntries: 2 })
    const kept = (): number[] => made.seqs('#team').filter((seq) => (made.entry('#team', seq)?.bytes.length ?? 0) > 0)
    made.ack('bob', 1, 4, { to: '#team', notStored: [[1, 1]] })
    expect(kept()).toEqual([1, 3, 4])
    made.ack('bob', 2, 1, { to: '#team' })
    expect(kept()).toEqual([3, 4])
  })

  it.each([
    [-1, 'sent'],
    [0, 'expired'],
  ] as const)('[I6] is too late from the deadline on, closed or not: %i ms from it', (ms, status) => {
    const made = team(0)
    restingAt(made, '#team')
    made.clockMs += ms
    made.ack('bob', 1, 302, { to: '#team', notStored: [[1, 301]] })
    expect([made.entry('#team', 302)?.isStored, made.entry('#team', 302)?.isClosed]).toEqual([true, false])
    made.pass(dayMs / 2)
    expect(made.status('alice', '#team', 999)).toBe(status)
    made.ack('carol', 3, 302, { to: '#team', notStored: [[1, 301]] })
    expect(made.status('alice', '#team', 999)).toBe('delivered')
  })

  it('[I6] stores too late what has no id, of which nobody is told', () => {
    const made = team(0)
    restingAt(made, '#team', { id: 0 })
    expect(made.ack('bob', 1, 302, { to: '#team', notStored: [[1, 301]] }).counts).toEqual([])
    expect([made.entry('#team', 302)?.isStored, made.entry('#team', 302)?.delivered]).toEqual([true, 1])
  })
})
