import { codeByNumber } from '@posthaste/protocol'
import { describe, expect, it, vi } from 'vitest'
import { MemoryTables, Shard } from '../src/index.ts'
import { readEntry } from '../src/pump.ts'
import type { Command } from '../src/shard/commands.ts'
import { shardOfName } from '../src/shard/state.ts'
import { dayMs } from './client.ts'
import { deviceId, Ground, missedBy, origin, team } from './ground.ts'
import { dump, startMs, World, writeCheckpoint } from './harness.ts'

const range = (count: number): number[] => Array.from({ length: count }, (_, at) => at)

describe('[I10] what a member has of devices and ranges', () => {
  it('is no more than its own devices and a few others, whatever those had said, and can be read again', async () => {
    const made = new Ground({ pace: { commandRows: 1, recordRows: 1 } })
    made.users('alice', 'bob')
    const group = made.group('#team', 'alice', 'bob')
    made.fill('alice', '#team', 200)
    made.apply({ kind: 'settings', ...made.state.settings, devicesPerUser: 2 })
    for (let device = 1; device <= 100; device++) {
      made.connect('bob', device)
      made.connect('bob', device, {}, '#team')
      // What it has passed is more than a record settles.
      made.connect('bob', device, { 8: [200] }, '#team')
      made.apply({ kind: 'sessionEnd', user: made.log('bob'), device: deviceId(device), session: device * 3 - 2 })
    }
    const held = made.state.members.get(group, made.log('bob'))?.devices ?? []
    expect(held.length).toBeLessThanOrEqual(18)
    expect(held.at(-1)?.id).toBe(deviceId(100))
    await writeCheckpoint(made.shard, made.tables)
    expect(new Shard(0, 1, made.tables).state.members.get(group, made.log('bob'))?.devices.length).toBe(held.length)
  })

  it('is no more than so many ranges that it has missed, though another device splits them', () => {
    const made = team(2_000)
    made.connect('bob', 2, {}, '#team')
    made.ack('bob', 1, 2_000, { to: '#team', notStored: [[1, 1_999]] })
    expect(missedBy(made)).toEqual([[1, 1_999]])
    made.ack('bob', 2, 1_999, { to: '#team', notStored: range(1_000).map((at) => [2 * at + 1, 2 * at + 1]) })
    made.settle()
    const missed = made.marks('bob', '#team')?.missed ?? []
    expect([missed.length, missed[0]?.isVague, missed.at(-1)]).toEqual([256, true, { from: 1_999, to: 1_999, isVague: false }])
  })

  it('is a device less than the limit, where that was lowered', () => {
    const made = new Ground()
    made.users('bob')
    for (const device of [1, 2, 3, 4]) {
      made.connect('bob', device)
      made.apply({ kind: 'sessionEnd', user: made.log('bob'), device: deviceId(device), session: device })
    }
    made.apply({ kind: 'settings', ...made.state.settings, devicesPerUser: 2 })
    made.connect('bob', 5)
    expect(made.state.log(made.log('bob'))?.devices.map(({ id }) => id)).toEqual([4, 5].map(deviceId))
  })
})

describe('[I10] the end of a user that wrote to many', () => {
  it('goes on where the last record ended', () => {
    const made = new Ground({ shards: 2 })
    const user = 2 ** 40 + 1
    for (let at = 0; at < 5_000; at++) made.state.trace(user, 10 + at)
    made.apply({ kind: 'userEnd', user })
    const scans = vi.spyOn(made.state.traces, 'scan')
    const froms = (): number[] => scans.mock.calls.splice(0).map(([, from]) => from)
    for (let records = 0; records < 3; records++) made.pass(1)
    expect([froms(), made.state.endedTo.size]).toEqual([[0, 2_010, 4_010], 0])
    // What it leaves meanwhile in a log that lies before comes first.
    for (let at = 0; at < 5_000; at++) made.state.trace(user, 10 + at)
    made.apply({ kind: 'userEnd', user })
    made.pass(1)
    made.state.trace(user, 9_999)
    made.state.trace(user, 7)
    for (let records = 0; records < 2; records++) made.pass(1)
    expect([froms(), made.state.traces.scan(user, 0, undefined, 1)]).toEqual([[0, 7, 4_009], []])
  })
})

describe('a late entry', () => {
  it('[I10] holds up nothing behind it while other logs are being closed', () => {
    const made = new Ground()
    const names = range(2_500).map((at) => `u${at}`)
    made.users('news', 'alice', 'bob', ...names)
    made.connect('bob', 1)
    const dueMs = made.clockMs + dayMs
    made.apply(...names.map((name, at) => made.sendOf('news', name, { id: at + 1, deadlineMs: dueMs })))
    made.send('news', 'bob', { id: 9_999, deadlineMs: dueMs + 1 })
    made.send('alice', 'bob', { id: 1, deadlineMs: dueMs + 8 * dayMs })
    const reader = { user: made.log('bob'), device: deviceId(1) }
    const read = (): string => readEntry(made.state, made.log('bob'), 8, 1, reader, dueMs + 2).kind
    expect(read()).toBe('wait')
    made.clockMs = dueMs + 1
    made.apply()
    expect([read(), made.entry('bob', 1)?.isClosed]).toEqual(['skip', false])
  })
})

describe('whether somebody has room for one more group', () => {
  it('[I9] is told to those alone who may add to the group', () => {
    const world = new World({ settings: { groupsPerUser: 2 } })
    for (const user of ['boss', 'victim', 'mallory']) world.online(user)
    for (const group of ['secret', 'full']) world.group(group, 'boss', 'victim')
    world.group('other', 'boss')
    const add = (group: string, by: number): string => {
      const shard = world.host.shardOf(0, 'victim')
      const code = world.operate(shard, (asked) => ({ kind: 'memberSet', ...asked, group, user: 'victim', roles: 3, by }))
      return code === 0 ? 'done' : codeByNumber(code).name
    }
    const mallory = world.host.queries.identityOf(0, 'mallory')
    expect(['secret', 'other'].map((group) => add(group, mallory))).toEqual(['not-member', 'not-member'])
    expect(['secret', 'other'].map((group) => add(group, 0))).toEqual(['done', 'too-many'])
  })
})

describe('[I11] the names of members', () => {
  it('are the same with and without a checkpoint in between, though one that is on disk is replaced and goes', async () => {
    const group = range(99)
      .map((at) => `g${at}`)
      .find((name) => shardOfName(1, name, 2) === 0) as string
    // Two identities that the name had one after the other, in another shard.
    const [old, young] = [2 ** 40 + 1_001, 2 ** 40 + 1_003]
    const join = (user: number, roles: number): Command => {
      return { kind: 'memberJoin', ...origin, group, user, userName: 'zed', roles, by: 0, isFull: false }
    }
    const first: Command[] = [
      { kind: 'begin', incarnation: 1, epoch: 1, shards: 2 },
      { kind: 'groupCreate', ...origin, group, by: 0, byName: '' },
    ]
    const records = [first, [join(old, 3)], [join(young, 3)], [join(young, 0)]]
    const rowsWith = async (checkpointAfter: number): Promise<string[]> => {
      const tables = new MemoryTables()
      const shard = new Shard(0, 2, tables)
      for (const [at, commands] of records.entries()) {
        shard.apply(at + 1, { clockMs: startMs, incarnation: 1, number: at + 1, commands })
        if (at === checkpointAfter) await writeCheckpoint(shard, tables)
      }
      return dump(shard, tables)
    }
    expect(await rowsWith(1)).toEqual(await rowsWith(-1))
  })
})
