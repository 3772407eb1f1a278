import { limits } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { cursorRow, rowKey, tables } from '../../src/machine/rows.ts'
import { deliver, Disk, Rig, welcome } from './rig.ts'

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

describe('HELLO', () => {
  it('names as many lanes as a server takes; the others are acknowledged after WELCOME [I10]', () => {
    const disk = new Disk()
    const value = cursorRow.write({ seq: 3, notStored: [] })
    for (let log = 1; log <= limits.cursors + 2; log++) disk.apply([[rowKey(tables.cursor, log, 8), value]])
    const rig = new Rig(disk).open()
    expect(rig.greet().cursors).toHaveLength(limits.cursors)
    rig.say({ ...welcome, serverTimeMs: rig.serverMs })
    expect(rig.sent('ack').map(({ log, upTo }) => [log, upTo])).toEqual([
      [limits.cursors + 1, 3],
      [limits.cursors + 2, 3],
    ])
  })
})
