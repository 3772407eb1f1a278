import { describe, expect, it } from 'vitest'
import type { Client } from './client.ts'
import { World } from './harness.ts'

const expiryMs = 1_000

/** Alice has sent one message to a group of three, which so many of the others have stored and read. */
function sent(stored: number, read: number, receipts = true): { world: World; alice: Client } {
  const world = new World()
  const alice = world.online('alice')
  const others = ['bob', 'carol'].map((user, at) => world.online(user, 1, { isAcking: at < stored }))
  world.group('team', 'alice', 'bob', 'carol')
  alice.verdict('#team', { expiryMs, receipts })
  world.pass(500)
  for (const client of others.slice(0, read)) for (const entry of client.inbox) client.read(entry)
  world.settle()
  return { world, alice }
}

describe('the status of a message to a group of three', () => {
  it.each([
    [0, 0, 'sent', 'expired', 'removed'],
    [1, 0, 'sent', 'sent', 'removed'],
    [2, 0, 'delivered', 'delivered', 'delivered'],
    [2, 1, 'delivered', 'delivered', 'delivered'],
    [2, 2, 'read', 'read', 'read'],
  ])(
    '[I6] that %i have stored and %i read: %s, past its deadline %s, in a deleted group %s',
    (stored, read, now, late, removed) => {
      const { world, alice } = sent(stored, read)
      const counts = { delivered: stored, read, members: 2 }
      expect(alice.queryState('#team', 1n)).toMatchObject({ status: now, ...counts })
      world.pass(499)
      expect(alice.query('#team', 1n)).toBe(now)
      world.pass(1)
      expect(alice.queryState('#team', 1n)).toMatchObject({ status: late, ...counts })
      const other = sent(stored, read)
      const told = other.alice.told(1n)
      other.alice.request({ kind: 'groupDelete', request: 1, group: 'team' })
      expect(other.alice.queryState('#team', 1n)).toMatchObject({ status: removed, ...counts })
      expect(other.alice.told(1n)).toEqual(removed === now ? told : [...told, removed])
    },
  )

  it('[I6] is sent without receipts, whoever has it, and counts nobody', () => {
    const { alice } = sent(2, 2, false)
    expect(alice.queryState('#team', 1n)).toMatchObject({ status: 'sent', delivered: 0, read: 0, members: 2 })
  })

  it('[I6] stays sent without receipts, when one has it and the group is deleted: its sender is not told who has it, nor who has not', () => {
    const { alice } = sent(1, 0, false)
    alice.request({ kind: 'groupDelete', request: 1, group: 'team' })
    expect([alice.told(1n), alice.query('#team', 1n)]).toEqual([[], 'sent'])
  })
})

it.each(['bob', '#team'])('[I6] what is removed at its very deadline is expired: to %s', (to) => {
  for (const [ms, status] of [
    [499, 'removed'],
    [500, 'expired'],
  ] as const) {
    const { world, alice } = sent(0, 0)
    alice.verdict('bob', { id: 2n, expiryMs: 500 })
    world.nowMs += ms
    if (to === 'bob') world.deleteUser('bob')
    else alice.request({ kind: 'groupDelete', request: 1, group: 'team' })
    world.pass(10)
    expect([ms, alice.query(to, to === 'bob' ? 2n : 1n)]).toEqual([ms, status])
  }
})
