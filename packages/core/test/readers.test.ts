import { skipReasons } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { readEntry } from '../src/index.ts'
import type { Client } from './client.ts'
import { startMs, World } from './harness.ts'

const lane = 8

/** What an entry of a log is to whom, at a time by the host's clock. A SKIP as `reason to`. */
function readingOf(world: World, log: number, reader: Client, nowMs = world.nowMs, seq = 1): string {
  const device = Buffer.from(reader.device).toString('hex')
  const reading = readEntry(world.host.queries.stateOf(log), log, lane, seq, { user: reader.identity, device }, nowMs)
  if (reading.kind !== 'skip') return reading.kind
  const [name] = Object.entries(skipReasons).find(([, reason]) => reason === reading.reason) ?? ['']
  return `${name} ${reading.to}`
}

/** What the entries from 1 to `last` are to whom. */
function readingsOf(world: World, log: number, reader: Client, last: number): string[] {
  return Array.from({ length: last }, (_, at) => readingOf(world, log, reader, world.nowMs, at + 1))
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

  it('is not there in a log that never was, or that was deleted', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const team = world.group('team', 'alice', 'bob')
    bob.disconnect()
    alice.verdict('#team')
    expect([readingOf(world, team, bob), readingOf(world, 999, bob)]).toEqual(['entry', 'wait'])
    alice.request({ kind: 'groupDelete', request: 1, group: 'team' })
    expect(readingOf(world, team, bob)).toBe('wait')
  })

  it("[I9] is there within a member's stays; of what lies before and between only how far it goes, of what lies after not even that", () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const team = world.group('team', 'alice')
    bob.disconnect()
    let id = 0n
    const send = (count: number): void => {
      for (let at = 0; at < count; at++) {
        id += 1n
        alice.send('#team', { id })
      }
      world.settle()
    }
    send(2)
    for (const roles of [3, 0]) world.member('team', 'bob', roles)
    send(1)
    world.member('team', 'bob', 3)
    send(2)
    world.member('team', 'bob', 0)
    send(2)
    expect(readingsOf(world, team, bob, 8)).toEqual([
      'noRight 3',
      'noRight 3',
      'noRight 3',
      'entry',
      'entry',
      'wait',
      'wait',
      'wait',
    ])
    world.member('team', 'bob', 3)
    expect(readingsOf(world, team, bob, 7).slice(5)).toEqual(['wait', 'wait'])
    send(1)
    expect(readingsOf(world, team, bob, 8).slice(5)).toEqual(['noRight 7', 'noRight 7', 'entry'])
  })

  it('[I9] that is closed is skipped with those that follow, to the end of the stay and 1,024 at most', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const team = world.group('team', 'alice', 'bob')
    bob.disconnect()
    const send = (to: string, count: number): void => {
      for (let id = 1; id <= count; id++) {
        alice.send(to, { id: BigInt(id + (to === 'bob' ? 0 : world.nowMs)), deadlineMs: startMs + 60_000 })
        if (id % 500 === 0) world.pass(500)
      }
      world.settle()
    }
    alice.verdict('#team')
    send('#team', 2)
    world.member('team', 'bob', 0)
    world.pass(1_000)
    send('#team', 3)
    send('bob', 1_500)
    alice.verdict('bob', { id: 9_999n })
    world.nowMs = startMs + 60_000
    world.pass(0)
    const second = [bob, alice].map((reader) => readingOf(world, team, reader, world.nowMs, 2))
    expect(second).toEqual(['closed 3', 'closed 6'])
    expect([1, 600, 1_501].map((seq) => readingOf(world, bob.identity, bob, world.nowMs, seq))).toEqual([
      'closed 1025',
      'closed 1500',
      'entry',
    ])
  })

  it('[I5] counts as closed at its deadline while its lane is being searched, or rests', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    bob.disconnect()
    for (let id = 1; id <= 4_500; id++) {
      alice.send('bob', { id: BigInt(id) })
      if (id % 500 === 0) world.pass(100)
    }
    for (const expiryMs of [1_000, 1_030]) alice.verdict('bob', { id: BigInt(5_000 + expiryMs), expiryMs })
    const at = (seq: number, nowMs: number): string => readingOf(world, bob.identity, bob, nowMs, seq)
    world.nowMs += 1_000
    world.isFlushing = false
    const seen = [at(4_501, world.nowMs)]
    world.host.turn(world.nowMs)
    world.flush(1)
    seen.push(at(4_501, world.nowMs), at(4_501, world.nowMs - 1))
    world.isFlushing = true
    world.settle()
    // 45 ms of rest.
    seen.push(at(4_502, world.nowMs + 29), at(4_502, world.nowMs + 30))
    expect(seen).toEqual(['wait', 'closed 4501', 'entry', 'entry', 'closed 4502'])
  })

  it('lies behind what is trimmed, and behind where the device began', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const team = world.group('team', 'alice', 'bob')
    for (const id of [1n, 2n]) for (const to of ['bob', '#team']) alice.verdict(to, { id })
    world.pass(500)
    bob.disconnect()
    const second = world.online('bob', 2, { isAcking: false })
    for (const to of ['bob', '#team']) alice.verdict(to, { id: 3n })
    expect(readingsOf(world, bob.identity, second, 4)).toEqual(['trimmed 2', 'trimmed 2', 'entry', 'wait'])
    expect(readingsOf(world, team, second, 4)).toEqual(['beforeStart 2', 'beforeStart 2', 'entry', 'wait'])
    world.member('team', 'bob', 0)
    expect(readingsOf(world, team, second, 4)).toEqual(['beforeStart 2', 'beforeStart 2', 'entry', 'wait'])
  })
})
