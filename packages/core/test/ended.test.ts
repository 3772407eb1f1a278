/** How a deleted log ends: so many rows at a time, and what is told of it. */
import { codeNumber } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { shardOfName } from '../src/index.ts'
import type { LogRow } from '../src/rows/rows.ts'
import { endLog } from '../src/shard/ending.ts'
import type { CommandOf } from '../src/shard/commands.ts'
import { dayMs } from './client.ts'
import { Ground, origin } from './ground.ts'
import { outersOf } from './keyRows.ts'

const lane = 8
/** From the deletion of an address until it is as if it had never been. */
const lifeMs = 31 * dayMs + 3_600_000
const [removing, telling, waiting] = [0, 1, 2]

const endOfUser = (user: string) => ({ kind: 'userDelete', ...origin, user, validAfterMs: 0 }) as const
const endOfGroup = (group: string) => ({ kind: 'groupDelete', ...origin, group, by: 0 }) as const

/** Goes on to end a log: how many rows it looked at. */
function goOn(made: Ground, identity: number, budget: number): number {
  const { state } = made
  const log = state.log(identity) as LogRow
  state.changeLog(identity, log)
  state.due.delete(log.dueMs, identity)
  log.dueMs = 0
  return endLog(state, identity, log, budget)
}

describe('[I10] the end of a deleted log goes a few rows at a time', () => {
  it('through what is in it', () => {
    const made = new Ground()
    const [, bob = 0] = made.users('alice', 'bob')
    made.fill('alice', 'bob', 9)
    made.fill('alice', 'bob', 11, { lane: 9 }, 10)
    made.apply(endOfUser('bob'))
    const log = made.state.log(bob)
    const place = (): unknown[] => [log?.lanes[lane]?.trim, log?.lanes[9]?.trim, log?.ending, log?.kept]
    expect([goOn(made, bob, 6), place(), log?.dueMs]).toEqual([7, [6, 0, removing, 5], made.clockMs])
    expect([goOn(made, bob, 5), place(), log?.dueMs]).toEqual([6, [9, 2, telling, 0], made.clockMs])
    expect([goOn(made, bob, 6), place(), log?.dueMs]).toEqual([1, [9, 2, waiting, 0], made.clockMs + lifeMs])
    expect([made.seqs('bob'), made.seqs('bob', 9)]).toEqual([[], []])
  })

  it('through its members, who count as eight rows each', () => {
    const made = new Ground()
    const names = ['a', 'b', 'c', 'd', 'e']
    const users = made.users(...names)
    const group = made.group('#team', ...names)
    made.member('#team', 'b', 0)
    made.fill('a', '#team', 5)
    made.apply(endOfGroup('team'))
    const log = made.state.log(group)
    const left = (): string => names.filter((_, at) => made.state.memberships.get(users[at] ?? 0, group) !== undefined).join('')
    expect([goOn(made, group, 6), left(), log?.ending]).toEqual([6, 'acde', telling])
    expect([goOn(made, group, 9), left(), log?.ending, log?.dueMs]).toEqual([9, 'cde', telling, made.clockMs])
    expect([goOn(made, group, 9), left()]).toEqual([9, 'cde'])
    expect([goOn(made, group, 17), left()]).toEqual([17, 'e'])
    expect([goOn(made, group, 17), left(), log?.ending, log?.endingAt]).toEqual([9, '', waiting, 0])
    expect([log?.members, log?.receivers, log?.dueMs]).toEqual([0, 0, made.clockMs + lifeMs])
  })

  it('and more slowly while another shard has much to take', () => {
    const made = new Ground()
    made.users('a')
    const group = made.group('#team', 'a')
    made.apply(endOfGroup('team'))
    const meta = made.state.changeMeta()
    meta.forwarded[0] = 10_005
    meta.acknowledged[0] = 5
    const log = made.state.log(group)
    expect([goOn(made, group, 50), log?.ending, log?.members, log?.dueMs]).toEqual([50, telling, 1, made.clockMs + 100])
    meta.acknowledged[0] = 6
    expect([goOn(made, group, 50), log?.ending, log?.members]).toEqual([9, waiting, 0])
  })

  it('through all rows that are left of it, once its time has come', () => {
    const made = new Ground()
    const names = ['a', 'b', 'c', 'd']
    const [, , , , bob = 0] = made.users(...names, 'bob')
    for (const from of names) made.send(from, 'bob')
    made.apply(endOfUser('bob'))
    goOn(made, bob, 50)
    made.state.changeMeta().clockMs += lifeMs - 1
    expect([goOn(made, bob, 4), made.state.log(bob)?.dueMs]).toEqual([1, made.clockMs + lifeMs])
    made.state.changeMeta().clockMs += 1
    const rows = (): number[] => [
      made.state.contacts.scan(bob, 0, undefined, 9).length,
      made.state.traces.scan(made.log('a'), 0, undefined, 9).length,
      made.state.traces.scan(made.log('d'), 0, undefined, 9).length,
      made.state.memberships.scan(bob, 0, undefined, 9).length,
    ]
    const before = rows()
    expect([goOn(made, bob, 4), rows(), made.state.log(bob)?.dueMs]).toEqual([4, [1, 0, 1, before[3]], made.state.clockMs])
    expect([goOn(made, bob, 9), rows(), made.state.log(bob)]).toEqual([2, [0, 0, 0, 0], undefined])
    expect(before).toEqual([4, 1, 1, 0])
  })

  it('through what senders and members have left in a group', () => {
    const made = new Ground()
    const names = ['a', 'b', 'c', 'd']
    made.users(...names)
    const group = made.group('#team', ...names)
    for (const from of ['a', 'b']) made.send(from, '#team')
    made.apply(endOfGroup('team'))
    for (let time = 0; time < 5; time++) goOn(made, group, 50)
    made.state.changeMeta().clockMs += lifeMs
    const rows = (): number[] =>
      [made.state.contacts, made.state.members, made.state.entries].map((table) => table.scan(group, 0, undefined, 9).length)
    const steps = [rows()]
    const looked = [4, 4, 9].map((budget) => {
      const found = goOn(made, group, budget)
      steps.push(rows())
      return found
    })
    expect(steps).toEqual([
      [2, 4, 2],
      [0, 3, 2],
      [0, 0, 2],
      [0, 0, 0],
    ])
    expect([looked, made.state.log(group)]).toEqual([[4, 4, 3], undefined])
  })
})

describe('what senders are told of a log that is deleted', () => {
  it('[I6] is that what waited in it was removed: not what was stored or expired, has no id, or is a copy', () => {
    const made = new Ground()
    const [alice = 0, bob = 0] = made.users('alice', 'bob')
    for (const user of ['alice', 'bob']) for (const device of [1, 2]) made.connect(user, device)
    made.fill('alice', 'bob', 2)
    made.send('alice', 'bob', { id: 0 })
    made.send('alice', 'bob', { id: 4, deadlineMs: made.clockMs + 1_000 })
    made.send('alice', 'bob', { id: 5, deadlineMs: made.clockMs + 1_000 })
    made.ack('bob', 1, 5, { notStored: [[2, 4]] })
    made.pass(1_000)
    made.send('alice', 'bob', { id: 6, receipts: false })
    expect([made.seqs('bob'), made.seqs('alice').length]).toEqual([[1, 2, 3, 4, 5, 6], 4])
    made.apply(endOfUser('bob'), endOfUser('alice'))
    const { statuses } = made.apply()
    const status = codeNumber('removed')
    expect(statuses).toEqual([2n, 6n].map((id) => ({ sender: alice, log: bob, id, status })))
    expect(made.state.log(bob)).toMatchObject({ kept: 0, keptBytes: 0 })
  })

  it.each([
    [-1, 'removed'],
    [0, 'expired'],
  ] as const)('[I6] is that it expired from its deadline on, closed or not: %i ms from it', (ms, name) => {
    const made = new Ground()
    made.users('alice', 'bob')
    made.connect('bob', 1)
    // Its lane rests after a long search.
    made.fill('alice', 'bob', 300)
    made.send('alice', 'bob', { id: 998, deadlineMs: made.clockMs + 10 })
    made.send('alice', 'bob', { id: 999, deadlineMs: made.clockMs + 12 })
    made.pass(10)
    made.clockMs += 2 + ms
    made.apply(endOfUser('bob'))
    const told = made.apply().statuses.filter(({ id }) => id >= 998n)
    expect(told).toMatchObject([{ id: 999n, status: codeNumber(name) }])
    expect(made.status('alice', 'bob', 999)).toBe(name)
  })
})

describe('an address whose identity has ended', () => {
  it('[I2] is kept while another identity of that name has still to end', () => {
    const made = new Ground()
    const identities: number[] = []
    for (const ms of [0, dayMs]) {
      made.pass(ms)
      identities.push(...made.users('bob'))
      made.apply(endOfUser('bob'))
    }
    made.settle()
    expect(made.state.addresses.get(0, 'bob')).toMatchObject({ identity: 0, past: [identities[1], identities[0]] })
    made.pass(lifeMs - dayMs)
    made.settle()
    expect(made.state.addresses.get(0, 'bob')).toMatchObject({ identity: 0, past: [identities[1]] })
    made.pass(dayMs)
    made.settle()
    expect(made.state.addresses.get(0, 'bob')).toBeUndefined()
  })

  it('[I2] is kept for the identity that it has now', () => {
    const made = new Ground()
    made.users('bob')
    made.apply(endOfUser('bob'))
    made.pass(1)
    const [bob] = made.users('bob')
    for (const ms of [lifeMs, 1]) {
      made.pass(ms)
      made.settle()
    }
    expect(made.state.addresses.get(0, 'bob')).toMatchObject({ identity: bob, past: [] })
  })

  it('[I10] is told to the other shards when it was a user, and leaves nothing due', () => {
    const made = new Ground({ shards: 3 })
    const named = (kind: 0 | 1): string =>
      ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'].find((name) => shardOfName(kind, name, 3) === 0) ?? ''
    const [user, group] = [named(0), named(1)]
    made.users(user)
    made.group(`#${group}`)
    const told: number[][] = []
    for (const end of [endOfGroup(group), endOfUser(user)]) {
      made.apply(end)
      made.settle()
      made.clockMs += lifeMs
      told.push([])
      while ((made.shard.nextDueMs(made.clockMs) ?? Number.POSITIVE_INFINITY) <= made.clockMs)
        told.at(-1)?.push(...made.apply().forwards.map(({ target }) => target))
    }
    expect(told).toEqual([[], [1, 2]])
    expect(outersOf(made.state.due, 0, Number.MAX_SAFE_INTEGER - 1)).toEqual([])
  })

  it('[I10] of a user of another shard is no longer in the groups and logs in which it was, nor counted for what it sent', () => {
    const made = new Ground()
    const user = 77_777
    made.users('bob')
    const group = made.group('#team', 'bob')
    made.apply({ kind: 'memberJoin', ...origin, group: 'team', user, userName: 'zed', roles: 3, by: 0, isFull: false })
    const sends = ['bob', '#team'].map((to) => made.apply({ ...(made.sendOf('bob', to) as CommandOf<'send'>), sender: user }))
    expect(sends.map(({ results }) => results[0]?.status)).toEqual([codeNumber('sent'), codeNumber('sent')])
    const rows = (): unknown[] => [
      made.state.traces.scan(user, 0, undefined, 9).length,
      made.state.senders.get(0, user) !== undefined,
      ...[made.log('bob'), group].map((log) => made.state.contacts.get(log, user) !== undefined),
      made.state.members.get(group, user) !== undefined,
      made.state.memberNames.get(group, 'zed') !== undefined,
      made.state.log(group)?.members,
    ]
    expect(rows()).toEqual([2, true, true, true, true, true, 2])
    made.apply({ kind: 'userEnd', user })
    made.apply()
    expect(rows()).toEqual([0, false, false, false, false, false, 1])
    expect(outersOf(made.state.due, 0, made.clockMs + 1)).toEqual([])
  })
})

it('[I6] tells nothing of what some members of a group have, and whose deadline had passed before a record could close it', () => {
  const made = new Ground()
  made.users('alice', 'bob', 'carol')
  made.group('#team', 'alice', 'bob', 'carol')
  made.connect('bob', 1)
  made.connect('bob', 1, {}, '#team')
  // More than a record closes.
  const count = 2_100
  const deadlineMs = made.clockMs + 1_000
  made.fill('alice', '#team', count, { deadlineMs })
  made.ack('bob', 1, count, { to: '#team' })
  made.settle()
  expect([made.counts('#team').startsWith('10 10'), made.status('alice', '#team', count)]).toEqual([true, 'sent'])
  made.clockMs = deadlineMs
  const told = [...made.apply(endOfGroup('team')).statuses]
  while (made.state.log(made.state.addresses.get(1, 'team')?.past[0] ?? 0)?.ending !== waiting)
    told.push(...made.apply().statuses)
  expect([told, made.status('alice', '#team', count)]).toEqual([[], 'sent'])
})
