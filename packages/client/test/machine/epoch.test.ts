import { describe, expect, it } from 'vitest'
import { tables } from '../../src/machine/rows.ts'
import { deliver, Disk, draft, resultOf, Rig, serverStartMs, welcome } from './rig.ts'

const dayMs = 86_400_000

describe('a commit that fails at a new epoch', () => {
  /** Fails the first commit after a WELCOME of a new epoch (or does something else with it), then lets everything succeed. */
  function failAtEpoch(rig: Rig, act = () => rig.fail()): void {
    rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.greet()
    rig.isHolding = true
    rig.say({ ...welcome, epoch: 8, serverTimeMs: rig.serverMs })
    act()
    rig.isHolding = false
    rig.step({ kind: 'timer', timer: 'store' })
  }

  it('leaves no cursor of the older one: the entries of the new one are stored after a restart [I1]', () => {
    const rig = new Rig().live()
    rig.say(deliver(1), deliver(2), deliver(3))
    failAtEpoch(rig)
    const restarted = new Rig(rig.disk).open()
    expect(restarted.greet()).toMatchObject({ epoch: 8, cursors: [] })
    restarted.say({ ...welcome, epoch: 8, serverTimeMs: restarted.serverMs })
    restarted.say(deliver(1, { id: 77n }))
    const { lookup } = restarted.last('lookup')
    restarted.step({ kind: 'found', lookup, values: [undefined] })
    expect(restarted.notices('message').map(({ entry }) => entry.id)).toEqual([77n])
  })

  it('is stored with all that is to be sent again: after a crash none of it is only asked for [I1]', () => {
    const rig = new Rig(new Disk(), { outboxBytes: 10_000_000 }).live()
    for (let id = 1n; id <= 40n; id++) rig.send({ id, body: new Uint8Array(60_000) })
    for (let sends = rig.sent('send'); sends.length > 0; sends = rig.sent('send')) {
      rig.packets.length = 0
      rig.say(...sends.map((send) => resultOf(send, { count: Number(send.id) })))
    }
    const disk = new Disk()
    failAtEpoch(rig, () => {
      rig.releaseOne()
      for (const [key, value] of rig.disk.rows) disk.rows.set(key, value)
    })
    const restarted = new Rig(disk, { outboxBytes: 10_000_000 }).open()
    expect(restarted.greet()).toMatchObject({ epoch: 8 })
    restarted.say({ ...welcome, epoch: 8, serverTimeMs: restarted.serverMs })
    expect(restarted.sent('query')).toEqual([])
    expect(restarted.sent('send').length).toBeGreaterThan(10)
  })

  it('is stored with all messages, however many, and later commits take a mebibyte again [I10]', () => {
    const rig = new Rig(new Disk(), { outboxMessages: 20_000, outboxBytes: 10_000_000 }).live({ bodyBytesMax: 1_048_576 })
    const rowsByCommit = (): number[] =>
      rig.all('commit').map(({ writes }) => writes.filter(([key]) => key[0] === tables.outbox).length)
    rig.ask({ kind: 'send', drafts: Array.from({ length: 17_000 }, () => draft()) })
    rig.clear()
    failAtEpoch(rig, () => rig.release())
    expect(Math.max(...rowsByCommit())).toBe(17_000)
    rig.isHolding = true
    rig.clear()
    for (let count = 0; count < 40; count++) rig.send({ body: new Uint8Array(60_000) })
    rig.release()
    expect(rowsByCommit()).toEqual([1, 18, 18, 3])
  })

  it('leaves no mark of the older one: nothing is told read that was not [I6]', () => {
    const rig = new Rig().live()
    rig.say(deliver(1), deliver(2), deliver(3))
    rig.ask({ kind: 'markRead', position: { epoch: 7, log: 100, lane: 8, seq: 3 }, sender: 200, count: 3 })
    failAtEpoch(rig)
    expect(rig.disk.count(tables.read)).toBe(0)
  })
})

describe('an entry that was stored in an older epoch', () => {
  it('counts as stored when it comes again after its deadline: its sender is not told expired [I6]', () => {
    const rig = new Rig().live()
    const entry = deliver(1, { deadlineMs: serverStartMs + 60_000 })
    rig.say(entry)
    rig.advance(61_000)
    rig.reconnect({ epoch: 8 })
    rig.clear()
    rig.say(entry)
    const { lookup, keys } = rig.last('lookup')
    rig.step({ kind: 'found', lookup, values: keys.map((key) => rig.disk.get(key)) })
    expect(rig.lastPacket('ack')).toMatchObject({ upTo: 1, notStored: [] })
    expect(rig.notices('message')).toEqual([])
  })

  it('is another message than what comes under its id once its key has ended, and that is stored [I1]', () => {
    const rig = new Rig().live()
    rig.say(deliver(1, { deadlineMs: serverStartMs + 60_000 }))
    rig.advance(60_000 + dayMs)
    const restarted = new Rig(rig.disk)
    restarted.advance(60_000 + dayMs)
    restarted.live({ epoch: 8 })
    const timeMs = restarted.serverMs
    restarted.say(deliver(1, { timeMs, deadlineMs: timeMs + 60_000 }))
    const { lookup, keys } = restarted.last('lookup')
    restarted.step({ kind: 'found', lookup, values: keys.map((key) => restarted.disk.get(key)) })
    expect(restarted.notices('message')).toHaveLength(1)
  })
})

describe('an id that is used again', () => {
  it('is a repetition while the key of its message lives, and another message from then on [I1] [I2]', () => {
    const rig = new Rig().live()
    rig.say(deliver(1, { deadlineMs: serverStartMs + 60_000 }))
    const keyEndMs = serverStartMs + 60_000 + dayMs
    rig.advance(60_000 + dayMs)
    const again = { id: 1_001n, deadlineMs: keyEndMs + 60_000 }
    rig.say(deliver(2, { ...again, timeMs: keyEndMs - 1 }))
    expect(rig.notices('message')).toHaveLength(1)
    rig.say(deliver(3, { ...again, timeMs: keyEndMs }))
    expect(rig.notices('message')).toHaveLength(2)
  })
})
