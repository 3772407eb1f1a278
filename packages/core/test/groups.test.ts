import { describe, expect, it, vi } from 'vitest'
import { type Client, dayMs, type Surroundings } from './client.ts'
import { World } from './harness.ts'

/** Lets folded ACKs go and counts be told. */
function fold(world: Surroundings): void {
  world.pass(150)
  world.pass(300)
}

function send(client: Client, id: bigint, draft: { expiryMs?: number; receipts?: boolean } = {}): string {
  const status = client.verdict('#team', { id, ...draft })
  fold(client.world)
  return status
}

const receipts = (client: Client, id: bigint): [string, number][] => {
  client.request({ kind: 'receipts', request: 3, group: 'team', id, after: '', limit: 100 })
  return (client.last('receiptsReply')?.receipts ?? []).map(({ user, status }) => [user, status])
}

describe.each([1, 4])('groups with %i shards', (shards) => {
  it('[I9] a member reads from its join to its leave, and not a message more', () => {
    const world = new World({ shards })
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.group('team', 'alice')
    send(alice, 1n)
    world.member('team', 'bob', 3)
    send(alice, 2n)
    world.member('team', 'bob', 0)
    send(alice, 3n)
    expect(bob.bodies).toEqual(['m2'])
    expect(bob.all('group').map(({ roles }) => roles)).toEqual([3, 0])
    expect(bob.verdict('#team', { id: 9n })).toBe('not-member')
  })

  it('[I9] who joins again reads what came after, and never what came between', () => {
    const world = new World({ shards })
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.group('team', 'alice', 'bob')
    send(alice, 1n)
    world.member('team', 'bob', 0)
    send(alice, 2n)
    world.member('team', 'bob', 3)
    send(alice, 3n)
    expect(bob.bodies).toEqual(['m1', 'm3'])
    bob.cursors.clear()
    bob.inbox = []
    bob.reconnect()
    expect(bob.last('skip')).toBeDefined()
    expect(bob.bodies.filter((body) => body === 'm2')).toEqual([])
  })

  it('[I1] [I9] who left while offline still gets what came before', () => {
    const world = new World({ shards })
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.group('team', 'alice', 'bob')
    send(alice, 1n)
    bob.disconnect()
    send(alice, 2n)
    world.member('team', 'bob', 0)
    send(alice, 3n)
    bob.reconnect()
    fold(world)
    expect(bob.bodies).toEqual(['m1', 'm2'])
    expect(alice.query('#team', 2n)).toBe('delivered')
  })

  it('[I6] counts tell how many of the members have stored and read, the sender not counted', () => {
    const world = new World({ shards })
    const [alice, bob, carol] = [world.online('alice'), world.online('bob'), world.online('carol')]
    world.online('dave')
    world.group('team', 'alice', 'bob', 'carol')
    world.member('team', 'dave', 1)
    carol.disconnect()
    send(alice, 1n)
    expect(alice.last('counts')).toMatchObject({ id: 1n, delivered: 1, read: 0, members: 2 })
    expect(alice.query('#team', 1n)).toBe('sent')
    expect(receipts(alice, 1n)).toEqual([
      ['bob', 4],
      ['carol', 2],
    ])
    carol.reconnect()
    fold(world)
    expect(alice.query('#team', 1n)).toBe('delivered')
    for (const client of [bob, carol]) {
      for (const entry of client.inbox) client.read(entry)
      world.settle()
    }
    fold(world)
    expect(alice.queryState('#team', 1n)).toMatchObject({ status: 'read', count: 0, delivered: 2, read: 2, members: 2 })
    expect(receipts(alice, 1n)).toEqual([
      ['bob', 5],
      ['carol', 5],
    ])
    expect(receipts(bob, 1n)).toEqual([])
  })

  it('[I10] a record wakes the readers of a log once per lane, however many messages it brings', () => {
    const world = new World({ shards })
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const team = world.group('team', 'alice', 'bob')
    world.isFlushing = false
    for (let id = 1n; id <= 200n; id++) alice.send('#team', { id, priority: Number(id % 2n) })
    world.settle()
    const looks = vi.spyOn(world.host.registry, 'ofLog')
    world.flush()
    expect(looks.mock.calls.filter(([log]) => log === team)).toHaveLength(2)
    world.isFlushing = true
    world.settle()
    expect(bob.inbox).toHaveLength(200)
  })

  it('[I6] counts are told at most 4 times a second', () => {
    const world = new World({ shards })
    const alice = world.online('alice')
    const names = Array.from({ length: 6 }, (_, at) => `m${at}`)
    const members = names.map((name) => world.online(name, 1, { isAcking: false }))
    world.group('team', 'alice', ...names)
    alice.verdict('#team', { id: 1n })
    for (const member of members) {
      member.ack()
      world.pass(120)
    }
    fold(world)
    expect(alice.all('counts').length).toBeLessThanOrEqual(4)
    expect(alice.last('counts')).toMatchObject({ delivered: 6 })
  })

  it('[I6] at the deadline it is expired if nobody stored it, and keeps its counts if somebody did', () => {
    const world = new World({ shards })
    const [alice, bob, carol] = [world.online('alice'), world.online('bob'), world.online('carol')]
    world.group('team', 'alice', 'bob', 'carol')
    carol.disconnect()
    send(alice, 1n, { expiryMs: 10_000 })
    bob.disconnect()
    send(alice, 2n, { expiryMs: 10_000 })
    world.pass(20_000)
    expect([alice.told(1n), alice.told(2n)]).toEqual([[], ['expired']])
    expect(alice.queryState('#team', 1n)).toMatchObject({ status: 'sent', delivered: 1, members: 2 })
    expect(alice.query('#team', 2n)).toBe('expired')
    carol.reconnect()
    expect(carol.bodies).toEqual([])
  })

  it('[I6] once expired it stays so, whoever says late that it stored it, until all members have', () => {
    const world = new World({ shards })
    const alice = world.online('alice')
    const [bob, carol] = ['bob', 'carol'].map((user) => world.online(user, 1, { isAcking: false }))
    world.group('team', 'alice', 'bob', 'carol')
    send(alice, 1n, { expiryMs: 5_000 })
    world.pass(5_000)
    expect(alice.query('#team', 1n)).toBe('expired')
    bob?.ack()
    world.settle()
    fold(world)
    fold(world)
    expect(alice.queryState('#team', 1n)).toMatchObject({ status: 'expired', delivered: 1 })
    carol?.ack()
    world.settle()
    fold(world)
    fold(world)
    expect(alice.queryState('#team', 1n)).toMatchObject({ status: 'delivered', delivered: 2 })
  })

  it('[I10] the stubs of a group go when their keys have ended', () => {
    const world = new World({ shards })
    const [alice] = [world.online('alice'), world.online('bob')]
    const team = world.group('team', 'alice', 'bob')
    for (let id = 1n; id <= 3n; id++) send(alice, id, { expiryMs: 1_000 })
    const rows = (): number => world.host.queries.stateOf(team).entries.scan(team, 0, undefined, 100).length
    expect(rows()).toBe(3)
    expect(alice.query('#team', 3n)).toBe('delivered')
    world.pass(dayMs + 2_000)
    expect(rows()).toBe(0)
    expect(alice.query('#team', 3n)).toBe('unknown')
    expect(send(alice, 4n)).toBe('sent')
  })

  it('[I3] its own messages are skipped on the sending device, and come to the other ones', () => {
    const world = new World({ shards })
    const [phone, laptop] = [world.online('alice', 1), world.online('alice', 2)]
    world.group('team', 'alice')
    send(phone, 1n)
    expect([phone.bodies, laptop.bodies]).toEqual([[], ['m1']])
    expect(phone.last('skip')).toMatchObject({ from: 1, to: 1, reason: 4 })
  })

  it("[I3] a new device begins at its member's mark, and is told so", () => {
    const world = new World({ shards })
    const [alice] = [world.online('alice'), world.online('bob', 1)]
    world.group('team', 'alice', 'bob')
    for (let id = 1n; id <= 3n; id++) send(alice, id)
    const second = world.online('bob', 2)
    expect(second.all('skip')).toMatchObject([{ from: 1, to: 3, reason: 5 }])
    send(alice, 4n)
    expect(second.bodies).toEqual(['m4'])
    expect(alice.last('counts')).toMatchObject({ id: 4n, delivered: 1, members: 1 })
  })

  it('[I6] a member is counted once, on however many devices it stores a message', () => {
    const world = new World({ shards })
    const [alice, first] = [world.online('alice'), world.online('bob', 1)]
    const second = world.online('bob', 2)
    world.group('team', 'alice', 'bob')
    second.disconnect()
    // Own messages are passed unstored on the sending device: over 300 of them must not blur what the other device counts.
    for (let id = 1n; id <= 700n; id++) {
      const sender = id % 2n === 0n ? alice : first
      sender.send('#team', { id })
      world.settle()
    }
    fold(world)
    second.reconnect()
    fold(world)
    expect(second.inbox).toHaveLength(700)
    for (const id of [2n, 100n, 400n, 700n])
      expect(alice.queryState('#team', id)).toMatchObject({ status: 'delivered', delivered: 1, members: 1 })
  })

  it('[I6] what one device of a member passed unstored counts once another one stores it', () => {
    const world = new World({ shards })
    const alice = world.online('alice')
    const first = world.online('bob', 1, { isRefused: ({ id }) => id === 2n })
    const second = world.online('bob', 2)
    world.group('team', 'alice', 'bob')
    second.disconnect()
    for (let id = 1n; id <= 3n; id++) send(alice, id)
    const last = first.inbox.at(-1)
    if (last === undefined) throw new Error('nothing came')
    first.read(last)
    fold(world)
    expect([1n, 2n, 3n].map((id) => alice.query('#team', id))).toEqual(['read', 'sent', 'read'])
    expect(receipts(alice, 2n)).toEqual([['bob', 2]])
    second.reconnect()
    fold(world)
    expect(alice.query('#team', 2n)).toBe('read')
    expect(receipts(alice, 2n)).toEqual([['bob', 5]])
  })

  it('[I6] what a member has really missed counts later, though its device has passed hundreds of its own', () => {
    const world = new World({ shards })
    const alice = world.online('alice')
    const first = world.online('bob', 1, { isRefused: ({ id }) => id === 1n })
    const second = world.online('bob', 2)
    world.group('team', 'alice', 'bob')
    second.disconnect()
    alice.verdict('#team', { id: 1n })
    for (let id = 2n; id <= 901n; id++) {
      const sender = id % 2n === 0n ? first : alice
      sender.send('#team', { id })
      world.settle()
      if (id % 10n === 0n) fold(world)
    }
    fold(world)
    expect(alice.query('#team', 1n)).toBe('sent')
    second.reconnect()
    fold(world)
    expect(alice.query('#team', 1n)).toBe('delivered')
  })

  it('[I6] a member that tells the same range twice is still counted once', () => {
    const world = new World({ shards })
    const alice = world.online('alice')
    const [first, second, third] = [1, 2, 3].map((device) => world.online('bob', device, { isAcking: false }))
    const team = world.group('team', 'alice', 'bob')
    for (const id of [1n, 2n, 3n]) alice.verdict('#team', { id })
    const range = { from: 1, to: 2 }
    first?.say({ kind: 'ack', log: team, lane: 8, upTo: 3, notStored: [range, range] })
    world.settle()
    fold(world)
    for (const client of [second, third]) {
      client?.ack()
      world.settle()
      fold(world)
    }
    expect([1n, 2n, 3n].map((id) => alice.queryState('#team', id).delivered)).toEqual([1, 1, 1])
  })

  it('[I9] who has left is not even told how far the group has come', () => {
    const world = new World({ shards })
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const team = world.group('team', 'alice', 'bob')
    send(alice, 1n, { expiryMs: 5_000 })
    bob.disconnect()
    send(alice, 2n, { expiryMs: 5_000 })
    world.member('team', 'bob', 0)
    for (const id of [3n, 4n]) send(alice, id, { expiryMs: 5_000 })
    world.pass(10_000)
    bob.reconnect()
    expect(bob.all('skip').filter(({ log }) => log === team)).toMatchObject([{ from: 2, to: 2 }])
  })

  it('[I10] leaving a group that one is not in leaves nothing behind', () => {
    const world = new World({ shards })
    const eve = world.online('eve')
    world.online('alice')
    const team = world.group('team', 'alice')
    expect(eve.request({ kind: 'memberSet', request: 1, group: 'team', user: 'eve', roles: 0 })).toBe('')
    expect(world.host.queries.stateOf(team).members.get(team, eve.identity)).toBeUndefined()
  })

  it('[I10] hundreds of holes of one member never count anything twice', () => {
    const world = new World({ shards })
    const alice = world.online('alice')
    world.online('bob', 1, { isRefused: ({ id }) => id % 2n === 0n })
    const second = world.online('bob', 2)
    world.group('team', 'alice', 'bob')
    second.disconnect()
    for (let id = 1n; id <= 900n; id++) {
      alice.send('#team', { id })
      if (id % 20n === 0n) fold(world)
    }
    fold(world)
    second.reconnect()
    fold(world)
    for (let id = 1n; id <= 900n; id += 7n) expect(alice.queryState('#team', id).delivered).toBeLessThanOrEqual(1)
    for (const id of [1n, 801n, 900n]) expect(alice.query('#team', id)).toBe('delivered')
  })

  it('[I9] only admins change members, anyone may leave, and the operator may do both', () => {
    const world = new World({ shards })
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.online('carol')
    const set = (client: Client, user: string, roles: number, group = 'team'): string =>
      client.request({ kind: 'memberSet', request: 1, group, user, roles })
    expect(alice.request({ kind: 'groupCreate', request: 1, group: 'team' })).toBe('')
    expect(bob.request({ kind: 'groupCreate', request: 1, group: 'team' })).toBe('already-exists')
    expect(set(bob, 'bob', 3)).toBe('not-member')
    expect(set(alice, 'bob', 3)).toBe('')
    expect(set(bob, 'carol', 3)).toBe('not-allowed')
    expect(set(alice, 'nobody', 3)).toBe('invalid-destination')
    expect(set(alice, 'bob', 3, 'no-group')).toBe('not-found')
    expect(bob.request({ kind: 'groupDelete', request: 1, group: 'team' })).toBe('not-allowed')
    expect(set(bob, 'bob', 0)).toBe('')
    expect(set(bob, 'bob', 0)).toBe('')
    expect(alice.request({ kind: 'groupDelete', request: 1, group: 'team' })).toBe('')
    expect(alice.request({ kind: 'groupDelete', request: 1, group: 'team' })).toBe('not-found')
    expect(alice.last('group')).toMatchObject({ group: 'team', roles: 0 })
  })

  it('[I10] limits the members of a group and the groups of a user', () => {
    const world = new World({ shards, settings: { membersPerGroup: 2, groupsPerUser: 2, usersMayCreateGroups: false } })
    for (const user of ['alice', 'bob', 'carol']) world.online(user)
    for (const group of ['one', 'two', 'three']) world.group(group)
    expect(['alice', 'bob', 'carol'].map((user) => world.member('one', user, 3))).toEqual([0, 0, 46])
    expect(['two', 'three'].map((group) => world.member(group, 'bob', 3))).toEqual([0, 46])
    expect(world.member('one', 'bob', 7)).toBe(0)
    expect(world.online('alice', 2).request({ kind: 'groupCreate', request: 1, group: 'four' })).toBe('not-allowed')
  })

  it('[I10] limits the groups that a user makes, also of those under way to other shards', () => {
    const world = new World({ shards, settings: { groupsPerUser: 2 } })
    const alice = world.online('alice')
    const names = ['a', 'b', 'c', 'd', 'e', 'f']
    for (const group of names.slice(0, 2)) expect(alice.request({ kind: 'groupCreate', request: 1, group })).toBe('')
    expect(alice.request({ kind: 'groupCreate', request: 1, group: 'c' })).toBe('too-many')
    for (const group of names.slice(0, 2)) world.member(group, 'alice', 0)
    for (const group of names.slice(2)) alice.say({ kind: 'groupCreate', request: 1, group })
    world.settle()
    expect(world.host.queries.membershipsOf(alice.identity)).toHaveLength(2)
    expect(world.host.queries.stateOf(alice.identity).log(alice.identity)?.members).toBe(2)
    const memberCounts = names
      .map((name) => world.host.queries.identityOf(1, name))
      .map((group) => world.host.queries.members(group, '', 9))
    expect(memberCounts.flat()).toHaveLength(2)
  })

  it('a deletion tells waiting senders removed, and a group of that name is a new one', () => {
    const world = new World({ shards })
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const first = world.group('team', 'alice', 'bob')
    bob.disconnect()
    send(alice, 1n)
    world.pass(10)
    alice.request({ kind: 'groupDelete', request: 1, group: 'team' })
    expect([alice.told(1n), alice.query('#team', 1n)]).toEqual([['removed'], 'removed'])
    world.pass(10)
    expect(world.group('team', 'alice', 'bob')).not.toBe(first)
    bob.reconnect()
    expect(send(alice, 1n)).toBe('removed')
    expect(send(alice, 2n)).toBe('sent')
    expect(bob.bodies).toEqual(['m2'])
  })

  it('[I6] a deleted user leaves its groups, and no longer counts', () => {
    const world = new World({ shards })
    const [alice] = [world.online('alice'), world.online('bob'), world.online('carol')]
    const team = world.group('team', 'alice', 'bob', 'carol')
    world.pass(5)
    world.deleteUser('bob')
    send(alice, 1n)
    expect(alice.queryState('#team', 1n)).toMatchObject({ status: 'delivered', members: 1 })
    expect(world.host.queries.members(team, '', 10).map(({ user }) => user)).toEqual(['alice', 'carol'])
  })

  it('[I6] a user that is deleted while it joins leaves again', () => {
    const world = new World({ shards })
    const [alice] = [world.online('alice'), world.online('bob')]
    world.pass(5)
    for (let at = 0; at < 8; at++) world.group(`g${at}`, 'alice')
    const home = world.host.shardOf(0, 'bob')
    for (let at = 0; at < 8; at++)
      world.host.submit(
        (origin) => ({ kind: 'memberSet', ...origin, group: `g${at}`, user: 'bob', roles: 3, by: 0 }),
        home,
        () => undefined,
      )
    world.host.submit(
      (origin) => ({ kind: 'userDelete', ...origin, user: 'bob', validAfterMs: 0 }),
      home,
      () => undefined,
    )
    world.settle()
    for (let at = 0; at < 8; at++) {
      const group = world.host.queries.identityOf(1, `g${at}`)
      expect(world.host.queries.members(group, '', 10).map(({ user }) => user)).toEqual(['alice'])
      expect(world.host.queries.stateOf(group).log(group)).toMatchObject({ members: 1, receivers: 1 })
    }
    expect(alice.phase).toBe('live')
  })

  it('[I9] a user that is made anew while its past one leaves again is a member like any other', () => {
    const world = new World({ shards })
    world.online('alice')
    world.group('team', 'alice')
    const target = world.host.shardOf(1, 'team')
    const names = Array.from({ length: 50 }, (_, at) => `bob${at}`)
    const bob = names.find((name) => shards === 1 || world.host.shardOf(0, name) !== target) ?? ''
    world.online(bob).disconnect()
    world.settle()
    const home = world.host.shardOf(0, bob)
    const submit = (command: Parameters<typeof world.host.submit>[0]): void => {
      world.host.submit(command, home, () => undefined)
      world.flushOnly(home)
    }
    world.isFlushing = false
    // The group's shard stands still: it takes both joins before the first user's shard hears of the first one.
    submit((origin) => ({ kind: 'memberSet', ...origin, group: 'team', user: bob, roles: 3, by: 0 }))
    submit((origin) => ({ kind: 'userDelete', ...origin, user: bob, validAfterMs: 0 }))
    submit((origin) => ({ kind: 'userCreate', ...origin, user: bob }))
    submit((origin) => ({ kind: 'memberSet', ...origin, group: 'team', user: bob, roles: 3, by: 0 }))
    world.isFlushing = true
    world.settle()
    const [team, identity] = [world.host.queries.identityOf(1, 'team'), world.host.queries.identityOf(0, bob)]
    expect(world.host.queries.members(team, '', 9)).toContainEqual({ user: bob, identity, roles: 3 })
    world.operate(target, (origin) => ({ kind: 'groupDelete', ...origin, group: 'team', by: 0 }))
    expect(world.host.queries.membershipsOf(identity)).toEqual([])
  })

  it('[I2] [I12] what shards forward to one another is applied once, also when it is offered again after a crash', async () => {
    const world = new World({ shards })
    const users = ['a', 'b', 'c', 'd', 'e', 'f']
    const clients = users.map((user) => world.online(user))
    const seconds = users.map((user) => world.online(user, 2))
    const group = world.group('team', ...users)
    for (const [at, client] of clients.entries()) client.send(users[(at + 1) % users.length] ?? '', { id: 1n })
    // The sends are applied and their echoes forwarded, but nothing of what follows is flushed.
    world.isFlushing = false
    world.settle()
    world.flush(shards)
    world.settle()
    world.flush(1)
    await world.checkpoint()
    world.crash(1)
    world.isFlushing = true
    world.settle()
    for (const client of [...clients, ...seconds]) client.reconnect()
    for (const [at, client] of clients.entries()) client.send(users[(at + 1) % users.length] ?? '', { id: 1n })
    world.settle()
    for (const client of seconds) expect(client.inbox.filter(({ echoTo }) => echoTo !== null)).toHaveLength(1)
    for (const client of clients) expect(client.inbox.filter(({ echoTo }) => echoTo === null)).toHaveLength(1)
    expect(world.host.queries.members(group, '', 10)).toHaveLength(6)
    for (const { state } of world.shards)
      for (let target = 0; target < shards; target++) expect(state.forwards.scan(target, 0, undefined, 10)).toEqual([])
  })

  it('pages of members come in byte order', () => {
    const world = new World({ shards })
    const names = ['b', 'a', 'ä', 'z', '\u{1f600}', '\uffee', '\u{10ffff}']
    for (const name of names) world.online(name)
    const alice = world.online('alice')
    world.group('team', 'alice', ...names)
    const found: string[] = []
    for (let after = '', round = 0; round < 10; round++) {
      alice.request({ kind: 'members', request: 1, group: 'team', after, limit: 2 })
      const page = alice.last('membersReply')
      found.push(...(page?.members ?? []).map(({ user }) => user))
      after = page?.next ?? ''
      if (after === '') break
    }
    expect(found).toEqual(['a', 'alice', 'b', 'z', 'ä', '\uffee', '\u{1f600}', '\u{10ffff}'])
    const team = world.host.shardOf(1, 'team')
    world.operate(team, (origin) => ({ kind: 'groupDelete', ...origin, group: 'team', by: 0 }))
    for (const name of names) expect(world.host.queries.membershipsOf(world.host.queries.identityOf(0, name))).toEqual([])
  })
})
