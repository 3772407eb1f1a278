/** What the rows of a shard are made of, and where things live. */
import { describe, expect, it } from 'vitest'
import { defaultSettings, MemoryTables, Shard } from '../src/index.ts'
import type { Device } from '../src/rows/rows.ts'
import type { CommandOf } from '../src/shard/commands.ts'
import { deviceIndex, endMs, newDevice, perLane, seenMs, shardOfIdentity, shardOfName } from '../src/shard/state.ts'
import { dayMs } from './client.ts'
import { Ground, origin } from './ground.ts'
import { startMs } from './harness.ts'

const lane = 8

describe('the shard of a name', () => {
  it('is fixed for ever, with its kind and the number of shards', () => {
    const names = ['alice', 'bob', 'carol', 'a', 'ä€😀', 'a much longer name than the others, with spaces']
    const shardsOf = (kind: 0 | 1, shards: number): number[] => names.map((name) => shardOfName(kind, name, shards))
    expect([shardsOf(0, 1), shardsOf(1, 1)]).toEqual([perLane(0).slice(0, 6), perLane(0).slice(0, 6)])
    expect([shardsOf(0, 4), shardsOf(1, 4), shardsOf(0, 256), shardsOf(1, 256)]).toEqual([
      [3, 0, 2, 0, 0, 1],
      [0, 3, 1, 3, 1, 2],
      [231, 212, 18, 44, 48, 49],
      [180, 255, 121, 191, 65, 190],
    ])
  })

  it('is that of the identities made there, which no epoch makes twice', () => {
    const shard = new Shard(2, 4, new MemoryTables())
    const record = { clockMs: startMs, incarnation: 1 }
    shard.apply(1, { ...record, number: 1, commands: [{ kind: 'begin', incarnation: 1, epoch: 3, shards: 4 }] })
    const identities = ['x', 'y', 'z'].map((user, at) => {
      shard.apply(at + 2, { ...record, number: at + 2, commands: [{ kind: 'userCreate', ...origin, user }] })
      return shard.state.addresses.get(0, user)?.identity ?? 0
    })
    const first = 3 * 2 ** 40
    expect(identities).toEqual([first + 6, first + 10, first + 14])
    expect(identities.map((identity) => shardOfIdentity(identity, 4))).toEqual([2, 2, 2])
    shard.apply(5, { ...record, number: 5, commands: [{ kind: 'begin', incarnation: 2, epoch: 4, shards: 4 }] })
    shard.apply(6, { ...record, incarnation: 2, number: 6, commands: [{ kind: 'userCreate', ...origin, user: 'w' }] })
    expect(shard.state.addresses.get(0, 'w')?.identity).toBe(4 * 2 ** 40 + 6)
    expect([1, 2, 3, 5].map((shards) => shardOfIdentity(2 ** 40 + 7, shards))).toEqual([0, 1, 1, 2])
  })
})

describe('a new shard', () => {
  it('has the default settings, and has forwarded nothing to any other', () => {
    const { meta } = new Shard(1, 3, new MemoryTables()).state
    expect(meta).toMatchObject({ epoch: 0, clockMs: 0, incarnation: 0, shards: 3, queued: 0, dequeued: 0 })
    expect([meta.settings, meta.began, meta.forwarded, meta.acknowledged]).toEqual([defaultSettings, [], [0, 0, 0], [0, 0, 0]])
    expect(meta.settings).not.toBe(defaultSettings)
  })

  it('tells nothing', () => {
    const made = new Ground()
    const effects = Object.entries(made.apply())
    expect(effects.length).toBe(14)
    expect(effects.filter(([, told]) => told.length > 0)).toEqual([])
  })
})

describe('what a record tells', () => {
  it('is told once, whatever it repeats: marks, and lanes in which something is new', () => {
    const made = new Ground()
    made.users('alice', 'bob')
    made.connect('bob', 1)
    const [, bob] = [made.log('alice'), made.log('bob')]
    const sends = [1, 2].map((id) => made.sendOf('alice', 'bob', { id }))
    const others = [3, 4].map((id) => made.sendOf('alice', 'bob', { id, lane: 15 }))
    expect(made.apply(...sends, ...others, ...sends).live).toEqual([
      { log: bob, lane },
      { log: bob, lane: 15 },
    ])
    expect(made.apply(made.sendOf('alice', 'bob', { id: 5 })).live).toEqual([{ log: bob, lane }])
    const sender = made.log('alice')
    const moved = made.apply(made.ackOf('bob', 1, 1), made.ackOf('bob', 1, 2), made.readOf('bob', 1, 1, { from: 'alice' }))
    expect(moved.marks).toEqual([{ sender, log: bob, lane, delivered: 2, read: 1 }])
    expect(made.ack('bob', 1, 3).marks).toEqual([{ sender, log: bob, lane, delivered: 3, read: 1 }])
    expect(made.apply().marks).toEqual([])
  })

  it('[I9] is what a sender could know before it was blocked in the same record', () => {
    const made = new Ground()
    made.users('alice', 'bob')
    made.connect('bob', 1)
    made.fill('alice', 'bob', 4)
    const [sender, bob] = [made.log('alice'), made.log('bob')]
    made.ack('bob', 1, 1)
    const block = { kind: 'block', ...origin, user: bob, target: sender, targetName: 'alice' } as const
    const { marks } = made.apply(
      made.ackOf('bob', 1, 2),
      made.readOf('bob', 1, 1, { from: 'alice' }),
      { ...block, isBlocked: true },
      made.ackOf('bob', 1, 3),
      made.readOf('bob', 1, 3, { from: 'alice' }),
    )
    expect(marks).toEqual([{ sender, log: bob, lane, delivered: 2, read: 1 }])
    expect(made.ack('bob', 1, 4).marks).toEqual([])
  })

  it('is told to nobody in a replay, and again after it', () => {
    const made = new Ground()
    made.users('alice', 'bob')
    made.connect('bob', 1)
    const send = made.sendOf('alice', 'bob')
    made.replay(send)
    made.replay(made.ackOf('bob', 1, 1))
    expect(made.apply()).toMatchObject({ live: [], marks: [], results: [] })
    expect(made.apply(made.sendOf('alice', 'bob', { id: 2 })).live).toHaveLength(1)
    expect(made.ack('bob', 1, 2).marks).toMatchObject([{ delivered: 2 }])
  })

  it('answers whoever asked, and nobody else', () => {
    const made = new Ground()
    const command = { kind: 'userCreate', user: 'alice' } as const
    expect(made.apply({ ...command, tag: 0, ref: 7 }, { ...command, tag: 5, ref: 8 }).replies).toEqual([
      { tag: 5, ref: 8, code: 0, value: 0x100_0000_0001, isNew: false },
    ])
    const revoke = { kind: 'revoke', user: 'alice', validAfterMs: 1 } as const
    expect(made.apply({ ...revoke, tag: 5, ref: 9 }).replies).toEqual([{ tag: 5, ref: 9, code: 0, value: 1, isNew: false }])
  })
})

describe('a message', () => {
  it('has its verdict told to whoever waits for it, by its id or by another number', () => {
    const made = new Ground()
    made.users('alice', 'bob')
    const told = [
      [1, 1, 1],
      [1, 0, 2],
      [1, 1, 0],
      [1, 0, 0],
      [0, 1, 3],
    ].map(([tag = 0, ref = 0, id = 0]) => {
      const send = made.sendOf('alice', 'bob', { id }) as CommandOf<'send'>
      return made.apply({ ...send, tag, ref }).results.map((result) => [result.tag, result.ref, result.count])
    })
    expect(told).toEqual([[[1, 1, 1]], [[1, 0, 2]], [[1, 1, 3]], [], []])
    expect(made.seqs('bob')).toEqual([1, 2, 3, 4, 5])
  })

  it('[I2] is known again whatever came after it, so that it is in the log once', () => {
    const made = new Ground()
    made.users('alice', 'bob')
    expect([5, 3, 5, 3, 4].map((id) => made.send('alice', 'bob', { id }))).toEqual(['sent', 'sent', 'sent', 'sent', 'sent'])
    expect(made.seqs('bob').map((seq) => made.entry('bob', seq)?.id)).toEqual([5n, 3n, 4n])
  })

  it('[I10] may take half of the bytes of a log, and not one more', () => {
    const verdicts = [20, 19].map((inboxBytes) => {
      const made = new Ground()
      made.users('alice', 'bob')
      made.apply({ kind: 'settings', ...defaultSettings, inboxBytes })
      return made.send('alice', 'bob', { bodyBytes: 10 })
    })
    expect(verdicts).toEqual(['sent', 'inbox-full'])
  })
})

describe('a sender', () => {
  it('has one number for each log that it writes to, and a trace there', () => {
    const made = new Ground()
    const [alice, bob] = made.users('alice', 'bob', 'carol')
    for (const to of ['bob', 'carol']) for (const id of [1, 2]) made.send('alice', to, { id })
    made.send('bob', 'carol')
    const numberOf = (to: string, from: string): number | undefined =>
      made.state.contacts.get(made.log(to), made.log(from))?.number
    expect([numberOf('bob', 'alice'), numberOf('carol', 'alice'), numberOf('carol', 'bob')]).toEqual([1, 2, 3])
    const logs = (user: number | undefined): number[] => made.state.traces.scan(user ?? 0, 0, undefined, 9).map(([log]) => log)
    expect([logs(alice), logs(bob)]).toEqual([[made.log('bob'), made.log('carol')], [made.log('carol')]])
    expect(made.state.contacts.get(made.log('bob'), alice ?? 0)).toMatchObject({ isBlocked: false, senderName: 'alice' })
    expect(made.state.contacts.get(made.log('bob'), alice ?? 0)?.lanes).toHaveLength(16)
  })
})

describe('a key', () => {
  it.each(['bob', '#team'])(
    '[I2] answers until a day after the deadline of its message, and not at the end of it: to %s',
    (to) => {
      const made = new Ground()
      made.users('alice', 'bob')
      made.group('#team', 'alice', 'bob')
      made.connect('bob', 1)
      const deadlineMs = made.clockMs + 1_000
      made.send('alice', to, { deadlineMs })
      const later = (ms: number): string => {
        made.clockMs = deadlineMs + dayMs + ms
        return made.status('alice', to, 1)
      }
      // Asked by the host's clock; the shard's stands still.
      expect([later(-1), later(0), later(-1)]).toEqual(['sent', 'unknown', 'sent'])
      made.pass(0)
      expect(made.status('alice', to, 1)).toBe('expired')
      expect(made.send('alice', to, { deadlineMs })).toBe('expired')
      made.clockMs = startMs
      expect(made.status('alice', to, 1)).toBe('expired')
      made.clockMs = deadlineMs + dayMs
      expect(made.send('alice', to, { deadlineMs })).toBe('unknown')
      made.clockMs = startMs
      expect(made.status('alice', to, 1)).toBe('unknown')
    },
  )
})

describe('a device', () => {
  it('[I1] was seen last when it disconnected, or no later than the next incarnation of the server began', () => {
    const made = new Ground()
    const { state } = made
    const begin = (incarnation: number): void =>
      void made.shard.apply(90 + incarnation, {
        clockMs: made.clockMs,
        incarnation,
        number: 1,
        commands: [{ kind: 'begin', incarnation, epoch: 1, shards: 1 }],
      })
    for (const incarnation of [2, 4, 6]) {
      made.clockMs += 1_000
      made.shard.apply(80 + incarnation, { clockMs: made.clockMs, incarnation, number: 0, commands: [] })
      begin(incarnation)
    }
    const device = (incarnation: number, seen: number): Device => newDevice('1'.repeat(32), 1, incarnation, seen, perLane(0))
    const seen = (incarnation: number, ms: number): number => seenMs(state, device(incarnation, startMs + ms)) - startMs
    state.changeMeta().clockMs += 500
    expect([
      seen(0, 100),
      seen(1, 100),
      seen(2, 100),
      seen(3, 100),
      seen(4, 100),
      seen(5, 100),
      seen(6, 100),
      seen(7, 100),
    ]).toEqual([100, 1_000, 2_000, 2_000, 3_000, 3_000, 3_500, 100])
    expect([seen(0, -100), seen(2, 2_500), seen(6, 2_500)]).toEqual([-100, 2_500, 3_500])
  })

  it('is found among others, and has its own cursors', () => {
    const starts = perLane(4)
    const devices = ['a', 'b', 'c'].map((id) => newDevice(id, 1, 1, 0, starts))
    expect(['a', 'b', 'c', 'd'].map((id) => deviceIndex(devices, id))).toEqual([0, 1, 2, -1])
    const [device] = devices
    expect(device).toMatchObject({ unsettled: [], confirmed: [] })
    if (device !== undefined) device.cursors[lane] = 9
    expect([devices[1]?.cursors[lane], starts[lane], starts.length]).toEqual([4, 4, 16])
  })
})

describe('a deleted log', () => {
  it('[I2] ends when no key of its messages can live any more', () => {
    const made = new Ground()
    made.users('alice')
    // The limit was higher when it got its messages.
    made.apply({ kind: 'settings', ...made.state.settings, expirySecondsMax: 5_000 })
    const log = made.state.log(made.log('alice'))
    if (log === undefined) throw new Error('no log')
    expect(endMs({ ...log, removedMs: 1_000 })).toBe(1_000 + 30 * dayMs + 3_600_000 + dayMs)
  })
})
