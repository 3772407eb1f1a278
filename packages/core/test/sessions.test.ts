import { describe, expect, it } from 'vitest'
import { dayMs } from './client.ts'
import { startMs, World } from './harness.ts'

const slots = (world: World, user: number) => world.host.queries.stateOf(user).log(user)?.devices ?? []

describe('devices', () => {
  it('[I10] a ninth replaces the one that is longest unseen and offline', () => {
    const world = new World({ settings: { devicesPerUser: 3 } })
    for (const device of [1, 2, 3]) {
      world.online('bob', device)
      world.pass(1_000)
    }
    const bob = world.client('bob', 4)
    bob.connect()
    world.settle()
    expect(bob.error).toBe('too-many-devices')
  })

  it('[I10] and only when none is offline is it refused', () => {
    const world = new World({ settings: { devicesPerUser: 3 } })
    const [first, second, third] = [1, 2, 3].map((device) => world.online('bob', device))
    for (const client of [second, third, first]) {
      client?.disconnect()
      world.pass(1_000)
    }
    third?.reconnect()
    const fourth = world.online('bob', 4)
    expect(slots(world, fourth.identity).map(({ id }) => id.slice(0, 2))).toEqual(['01', '03', '04'])
  })

  it('that comes back in the very record that gave its slot away takes another one, and stays connected', () => {
    const world = new World({ settings: { devicesPerUser: 2 } })
    const [first, second] = [world.online('bob', 1), world.online('bob', 2)]
    first.disconnect()
    second.disconnect()
    const third = world.client('bob', 3)
    third.connect()
    first.connect()
    world.settle()
    expect([third, first].map(({ phase, error }) => [phase, error])).toEqual([
      ['live', ''],
      ['live', ''],
    ])
    expect(slots(world, first.identity).map(({ id }) => id.slice(0, 2))).toEqual(['03', '01'])
  })

  it('is dropped 30 days after it was last connected, and what waited for it alone goes', () => {
    const world = new World({ settings: { expirySecondsMax: 60 * 86_400 } })
    const alice = world.online('alice')
    const lost = world.online('bob', 2)
    const bob = world.online('bob', 1)
    world.pass(29 * dayMs)
    lost.disconnect()
    alice.verdict('bob', { id: 1n, expiryMs: 59 * dayMs })
    const log = bob.identity
    const trim = (): number => world.host.queries.stateOf(log).log(log)?.lanes[8]?.trim ?? 0
    world.pass(30 * dayMs - 1)
    expect([slots(world, log).length, trim()]).toEqual([2, 0])
    world.pass(dayMs)
    expect([slots(world, log).length, trim()]).toEqual([1, 1])
    lost.reconnect()
    expect([lost.phase, lost.inbox]).toEqual(['live', []])
  })

  it('[I12] that was connected when the server died was seen until then', () => {
    const world = new World()
    const bob = world.online('bob')
    world.pass(40 * dayMs)
    world.crash()
    const alice = world.online('alice')
    // Something that is due makes the shard look at the devices before their own time.
    alice.verdict('bob', { id: 1n, expiryMs: 1_000 })
    world.pass(dayMs)
    expect(alice.told(1n)).toEqual(['expired'])
    expect(slots(world, bob.identity)).toHaveLength(1)
    world.pass(30 * dayMs)
    expect(slots(world, bob.identity)).toHaveLength(0)
  })

  it('[I10] [I12] that was connected when the server died is not seen again by every later start', () => {
    const world = new World({ settings: { devicesPerUser: 2 } })
    const lost = world.online('bob', 1)
    world.crash()
    world.pass(dayMs)
    const kept = world.online('bob', 2)
    kept.disconnect()
    world.settle()
    world.pass(dayMs)
    world.crash()
    // The one that was lost is unseen for longer, though neither has come back since.
    const third = world.online('bob', 3)
    expect(slots(world, lost.identity).map(({ id }) => id.slice(0, 2))).toEqual(['02', '03'])
    world.crash()
    for (let week = 0; week < 5; week++) {
      world.pass(7 * dayMs)
      world.crash()
    }
    world.pass(dayMs)
    expect(slots(world, third.identity)).toEqual([])
  })

  it('[I10] whose connection closed before its record was applied is offline', () => {
    const world = new World({ settings: { devicesPerUser: 1 } })
    world.isFlushing = false
    const first = world.client('bob', 1)
    first.connect()
    world.settle()
    first.disconnect()
    world.isFlushing = true
    world.settle()
    expect(slots(world, world.host.queries.identityOf(0, 'bob'))).toMatchObject([{ incarnation: 0 }])
    expect(world.online('bob', 2).phase).toBe('live')
  })

  it('[I10] that was refused for too many connections is offline', () => {
    const world = new World({ limits: { connectionsPerUser: 1 } })
    const bob = world.online('bob', 1)
    expect(world.online('bob', 2).error).toBe('too-many-connections')
    expect(slots(world, bob.identity).map(({ incarnation }) => incarnation)).toEqual([1, 0])
  })
})

describe('sessions', () => {
  it('[I1] cursors of another identity than the one that the name has by now say nothing', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    bob.disconnect()
    alice.verdict('bob', { id: 1n })
    world.host.batchers[0]?.submit({
      kind: 'session',
      tag: 0,
      ref: 0,
      user: 'bob',
      issuedAtMs: world.nowMs,
      device: '01'.repeat(16),
      session: 9,
      epoch: 1,
      log: bob.identity + 1_000,
      cursors: [{ lane: 8, seq: 1, notStored: [] }],
    })
    world.settle()
    expect(slots(world, bob.identity)).toMatchObject([{ session: 9 }])
    expect(alice.query('bob', 1n)).toBe('sent')
  })

  it('a newer one ends the older with replaced, and an older one is stale', () => {
    const world = new World()
    const older = world.online('bob')
    const newer = world.client('bob')
    newer.session = 5
    newer.connect()
    world.settle()
    expect([older.error, older.ended, newer.phase]).toEqual(['replaced', 'replaced', 'live'])
    older.reconnect()
    expect([older.error, newer.phase]).toEqual(['stale-session', 'live'])
  })

  it('two HELLOs of one device in one record leave the newer one alive', () => {
    for (const order of [
      [5, 9],
      [9, 5],
    ]) {
      const world = new World()
      world.isFlushing = false
      const clients = order.map((session) => {
        const client = world.client('bob')
        client.session = session - 1
        client.connect()
        return client
      })
      world.settle()
      world.isFlushing = true
      world.settle()
      expect(clients.map(({ session, phase }) => [session, phase]).sort()).toEqual([
        [5, 'offline'],
        [9, 'live'],
      ])
      const [user] = clients
      expect(slots(world, world.host.queries.identityOf(0, user?.user ?? ''))).toMatchObject([{ session: 9, incarnation: 1 }])
    }
  })

  it('[I9] tokens issued up to a revocation are refused, and their sessions end; newer ones live', () => {
    const world = new World()
    const [old, fresh] = [world.client('bob', 1), world.client('bob', 2)]
    old.connect(`bob@${startMs - 10}`)
    fresh.connect(`bob@${startMs}`)
    world.settle()
    const revoke = (): number =>
      world.operate(0, (origin) => ({ kind: 'revoke', ...origin, user: 'bob', validAfterMs: startMs - 5 }))
    expect(revoke()).toBe(0)
    expect([old.error, fresh.phase]).toEqual(['token-revoked', 'live'])
    old.connect(`bob@${startMs - 5}`)
    world.settle()
    expect(old.error).toBe('token-revoked')
    fresh.say({ kind: 'renew', token: `bob@${startMs - 5}` })
    world.settle()
    expect(fresh.error).toBe('token-revoked')
  })

  it('[I9] the deletion of a user ends its sessions, and older tokens never make it again', () => {
    const world = new World()
    const bob = world.online('bob')
    world.pass(5)
    expect(world.deleteUser('bob')).toBe(0)
    expect(bob.error).toBe('user-removed')
    bob.connect(`bob@${world.nowMs}`)
    world.settle()
    expect(bob.error).toBe('token-revoked')
    world.pass(5)
    bob.connect()
    world.settle()
    expect(bob.phase).toBe('live')
  })

  it('a token for what is no address is refused', () => {
    const world = new World()
    const client = world.client('..')
    client.connect()
    world.settle()
    expect(client.error).toBe('token-invalid')
  })

  it('[I12] a WELCOME comes only after its record is flushed', () => {
    const world = new World()
    world.isFlushing = false
    const bob = world.client('bob')
    bob.connect()
    world.settle()
    expect(bob.phase).toBe('greeting')
    world.isFlushing = true
    world.settle()
    expect(bob.phase).toBe('live')
  })
})

describe('crashes', () => {
  it('[I1] [I2] [I12] what was told sent is delivered after a crash, once', () => {
    const world = new World()
    const bob = world.online('bob')
    const alice = world.online('alice')
    bob.disconnect()
    expect(alice.verdict('bob', { id: 1n })).toBe('sent')
    world.isFlushing = false
    alice.send('bob', { id: 2n })
    world.settle()
    world.isFlushing = true
    world.crash()
    for (const client of [bob, alice]) client.reconnect()
    expect(alice.query('bob', 2n)).toBe('unknown')
    expect([1n, 2n].map((id) => alice.verdict('bob', { id }))).toEqual(['delivered', 'sent'])
    expect(bob.bodies).toEqual(['m1', 'm2'])
  })

  it('[I2] [I12] a record that reached the disk unacknowledged counts, and its messages are not stored twice', () => {
    const world = new World()
    const bob = world.online('bob')
    const alice = world.online('alice')
    world.isFlushing = false
    alice.send('bob', { id: 1n })
    world.settle()
    world.isFlushing = true
    world.crash(1)
    for (const client of [bob, alice]) client.reconnect()
    expect(alice.verdict('bob', { id: 1n })).toBe('delivered')
    expect(bob.bodies).toEqual(['m1'])
  })

  it('[I12] checkpoints between records and a crash after each lose nothing', async () => {
    const world = new World({ shards: 4 })
    const bob = world.online('bob')
    const alice = world.online('alice')
    for (let id = 1n; id <= 8n; id++) {
      alice.verdict('bob', { id })
      await world.checkpoint()
      if (id % 2n === 0n) world.crash()
      for (const client of [bob, alice]) if (client.phase === 'offline') client.reconnect()
    }
    expect(bob.bodies).toEqual(['m1', 'm2', 'm3', 'm4', 'm5', 'm6', 'm7', 'm8'])
    expect(alice.query('bob', 1n)).toBe('delivered')
  })
})

it('[I6] a device that lost its slot, and comes back, does not pass as having stored what it did not', () => {
  const world = new World({ settings: { devicesPerUser: 2 } })
  const refusing = { isRefused: () => true }
  const alice = world.online('alice')
  const [first, second] = [1, 2].map((device) => world.online('bob', device, refusing))
  world.group('team', 'alice', 'bob')
  alice.verdict('bob', { id: 1n })
  alice.verdict('#team', { id: 2n })
  world.settle()
  first?.disconnect()
  world.pass(1_000)
  // It takes the slot of the first one, which has named what it did not store, and heard that this is known.
  world.online('bob', 3, refusing).disconnect()
  second?.disconnect()
  world.pass(1_000)
  first?.reconnect()
  world.pass(1_000)
  expect(alice.queryState('bob', 1n)).toMatchObject({ status: 'sent' })
  expect(alice.queryState('#team', 2n)).toMatchObject({ status: 'sent', delivered: 0 })
  alice.verdict('bob', { id: 3n })
  expect(first?.inbox).toEqual([])
})

it('[I6] a device whose store was copied does not pass as having stored what the copy had said that it did not', () => {
  const world = new World()
  const alice = world.online('alice')
  const first = world.online('bob', 1, { isRefused: ({ id }) => id < 3n })
  world.group('team', 'alice', 'bob')
  alice.verdict('bob', { id: 1n })
  alice.verdict('#team', { id: 2n })
  world.settle()
  // The first one has named what it did not store, and heard that this is known. The copy knows nothing of it, and goes back.
  first.disconnect()
  world.pass(1_000)
  const copy = world.online('bob', 1, { isAcking: false })
  copy.session = 10
  copy.reconnect()
  expect(copy.bodies).toEqual(['m1', 'm2'])
  copy.disconnect()
  world.pass(1_000)
  first.session = 20
  first.reconnect()
  world.pass(1_000)
  expect(first.phase).toBe('live')
  expect(alice.queryState('bob', 1n)).toMatchObject({ status: 'sent' })
  expect(alice.queryState('#team', 2n)).toMatchObject({ status: 'sent', delivered: 0 })
  // What comes later counts again.
  alice.verdict('bob', { id: 3n })
  world.settle()
  expect(alice.query('bob', 3n)).toBe('delivered')
})

it('[I6] a connected device keeps its place in a quiet group, however many others of its user come and go', () => {
  const world = new World({ settings: { devicesPerUser: 2 } })
  const [alice, bob] = [world.online('alice'), world.online('bob', 1)]
  world.group('team', 'alice', 'bob')
  for (let device = 2; device <= 5; device++) {
    world.pass(1_000)
    world.online('bob', device).disconnect()
    world.settle()
  }
  alice.verdict('#team', { id: 1n })
  expect(bob.bodies).toEqual(['m1'])
  world.pass(1_000)
  expect(alice.queryState('#team', 1n)).toMatchObject({ status: 'delivered', members: 1 })
})

it('[I6] what was stored before a block is told as delivered, also when both come in one record', () => {
  const world = new World()
  const [alice, bob] = [world.online('alice'), world.online('bob', 1, { isAcking: false })]
  for (const id of [1n, 2n]) alice.send('bob', { id })
  world.settle()
  world.isFlushing = false
  bob.say({ kind: 'ack', log: bob.identity, lane: 8, upTo: 1, notStored: [] })
  bob.say({ kind: 'block', request: 9, user: 'alice', isBlocked: true })
  bob.say({ kind: 'ack', log: bob.identity, lane: 8, upTo: 2, notStored: [] })
  world.isFlushing = true
  world.settle()
  expect(alice.all('mark').map(({ delivered }) => delivered)).toEqual([1])
  expect([alice.query('bob', 1n), alice.query('bob', 2n)]).toEqual(['delivered', 'sent'])
})
