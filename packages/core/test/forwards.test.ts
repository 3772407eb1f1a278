import { describe, expect, it } from 'vitest'
import { encodeCommand } from '../src/shard/commands.ts'
import { World } from './harness.ts'

/** The first name, made from this one, whose log lives in that shard. */
function nameIn(world: World, kind: 0 | 1, name: string, shard: number): string {
  for (let at = 0; ; at++) if (world.host.shardOf(kind, `${name}${at}`) === shard) return `${name}${at}`
}

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

  it('find their shard for any number of shards', () => {
    for (const shards of [2, 3, 5, 7]) {
      const world = new World({ shards })
      const clients = ['a', 'b', 'c', 'd', 'e', 'f'].map((user) => world.online(user))
      for (const from of clients) for (const to of clients) expect(from.verdict(to.user, { id: 1n })).toBe('sent')
      for (const client of clients) expect(client.inbox).toHaveLength(clients.length)
    }
  })
})
