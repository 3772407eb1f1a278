import { limits } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { cursorRow, rowKey, tables } from '../../src/machine/rows.ts'
import { deliver, Disk, Rig } from './rig.ts'

const skip = (from: number, to: number) => ({ kind: 'skip', log: 100, lane: 8, from, to, reason: 1 }) as const
const acked = (upTo: number) => ({ kind: 'acked', log: 100, lane: 8, upTo }) as const
const acks = (rig: Rig): unknown[] => rig.sent('ack').map(({ upTo, notStored }) => [upTo, notStored])
const rows = (rig: Rig): number =>
  rig.all('commit').flatMap(({ writes }) => writes.filter(([key]) => key[0] === tables.cursor)).length
const lose = (rig: Rig): void => rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
/** What a restart says in HELLO. */
const greeted = (disk: Disk): unknown[] =>
  new Rig(disk)
    .open()
    .greet()
    .cursors.map(({ seq, notStored }) => [seq, notStored])

describe('an acknowledgement', () => {
  it('is not repeated for a duplicate of what is not stored yet [I1]', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.say(deliver(1))
    rig.say(deliver(1))
    expect(acks(rig)).toEqual([])
    rig.release()
    expect(acks(rig)).toEqual([[1, []]])
  })

  it('of what was stored after its connection was lost is in the next HELLO', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.say(deliver(1))
    lose(rig)
    rig.release()
    expect([rig.disk.count(tables.inbox), acks(rig)]).toEqual([1, []])
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.release()
    expect(rig.greet().cursors).toMatchObject([{ seq: 1 }])
  })
})

describe('ACKED', () => {
  /** A client that has passed a range and stored an entry above it. */
  function passed(): Rig {
    const rig = new Rig().live()
    rig.say(skip(1, 4), deliver(5))
    rig.clear()
    return rig
  }

  it('costs no commit: the rows that it shortens go with the next one, once', () => {
    const rig = passed()
    rig.say(acked(4))
    expect(rig.all('commit')).toEqual([])
    rig.send()
    expect(rows(rig)).toBe(1)
    expect(greeted(rig.disk)).toEqual([[5, []]])
    rig.send()
    expect([rows(rig), acks(rig)]).toEqual([1, []])
  })

  it('changes no row where it confirms nothing that was told', () => {
    const rig = new Rig().live()
    rig.say(deliver(1))
    rig.clear()
    rig.say(acked(1))
    rig.send()
    expect([rows(rig), acks(rig)]).toEqual([0, []])
  })

  it('shortens what a duplicate is answered with', () => {
    const rig = passed()
    rig.say(acked(3))
    rig.say(deliver(5))
    expect(acks(rig)).toEqual([[5, []]])
    lose(rig)
    rig.step({ kind: 'timer', timer: 'connection' })
    expect(rig.greet().cursors).toMatchObject([{ seq: 5, notStored: [{ from: 4, to: 4 }] }])
  })

  it('is not forgotten when the commit of its row fails', () => {
    const rig = passed()
    rig.say(acked(4))
    rig.isHolding = true
    rig.send()
    rig.fail()
    expect(greeted(rig.disk)).toEqual([[5, [{ from: 1, to: 4 }]]])
    rig.isHolding = false
    rig.step({ kind: 'timer', timer: 'store' })
    rig.send()
    expect(greeted(rig.disk)).toEqual([[5, []]])
  })
})

describe('what HELLO has no room for', () => {
  const wire = { ranges: 2, cursors: 5 }
  const inLane = (lane: number, ...seqs: number[]) => seqs.map((seq) => ({ ...skip(seq, seq), lane }))
  /** In one lane of four ranges: passed and stored in turns, to 8. */
  const turns = [1, 3, 5, 7].flatMap((seq) => [skip(seq, seq), deliver(seq + 1)])
  const cursors = (rig: Rig) => rig.lastPacket('hello').cursors.map(({ lane, seq, notStored }) => [lane, seq, notStored.length])
  const said = (rig: Rig) => rig.sent('ack').map(({ lane, upTo, notStored }) => [lane, upTo, notStored])
  const at = (...seqs: number[]) => seqs.map((seq) => ({ from: seq, to: seq }))

  it('is acknowledged as it comes again, each time with its ranges, and only up to there [I6]', () => {
    const rig = new Rig(new Disk(), {}, false, wire).live()
    rig.say(...turns)
    rig.clear()
    rig.reconnect()
    expect(cursors(rig)).toEqual([[8, 4, 2]])
    rig.say(deliver(5))
    rig.say(skip(6, 7))
    rig.say(deliver(8), deliver(9))
    expect(said(rig)).toEqual([
      [8, 5, at(5)],
      [8, 7, at(7)],
      [8, 8, []],
      [8, 9, []],
    ])
  })

  it('is told in several ACKs where it comes again in one message', () => {
    const rig = new Rig(new Disk(), {}, false, { ranges: 1, cursors: 5 }).live()
    rig.say(...turns)
    rig.clear()
    rig.reconnect()
    rig.say(skip(3, 8))
    expect(said(rig)).toEqual([
      [8, 4, at(3)],
      [8, 6, at(5)],
      [8, 8, at(7)],
    ])
  })

  it('is not acknowledged before it comes, whatever is committed meanwhile [I6]', () => {
    const rig = new Rig(new Disk(), {}, false, wire).live()
    rig.say(...turns)
    rig.reconnect()
    rig.clear()
    // A row that lost ranges goes with the next commit.
    rig.say(acked(4))
    rig.send()
    expect([rows(rig), acks(rig)]).toEqual([1, []])
  })

  it('keeps a READ from being sent until the message that it is for is acknowledged', () => {
    const rig = new Rig(new Disk(), {}, false, wire).live()
    rig.say(...turns)
    const position = { epoch: 7, log: 100, lane: 8, seq: 8 }
    rig.reconnect()
    rig.ask({ kind: 'markRead', position, sender: 200, count: 1 })
    expect(rig.sent('read')).toEqual([])
    rig.say(skip(5, 7), deliver(8))
    expect(rig.packets.slice(-2).map(({ kind }) => kind)).toEqual(['ack', 'read'])
  })

  it('is a range first, so that no cursor is left out for it: its cursor falls back to before that', () => {
    const rig = new Rig(new Disk(), {}, false, wire).live()
    for (const lane of [0, 1, 2]) rig.say(...inLane(lane, 1), deliver(2, { lane, id: 0n }), ...inLane(lane, 3))
    rig.reconnect()
    expect(cursors(rig)).toEqual([
      [0, 3, 2],
      [1, 0, 0],
      [2, 0, 0],
    ])
  })

  it('is a cursor, where there are too many: nothing of what comes again counts as stored, since ACKED may have confirmed that it was not [I6]', () => {
    const rig = new Rig(new Disk(), {}, false, { ranges: 2, cursors: 1 }).live()
    const one = (log: number) => [
      { ...skip(1, 2), log },
      { ...deliver(3, { id: 0n }), log },
    ]
    rig.say(...one(100), ...one(101))
    rig.say({ ...acked(3), log: 101 })
    rig.clear()
    rig.reconnect()
    expect(rig.lastPacket('hello').cursors.map(({ log }) => log)).toEqual([100])
    rig.say({ ...skip(1, 2), log: 101 })
    rig.say({ ...deliver(3), log: 101 }, { ...deliver(4), log: 101 })
    expect(said(rig)).toEqual([
      [8, 2, [{ from: 1, to: 2 }]],
      [8, 3, at(3)],
      [8, 4, []],
    ])
    expect(rig.disk.count(tables.inbox)).toBe(3)
  })

  it('is nothing of 1,000 groups and the user’s own log, in all lanes, and fits in a message with the longest token [I10]', () => {
    const disk = new Disk()
    // As large as identities and seqs get: of the epoch 9, and below 2^32.
    const value = cursorRow.write({ seq: 2 ** 32 - 1, notStored: at(2 ** 32 - 2) })
    const most = limits.cursors
    for (let log = 0; log <= most / 16; log++)
      for (let lane = 0; lane < 16; lane++) disk.apply([[rowKey(tables.cursor, 9 * 2 ** 40 + log, lane), value]])
    const rig = new Rig(disk).open()
    rig.takeToken(undefined, 'x'.repeat(limits.tokenBytes))
    rig.step({ kind: 'socketOpened', socket: rig.socket })
    expect(most).toBeGreaterThanOrEqual(1_001 * 16)
    expect(rig.lastPacket('hello').cursors).toHaveLength(most)
    expect(rig.last('write').bytes.length).toBeLessThanOrEqual(327_680)
    const few = new Disk()
    const long = cursorRow.write({
      seq: 10_000,
      notStored: Array.from({ length: 300 }, (_, place) => ({ from: 30 * place + 1, to: 30 * place + 9 })),
    })
    for (let log = 0; log < 100; log++) few.apply([[rowKey(tables.cursor, 9 * 2 ** 40 + log, 0), long]])
    const other = new Rig(few).open()
    const { cursors: named } = other.greet()
    expect(named).toHaveLength(100)
    expect(named.reduce((sum, { notStored }) => sum + notStored.length, 0)).toBe(most - 100)
    expect(other.last('write').bytes.length).toBeLessThanOrEqual(327_680)
  })
})

describe('a server that has gone back without a new epoch', () => {
  it('is told of the cursor, which it has not sent, and ends the session: nothing is told as stored that was not [I6]', () => {
    const rig = new Rig().live()
    rig.say(...[1, 2, 3, 4].map((seq) => deliver(seq)))
    rig.reconnect()
    rig.clear()
    rig.say(deliver(2, { id: 77n }))
    expect([acks(rig), rig.notices('message')]).toEqual([[[4, []]], []])
  })
})
