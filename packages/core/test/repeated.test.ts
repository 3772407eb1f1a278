import { describe, expect, it } from 'vitest'
import { decodeRecord } from '../src/index.ts'
import type { Command } from '../src/shard/commands.ts'
import { World } from './harness.ts'

/** How many commands of a kind are in the journals. */
function journaled(world: World, kind: Command['kind']): number {
  const records = world.journals.flatMap((journal) => [...journal.read(1)].map(({ bytes }) => decodeRecord(bytes)))
  return records.flatMap(({ commands }) => commands.filter((command) => command.kind === kind)).length
}

describe('what a client says again', () => {
  it('[I10] [I6] an ACK that says what was said before is not journaled, but the first one of each session is', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob', 1, { isAcking: false })]
    alice.verdict('bob', { id: 1n })
    const acks = () => journaled(world, 'ack')
    const ack = { kind: 'ack', log: bob.identity, lane: 8, upTo: 1, notStored: [] } as const
    for (let at = 0; at < 100; at++) bob.say(ack)
    world.settle()
    expect([acks(), bob.phase]).toEqual([1, 'live'])
    bob.say({ ...ack, notStored: [{ from: 1, to: 1 }] })
    world.settle()
    expect([acks(), bob.all('acked').length]).toEqual([2, 1])
    bob.disconnect()
    bob.connect()
    world.settle()
    for (let at = 0; at < 100; at++) bob.say(ack)
    world.settle()
    expect([acks(), bob.phase]).toEqual([3, 'live'])
  })

  it('[I10] [I6] a READ that moves nothing is confirmed from what is known, and not journaled', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const team = world.group('team', 'alice', 'bob')
    const reads = () => journaled(world, 'read')
    const own = { kind: 'read', log: bob.identity, lane: 8, seq: 2, sender: alice.identity, count: 2 } as const
    const ofTeam = { kind: 'read', log: team, lane: 8, seq: 1, sender: 0, count: 0 } as const
    for (const id of [1n, 2n]) alice.verdict('bob', { id })
    alice.verdict('#team', { id: 3n })
    for (const packet of [own, ofTeam]) bob.say(packet)
    world.settle()
    expect(reads()).toBe(2)
    const other = world.online('bob', 2)
    for (const client of [bob, other]) {
      for (const packet of [own, ofTeam, { ...own, seq: 1, count: 1 }]) client.say(packet)
      world.settle()
      const { kind: _kind, seq: _seq, count: _count, ...about } = own
      expect(client.all('readMark').slice(-3)).toEqual([
        { ...about, kind: 'readMark', mark: 2 },
        { kind: 'readMark', log: team, lane: 8, sender: 0, mark: 1 },
        { ...about, kind: 'readMark', mark: 2 },
      ])
    }
    expect(reads()).toBe(2)
    alice.verdict('bob', { id: 4n })
    bob.say({ ...own, seq: 3, count: 3 })
    world.settle()
    expect([reads(), other.last('readMark')?.mark]).toEqual([3, 3])
  })
})
