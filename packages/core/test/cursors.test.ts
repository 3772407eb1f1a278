/** What a device says in HELLO of where it is in a log, and what becomes of what it had said before. */
import { describe, expect, it } from 'vitest'
import type { Device, Lane, LogRow, Range, Unsettled } from '../src/rows/rows.ts'
import { type LaneCursor, setCursors, unconfirmed } from '../src/shard/settling.ts'
import { newDevice, perLane } from '../src/shard/state.ts'

const lane = 8

function logOf(kind: 0 | 1, head: number, trim: number): LogRow {
  const lanes: Lane[] = []
  lanes[lane] = { head, trim, dueMs: 0, scanSeq: 0, scanDueMs: 0, restMs: 0, droppedSeq: 0, sweptSeq: 0 }
  return { kind, lanes } as unknown as LogRow
}

/** A device that began after 8, and has passed 10. */
function deviceAt(cursor = 10, start = 8, unsettled: Unsettled[] = []): Device {
  const device = newDevice('1'.repeat(32), 1, 1, 0, perLane(start))
  device.cursors[lane] = cursor
  device.unsettled.push(...unsettled)
  return device
}

const at = (seq: number, notStored: Range[] = []): LaneCursor[] => [{ lane, seq, notStored }]

/** [cursor, start, up to where it had said before what it stored] */
function place({ cursors, starts, confirmed }: Device): unknown[] {
  return [cursors[lane], starts[lane], ...confirmed.filter((one) => one.lane === lane).map(({ upTo }) => upTo)]
}

describe('a device in a log of 20, trimmed up to 5, that began after 8 and has passed 10', () => {
  it.each([
    ['where it was', 0, 10, true, [10, 8]],
    ['further on: left to be passed', 0, 15, true, [10, 8]],
    ['at the end', 0, 20, true, [10, 8]],
    ['beyond the end: a user begins at the trim point', 0, 21, true, [5, 5, 10]],
    ['beyond the end: a member begins where the device did', 1, 21, true, [8, 8, 10]],
    ['further back', 0, 9, true, [9, 8, 10]],
    ['before its start, which it had then not', 0, 3, true, [3, 3, 10]],
    ['nowhere: it begins where it did', 0, undefined, true, [8, 8, 10]],
    ['nowhere, in a group', 1, undefined, true, [8, 8, 10]],
    ['of another epoch: a user begins at the trim point', 0, 10, false, [5, 5, 10]],
    ['of another epoch, further on', 0, 15, false, [5, 5, 10]],
    ['of another epoch: a member begins where the device did', 1, 15, false, [8, 8, 10]],
    ['of another epoch, and nowhere', 1, undefined, false, [8, 8, 10]],
  ] as const)('[I1] a device is %s', (_where, kind, said, isSameEpoch, expected) => {
    const device = deviceAt()
    setCursors(logOf(kind, 20, 5), device, said === undefined ? [] : at(said), isSameEpoch)
    expect(place(device)).toEqual(expected)
    expect(device.cursors.length).toBe(16)
  })

  it('[I1] begins at the trim point of a group where that lies behind its start', () => {
    for (const [said, isSameEpoch] of [
      [21, true],
      [15, false],
    ] as const) {
      const device = deviceAt()
      setCursors(logOf(1, 20, 9), device, at(said), isSameEpoch)
      expect(place(device)).toEqual([9, 8, 10])
    }
  })

  it('[I1] begins within the log, though a restore has made that shorter', () => {
    const device = deviceAt(30, 25)
    setCursors(logOf(0, 20, 5), device, [], true)
    expect(place(device)).toEqual([20, 20, 30])
  })

  it('[I6] remembers the furthest it has ever said, until it has passed that again', () => {
    const device = deviceAt(10, 0)
    const log = logOf(0, 20, 0)
    const places = [7, 4, 6].map((seq) => {
      setCursors(log, device, at(seq), true)
      return place(device)
    })
    expect(places).toEqual([
      [7, 0, 10],
      [4, 0, 10],
      [4, 0, 10],
    ])
    device.cursors[lane] = 9
    setCursors(log, device, at(9), true)
    expect(place(device)).toEqual([9, 0, 10])
    device.cursors[lane] = 10
    setCursors(log, device, at(10), true)
    expect(place(device)).toEqual([10, 0])
    device.cursors[lane] = 12
    setCursors(log, device, at(11), true)
    setCursors(log, device, at(3), true)
    expect(place(device)).toEqual([3, 0, 12])
  })

  it('[I6] remembers it lane by lane', () => {
    const device = deviceAt(10, 0)
    device.cursors[9] = 6
    const log = logOf(0, 20, 0)
    log.lanes[9] = { ...(log.lanes[lane] as Lane) }
    const cursors = [...at(7), { lane: 9, seq: 2, notStored: [] }]
    for (const _ of [1, 2]) setCursors(log, device, cursors, true)
    expect(device.confirmed).toEqual([
      { lane, upTo: 10 },
      { lane: 9, upTo: 6 },
    ])
    const [eight, nine, ten] = [lane, 9, 10].map((one) =>
      unconfirmed(device, { lane: one, seq: 12, notStored: [{ from: 5, to: 11 }] }),
    )
    expect(eight?.notStored).toEqual([
      { from: 1, to: 10 },
      { from: 11, to: 11 },
    ])
    expect(nine?.notStored).toEqual([
      { from: 1, to: 6 },
      { from: 7, to: 11 },
    ])
    expect(ten?.notStored).toEqual([{ from: 5, to: 11 }])
  })
})

describe('what a device in a log of 20 had said up to 16, with 10 of it settled,', () => {
  const reads = (upTo: number): Unsettled['reads'] => [{ sender: 7, count: 3, upTo }]
  const notStored = [{ from: 12, to: 15 }]
  const left = (upTo = 16): Unsettled => ({ lane, upTo, notStored, reads: reads(upTo - 1) })

  it.each([
    ['stays, where it says the same', 16, [left()], [10, 0]],
    ['stays, where it has gone on since', 18, [left()], [10, 0]],
    ['stays, to the end of the log', 20, [left()], [10, 0]],
    ['ends where it says that it is', 14, [{ lane, upTo: 14, notStored: [{ from: 12, to: 14 }], reads: reads(14) }], [10, 0]],
    ['is nothing more, where it has only what is settled', 10, [{ lane, upTo: 10, notStored: [], reads: reads(10) }], [10, 0]],
    ['is forgotten, where it goes back', 9, [], [9, 0, 15]],
    ['is forgotten, where it has nothing', 0, [], [0, 0, 15]],
    ['is forgotten, where it says nothing of the lane', undefined, [], [0, 0, 15]],
    ['is forgotten, where it cannot be', 21, [], [0, 0, 15]],
  ] as const)('[I6] what waits %s', (_what, said, unsettled, expected) => {
    const other = { lane: 9, upTo: 4, notStored: [], reads: [] }
    const device = deviceAt(10, 0, [{ ...other, lane: 3 }, left(), other])
    const log = logOf(0, 20, 0)
    for (const one of [3, 9]) log.lanes[one] = { ...(log.lanes[lane] as Lane) }
    const others = [3, 9].map((one) => ({ lane: one, seq: 12, notStored: [] }))
    for (const one of others) device.cursors[one.lane] = 2
    setCursors(log, device, [...others, ...(said === undefined ? [] : at(said))], true)
    expect(device.unsettled).toEqual([{ ...other, lane: 3 }, ...unsettled, other])
    expect(place(device)).toEqual(expected)
  })

  it('[I1] [I6] is forgotten when it was said in another epoch', () => {
    const device = deviceAt(10, 0, [left()])
    setCursors(logOf(0, 20, 0), device, at(16), false)
    expect([device.unsettled, place(device)]).toEqual([[], [0, 0, 15]])
  })

  it('[I6] is believed when it is said again, where all of it was stored', () => {
    const device = deviceAt(10, 0, [{ lane, upTo: 16, notStored: [], reads: [] }])
    setCursors(logOf(0, 20, 0), device, at(9), true)
    expect(place(device)).toEqual([9, 0, 10])
    expect(unconfirmed(device, { lane, seq: 16, notStored: [] }).notStored).toEqual([{ from: 1, to: 10 }])
  })
})
