import { describe, expect, it } from 'vitest'
import { type Client, dayMs } from './client.ts'
import { World } from './harness.ts'
import { outersOf } from './keyRows.ts'

const body = 'x'.repeat(50)

/** What a message with this body takes of an empty log's bytes. */
function entryBytes(to: string): number {
  const world = crowd()
  world.senders[0]?.verdict(to, { id: 1n, body })
  return waitingOf(world, to).bytes
}

function waitingOf(world: World, to: string): { readonly entries: number; readonly bytes: number } {
  const log = world.host.queries.identityOf(to === 'bob' ? 0 : 1, to.replace('#', ''))
  const row = world.shards[0]?.state.log(log)
  return { entries: row?.waiting ?? 0, bytes: row?.waitingBytes ?? 0 }
}

/** Five who send to one who is away, and to their group with him. */
function crowd(): World & { readonly senders: readonly Client[] } {
  const world = new World()
  const names = ['s0', 's1', 's2', 's3', 's4']
  const senders = names.map((name) => world.online(name))
  world.online('bob').disconnect()
  world.group('team', ...names, 'bob')
  for (const sender of senders) sender.disconnect()
  for (const sender of senders) sender.reconnect()
  return Object.assign(world, { senders })
}

/** Each sends one, in turn. */
function sendInTurn({ senders }: { readonly senders: readonly Client[] }, to: string): string[] {
  return senders.map((sender, at) => sender.verdict(to, { id: BigInt(at + 1), body }))
}

describe.each(['bob', '#team'])('[I10] what waits for %s', (to) => {
  const [entries, bytes, otherEntries, otherBytes] =
    to === 'bob'
      ? (['inboxEntries', 'inboxBytes', 'groupEntries', 'groupBytes'] as const)
      : (['groupEntries', 'groupBytes', 'inboxEntries', 'inboxBytes'] as const)
  const room = { [entries]: 1_000, [bytes]: 1_000_000 }

  it('is at most so many messages, whoever they are from', () => {
    const world = crowd()
    world.set({ ...room, [entries]: 4, [otherEntries]: 1, [otherBytes]: 1 })
    expect(sendInTurn(world, to)).toEqual(['sent', 'sent', 'sent', 'sent', 'inbox-full'])
    expect(waitingOf(world, to).entries).toBe(4)
  })

  it.each([
    [0, 'sent'],
    [-1, 'inbox-full'],
  ])('is at most so many bytes, whoever they are from: %i beyond what fits', (more, last) => {
    const world = crowd()
    const each = entryBytes(to)
    world.set({ ...room, [bytes]: 4 * each + body.length + more, [otherEntries]: 1, [otherBytes]: 1 })
    expect(sendInTurn(world, to)).toEqual(['sent', 'sent', 'sent', 'sent', last])
  })
})

it('[I10] one sender has half of an inbox, and all of a group', () => {
  const world = crowd()
  const [sender] = world.senders
  if (sender === undefined) throw new Error('nobody sends')
  world.set({ inboxEntries: 6, groupEntries: 6 })
  const verdicts = (to: string): string[] => [1n, 2n, 3n, 4n].map((id) => sender.verdict(to, { id }))
  expect([verdicts('bob'), verdicts('#team')]).toEqual([
    ['sent', 'sent', 'sent', 'inbox-full'],
    ['sent', 'sent', 'sent', 'sent'],
  ])
  const each = entryBytes('bob')
  const other = world.senders[1]
  world.set({ inboxBytes: 2 * (each + body.length) })
  const [fits, exceeds] = [1n, 2n].map((id) => other?.verdict('bob', { id, body }))
  expect([fits, exceeds]).toEqual(['sent', 'inbox-full'])
})

describe('keys', () => {
  it('[I2] are found whatever the order of their ids', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    for (const id of [5n, 3n, 5n, 3n, 4n]) alice.verdict('bob', { id })
    expect(bob.inbox.map(({ id }) => id)).toEqual([5n, 3n, 4n])
  })

  it('[I10] of messages without an id are none, accepted or refused', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    alice.verdict('bob', { id: 1n })
    alice.send('bob', { id: 0n })
    world.settle()
    bob.block('alice')
    alice.send('bob', { id: 0n })
    world.settle()
    const state = world.shards[0]?.state
    const contact = state?.contacts.get(bob.identity, alice.identity)
    expect(bob.inbox).toHaveLength(2)
    expect(contact === undefined ? contact : [1n, 0n].map((id) => state?.keys.get(contact.number, id) !== undefined)).toEqual([
      true,
      false,
    ])
    expect(state?.senders.get(0, alice.identity)?.days).toMatchObject([{ count: 1 }])
  })

  it('[I10] are counted for their sender by the day on which they end, and days that are over go', () => {
    const world = new World()
    const alice = world.online('alice')
    world.online('bob')
    const days = (): [number, number][] =>
      (world.shards[0]?.state.senders.get(0, alice.identity)?.days ?? []).map(({ day, count }) => [
        day - Math.floor(world.nowMs / dayMs),
        count,
      ])
    const midnightMs = Math.ceil(world.nowMs / dayMs) * dayMs
    world.pass(midnightMs - world.nowMs)
    for (const id of [1n, 2n]) alice.verdict('bob', { id, expiryMs: 1_000 })
    alice.verdict('bob', { id: 3n, expiryMs: 2 * dayMs })
    expect(days()).toEqual([
      [1, 2],
      [3, 1],
    ])
    world.pass(dayMs)
    alice.reconnect()
    alice.verdict('bob', { id: 4n, expiryMs: 5 * dayMs })
    expect(days()).toEqual([
      [0, 2],
      [2, 1],
      [6, 1],
    ])
    world.pass(dayMs)
    alice.reconnect()
    alice.verdict('bob', { id: 5n, expiryMs: 8 * dayMs })
    expect(days()).toEqual([
      [1, 1],
      [5, 1],
      [9, 1],
    ])
  })

  it('[I6] of holes have no count, so that no MARK speaks for them', () => {
    const world = new World()
    const alice = world.online('alice')
    world.online('bob', 1, { isRefused: () => true })
    const first = alice.send('bob', { id: 1n })
    world.settle()
    const again = alice.send('bob', { id: 1n, deadlineMs: first.packet.deadlineMs })
    world.settle()
    expect([first.count, again.status, again.count]).toEqual([1, 'sent', 0])
  })
})

it('[I10] a log is in the table of what is due once, however often its next deadline comes nearer', () => {
  const world = new World()
  const alice = world.online('alice')
  world.online('bob').disconnect()
  const { due } = world.shards[0]?.state ?? {}
  const rows = (): number => (due === undefined ? 0 : outersOf(due, 0, Number.MAX_SAFE_INTEGER - 1).length)
  alice.verdict('bob', { id: 100n, expiryMs: 100_000 })
  const before = rows()
  for (let id = 99n; id > 0n; id--) alice.verdict('bob', { id, expiryMs: Number(id) * 1_000 })
  expect(rows()).toBe(before)
})
