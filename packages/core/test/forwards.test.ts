import { codeNumber } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { encodeCommand } from '../src/shard/commands.ts'
import type { Client } from './client.ts'
import { nameIn, World } from './harness.ts'

describe('commands for other shards', () => {
  it('[I2] are applied once per number, and only the next one', () => {
    const world = new World({ shards: 2 })
    const user = nameIn(world, 0, 'user', 1)
    world.online(user, 1)
    const other = world.online(user, 2)
    const sender = other.identity
    const offer = (number: number, id: bigint): void => {
      const deadlineMs = world.nowMs + 10_000
      const body = new Uint8Array(1)
      const echo = {
        kind: 'echo',
        sender,
        device: '01'.repeat(16),
        toKind: 0,
        to: 'bob',
        id,
        type: 0,
        priority: 8,
        deadlineMs,
        body,
      } as const
      world.host.batchers[1]?.submit({ kind: 'forwarded', source: 0, epoch: 1, number, command: encodeCommand(echo) })
      world.settle()
    }
    for (const [number, id] of [
      [1, 1n],
      [1, 1n],
      [3, 3n],
      [2, 2n],
      [1, 1n],
      [3, 3n],
      [3, 3n],
    ] as const)
      offer(number, id)
    expect(other.inbox.map(({ id }) => id)).toEqual([1n, 2n, 3n])
  })

  it('[I10] that another shard takes none of keep new messages out', () => {
    const world = new World({ shards: 2, limits: { forwards: 3 } })
    const alice = world.online(nameIn(world, 0, 'alice', 1))
    world.online(alice.user, 2)
    const bob = world.online(nameIn(world, 0, 'bob', 0))
    // The copies for the sender's other device go to the shard whose disk stands still.
    world.isFlushing = false
    const first = [1n, 2n, 3n, 4n].map((id) => alice.send(bob.user, { id }))
    world.flushOnly(0)
    const late = alice.send(bob.user, { id: 5n })
    world.flushOnly(0)
    expect(first.map(({ status }) => status)).toEqual(['sent', 'sent', 'sent', 'sent'])
    expect([late.status, alice.last('refuse')]).toEqual(['', expect.objectContaining({ ref: 5, code: codeNumber('busy') })])
    world.isFlushing = true
    world.settle()
    alice.say({ kind: 'resume', ref: 5 })
    alice.say(late.packet)
    world.settle()
    expect(late.status).toBe('sent')
  })

  it('[I9] [I12] that are offered again after a crash answer nobody: their connections are gone', () => {
    const world = new World({ shards: 2 })
    const user = nameIn(world, 0, 'user', 0)
    const group = nameIn(world, 1, 'group', 1)
    const admin = world.client(user)
    admin.connect()
    world.settle()
    admin.request({ kind: 'groupCreate', request: 1, group })
    world.isFlushing = false
    admin.say({ kind: 'memberSet', request: 7, group, user, roles: 7 })
    world.settle()
    // The user's shard has applied its part and forwarded the rest, which is lost.
    world.flush(1)
    world.crash()
    const eve = world.client(nameIn(world, 0, 'eve', 0))
    eve.connect()
    expect(eve.connection).toBe(2)
    world.flushOnly(0)
    expect(eve.phase).toBe('live')
    world.isFlushing = true
    world.settle()
    expect([eve.phase, eve.all('reply')]).toEqual(['live', []])
    for (const { state } of world.shards)
      for (const target of [0, 1]) expect(state.forwards.scan(target, 0, undefined, 10)).toEqual([])
  })

  it.each([
    { older: [0, 1], waiting: 0 },
    { older: [2, 3], waiting: 0 },
    { older: [0, 2], waiting: 3 },
    { older: [1, 3], waiting: 3 },
  ])(
    '[I2] [I12] go on after a restore in which shards $older are older than the others, $waiting rounds waiting',
    async ({ older, waiting }) => {
      const shards = 4
      const world = new World({ shards })
      const users = Array.from({ length: shards }, (_, shard) => nameIn(world, 0, 'user', shard))
      const firsts = users.map((user) => world.online(user, 1))
      const seconds = users.map((user) => world.online(user, 2))
      world.group('team', ...users)
      // Every user writes to every other: an echo comes back from every shard to every other.
      const round = (id: bigint): void => {
        for (const client of firsts) for (const user of users) if (user !== client.user) client.send(user, { id })
        world.settle()
      }
      const echoesOf = (client: Client, id: bigint) => client.inbox.filter((entry) => entry.echoTo !== null && entry.id === id)
      round(1n)
      if (waiting > 0) {
        // In the first backup what some shards owe has not been applied by the others.
        world.isFlushing = false
        for (const client of firsts) for (const user of users) if (user !== client.user) client.send(user, { id: 2n })
        world.settle()
        world.flush(waiting)
        world.settle()
      }
      const first = await world.backup()
      world.isFlushing = true
      world.settle()
      for (const id of [3n, 4n]) round(id)
      const second = await world.backup()
      world.restore(second.map((tables, shard) => (older.includes(shard) ? (first[shard] ?? tables) : tables)))
      for (const client of [...firsts, ...seconds]) client.reconnect()
      round(5n)
      for (const client of firsts) expect(client.request({ kind: 'groupCreate', request: 1, group: `${client.user}'s` })).toBe('')
      for (const client of seconds) {
        expect(echoesOf(client, 5n)).toHaveLength(3)
        // What had been applied before, and is forwarded again, a device takes once.
        expect(echoesOf(client, 2n).length).toBeLessThanOrEqual(3)
        const own = { group: `${client.user}'s`, roles: 7 }
        expect(world.host.queries.membershipsOf(client.identity)).toContainEqual(expect.objectContaining(own))
      }
      for (const { state } of world.shards)
        for (let target = 0; target < shards; target++) expect(state.forwards.scan(target, 0, undefined, 10)).toEqual([])
    },
  )

  it('[I12] a member whose shard was restored from before its joining is told of it when it is made a member again', async () => {
    const world = new World({ shards: 4 })
    const bob = world.online(nameIn(world, 0, 'bob', 1))
    const team = nameIn(world, 1, 'team', 2)
    world.group(team)
    const before = await world.backup()
    world.member(team, bob.user, 3)
    const after = await world.backup()
    world.restore(after.map((tables, shard) => (shard === 1 ? (before[shard] ?? tables) : tables)))
    bob.reconnect()
    expect(world.host.queries.membershipsOf(bob.identity)).toEqual([])
    expect(world.member(team, bob.user, 3)).toBe(0)
    expect(world.host.queries.membershipsOf(bob.identity)).toMatchObject([{ group: team, roles: 3 }])
    expect(bob.last('group')).toMatchObject({ group: team, roles: 3 })
  })

  it('[I12] reach their shard when the first record of a new epoch forwards them before it begins that', async () => {
    const world = new World({ shards: 2 })
    const bob = world.online(nameIn(world, 0, 'bob', 1))
    const [team, other] = [nameIn(world, 1, 'team', 0), nameIn(world, 1, 'other', 0)]
    for (const group of [team, other]) world.group(group, bob.user)
    // Only the record that deletes the group is on the disk of the backup: the next one is to tell its members.
    world.isFlushing = false
    const deletion = (origin: { readonly tag: number; readonly ref: number }) =>
      ({ kind: 'groupDelete', ...origin, group: team, by: 0 }) as const
    world.host.submit(deletion, 0, () => undefined)
    world.settle()
    world.flush(1)
    const backup = await world.backup()
    expect(world.shards[0]?.state.forwards.scan(1, 0, undefined, 10)).toEqual([])
    world.isFlushing = true
    world.restore(backup)
    bob.reconnect()
    world.pass(1_000)
    expect(world.host.queries.membershipsOf(bob.identity).map(({ group }) => group)).toEqual([other])
    for (const { state } of world.shards)
      for (const target of [0, 1]) expect(state.forwards.scan(target, 0, undefined, 10)).toEqual([])
  })

  it('find their shard for any number of shards', () => {
    for (const shards of [2, 3, 5, 7]) {
      const world = new World({ shards })
      const clients = ['a', 'b', 'c', 'd', 'e', 'f'].map((user) => world.online(user))
      for (const from of clients) for (const to of clients) expect(from.verdict(to.user, { id: 1n })).toBe('sent')
      for (const client of clients) expect(client.inbox).toHaveLength(clients.length)
    }
  })
})
