/** How many rows a record looks at when devices have said more than that, whose turn it is, and what is told of it. */
import { describe, expect, it } from 'vitest'
import { dayMs } from './client.ts'
import { Ground, type Span } from './ground.ts'

const lane = 8

/** Bob has `count` messages of alice's in his log, or in a group of theirs, and has these devices there. */
function ground(pace: { commandRows: number; recordRows: number }, count: number, { devices = [1], to = 'bob' } = {}): Ground {
  const made = new Ground({ pace })
  made.users('alice', 'bob')
  if (to !== 'bob') made.group(to, 'alice', 'bob')
  for (const device of devices) {
    made.connect('bob', device)
    if (to !== 'bob') made.connect('bob', device, {}, to)
  }
  made.fill('alice', to, count)
  return made
}

const cursorsOf = (made: Ground, devices: readonly number[], to = 'bob', at = lane): (number | undefined)[] =>
  devices.map((device) => made.device('bob', device, to)?.cursors[at])

describe('[I10] what a device says beyond what a command may look at', () => {
  it.each(['bob', '#team'])('is taken some rows in each record, to the last: in %s', (to) => {
    const made = ground({ commandRows: 3, recordRows: 4 }, 12, { to })
    made.ack('bob', 1, 12, { to })
    const cursors = [cursorsOf(made, [1], to)]
    for (let record = 0; record < 3; record++) {
      expect(made.shard.nextDueMs()).toBe(made.clockMs)
      made.apply()
      cursors.push(cursorsOf(made, [1], to))
    }
    expect(cursors).toEqual([[3], [7], [11], [12]])
    expect(made.settle()).toBe(0)
    expect(made.device('bob', 1, to)?.unsettled).toEqual([])
  })

  it('has its turn after those who waited before', () => {
    const devices = [1, 2, 3]
    const made = ground({ commandRows: 2, recordRows: 5 }, 10, { devices })
    for (const device of devices) made.ack('bob', device, 10)
    // Each ACK is a record too, in which those before get on.
    expect(cursorsOf(made, devices)).toEqual([10, 7, 2])
    made.apply()
    expect(cursorsOf(made, devices)).toEqual([10, 10, 7])
  })

  it('gets 250 rows at most while others wait', () => {
    const made = ground({ commandRows: 0, recordRows: 600 }, 700, { devices: [1, 2] })
    made.apply(made.ackOf('bob', 1, 700), made.ackOf('bob', 2, 700))
    made.apply()
    expect(cursorsOf(made, [1, 2])).toEqual([500, 250])
  })

  it('shares its rows between its lanes, and waits once for all of them', () => {
    const made = ground({ commandRows: 0, recordRows: 7 }, 5)
    made.fill('alice', 'bob', 10, { lane: 3 }, 6)
    const { queued } = made.state.meta
    made.apply(made.ackOf('bob', 1, 5), made.ackOf('bob', 1, 5, { lane: 3 }))
    expect([made.state.meta.queued - queued, made.device('bob', 1)?.unsettled.length]).toEqual([1, 2])
    made.apply()
    expect([cursorsOf(made, [1]), cursorsOf(made, [1], 'bob', 3)]).toEqual([[5], [2]])
    expect(made.settle()).toBe(1)
    expect([made.state.meta.queued - queued, cursorsOf(made, [1], 'bob', 3)]).toEqual([2, [5]])
  })

  it('ends with the rows of a record exactly, and the next lane waits', () => {
    const made = ground({ commandRows: 0, recordRows: 5 }, 5)
    made.fill('alice', 'bob', 7, { lane: 3 }, 6)
    made.apply(made.ackOf('bob', 1, 5), made.ackOf('bob', 1, 2, { lane: 3 }))
    made.apply()
    expect([cursorsOf(made, [1]), cursorsOf(made, [1], 'bob', 3)]).toEqual([[5], [0]])
    expect(made.device('bob', 1)?.unsettled).toMatchObject([{ lane: 3 }])
  })

  it('costs a row for each that waits, though it is no longer there', () => {
    const devices = [1, 2, 3, 4, 5, 6]
    const made = ground({ commandRows: 0, recordRows: 4 }, 3, { devices })
    made.apply(...devices.map((device) => made.ackOf('bob', device, 3)))
    const { dequeued } = made.state.meta
    made.apply({ kind: 'userDelete', tag: 0, ref: 0, user: 'bob', validAfterMs: 0 })
    const first = made.state.meta.dequeued
    made.apply()
    expect([first - dequeued, made.state.meta.dequeued - first]).toEqual([1, 4])
  })

  it('leaves nothing in the queue, nor in its table', () => {
    const made = ground({ commandRows: 0, recordRows: 4 }, 12, { devices: [1, 2] })
    made.apply(made.ackOf('bob', 1, 12), made.ackOf('bob', 2, 12))
    made.settle()
    const { queued, dequeued } = made.state.meta
    expect([queued - dequeued, made.state.unsettled.scan(0, 0, undefined, 9)]).toEqual([0, []])
  })
})

describe('[I6] a device that is gone, and has said what waits,', () => {
  it('keeps its place among the devices of its user until that is settled', () => {
    const made = ground({ commandRows: 1, recordRows: 1 }, 0)
    made.apply({ kind: 'settings', ...made.state.settings, deviceDays: 1 })
    made.connect('bob', 1)
    made.fill('alice', 'bob', 4, { deadlineMs: made.clockMs + 3 * dayMs })
    made.ack('bob', 1, 4)
    const { id = '', session = 0 } = made.device('bob', 1) ?? {}
    made.apply({ kind: 'sessionEnd', user: made.log('bob'), device: id, session })
    made.pass(2 * dayMs)
    expect(made.device('bob', 1)?.cursors[lane]).toBe(3)
    made.settle()
    expect([1, 2, 3, 4].map((seq) => made.status('alice', 'bob', seq))).toEqual(new Array(4).fill('delivered'))
  })

  it('keeps its place in a group until that is settled, though its user has it no longer', () => {
    const made = ground({ commandRows: 1, recordRows: 1 }, 5, { devices: [1, 2], to: '#team' })
    made.ack('bob', 2, 5, { to: '#team' })
    const log = made.state.log(made.log('bob'))
    if (log !== undefined) log.devices = log.devices.slice(0, 1)
    made.connect('bob', 1, {}, '#team')
    made.settle()
    expect(made.counts('#team')).toBe('10 10 10 10 10')
    made.connect('bob', 1, {}, '#team')
    expect(made.device('bob', 2, '#team')).toBeUndefined()
  })
})

describe('a READ of what waits', () => {
  it('[I6] comes after what was said before it, and counts no more than that', () => {
    const made = ground({ commandRows: 2, recordRows: 3 }, 12)
    made.apply(made.ackOf('bob', 1, 6), made.readOf('bob', 1, 6, { from: 'alice' }), made.ackOf('bob', 1, 12))
    made.apply(made.readOf('bob', 1, 12, { from: 'alice', count: 9 }))
    const marks = [made.apply(), made.apply(), made.apply(), made.apply(), made.apply()].map(({ readMarks }) =>
      readMarks.map(({ mark }) => mark),
    )
    expect([cursorsOf(made, [1]), marks]).toEqual([[12], [[6], [], [9], [], []]])
    expect([6, 9, 10].map((id) => made.status('alice', 'bob', id))).toEqual(['read', 'read', 'delivered'])
  })

  it('[I10] waits once, however often it is repeated: the furthest of one place counts', () => {
    const made = ground({ commandRows: 2, recordRows: 1 }, 12)
    const counts = [3, 5, 4, 5]
    made.apply(made.ackOf('bob', 1, 12), ...counts.map((count) => made.readOf('bob', 1, 12, { from: 'alice', count })))
    const alice = made.log('alice')
    expect(made.device('bob', 1)?.unsettled).toEqual([
      { lane, upTo: 12, notStored: [], reads: [{ sender: alice, count: 5, upTo: 12 }] },
    ])
    made.users('carol')
    made.apply(made.readOf('bob', 1, 12, { from: 'carol', count: 5 }), made.readOf('bob', 1, 12, { from: 'alice', count: 2 }))
    expect(made.device('bob', 1)?.unsettled[0]?.reads).toEqual([
      { sender: alice, count: 5, upTo: 12 },
      { sender: made.log('carol'), count: 5, upTo: 12 },
    ])
  })

  it('[I6] [I10] of a group goes as far as the rows do, and the rest of it waits, with what is said after it', () => {
    const made = ground({ commandRows: 3, recordRows: 4 }, 10, { to: '#team' })
    for (let upTo = 3; upTo <= 9; upTo += 3) made.ack('bob', 1, upTo, { to: '#team' })
    made.read('bob', 1, 8, { to: '#team' })
    expect(made.marks('bob', '#team')?.read).toBe(3)
    expect(made.device('bob', 1, '#team')?.unsettled).toEqual([
      { lane, upTo: 9, notStored: [], reads: [{ sender: 0, count: 8, upTo: 9 }] },
    ])
    made.ack('bob', 1, 10, { to: '#team', notStored: [[10, 10]] })
    // What came before has the rows of the record: four of the READ.
    expect([made.marks('bob', '#team')?.read, cursorsOf(made, [1], '#team')]).toEqual([7, [9]])
    made.settle()
    expect(made.counts('#team')).toBe('11 11 11 11 11 11 11 11 10 00')
    expect(cursorsOf(made, [1], '#team')).toEqual([10])
  })

  it('[I10] of a group shares the rows of a record with what is passed before it and after it', () => {
    const made = ground({ commandRows: 3, recordRows: 5 }, 12, { to: '#team' })
    const to = '#team'
    made.apply(made.ackOf('bob', 1, 7, { to }), made.readOf('bob', 1, 7, { to }), made.ackOf('bob', 1, 12, { to }))
    const places = [1, 2, 3, 4].map(() => {
      made.apply()
      return [...cursorsOf(made, [1], to), made.marks('bob', to)?.read]
    })
    expect(places).toEqual([
      [7, 1],
      [7, 6],
      [11, 7],
      [12, 7],
    ])
  })

  it('[I6] of a group counts only what its device has passed, and only so far', () => {
    const made = ground({ commandRows: 100, recordRows: 100 }, 6, { to: '#team' })
    made.ack('bob', 1, 4, { to: '#team' })
    made.read('bob', 1, 2, { to: '#team' })
    expect(made.counts('#team')).toBe('11 11 10 10 00 00')
    const { readMarks } = made.read('bob', 1, 6, { to: '#team' })
    expect([made.counts('#team'), readMarks.map(({ mark }) => mark)]).toEqual(['11 11 11 11 00 00', [4]])
    made.ack('bob', 1, 6, { to: '#team' })
    made.settle()
    expect(made.counts('#team')).toBe('11 11 11 11 10 10')
  })

  it("[I6] of a group passes over one's own messages, those that nobody can ask for, and those that are gone", () => {
    const made = ground({ commandRows: 100, recordRows: 100 }, 1, { to: '#team' })
    made.send('bob', '#team', { id: 1 })
    made.send('alice', '#team', { id: 0, deadlineMs: made.clockMs + 1_000 })
    made.send('alice', '#team', { id: 3, deadlineMs: made.clockMs + 1_000 })
    made.fill('alice', '#team', 5, {}, 4)
    made.pass(1_000)
    made.ack('bob', 1, 6, { to: '#team' })
    const { counts } = made.read('bob', 1, 6, { to: '#team' })
    expect(made.seqs('#team')).toEqual([1, 2, 4, 5, 6])
    expect(made.counts('#team')).toBe('11 00 11 11 11')
    expect(counts.map(({ id }) => id)).toEqual([1n, 3n, 4n, 5n])
  })

  it('[I6] of a group does not count what ended meanwhile', () => {
    const made = ground({ commandRows: 100, recordRows: 100 }, 1, { to: '#team' })
    made.send('alice', '#team', { id: 2, deadlineMs: made.clockMs + 1_000 })
    made.ack('bob', 1, 2, { to: '#team' })
    made.pass(2_000)
    made.clockMs += dayMs - 500
    const { counts } = made.read('bob', 1, 2, { to: '#team' })
    expect([counts.map(({ id }) => id), made.marks('bob', '#team')?.read]).toEqual([[1n], 2])
  })

  it('[I10] of a group costs nothing for what is gone', () => {
    const made = ground({ commandRows: 3, recordRows: 3 }, 0, { to: '#team' })
    made.fill('alice', '#team', 8, { deadlineMs: made.clockMs + 1_000 })
    made.pass(1_000)
    made.pass(dayMs)
    expect(made.seqs('#team')).toEqual([])
    made.fill('alice', '#team', 11, {}, 9)
    made.ack('bob', 1, 11, { to: '#team' })
    const { readMarks } = made.read('bob', 1, 11, { to: '#team' })
    expect([cursorsOf(made, [1], '#team'), readMarks.map(({ mark }) => mark), made.counts('#team')]).toEqual([
      [11],
      [11],
      '11 11 11',
    ])
  })

  it('[I6] that is repeated is confirmed, and tells its sender nothing', () => {
    const made = ground({ commandRows: 9, recordRows: 9 }, 4)
    made.ack('bob', 1, 4)
    const told = [3, 3, 2, 4].map((seq) => {
      const { marks, readMarks } = made.read('bob', 1, seq, { from: 'alice' })
      return [marks.map(({ read }) => read), readMarks.map(({ mark }) => mark)]
    })
    expect(told).toEqual([
      [[3], [3]],
      [[], [3]],
      [[], [3]],
      [[4], [4]],
    ])
  })

  it('of a sender who has written nothing there is nothing', () => {
    const made = ground({ commandRows: 9, recordRows: 9 }, 1)
    made.users('carol')
    made.ack('bob', 1, 1)
    expect(made.read('bob', 1, 1, { from: 'carol' })).toMatchObject({ marks: [], readMarks: [] })
    made.send('carol', 'bob', { lane: 2 })
    expect(made.read('bob', 1, 1, { from: 'carol' })).toMatchObject({ marks: [], readMarks: [] })
  })
})

describe('what a device says of ranges that it did not store', () => {
  const spans: readonly Span[] = [
    [2, 3],
    [6, 8],
    [11, 11],
  ]

  it.each(['bob', '#team'])('[I6] is kept while it waits, in any order, and added to: in %s', (to) => {
    const made = ground({ commandRows: 2, recordRows: 1 }, 12, { to })
    made.apply(
      made.ackOf('bob', 1, 8, { to, notStored: [...spans].reverse() }),
      made.ackOf('bob', 1, 12, { to, notStored: [[11, 11]] }),
      made.readOf('bob', 1, 1, { to, from: 'alice' }),
    )
    made.settle()
    const stored = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12].filter((id) =>
      to === 'bob' ? made.status('alice', to, id) !== 'sent' : made.entry(to, id)?.delivered === 1,
    )
    expect(stored).toEqual([1, 4, 5, 9, 10, 12])
  })

  it('[I6] is kept when a READ waits, too', () => {
    const made = ground({ commandRows: 1, recordRows: 1 }, 6, { to: '#team' })
    for (const upTo of [1, 2, 3]) made.ack('bob', 1, upTo, { to: '#team' })
    made.read('bob', 1, 3, { to: '#team' })
    made.ack('bob', 1, 6, { to: '#team', notStored: [[5, 5]] })
    made.settle()
    expect(made.counts('#team')).toBe('11 11 11 10 00 10')
  })

  it('[I6] is kept when the device connects again and has gone on since', () => {
    const made = ground({ commandRows: 2, recordRows: 1 }, 12)
    made.ack('bob', 1, 6, { notStored: [[4, 4]] })
    made.connect('bob', 1, { [lane]: [12, [9, 10]] })
    made.settle()
    expect([3, 4, 5, 8, 9, 10, 11].map((id) => made.status('alice', 'bob', id))).toEqual([
      'delivered',
      'sent',
      'delivered',
      'delivered',
      'sent',
      'sent',
      'delivered',
    ])
  })
})

describe('[I9] of a log that is deleted', () => {
  it.each(['bob', '#team'])('nothing more that is said is taken: %s', (to) => {
    const made = ground({ commandRows: 9, recordRows: 9 }, 3, { to })
    const [ack, read] = [made.ackOf('bob', 1, 3, { to, notStored: [[1, 1]] }), made.readOf('bob', 1, 3, { to, from: 'alice' })]
    if (to === 'bob') made.apply({ kind: 'userDelete', tag: 0, ref: 0, user: 'bob', validAfterMs: 0 })
    else made.apply({ kind: 'groupDelete', tag: 0, ref: 0, group: 'team', by: 0 })
    const { marks, counts, readMarks, acked } = made.apply(ack, read)
    expect([marks, counts, readMarks, acked]).toEqual([[], [], [], []])
    expect([1, 2, 3].map((id) => made.status('alice', to, id))).toEqual(['removed', 'removed', 'removed'])
  })
})
