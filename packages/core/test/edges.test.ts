import { codeByNumber } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import type { Client } from './client.ts'
import { World } from './harness.ts'

const realtime = (to: string, bytes: number) =>
  ({ kind: 'realtime', request: 1, toKind: 0, to, id: 1n, type: 0, priority: 0, body: new Uint8Array(bytes) }) as const

describe('the host at its limits', () => {
  it('[I10] ends a connection that leaves too much untaken', () => {
    const world = new World()
    const bob = world.online('bob')
    world.host.edge.bufferedBytes = () => 8_388_609
    world.pass(1_000)
    expect(bob.error).toBe('too-slow')
  })

  it('[I10] ends a connection that broke the protocol below the packets, and knows nothing of others', () => {
    const world = new World()
    const bob = world.online('bob')
    world.host.refuse(999, 'too-big', 'nobody')
    world.host.refuse(bob.connection, 'too-big', 'a message of 1 GiB')
    world.settle()
    expect([bob.error, bob.last('error')?.text]).toEqual(['too-big', 'a message of 1 GiB'])
    world.host.received(bob.connection, Uint8Array.of(1), world.nowMs)
    world.host.heard(bob.connection, world.nowMs)
    expect(world.host.registry.byConnection.size).toBe(0)
  })

  it('[I10] refuses real-time messages that are too large, or come too fast', () => {
    const world = new World({ limits: { sendsPerSecond: 2 } })
    const [alice] = [world.online('alice'), world.online('bob')]
    world.pass(1_000)
    const statuses = [65_537, 1, 1, 1].map((bytes) => {
      alice.say(realtime('bob', bytes))
      world.settle()
      return codeByNumber(alice.last('realtimeResult')?.status ?? 0).name
    })
    // Those in between wait for bob's word.
    expect(statuses).toEqual(['too-large', 'too-large', 'too-large', 'rate-limited'])
  })

  it('[I10] [I4] cuts what has gathered into records of a bounded size, in order', () => {
    const world = new World({ limits: { recordBytes: 1_000 } })
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const sent = Array.from({ length: 50 }, (_sent, at) => alice.send('bob', { id: BigInt(at + 1), bodyBytes: 300 }))
    const before = world.journals[0]?.lastPosition ?? 0
    world.settle()
    expect(sent.map(({ status }) => status)).toEqual(sent.map(() => 'sent'))
    expect(bob.inbox.map(({ id }) => id)).toEqual(sent.map(({ packet }) => packet.id))
    expect((world.journals[0]?.lastPosition ?? 0) - before).toBeGreaterThan(15)
  })

  it('[I10] answers requests for what is not there', () => {
    const world = new World()
    const alice = world.online('alice')
    world.online('bob')
    world.group('team', 'bob')
    expect(alice.request({ kind: 'members', request: 1, group: 'team', after: '', limit: 1 })).toBe('not-member')
    expect(alice.request({ kind: 'members', request: 1, group: 'none', after: '', limit: 1 })).toBe('not-found')
    expect(alice.request({ kind: 'receipts', request: 1, group: 'none', id: 1n, after: '', limit: 1 })).toBe('not-found')
    expect(alice.block('nobody')).toBe('invalid-destination')
  })

  it('[I6] asks receipts page by page, also of those in whose place none is left', () => {
    const world = new World()
    const [alice] = [world.online('alice'), world.online('bob'), world.online('carol')]
    world.group('team', 'alice', 'bob', 'carol')
    alice.verdict('#team', { id: 1n })
    const seen: string[] = []
    for (let after = '', pages = 0; pages < 5; pages++) {
      alice.say({ kind: 'receipts', request: 1, group: 'team', id: 1n, after, limit: 1 })
      world.settle()
      const page = alice.last('receiptsReply')
      seen.push(...(page?.receipts ?? []).map(({ user }) => user))
      after = page?.next ?? ''
      if (after === '') break
    }
    expect(seen).toEqual(['bob', 'carol'])
  })

  /** Alice has sent to bob, and left; two that joined later stand around him, and many more behind. */
  function left(count: number): { readonly world: World; readonly alice: Client } {
    const world = new World()
    const [alice] = [world.online('alice'), world.online('bob')]
    world.group('team', 'alice', 'bob')
    alice.verdict('#team', { id: 1n })
    const later = ['anna', 'carol', ...Array.from({ length: count }, (_, at) => `x${1_000 + at}`)]
    for (const user of later) {
      world.operate(0, (origin) => ({ kind: 'userCreate', ...origin, user }))
      world.member('team', user, 3)
    }
    world.member('team', 'alice', 0)
    return { world, alice }
  }

  const pages = ({ world, alice }: ReturnType<typeof left>, limit: number, after = ''): unknown[] => {
    alice.say({ kind: 'receipts', request: 1, group: 'team', id: 1n, after, limit })
    world.settle()
    const { receipts, next } = alice.last('receiptsReply') ?? expect.fail()
    const page = [receipts.map(({ user }) => user), next]
    return next === '' ? [page] : [page, ...pages({ world, alice }, limit, next)]
  }

  it('[I9] whoever has left learns of no member by asking for receipts but of those that a message was for', () => {
    expect(pages(left(0), 1)).toEqual([
      [['bob'], 'bob'],
      [[], ''],
    ])
    expect(pages(left(0), 2)).toEqual([[['bob'], '']])
  })

  it('[I9] [I10] where so many in a row joined later, the pages of who has left end', () => {
    const ground = left(1_030)
    expect(pages(ground, 2)).toEqual([
      [['bob'], 'bob'],
      [[], ''],
    ])
  })

  it('roles can be changed in each of the groups of a user that has more than it now may', () => {
    const world = new World({ shards: 4 })
    world.online('alice')
    for (const name of ['one', 'two', 'three']) world.group(name, 'alice')
    world.set({ groupsPerUser: 1 })
    for (const name of ['one', 'two', 'three']) expect([name, world.member(name, 'alice', 3)]).toEqual([name, 0])
    const roles = world.host.queries.membershipsOf(world.host.queries.identityOf(0, 'alice')).map((group) => group.roles)
    expect(roles).toEqual([3, 3, 3])
  })
})
