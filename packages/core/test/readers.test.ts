import { skipReasons } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { type Reading, readEntry } from '../src/index.ts'
import type { Client } from './client.ts'
import { World } from './harness.ts'

const lane = 8

/** What the first entry of a log is to whom, at a time by the host's clock. */
function readingOf(world: World, log: number, reader: Client, nowMs = world.nowMs, seq = 1): Reading['kind'] {
  const device = Buffer.from(reader.device).toString('hex')
  return readEntry(world.host.queries.stateOf(log), log, lane, seq, { user: reader.identity, device }, nowMs).kind
}

describe('an entry, as a reader may have it', () => {
  it("[I9] is not there for who reads another user's log, or that of a group it was never in", () => {
    const world = new World()
    const [alice, bob, carol] = [world.online('alice'), world.online('bob'), world.online('carol')]
    const team = world.group('team', 'alice', 'bob')
    for (const to of ['bob', '#team']) alice.verdict(to)
    bob.disconnect()
    alice.verdict('bob', { id: 2n })
    const readings = [bob, carol].flatMap((reader) => [
      readingOf(world, bob.identity, reader, world.nowMs, 2),
      readingOf(world, team, reader),
    ])
    expect(readings).toEqual(['entry', 'entry', 'wait', 'wait'])
  })

  it('[I5] waits from its deadline on, though no record has closed it', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    bob.disconnect()
    alice.verdict('bob', { expiryMs: 1_000 })
    const readings = [999, 1_000].map((ms) => readingOf(world, bob.identity, bob, world.nowMs + ms))
    expect(readings).toEqual(['entry', 'wait'])
  })

  it("is there for a member's device that has no place in the group, from the member's join on", () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const team = world.group('team', 'alice', 'bob')
    alice.verdict('#team')
    const other = world.client('bob', 2)
    other.identity = bob.identity
    expect(readingOf(world, team, other)).toBe('entry')
  })

  it('[I10] of a group goes with the oldest that a member has stored, at the limit, and who lags is told so', () => {
    const world = new World({ settings: { groupEntries: 4 } })
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.online('carol', 1, { isRefused: ({ id }) => id === 3n })
    const team = world.group('team', 'alice', 'bob', 'carol')
    bob.disconnect()
    for (let id = 1n; id <= 10n; id++) {
      expect(alice.verdict('#team', { id, priority: id === 4n ? 9 : lane })).toBe('sent')
      world.pass(500)
    }
    expect(world.host.queries.stateOf(team).log(team)).toMatchObject({ kept: 5, waiting: 1 })
    bob.reconnect()
    expect(bob.all('skip').map((skip) => [skip.lane, skip.from, skip.to, skip.reason])).toEqual([
      [lane, 1, 2, skipReasons.trimmed],
      [lane, 4, 5, skipReasons.trimmed],
      [9, 1, 1, skipReasons.trimmed],
    ])
    expect(bob.bodies).toEqual(['m3', 'm7', 'm8', 'm9', 'm10'])
    world.pass(500)
    // Its sender may still ask who has stored it.
    expect(alice.queryState('#team', 1n)).toMatchObject({ delivered: 1, members: 2 })
  })
})
