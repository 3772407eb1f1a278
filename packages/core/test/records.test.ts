/** Which records a shard takes, and what the first ones of an incarnation change. */
import { describe, expect, it } from 'vitest'
import { type Command, defaultSettings, type Effects, MemoryTables, Shard } from '../src/index.ts'
import { dayMs } from './client.ts'
import { Ground, origin } from './ground.ts'
import { startMs } from './harness.ts'

/** Applies records of any incarnation and number, one position after the other. */
function shardOf() {
  const shard = new Shard(0, 1, new MemoryTables())
  const apply = (incarnation: number, number: number, commands: readonly Command[] = [], clockMs = startMs): Effects =>
    shard.apply(shard.position + 1, { clockMs, incarnation, number, commands })
  const begin = (incarnation: number, epoch = 1): Command => ({ kind: 'begin', incarnation, epoch, shards: 1 })
  const create = (user: string): Command => ({ kind: 'userCreate', tag: 1, ref: 1, user })
  const identityOf = (user: string): number => shard.state.addresses.get(0, user)?.identity ?? 0
  return { shard, apply, begin, create, identityOf }
}

describe('a record', () => {
  it('[I12] that was applied before, or comes from an earlier incarnation, only moves the position', () => {
    const { shard, apply, begin, create, identityOf } = shardOf()
    apply(5, 1, [begin(5)])
    apply(5, 2)
    for (const [incarnation, number] of [
      [5, 2],
      [5, 1],
      [4, 3],
      [4, 1],
    ] as const)
      expect(apply(incarnation, number, [create('bob')], startMs + 9).replies).toEqual([])
    expect([identityOf('bob'), shard.position, shard.state.clockMs]).toEqual([0, 6, startMs])
    expect(apply(5, 3, [create('bob')]).replies).toHaveLength(1)
    expect([identityOf('bob') > 0, shard.position]).toEqual([true, 7])
    // The first of a new incarnation has a number of its own.
    expect(apply(6, 1, [begin(6), create('carol')]).replies).toHaveLength(1)
    expect(apply(6, 2, [create('dave')]).replies).toHaveLength(1)
  })

  it('[I5] never takes the clock back', () => {
    const { shard, apply, begin } = shardOf()
    apply(1, 1, [begin(1)])
    const clocks = [5, 3, 8].map((ms, at) => {
      apply(1, at + 2, [], startMs + ms)
      return shard.state.clockMs - startMs
    })
    expect(clocks).toEqual([5, 5, 8])
  })

  it('[I5] closes what is due before its commands come', () => {
    const made = new Ground()
    made.users('alice', 'bob')
    made.apply({ kind: 'settings', ...defaultSettings, inboxEntries: 2 })
    made.send('alice', 'bob', { id: 1, deadlineMs: made.clockMs + 1_000 })
    expect(made.send('alice', 'bob', { id: 2 })).toBe('inbox-full')
    made.clockMs += 1_000
    expect(made.send('alice', 'bob', { id: 3 })).toBe('sent')
  })

  it('[I11] of the journal is applied to the same rows when a shard is opened', () => {
    const [heard, replayed] = [new Ground(), new Ground()].map((made, at) => {
      made.users('alice', 'bob')
      made.group('#team', 'alice', 'bob')
      made.connect('bob', 1)
      made.connect('bob', 1, {}, '#team')
      const give = (...commands: Command[]): void => void (at === 0 ? made.apply(...commands) : made.replay(...commands))
      for (const to of ['bob', '#team'])
        for (const id of [1, 2]) give(made.sendOf('alice', to, { id, deadlineMs: made.clockMs + 1_000 }))
      give(made.ackOf('bob', 1, 2, { notStored: [[2, 2]] }), made.ackOf('bob', 1, 1, { to: '#team' }))
      give(made.readOf('bob', 1, 1, { from: 'alice' }), made.readOf('bob', 1, 1, { to: '#team' }))
      made.clockMs += 1_000
      give({ kind: 'block', ...origin, user: made.log('bob'), target: made.log('alice'), targetName: 'alice', isBlocked: true })
      give({ kind: 'userDelete', ...origin, user: 'bob', validAfterMs: 0 })
      return made.rows()
    })
    expect(replayed).toEqual(heard)
  })
})

describe('a new incarnation', () => {
  it('[I9] of the same epoch goes on with its identities, one of a new epoch begins anew', () => {
    const { shard, apply, begin, create, identityOf } = shardOf()
    apply(1, 1, [begin(1), create('a')])
    apply(2, 2, [begin(2), create('b')])
    apply(3, 3, [begin(3, 2), create('c')])
    // One that was restored from before.
    apply(4, 4, [begin(4, 1), create('d')])
    expect(['a', 'b', 'c', 'd'].map((user) => identityOf(user) - identityOf('a'))).toEqual([0, 1, 2 ** 40, 2 ** 40 + 1])
    expect(shard.state.meta.epoch).toBe(2)
  })

  it('[I10] remembers when the last 64 began', () => {
    const { shard, apply, begin } = shardOf()
    for (let incarnation = 1; incarnation <= 66; incarnation++)
      apply(incarnation, incarnation, [begin(incarnation)], startMs + incarnation)
    const { began } = shard.state.meta
    expect([began.length, began[0], began.at(-1)]).toEqual([
      64,
      { incarnation: 3, beganMs: startMs + 3 },
      { incarnation: 66, beganMs: startMs + 66 },
    ])
  })
})

describe('what a shard has to do next', () => {
  it('is known by its own clock, if no other time is given', () => {
    const made = new Ground()
    made.users('alice', 'bob')
    expect(made.shard.nextDueMs()).toBeUndefined()
    const deadlineMs = made.clockMs + 1_000
    made.send('alice', 'bob', { deadlineMs })
    expect([made.shard.nextDueMs(), made.shard.nextDueMs(deadlineMs)]).toEqual([deadlineMs, deadlineMs])
    made.send('alice', 'bob', { id: 2, deadlineMs: made.clockMs + 2 * dayMs })
    made.pass(1_000)
    expect(made.shard.nextDueMs()).toBeUndefined()
    expect(made.shard.nextDueMs(startMs + 2 * dayMs)).toBe(startMs + 2 * dayMs)
  })

  it('is nothing while nothing is left to settle', () => {
    const made = new Ground({ pace: { commandRows: 1, recordRows: 1 } })
    made.users('alice', 'bob')
    made.connect('bob', 1)
    made.fill('alice', 'bob', 2)
    const before = made.shard.nextDueMs(made.clockMs)
    made.ack('bob', 1, 2)
    expect([before === made.clockMs, made.shard.nextDueMs()]).toEqual([false, made.clockMs])
    made.apply()
    expect(made.shard.nextDueMs()).toBe(before)
  })
})
