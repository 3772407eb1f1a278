import { describe, expect, it } from 'vitest'
import type { Row } from '../src/rows/generation.ts'
import type { Table } from '../src/rows/table.ts'
import { dayMs } from './client.ts'
import { World } from './harness.ts'
import { outersOf } from './keyRows.ts'

/** From the deletion of an address until it is as if it had never been: the longest expiry, an hour for clocks, and a day. */
const endMs = 31 * dayMs + 3_600_000

/** Which tables of a world hold rows of an identity, with a name's own. */
function held(world: World, identity: number, name = ''): string[] {
  const found: string[] = []
  for (const { state } of world.shards) {
    const { logs, senders, contacts, members, memberships, entries, traces, memberNames, addresses } = state
    if (logs.get(0, identity) !== undefined) found.push('log')
    if (senders.get(0, identity) !== undefined) found.push('sender')
    for (const kind of [0, 1]) if (addresses.get(kind, name) !== undefined) found.push('address')
    if (memberNames.scan(identity, '', undefined, 1).length > 0) found.push('memberName')
    const tables = { contact: contacts, member: members, membership: memberships, entry: entries, trace: traces }
    for (const [kind, table] of Object.entries(tables)) {
      const rows = table as unknown as Table<Row, number>
      if (rows.scan(identity, 0, undefined, 1).length > 0) found.push(`${kind} of it`)
      for (const other of outersOf(rows, 1, Number.MAX_SAFE_INTEGER - 1))
        if (rows.get(other, identity) !== undefined) found.push(`${kind} in ${other}`)
    }
  }
  return found
}

const ignore = (): void => undefined

describe.each([1, 4])('the end of a deleted address, with %i shards', (shards) => {
  it('[I10] nothing is left of a user once no key of it can live', async () => {
    const world = new World({ shards })
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const group = world.group('team', 'alice', 'bob')
    world.pass(10)
    alice.verdict('bob', { id: 1n })
    bob.verdict('alice', { id: 1n })
    alice.verdict('#team', { id: 2n })
    bob.verdict('#team', { id: 3n })
    alice.block('bob')
    const { identity } = bob
    world.pass(1_000)
    world.deleteUser('bob')
    world.pass(endMs - 1_000)
    expect(held(world, identity, 'bob')).toContain('address')
    await world.checkpoint()
    world.crash()
    world.pass(1_000)
    world.pass(1_000)
    expect(held(world, identity, 'bob')).toEqual([])
    expect(world.host.queries.members(group, '', 9).map(({ user }) => user)).toEqual(['alice'])
    await world.checkpoint()
    world.crash()
    expect(held(world, identity, 'bob')).toEqual([])
  })

  it('[I6] a message without receipts that waited in a deleted group was removed, as its sender was told', () => {
    const world = new World({ shards })
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.group('team', 'alice', 'bob')
    bob.disconnect()
    alice.send('#team', { id: 1n, receipts: false })
    world.settle()
    world.pass(10)
    alice.request({ kind: 'groupDelete', request: 1, group: 'team' })
    expect([alice.told(1n), alice.query('#team', 1n)]).toEqual([['removed'], 'removed'])
  })

  it('[I10] nothing is left of a group and its members', () => {
    const world = new World({ shards })
    const [alice] = [world.online('alice'), world.online('bob')]
    const group = world.group('team', 'alice', 'bob')
    world.pass(10)
    alice.verdict('#team', { id: 2n })
    world.operate(world.host.shardOf(1, 'team'), (origin) => ({ kind: 'groupDelete', ...origin, group: 'team', by: 0 }))
    world.pass(endMs - 1)
    expect(held(world, group, 'team')).toContain('address')
    world.pass(1)
    world.pass(1)
    expect(held(world, group, 'team')).toEqual([])
  })

  it('[I2] a name that is gone comes back under a new identity, also to an older token', () => {
    const world = new World({ shards })
    const bob = world.online('bob')
    const { identity } = bob
    const token = `bob@${world.nowMs}`
    world.pass(1_000)
    world.deleteUser('bob')
    bob.connect(token)
    world.settle()
    expect(bob.error).toBe('token-revoked')
    world.pass(endMs)
    world.pass(1)
    bob.connect(token)
    world.settle()
    expect([bob.phase, bob.identity === identity]).toEqual(['live', false])
  })

  it('[I2] a name that lives on forgets each past identity at its time', () => {
    const world = new World({ shards })
    const alice = world.online('alice')
    const { addresses } = world.host.queries.stateOfName(0, 'bob')
    for (const id of [1n, 2n]) {
      world.online('bob')
      alice.verdict('bob', { id })
      world.pass(dayMs)
      alice.reconnect()
      world.deleteUser('bob')
      world.pass(1)
    }
    world.online('bob')
    expect(addresses.get(0, 'bob')?.past).toHaveLength(2)
    world.pass(endMs - dayMs)
    world.pass(1)
    expect(addresses.get(0, 'bob')?.past).toHaveLength(1)
    world.pass(dayMs)
    world.pass(1)
    expect(addresses.get(0, 'bob')?.past).toEqual([])
  })
})

it('[I10] [I12] a large group ends a few rows a record, and goes on after a crash', async () => {
  const world = new World({ settings: { groupsPerUser: 10 } })
  const [shard] = world.shards
  if (shard === undefined) throw new Error('no shard')
  const group = world.group('team')
  const count = 5_000
  for (let at = 0; at < count; at++) {
    const user = `u${at}`
    world.host.submit(
      (origin) => ({ kind: 'userCreate', ...origin, user }),
      0,
      () => undefined,
    )
    const member = { kind: 'memberSet', group: 'team', user, roles: 3, by: 0 } as const
    world.host.submit(
      (origin) => ({ ...member, ...origin }),
      0,
      () => undefined,
    )
  }
  world.settle()
  world.operate(0, (origin) => ({ kind: 'groupDelete', ...origin, group: 'team', by: 0 }))
  await world.checkpoint()
  world.nowMs += endMs
  world.isFlushing = false
  const left = (): number => world.shards[0]?.state.members.scan(group, 0, undefined, 10_000).length ?? 0
  const before = left()
  world.host.turn(world.nowMs)
  world.flush()
  expect([before, left() > before - 2_500, left() < before]).toEqual([count, true, true])
  world.crash()
  world.isFlushing = true
  world.settle()
  expect(held(world, group, 'team')).toEqual([])
})

it('[I10] what a deleted user has left in thousands of logs goes some rows a record', () => {
  const world = new World()
  const alice = world.online('alice')
  for (let at = 0; at < 2_500; at++) {
    const user = `u${at}`
    world.host.submit((origin) => ({ kind: 'userCreate', ...origin, user }), 0, ignore)
    alice.send(user, { id: BigInt(at + 1) })
    if (at % 500 === 499) world.pass(1_000)
  }
  world.pass(1_000)
  expect(world.deleteUser('alice')).toBe(0)
  world.nowMs += endMs
  const left = (): number => world.shards[0]?.state.traces.scan(alice.identity, 0, undefined, 10_000).length ?? 0
  const counts = new Set<number>()
  world.isFlushing = false
  for (let round = 0; round < 200; round++) {
    world.host.turn(world.nowMs)
    world.flush(1)
    counts.add(left())
  }
  expect([...counts].at(-1)).toBe(0)
  expect(counts.size).toBeGreaterThan(2)
  expect(held(world, alice.identity, 'alice')).toEqual([])
})

it('[I10] the members of a deleted group are told no faster than their shard takes it', () => {
  const world = new World({ shards: 2 })
  const group = world.group('team')
  const [home = 0, other = 1] = group % 2 === 0 ? [0, 1] : [1, 0]
  const users: string[] = []
  for (let at = 0; users.length < 12_000; at++) if (world.host.shardOf(0, `u${at}`) === other) users.push(`u${at}`)
  for (const user of users) {
    world.host.submit((origin) => ({ kind: 'userCreate', ...origin, user }), other, ignore)
    const member = { kind: 'memberSet', group: 'team', user, roles: 3, by: 0 } as const
    world.host.submit((origin) => ({ ...member, ...origin }), other, ignore)
  }
  world.settle()
  world.isFlushing = false
  world.host.submit((origin) => ({ kind: 'groupDelete', ...origin, group: 'team', by: 0 }), home, ignore)
  const waiting = (): number => {
    const { forwarded, acknowledged } = world.shards[home]?.state.meta ?? { forwarded: [], acknowledged: [] }
    return (forwarded[other] ?? 0) - (acknowledged[other] ?? 0)
  }
  for (let round = 0; round < 30; round++) {
    world.flushOnly(home)
    world.pass(1_000)
  }
  expect(waiting()).toBe(10_000)
  world.isFlushing = true
  for (let round = 0; round < 5; round++) world.pass(1_000)
  const left = users.filter((user) => {
    const identity = world.host.queries.identityOf(0, user)
    return world.shards[other]?.state.memberships.get(identity, group) !== undefined
  })
  expect([waiting(), left]).toEqual([0, []])
})

it('[I10] a member has no place for a device that its user no longer has', () => {
  const world = new World({ shards: 4 })
  const [alice, bob] = [world.online('alice'), world.online('bob')]
  const team = world.group('team', 'alice', 'bob')
  const phone = world.online('bob', 2)
  alice.verdict('#team', { id: 1n })
  const devices = (): number | undefined => world.host.queries.stateOf(team).members.get(team, bob.identity)?.devices.length
  expect(devices()).toBe(2)
  phone.disconnect()
  world.pass(1)
  world.pass(31 * dayMs)
  bob.reconnect()
  expect(devices()).toBe(1)
  // It comes back as new: at its member's mark.
  phone.cursors.clear()
  phone.reconnect()
  expect([devices(), phone.phase, phone.bodies]).toEqual([2, 'live', ['m1']])
})

it.each([1, 4])(
  '[I10] [I12] a deleted group is gone at once, its members are told a few a record, with %i shards',
  async (shards) => {
    const world = new World({ shards })
    const alice = world.online('alice')
    const users = Array.from({ length: 600 }, (_, at) => `u${at}`)
    for (const user of users) {
      const home = world.host.shardOf(0, user)
      world.host.submit(
        (origin) => ({ kind: 'userCreate', ...origin, user }),
        home,
        () => undefined,
      )
    }
    world.settle()
    const group = world.group('team', 'alice')
    for (const user of users) {
      const member = { kind: 'memberSet', group: 'team', user, roles: 3, by: 0 } as const
      world.host.submit(
        (origin) => ({ ...member, ...origin }),
        world.host.shardOf(0, user),
        () => undefined,
      )
    }
    world.settle()
    expect(alice.verdict('#team', { id: 1n })).toBe('sent')
    const home = world.host.shardOf(1, 'team')
    const left = (): number => world.shards[home]?.state.memberNames.scan(group, '', undefined, 1_000).length ?? 0
    world.isFlushing = false
    world.host.submit(
      (origin) => ({ kind: 'groupDelete', ...origin, group: 'team', by: 0 }),
      home,
      () => undefined,
    )
    world.host.turn(world.nowMs)
    world.flush(1)
    expect([world.host.queries.identityOf(1, 'team'), left()]).toEqual([0, 601])
    expect(alice.send('#team', { id: 2n }).status).toBe('')
    world.host.turn(world.nowMs)
    world.flush(1)
    expect(left()).toBeLessThan(601)
    expect(left()).toBeGreaterThan(300)
    await world.checkpoint()
    world.crash()
    world.isFlushing = true
    world.settle()
    expect(left()).toBe(0)
    for (const user of users) expect(world.host.queries.membershipsOf(world.host.queries.identityOf(0, user))).toEqual([])
    alice.reconnect()
    expect([alice.verdict('#team', { id: 2n }), alice.verdict('#team', { id: 1n })]).toEqual(['invalid-destination', 'removed'])
  },
)

it('[I10] limits how many groups a user makes in a day, also if it leaves them again', () => {
  const world = new World({ shards: 4 })
  const alice = world.online('alice')
  const { identity } = alice
  const home = world.host.shardOf(0, 'alice')
  const make = (name: string): number =>
    world.operate(home, (origin) => ({ kind: 'groupCreate', ...origin, group: name, by: identity, byName: 'alice' }))
  for (let at = 0; at < 1_000; at++) {
    expect(make(`g${at}`)).toBe(0)
    world.member(`g${at}`, 'alice', 0)
  }
  expect([make('more'), world.host.queries.membershipsOf(identity)]).toEqual([46, []])
  world.pass(dayMs)
  expect(make('more')).toBe(0)
})
