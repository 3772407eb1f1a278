import type { ServerPacketOf } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { rowKey, tables } from '../../src/machine/rows.ts'
import { deliver, Rig, welcome } from './rig.ts'

interface Mark {
  readonly seq: number
  readonly count?: number
  readonly sender?: number
  readonly epoch?: number
  readonly log?: number
  readonly lane?: number
}

const markRead = (rig: Rig, { seq, count = seq, sender = 200, epoch = 7, log = 100, lane = 8 }: Mark): number =>
  rig.ask({ kind: 'markRead', position: { epoch, log, lane, seq }, sender, count })
const readMark = (mark: number, fields: Partial<ServerPacketOf<'readMark'>> = {}) =>
  ({ kind: 'readMark', log: 100, lane: 8, sender: 200, mark, ...fields }) as const
const told = (rig: Rig): number[] => rig.sent('read').map(({ seq }) => seq)
const answers = (rig: Rig, ...calls: number[]): unknown[] => calls.map((call) => rig.answer(call)?.kind)

/** A client that has acknowledged five messages of bob. */
function received(): Rig {
  const rig = new Rig().live()
  rig.say(...[1, 2, 3, 4, 5].map((seq) => deliver(seq)))
  rig.clear()
  return rig
}

describe('a message is marked read', () => {
  it('without a row where nothing could be told: in an older epoch, or of one without a count', () => {
    const rig = received()
    const calls = [markRead(rig, { seq: 2, epoch: 6 }), markRead(rig, { seq: 2, count: 0 })]
    expect([answers(rig, ...calls), rig.all('commit'), told(rig)]).toEqual([['done', 'done'], [], []])
  })

  it('by its seq alone in a group’s log, where nobody counts', () => {
    const rig = received()
    rig.say(deliver(1, { log: 300 }))
    markRead(rig, { seq: 1, count: 0, sender: 0, log: 300 })
    expect(rig.sent('read')).toEqual([{ kind: 'read', log: 300, lane: 8, seq: 1, sender: 0, count: 0 }])
  })

  it('in each lane, and of each sender, for itself', () => {
    const rig = received()
    rig.say(deliver(1, { lane: 0, id: 7n }))
    markRead(rig, { seq: 3 })
    markRead(rig, { seq: 2, sender: 201 })
    markRead(rig, { seq: 1, lane: 0 })
    expect([told(rig), rig.disk.count(tables.read)]).toEqual([[3, 2, 1], 3])
  })

  it('and that is answered at once where it is stored already', () => {
    const rig = received()
    markRead(rig, { seq: 3 })
    rig.isHolding = true
    expect(answers(rig, markRead(rig, { seq: 3 }), markRead(rig, { seq: 2 }))).toEqual(['done', 'done'])
    expect(told(rig)).toEqual([3])
  })

  it('and that is answered with the commit that is under way for it, or with the next', () => {
    const rig = received()
    rig.isHolding = true
    const first = [markRead(rig, { seq: 3 }), markRead(rig, { seq: 3 }), markRead(rig, { seq: 2 })]
    expect(answers(rig, ...first)).toEqual([undefined, undefined, undefined])
    rig.releaseOne()
    expect([answers(rig, ...first), told(rig)]).toEqual([['done', 'done', 'done'], [3]])
    rig.release()
    rig.isHolding = true
    const second = markRead(rig, { seq: 4 })
    const third = markRead(rig, { seq: 5 })
    rig.releaseOne()
    expect([answers(rig, second, third), told(rig)]).toEqual([[undefined, undefined], [3]])
    rig.releaseOne()
    expect([answers(rig, second, third), told(rig)]).toEqual([
      ['done', 'done'],
      [3, 5],
    ])
  })

  it('and that is told once it is acknowledged, and not before', () => {
    const rig = new Rig().live()
    markRead(rig, { seq: 2 })
    rig.say(deliver(1))
    expect(told(rig)).toEqual([])
    rig.say(deliver(2))
    expect(told(rig)).toEqual([2])
  })

  it('between HELLO and WELCOME, and that is told once it is stored', () => {
    const rig = received()
    markRead(rig, { seq: 2 })
    rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.greet()
    rig.clear()
    rig.isHolding = true
    markRead(rig, { seq: 3 })
    markRead(rig, { seq: 4, sender: 201 })
    rig.say({ ...welcome, serverTimeMs: rig.serverMs })
    expect(told(rig)).toEqual([])
    rig.release()
    expect(told(rig)).toEqual([3, 4])
  })
})

describe('a mark that could not be stored', () => {
  it('is told to whoever waits for it, and stored with the next commit', () => {
    const rig = received()
    rig.isHolding = true
    const call = markRead(rig, { seq: 3 })
    rig.fail()
    expect(rig.answer(call)).toMatchObject({ kind: 'fault', fault: { code: 'store-failed' } })
    rig.isHolding = false
    rig.step({ kind: 'timer', timer: 'store' })
    expect(rig.disk.count(tables.read)).toBe(1)
    expect(new Rig(rig.disk).live().sent('read')).toMatchObject([{ seq: 3 }])
  })

  it('is not brought back when it was confirmed meanwhile', () => {
    const rig = received()
    rig.isHolding = true
    const call = markRead(rig, { seq: 3 })
    rig.say(readMark(3))
    expect(rig.answer(call)).toEqual({ kind: 'done' })
    rig.fail()
    rig.isHolding = false
    rig.step({ kind: 'timer', timer: 'store' })
    rig.reconnect()
    expect([rig.disk.count(tables.read), told(rig)]).toEqual([0, []])
  })
})

describe('READ_MARK', () => {
  it('confirms what it reaches: by count in the user’s own log, by seq in a group’s', () => {
    const rig = received()
    markRead(rig, { seq: 2, count: 7 })
    rig.say(deliver(1, { log: 300 }), deliver(2, { log: 300 }))
    markRead(rig, { seq: 2, count: 9, sender: 0, log: 300 })
    const group = { log: 300, sender: 0 }
    rig.say(readMark(6), readMark(1, group))
    expect(rig.disk.count(tables.read)).toBe(2)
    rig.say(readMark(7))
    expect(rig.disk.has(rowKey(tables.read, 100, 8, 200))).toBe(false)
    rig.say(readMark(2, group))
    expect(rig.disk.count(tables.read)).toBe(0)
  })

  it('is told to the app, also where another device has read', () => {
    const rig = received()
    rig.say(readMark(4))
    expect(rig.notices('read')).toEqual([{ kind: 'read', log: 100, lane: 8, sender: 200, mark: 4 }])
    expect(rig.machine.connection.status).toBe('live')
  })

  it('leaves nothing to be told of what it confirmed while that was being stored', () => {
    const rig = received()
    rig.isHolding = true
    markRead(rig, { seq: 3 })
    rig.say(readMark(3))
    rig.release()
    expect([told(rig), rig.disk.count(tables.read)]).toEqual([[], 0])
  })
})

describe('ten thousand marks', () => {
  it('wait for their confirmation; the oldest is given up for one more [I10]', () => {
    const rig = received()
    rig.isHolding = true
    const calls = Array.from({ length: 10_001 }, (_, at) => markRead(rig, { seq: 1, sender: 1_000 + at }))
    expect(answers(rig, calls[0] ?? 0, calls[1] ?? 0)).toEqual(['done', undefined])
    rig.release()
    expect([rig.disk.count(tables.read), rig.disk.has(rowKey(tables.read, 100, 8, 1_000))]).toEqual([10_000, false])
  })
})
