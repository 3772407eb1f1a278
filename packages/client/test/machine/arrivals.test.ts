import type { ServerPacketOf } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { tables } from '../../src/machine/rows.ts'
import { deliver, Disk, Rig } from './rig.ts'

const mebibyte = 1_048_576
const skip = (from: number, to: number) => ({ kind: 'skip', log: 100, lane: 8, from, to, reason: 1 }) as const
const once = (seq: number): ServerPacketOf<'deliver'> => deliver(seq, { id: 0n })
const acks = (rig: Rig): unknown[] => rig.sent('ack').map(({ upTo, notStored }) => [upTo, notStored])
const told = (rig: Rig): number[] => rig.notices('message').map(({ entry }) => entry.position.seq)
const lose = (rig: Rig): void => rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
const retryStore = (rig: Rig): void => {
  rig.isHolding = false
  rig.step({ kind: 'timer', timer: 'store' })
}
/** Answers the look-up of that number with what the store has. */
const answer = (rig: Rig, number: number): void => {
  const { lookup, keys } = rig.all('lookup')[number] ?? expect.fail()
  rig.step({ kind: 'found', lookup, values: keys.map((key) => rig.disk.get(key)) })
}
/** How many entries each commit stores. */
const commits = (rig: Rig): number[] =>
  rig.all('commit').map(({ writes }) => writes.filter(([key, value]) => key[0] === tables.inbox && value !== null).length)

/** A disk of which nothing is read. */
class Sink extends Disk {
  override apply(): void {}
}

/** A client in a new epoch that has stored in the older one what comes there as 2 and 4. */
function restored(): Rig {
  const rig = new Rig().live()
  rig.say(deliver(1, { id: 1_002n }), deliver(2, { id: 1_004n }))
  rig.reconnect({ epoch: 8 })
  rig.clear()
  return rig
}

describe('an entry with id 0', () => {
  it('is another message than any other: each is stored, and no key of it', () => {
    const rig = new Rig().live()
    rig.say(once(1), once(2))
    expect([told(rig), rig.disk.count(tables.inbox), rig.disk.count(tables.key)]).toEqual([[1, 2], 2, 0])
  })

  it('is stored once, though it comes twice', () => {
    const rig = new Rig().live()
    rig.say(once(1))
    rig.say(once(1))
    expect([told(rig), acks(rig)]).toEqual([
      [1],
      [
        [1, []],
        [1, []],
      ],
    ])
  })

  it('is stored once, though it was not judged before its connection was lost', () => {
    const rig = new Rig().live()
    rig.wallMs += 60_000
    rig.say(once(1))
    rig.reconnect()
    rig.say(once(1))
    expect(told(rig)).toEqual([1])
  })

  it('is stored once, though it had to wait for room', () => {
    const rig = new Rig(new Disk(), { inboxMessages: 2 }).live()
    rig.say(once(1), once(2), once(3))
    expect(told(rig)).toEqual([1, 2])
    rig.receive()
    rig.step({ kind: 'handlerDone', run: 1 })
    expect(told(rig)).toEqual([1, 2, 3])
  })
})

describe('the keys that are remembered in memory', () => {
  it('are 50,000: a repetition in the same epoch is known by the last of them [I10]', () => {
    const rig = new Rig(new Sink(), { inboxMessages: 60_000 }).live()
    const count = 50_001
    const body = new Uint8Array()
    for (let from = 1; from <= count; from += 1_000) {
      const entries = Array.from({ length: Math.min(1_000, count - from + 1) }, (_, at) => deliver(from + at, { body }))
      rig.say(...entries)
    }
    rig.clear()
    rig.say(deliver(count + 1, { id: 1_002n }), deliver(count + 2, { id: 1_001n }))
    expect(rig.notices('message').map(({ entry }) => entry.id)).toEqual([1_001n])
  })
})

describe('a commit of entries', () => {
  it('takes 1,024 of them at most, and a mebibyte [I10]', () => {
    const many = new Rig(new Disk(), { inboxMessages: 2_000 }).live()
    many.clear()
    many.say(...Array.from({ length: 1_025 }, (_, at) => deliver(at + 1)))
    expect(commits(many)).toEqual([1_024, 1])
    const large = new Rig(new Disk(), { inboxBytes: 4 * mebibyte }).live()
    large.clear()
    large.say(...[1, 2, 3].map((seq) => deliver(seq, { body: new Uint8Array(mebibyte / 2) })))
    expect(commits(large)).toEqual([2, 1])
  })

  it('that failed leaves no more room than there is, also where it held what the user sent elsewhere [I10]', () => {
    const rig = new Rig(new Disk(), { inboxMessages: 1 }).live()
    rig.isHolding = true
    rig.say(deliver(1, { sender: 100, senderName: 'alice', echoTo: { toKind: 0, to: 'carol' } }))
    rig.fail()
    retryStore(rig)
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live().say(deliver(1), deliver(2))
    expect(told(rig)).toEqual([1])
  })
})

describe('a range to pass', () => {
  it('is passed while the clocks are in doubt: nothing of it has to be judged', () => {
    const rig = new Rig().live()
    rig.wallMs += 60_000
    rig.say(skip(1, 5))
    expect(acks(rig)).toEqual([[5, [{ from: 1, to: 5 }]]])
  })

  it('is not stored when it comes again, but acknowledged: else its place in the server’s window stays taken', () => {
    const rig = new Rig().live()
    rig.say(skip(1, 5))
    rig.clear()
    rig.say(skip(1, 5))
    expect([rig.all('commit'), acks(rig)]).toEqual([[], [[5, []]]])
  })
})

describe('a look-up of what may have been stored in an older epoch', () => {
  it('asks for nothing else that came, and takes each answer for what it was asked of [I2]', () => {
    const rig = restored()
    const fresh = deliver(3, { id: 0n, timeMs: rig.serverMs })
    rig.say(deliver(1, { id: 77n }), skip(2, 2), fresh, deliver(4))
    expect(rig.all('lookup').map(({ keys }) => keys.length)).toEqual([2])
    answer(rig, 0)
    expect([told(rig), acks(rig)]).toEqual([[1, 3], [[4, [{ from: 2, to: 2 }]]]])
  })

  it('waits for the answer to the one before', () => {
    const rig = restored()
    rig.say(deliver(1))
    rig.say(deliver(2), deliver(3))
    expect(rig.all('lookup')).toHaveLength(1)
    answer(rig, 0)
    expect(rig.all('lookup').map(({ keys }) => keys.length)).toEqual([1, 2])
    answer(rig, 1)
    expect(told(rig)).toEqual([1, 3])
  })

  it('of a connection that is gone says nothing of what comes on the next [I2]', () => {
    const rig = restored()
    rig.say(deliver(1))
    lose(rig)
    answer(rig, 0)
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live({ epoch: 8 }).say(deliver(1), deliver(2))
    answer(rig, 0)
    expect(told(rig)).toEqual([])
    answer(rig, 1)
    answer(rig, 1)
    expect(told(rig)).toEqual([1])
  })

  it('finds nothing of what was taken before the restore and lost by it: that is stored [I1]', () => {
    const rig = restored()
    rig.say(deliver(1, { id: 77n, timeMs: 1_700_000_000_000 }))
    answer(rig, 0)
    expect(told(rig)).toEqual([1])
  })

  it('is not asked any more once all that was taken before the restore has expired, a day included', () => {
    const rig = new Rig().live()
    const expirySecondsMax = 3_600
    rig.reconnect({ epoch: 8, expirySecondsMax })
    const endMs = rig.serverMs + (expirySecondsMax + 86_400) * 1_000
    for (const serverTimeMs of [endMs - 1, endMs]) {
      rig.reconnect({ epoch: 8, serverTimeMs, expirySecondsMax })
      rig.say(deliver(1))
      expect(rig.all('lookup')).toHaveLength(1)
    }
    expect(told(rig)).toEqual([1])
  })
})

describe('a device that only sends', () => {
  it('passes what comes without storing it, so that the user’s others get it, and tells no sender that it had it', () => {
    const rig = new Rig(new Disk(), { inboxMessages: 0 }).live()
    rig.receive()
    rig.say(deliver(1), deliver(2, { echoTo: { toKind: 0, to: 'carol' } }), deliver(3))
    const from = { sender: 200, senderName: 'bob', toKind: 0, to: 'alice', id: 1n, type: 0, priority: 8, timeMs: 1 } as const
    rig.say({ kind: 'realtimeDeliver', token: 9, ...from, body: new Uint8Array() })
    expect(acks(rig).at(-1)).toEqual([3, [{ from: 1, to: 3 }]])
    expect([rig.disk.count(tables.inbox), rig.disk.count(tables.key), rig.handled(), told(rig)]).toEqual([0, 0, [], []])
    expect([rig.sent('realtimeAck'), rig.notices('realtime')]).toEqual([[], []])
  })
})
