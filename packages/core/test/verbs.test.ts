import { codeNumber } from '@posthaste/protocol'
import { describe, expect, it, vi } from 'vitest'
import { type Command, type CommandOf, encodeCommand } from '../src/shard/commands.ts'
import { type Client, type Draft, dayMs } from './client.ts'
import { nameIn, World } from './harness.ts'

/** From the deletion of an address until it is as if it had never been. */
const endMs = 31 * dayMs + 3_600_000
const origin = { tag: 0, ref: 0 }
const device = (number: number): string => Buffer.from(new Uint8Array(16).fill(number)).toString('hex')

/** Gives a shard a command that comes from no session of now. */
function submit(world: World, shard: number, command: Command): void {
  world.host.batchers[shard]?.submit(command)
  world.settle()
}

/** The copy of a message, for the other devices of its sender. */
function echoOf(
  client: Client,
  fields: { id?: bigint; deadlineMs?: number; bodyBytes?: number; device?: number },
): CommandOf<'echo'> {
  const { id = 1n, deadlineMs = client.world.nowMs + 10_000, bodyBytes = 8 } = fields
  return {
    kind: 'echo',
    sender: client.identity,
    device: device(fields.device ?? 1),
    toKind: 0,
    to: 'bob',
    id,
    type: 0,
    priority: 8,
    deadlineMs,
    body: new Uint8Array(bodyBytes),
  }
}

describe('a block', () => {
  it('[I9] that is asked for twice shows nothing of what came in between', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob', 1, { isAcking: false })]
    alice.verdict('bob', { id: 1n })
    bob.block('alice')
    bob.ack()
    world.settle()
    bob.block('alice')
    expect(alice.query('bob', 1n)).toBe('sent')
    bob.block('alice', false)
    expect(alice.query('bob', 1n)).toBe('delivered')
  })

  it('[I9] sends nothing to the blocked one, and its end what has moved, once', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    alice.verdict('bob', { id: 1n })
    const heard = [true, true, false, false].map((isBlocked) => {
      const before = alice.packets.length
      bob.block('alice', isBlocked)
      return alice.packets.slice(before).map(({ kind }) => kind)
    })
    expect(heard).toEqual([[], [], ['mark'], []])
  })

  it('by a user that there is not, or no longer, is refused', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const block = (user: number): number =>
      world.operate(0, (at) => ({ kind: 'block', ...at, user, target: bob.identity, targetName: 'bob', isBlocked: true }))
    const { identity } = alice
    world.deleteUser('alice')
    expect([block(identity), block(99_999)]).toEqual([codeNumber('not-found'), codeNumber('not-found')])
  })
})

describe('an operator', () => {
  it('who makes a user a second time changes nothing', () => {
    const world = new World()
    const create = (): number => world.operate(0, (at) => ({ kind: 'userCreate', ...at, user: 'carol' }))
    const codes = [create()]
    const identity = world.host.queries.identityOf(0, 'carol')
    codes.push(create())
    expect(codes).toEqual([0, 0])
    expect(world.host.queries.identityOf(0, 'carol')).toBe(identity)
  })

  it('may revoke tokens by any clock, and is told what holds', () => {
    const world = new World()
    world.online('alice')
    const answers: unknown[] = []
    for (const aheadMs of [30_000, -5, 7_200_000])
      world.host.submit(
        (at) => ({ kind: 'revoke', ...at, user: 'alice', validAfterMs: world.nowMs + aheadMs }),
        0,
        (answer) => answers.push(answer),
      )
    world.settle()
    const held = [30_000, 30_000, 7_200_000].map((aheadMs) => ({
      kind: 'reply',
      code: 0,
      value: world.nowMs + aheadMs,
      isNew: false,
    }))
    expect(answers).toEqual(held)
    expect(world.host.queries.validAfterMs('alice')).toBe(world.nowMs + 7_200_000)
  })

  it('cannot revoke the tokens of a user that there is not, or no longer', () => {
    const world = new World()
    world.online('alice')
    const revoke = (user: string): number =>
      world.operate(0, (at) => ({ kind: 'revoke', ...at, user, validAfterMs: world.nowMs }))
    expect([revoke('alice'), revoke('nobody')]).toEqual([0, codeNumber('not-found')])
    world.deleteUser('alice')
    expect(revoke('alice')).toBe(codeNumber('not-found'))
  })
})

describe('what a session said that a newer one of its device has replaced', () => {
  it('[I9] is not taken: it did not read', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    alice.verdict('bob', { id: 1n })
    bob.reconnect()
    const read = { ...origin, log: bob.identity, user: bob.identity, device: device(1), lane: 8, seq: 1, count: 1 }
    submit(world, 0, { kind: 'read', ...read, sender: alice.identity, session: bob.session - 1 })
    expect(alice.query('bob', 1n)).toBe('delivered')
    submit(world, 0, { kind: 'read', ...read, sender: alice.identity, session: bob.session })
    expect(alice.query('bob', 1n)).toBe('read')
  })
})

describe('the copy of what a user sent', () => {
  it('[I5] is not made at its deadline, nor for a device that has no others beside it, nor for who is gone', () => {
    const world = new World()
    const [first, second] = [world.online('alice', 1), world.online('alice', 2)]
    const alone = world.online('carol')
    const before = [first, second, alone].map(({ packets }) => packets.length)
    submit(world, 0, echoOf(first, { deadlineMs: world.nowMs }))
    submit(world, 0, echoOf(alone, {}))
    const { identity } = alone
    world.deleteUser('carol')
    submit(world, 0, { ...echoOf(first, {}), sender: identity })
    expect([first, second].map(({ packets }) => packets.length)).toEqual(before.slice(0, 2))
    expect(alone.all('deliver').length + alone.all('skip').length).toBe(0)
    submit(world, 0, echoOf(first, { deadlineMs: world.nowMs + 1 }))
    expect([first.bodies.length, second.bodies.length]).toEqual([0, 1])
  })

  it('[I10] takes up to a quarter of the bytes of the log, and not one more', () => {
    const world = new World({ settings: { inboxBytes: 64 } })
    const [first, second] = [world.online('alice', 1), world.online('alice', 2)]
    second.disconnect()
    for (const [id, bodyBytes] of [
      [1n, 17],
      [2n, 16],
      [3n, 1],
    ] as const)
      submit(world, 0, echoOf(first, { id, bodyBytes }))
    second.reconnect()
    expect(second.inbox.map(({ id }) => id)).toEqual([2n])
  })
})

describe('commands for other shards', () => {
  it('[I12] that come before their turn are not said to be applied', () => {
    const world = new World({ shards: 2 })
    const user = nameIn(world, 0, 'user', 1)
    const alice = world.online(user, 1)
    const done = (): number => world.shards[0]?.state.meta.acknowledged[1] as number
    const command = encodeCommand(echoOf(alice, {}))
    submit(world, 1, { kind: 'forwarded', source: 0, epoch: 1, number: done() + 2, command })
    expect(done()).toBe(0)
  })

  it('[I12] are not forgotten to be done when an earlier word of it comes late', () => {
    const world = new World({ shards: 2 })
    const alice = world.online(nameIn(world, 0, 'alice', 0))
    const group = nameIn(world, 1, 'group', 1)
    for (let at = 0; at < 3; at++) alice.request({ kind: 'groupCreate', request: at, group: `${group}${'x'.repeat(at)}` })
    const { meta } = world.shards[0]?.state ?? { meta: undefined }
    const done = meta?.acknowledged[1] as number
    submit(world, 0, { kind: 'forwardDone', target: 1, epoch: world.host.epoch, number: done - 1 })
    expect([done > 0, meta?.acknowledged[1]]).toEqual([true, done])
  })

  it('[I1] that wait in a backup are numbered anew in its epoch, and applied in their order', async () => {
    const world = new World({ shards: 2 })
    const user = nameIn(world, 0, 'alice', 1)
    const to = nameIn(world, 0, 'bob', 0)
    const [alice, other] = [world.online(user, 1), world.online(user, 2)]
    world.online(to)
    alice.verdict(to, { id: 1n })
    world.isFlushing = false
    for (const id of [2n, 3n]) alice.send(to, { id })
    world.flushOnly(0)
    expect(other.bodies).toEqual(['m1'])
    world.restore(await world.backup())
    // The shard that forwards has begun the new epoch when all crashes, the other one has not.
    world.flushOnly(0)
    world.isFlushing = true
    world.crash()
    const { meta } = world.shards[0]?.state ?? { meta: undefined }
    expect([meta?.forwarded, meta?.acknowledged]).toEqual([
      [0, 2],
      [0, 2],
    ])
    other.reconnect()
    expect(other.bodies).toEqual(['m1', 'm2', 'm3'])
  })
})

describe('the end of a deleted user', () => {
  it('[I9] takes it out of groups that still have it: their shard was restored from before it was deleted', async () => {
    const world = new World({ shards: 2 })
    const [alice, bob] = [world.online(nameIn(world, 0, 'alice', 0)), world.online(nameIn(world, 0, 'bob', 0))]
    const name = nameIn(world, 1, 'team', 1)
    const group = world.group(name, alice.user, bob.user)
    const early = await world.backup()
    world.pass(10)
    world.deleteUser(bob.user)
    const late = await world.backup()
    world.restore([...late.slice(0, 1), ...early.slice(1)])
    const members = (): string[] => world.host.queries.members(group, '', 9).map(({ user }) => user)
    const before = members()
    world.pass(endMs)
    world.pass(1_000)
    world.pass(1_000)
    expect([before, members()]).toEqual([[alice.user, bob.user], [alice.user]])
    alice.reconnect()
    alice.verdict(`#${name}`, { id: 1n })
    expect(alice.queryState(`#${name}`, 1n)).toMatchObject({ members: 0 })
  })
})

describe('the cursors of a device', () => {
  it('[I1] of an epoch before pass nothing: what has their places now is other messages', async () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.group('team', 'alice', 'bob')
    const sendAll = (ids: readonly bigint[]): void => {
      for (const to of ['bob', '#team']) for (const id of ids) alice.verdict(to, { id })
    }
    sendAll([1n])
    const backup = await world.backup()
    sendAll([2n, 3n])
    expect(bob.inbox).toHaveLength(6)
    world.restore(backup)
    alice.reconnect()
    sendAll([4n, 5n])
    bob.reconnect()
    expect(bob.bodies.slice(6).sort()).toEqual(['m4', 'm4', 'm5', 'm5'])
  })

  it('are confirmed only where they name what was not stored', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob', 1, { isRefused: ({ id }) => id === 2n })]
    alice.verdict('bob', { id: 1n })
    bob.reconnect()
    expect(bob.all('acked')).toEqual([])
    bob.isAcking = false
    alice.verdict('bob', { id: 2n })
    bob.reconnect()
    expect(bob.all('acked')).toMatchObject([{ lane: 8, upTo: 2 }])
  })
})

describe('the devices of a user', () => {
  it('[I1] are kept while they are connected, however long that is', () => {
    const world = new World({ settings: { deviceDays: 1 } })
    const bob = world.online('bob', 1)
    world.online('bob', 2).disconnect()
    world.pass(2 * dayMs)
    world.pass(2 * dayMs)
    expect(world.shards[0]?.state.log(bob.identity)?.devices.map(({ id }) => id)).toEqual([device(1)])
  })

  it('are not touched by the end of a session that is none, or not theirs', () => {
    const world = new World()
    const bob = world.online('bob')
    const end = { kind: 'sessionEnd', device: device(1), session: 1 } as const
    for (const gone of [
      { ...end, user: 99_999 },
      { ...end, user: bob.identity, device: device(2) },
      { ...end, user: bob.identity, session: 9 },
    ])
      submit(world, 0, gone)
    expect(world.shards[0]?.state.log(bob.identity)?.devices[0]?.incarnation).not.toBe(0)
    submit(world, 0, { ...end, user: bob.identity })
    expect(world.shards[0]?.state.log(bob.identity)?.devices[0]?.incarnation).toBe(0)
  })

  it('[I9] read nothing of a group that there is not, or no longer', () => {
    const world = new World()
    const bob = world.client('bob')
    world.online('bob', 2)
    const group = world.group('team', 'bob')
    const user = world.host.queries.identityOf(0, 'bob')
    const attach = { kind: 'attach', ...origin, user, device: device(1), session: 5, epoch: 1, cursors: [], devices: [] } as const
    submit(world, 0, { ...attach, group: 99_999 })
    const readers = (): string[] | undefined => world.shards[0]?.state.members.get(group, user)?.devices.map(({ id }) => id)
    const before = readers()
    world.operate(0, (at) => ({ kind: 'groupDelete', ...at, group: 'team', by: 0 }))
    submit(world, 0, { ...attach, group })
    expect([bob.phase, before, readers()]).toEqual(['offline', [device(2)], [device(2)]])
  })

  it('[I6] have stored nothing of a group in another epoch, or before they had a place in it', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob', 2, { isAcking: false })
    const group = world.group('team', 'alice', 'bob')
    alice.verdict('#team', { id: 1n })
    const cursors = [{ lane: 8, seq: 1, notStored: [] }]
    const attach = { kind: 'attach', ...origin, group, user: bob.identity, cursors, devices: [device(2)] } as const
    const { epoch } = world.host
    const stands = (): [string, string[] | undefined] => [
      alice.query('#team', 1n),
      world.shards[0]?.state.members.get(group, bob.identity)?.devices.map(({ id }) => id),
    ]
    submit(world, 0, { ...attach, device: device(2), session: 5, epoch: epoch + 1 })
    submit(world, 0, { ...attach, device: device(1), session: 5, epoch })
    expect(stands()).toEqual(['sent', [device(2), device(1)]])
    // The last one stays, whatever the list of devices says that came with it.
    submit(world, 0, { ...attach, device: device(1), session: 6, epoch, cursors: [], devices: [] })
    expect(stands()).toEqual(['sent', [device(1)]])
    submit(world, 0, { ...attach, device: device(1), session: 7, epoch, cursors: [{ lane: 8, seq: 1, notStored: [] }] })
    expect(stands()[1]).toEqual([device(1)])
  })
})

describe('groups', () => {
  it('are new once, and say who is in them to nobody who is not', () => {
    const world = new World()
    const made: unknown[] = []
    for (const _ of [1, 2])
      world.host.submit(
        (at) => ({ kind: 'groupCreate', ...at, group: 'team', by: 0, byName: '' }),
        0,
        (answer) => made.push(answer),
      )
    world.settle()
    expect(made).toEqual([
      { kind: 'reply', code: 0, value: 0x100_0000_0001, isNew: false },
      expect.objectContaining({ code: codeNumber('already-exists') }),
    ])
  })

  it('take no member that there is not, and lose one at its limit of groups', () => {
    const world = new World({ settings: { groupsPerUser: 1 } })
    for (const user of ['alice', 'bob', 'carol']) world.online(user)
    world.group('team', 'alice', 'bob')
    world.group('other', 'carol')
    world.deleteUser('carol')
    expect([
      world.member('team', 'carol', 3),
      world.member('team', 'nobody', 3),
      world.member('nowhere', 'bob', 0),
      world.member('other', 'bob', 3),
      world.member('other', 'bob', 0),
    ]).toEqual([
      codeNumber('invalid-destination'),
      codeNumber('invalid-destination'),
      codeNumber('not-found'),
      codeNumber('too-many'),
      0,
    ])
  })

  it('[I9] are left by oneself alone, but for what admins and operators do', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.online('carol')
    world.group('team', 'alice', 'bob', 'carol')
    const set = { kind: 'memberSet', request: 1, group: 'team', roles: 0 } as const
    expect([bob.request({ ...set, user: 'carol' }), bob.request({ ...set, user: 'bob' })]).toEqual(['not-allowed', ''])
    expect(alice.request({ ...set, user: 'carol' })).toBe('')
  })

  it('[I10] of a user are counted, also after a crash', async () => {
    const world = new World({ settings: { groupsPerUser: 2 } })
    for (const user of ['alice', 'bob']) world.online(user)
    for (const name of ['one', 'two', 'three']) world.group(name, 'alice')
    await world.checkpoint()
    world.member('one', 'bob', 3)
    await world.checkpoint()
    world.crash()
    world.member('two', 'bob', 3)
    expect(world.member('three', 'bob', 3)).toBe(codeNumber('too-many'))
  })
})

describe('names', () => {
  it('[I10] of users that come and go remember sixteen of them, and what there is not cannot be deleted', () => {
    const world = new World()
    expect(world.deleteUser('bob')).toBe(codeNumber('not-found'))
    for (let time = 0; time < 18; time++) {
      world.operate(0, (at) => ({ kind: 'userCreate', ...at, user: 'bob' }))
      expect(world.deleteUser('bob')).toBe(0)
    }
    expect(world.deleteUser('bob')).toBe(codeNumber('not-found'))
    expect(world.shards[0]?.state.addresses.get(0, 'bob')?.past).toHaveLength(16)
  })
})

/** Has a shard tell how many entries its records look at: the most of one since it was asked last. */
function watchReads(world: World): () => number {
  const [shard] = world.shards
  if (shard === undefined) throw new Error('no shard')
  const reads = vi.spyOn(shard.state.entries, 'get')
  const apply = shard.apply.bind(shard)
  let most = 0
  vi.spyOn(shard, 'apply').mockImplementation((position, record) => {
    reads.mockClear()
    const effects = apply(position, record)
    most = Math.max(most, reads.mock.calls.length)
    return effects
  })
  return () => {
    const told = most
    most = 0
    return told
  }
}

/** Sends so many messages, 500 in each 100 ms. */
function sendMany(from: Client, to: string, ids: { readonly first: number; readonly last: number }, draft: Draft): void {
  for (let id = ids.first; id <= ids.last; id++) {
    from.send(to, { id: BigInt(id), priority: draft.priority ?? id % 4, ...draft })
    if (id % 500 === 0) from.world.pass(100)
  }
  from.world.settle()
}

describe('what is due', () => {
  it.each(['bob', '#team'])('[I10] is looked through some at a time, however much of it there is: for %s', (to) => {
    const world = new World()
    const alice = world.online('alice')
    world.online('bob').disconnect()
    world.group('team', 'alice', 'bob')
    sendMany(alice, to, { first: 1, last: 6_000 }, { deadlineMs: world.nowMs + 10_000 })
    const most = watchReads(world)
    for (const ms of [20_000, 1_000, dayMs, 10_000]) {
      world.pass(ms)
      for (let time = 0; time < 20; time++) world.pass(100)
    }
    const looked = most()
    expect(looked).toBeGreaterThan(1_000)
    expect(looked).toBeLessThan(2_100)
    const log = world.host.queries.identityOf(to === 'bob' ? 0 : 1, to.replace('#', ''))
    expect(world.shards[0]?.state.entries.scan(log, 0, undefined, 10)).toEqual([])
  })

  it('[I10] is looked for only in lanes where something is', () => {
    const world = new World()
    const alice = world.online('alice')
    world.online('bob').disconnect()
    const { nowMs } = world
    sendMany(alice, 'bob', { first: 1, last: 1_000 }, { priority: 4, deadlineMs: nowMs + 1_000 })
    sendMany(alice, 'bob', { first: 1_001, last: 2_000 }, { priority: 9, deadlineMs: nowMs + dayMs })
    world.pass(5_000)
    sendMany(alice, 'bob', { first: 2_001, last: 2_010 }, { priority: 1, deadlineMs: nowMs + 10_000 })
    const most = watchReads(world)
    world.pass(20_000)
    expect(alice.told(2_001n)).toEqual(['expired'])
    expect(most()).toBeLessThan(100)
  })

  it('[I6] stays as long as its key lives: whoever stored it in time can say so after the next search of the lane', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob', 1, { isAcking: false })]
    alice.verdict('bob', { id: 1n, expiryMs: 1_000 })
    alice.verdict('bob', { id: 2n, expiryMs: 10_000 })
    for (const ms of [2_000, 10_000, 1_000]) world.pass(ms)
    expect([alice.told(1n), alice.told(2n)]).toEqual([['expired'], ['expired']])
    bob.ack()
    world.settle()
    expect([alice.query('bob', 1n), alice.query('bob', 2n)]).toEqual(['delivered', 'delivered'])
  })
})
