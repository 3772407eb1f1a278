import { shardOfIdentity } from '../src/shard/state.ts'
import { describe, expect, it } from 'vitest'
import { type Client, dayMs } from './client.ts'
import { World } from './harness.ts'

const lane = 8

function entriesOf(world: World, log: number): { readonly seq: number; readonly isClosed: boolean }[] {
  const rows = world.host.queries.stateOf(log).entries.scan(log, 0, undefined, 100_000)
  return rows.map(([key, { isClosed }]) => ({ seq: Math.floor(key / 16), isClosed }))
}

/** Acknowledges; what is folded goes too, and counts are told. */
function settleAck(client: Client): void {
  client.ack()
  client.world.settle()
  client.world.pass(500)
}

/** Sends so many messages with one deadline, 500 in each 100 ms. */
function fill(from: Client, to: string, first: number, last: number, expiryMs: number): void {
  const deadlineMs = from.world.nowMs + expiryMs
  for (let id = first; id <= last; id++) {
    from.send(to, { id: BigInt(id), deadlineMs })
    if (id % 500 === 0) from.world.pass(100)
  }
  from.world.settle()
}

describe('what is said late', () => {
  it.each(['bob', '#team'])('[I6] counts for nobody once the key of the message has ended: to %s', (to) => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob', 1, { isAcking: false })]
    world.group('team', 'alice', 'bob')
    // The first keeps the second, whose key ends long before.
    alice.verdict(to, { id: 1n })
    alice.verdict(to, { id: 2n, expiryMs: 1_000 })
    world.pass(1_000)
    world.pass(dayMs)
    expect([bob.bodies, alice.told(2n), alice.query(to, 2n)]).toEqual([['m1', 'm2'], ['expired'], 'unknown'])
    settleAck(bob)
    expect([alice.query(to, 1n), alice.query(to, 2n), alice.told(2n)]).toEqual(['delivered', 'unknown', ['expired']])
  })

  it('[I6] counts for nobody, though the shard has been idle since and has not closed it yet', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob', 1, { isAcking: false })]
    const team = world.group('team', 'alice', 'bob')
    for (const to of ['bob', '#team']) fill(alice, to, 1, 2_500, 10_000)
    alice.verdict('#team', { id: 2_501n })
    bob.cursor(bob.identity, lane).seq = 2_500
    bob.cursor(team, lane).seq = 2_500
    bob.disconnect()
    world.nowMs += 2 * dayMs
    bob.connect()
    world.settle()
    expect(['bob', '#team'].map((to) => alice.query(to, 2_500n))).toEqual(['unknown', 'unknown'])
    expect(alice.all('counts')).toEqual([])
    for (const log of [bob.identity, team])
      expect(world.host.queries.stateOf(log).log(log)).toMatchObject({ waiting: log === team ? 1 : 0 })
  })

  it('[I6] is told as expired of a message without receipts, while its lane rests after a long search', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.online('bob', 2).disconnect()
    fill(alice, 'bob', 1, 4_000, 7 * dayMs)
    alice.verdict('bob', { id: 4_001n, expiryMs: 100 })
    world.pass(100)
    bob.isAcking = false
    alice.verdict('bob', { id: 4_002n, expiryMs: 10, receipts: false })
    expect(bob.bodies.at(-1)).toBe('m4002')
    world.nowMs += 20
    bob.ack()
    world.settle()
    expect([alice.told(4_002n), alice.query('bob', 4_002n)]).toEqual([['expired'], 'expired'])
  })

  it('[I6] is told once, when each of two devices passes a message without storing it', () => {
    const world = new World()
    const alice = world.online('alice')
    for (const device of [1, 2]) world.online('bob', device, { isRefused: ({ id }) => id === 1n })
    alice.verdict('bob', { id: 1n })
    expect([alice.told(1n), alice.query('bob', 1n)]).toEqual([['sent'], 'sent'])
  })

  it('[I6] fills one hole of several that a device has passed together', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const team = world.group('team', 'alice', 'bob')
    const second = world.online('bob', 2, { isAcking: false })
    for (const client of [bob, second]) client.disconnect()
    for (let id = 1n; id <= 7n; id++) alice.send('#team', { id })
    world.settle()
    bob.cursor(team, lane).seq = 7
    bob.cursor(team, lane).notStored = [{ from: 2, to: 6 }]
    bob.connect()
    world.settle()
    const query = (): string[] => [1n, 2n, 3n, 4n, 5n, 6n, 7n].map((id) => alice.query('#team', id))
    expect(query()).toEqual(['delivered', 'sent', 'sent', 'sent', 'sent', 'sent', 'delivered'])
    second.cursor(team, lane).seq = 7
    second.cursor(team, lane).notStored = [
      { from: 2, to: 3 },
      { from: 5, to: 6 },
    ]
    second.connect()
    world.settle()
    expect(query()).toEqual(['delivered', 'sent', 'sent', 'delivered', 'sent', 'sent', 'delivered'])
    expect(bob.error).toBe('')
  })
})

describe('at the limit of what is kept', () => {
  it('[I10] the oldest of all lanes goes first', () => {
    const world = new World({ settings: { inboxEntries: 3 } })
    const alice = world.online('alice')
    const lagging = world.online('bob', 2)
    lagging.disconnect()
    world.online('bob')
    for (const [id, priority] of [
      [1n, 9],
      [2n, 3],
      [3n, 9],
      [4n, 3],
      [5n, 5],
    ] as const) {
      alice.verdict('bob', { id, priority })
      world.pass(10)
    }
    lagging.reconnect()
    expect(lagging.bodies).toEqual(['m4', 'm5', 'm3'])
  })

  it('[I10] of a group, what was passed and is stored late is the oldest all the same', () => {
    const world = new World({ settings: { groupEntries: 5 } })
    const [alice, lagging] = [world.online('alice'), world.online('dave')]
    world.online('bob', 1, { isRefused: ({ id }) => id === 1n })
    const carol = world.online('carol', 1, { isAcking: false })
    const team = world.group('team', 'alice', 'bob', 'carol', 'dave')
    lagging.disconnect()
    const send = (id: number): void => {
      alice.verdict('#team', { id: BigInt(id) })
      world.pass(500)
    }
    for (let id = 1; id <= 9; id++) send(id)
    carol.isAcking = true
    carol.ack()
    world.pass(500)
    for (let id = 10; id <= 12; id++) send(id)
    lagging.reconnect()
    expect(lagging.bodies).toEqual(['m8', 'm9', 'm10', 'm11', 'm12'])
    expect(world.host.queries.stateOf(team).log(team)).toMatchObject({ kept: 5, waiting: 0 })
  })

  it('a large message has bytes of its own, so that it does not keep others in memory', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob', 1, { isAcking: false })]
    for (const [id, bodyBytes] of [
      [1n, 100],
      [2n, 2_000],
    ] as const)
      alice.verdict('bob', { id, bodyBytes })
    const rows = world.host.queries.stateOf(bob.identity).entries.scan(bob.identity, 0, undefined, 9)
    expect(rows.map(([, { bytes }]) => bytes.byteLength === bytes.buffer.byteLength)).toEqual([false, true])
    expect(bob.inbox.map(({ body }) => body.length)).toEqual([100, 2_000])
  })
})

describe('what is due', () => {
  it('[I10] the stub in the middle of a lane goes once its key has ended, with the next search of the lane', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    bob.disconnect()
    alice.verdict('bob', { id: 1n })
    alice.verdict('bob', { id: 2n, expiryMs: 1_000 })
    alice.send('bob', { id: 0n, expiryMs: 1_000 })
    alice.verdict('bob', { id: 4n, expiryMs: 2 * dayMs })
    world.pass(1_000)
    world.pass(dayMs)
    expect(entriesOf(world, bob.identity)).toEqual([1, 2, 4].map((seq) => ({ seq, isClosed: seq === 2 })))
    world.pass(dayMs)
    expect(entriesOf(world, bob.identity)).toEqual([1, 4].map((seq) => ({ seq, isClosed: seq === 4 })))
  })

  it('[I5] [I6] is closed in time, also what comes while its lane is being searched', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    bob.disconnect()
    fill(alice, 'bob', 1, 4_500, 7 * dayMs)
    alice.verdict('bob', { id: 4_501n, expiryMs: 1_000 })
    world.nowMs += 1_000
    world.isFlushing = false
    // A record looks at 2,000: the search goes on in the next ones.
    world.host.turn(world.nowMs)
    world.flush(1)
    const place = world.host.queries.stateOf(bob.identity).log(bob.identity)?.lanes[lane]
    expect(place?.scanSeq).toBe(2_000)
    alice.send('bob', { id: 4_502n, expiryMs: 2_000 })
    alice.speak()
    world.isFlushing = true
    world.settle()
    expect([place?.scanSeq, alice.told(4_501n), alice.told(4_502n)]).toEqual([0, ['expired'], []])
    world.pass(1_999)
    expect(alice.told(4_502n)).toEqual([])
    world.pass(1)
    expect(alice.told(4_502n)).toEqual(['expired'])
  })

  it('[I6] when a log is deleted whose lane has gaps, each sender is told of what was there', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    bob.disconnect()
    alice.verdict('bob', { id: 1n })
    alice.send('bob', { id: 0n, expiryMs: 1_000 })
    alice.verdict('bob', { id: 3n })
    world.pass(1_000)
    expect(entriesOf(world, bob.identity).map(({ seq }) => seq)).toEqual([1, 3])
    world.deleteUser('bob')
    expect([alice.told(1n), alice.told(3n)]).toEqual([['removed'], ['removed']])
  })
})

describe('messages that outlive their sender', () => {
  /** Alice's identity ends, as another shard may say it, while messages of hers wait for bob and for the team. */
  function ended(bobOptions: Parameters<World['client']>[2] = {}) {
    const world = new World({ shards: 4 })
    const alice = world.online('alice')
    const bob = world.online('bob', 1, { isAcking: false, ...bobOptions })
    const team = world.group('team', 'carol', 'alice', 'bob')
    for (const to of ['bob', '#team']) {
      alice.verdict(to, { id: 1n, expiryMs: 20 * dayMs })
      alice.verdict(to, { id: 2n, expiryMs: 10 * dayMs })
    }
    world.deleteUser('alice')
    const homes = [bob.identity, team].map((log) => shardOfIdentity(log, 4))
    expect(homes).not.toContain(shardOfIdentity(alice.identity, 4))
    for (const home of new Set(homes)) world.host.batchers[home]?.submit({ kind: 'userEnd', user: alice.identity })
    world.pass(2 * dayMs)
    const { contacts } = world.host.queries.stateOf(team)
    const left = [bob.identity, team].map((log) => contacts.get(log, alice.identity))
    expect(left).toEqual([undefined, undefined])
    return { world, bob, team }
  }
  const waiting = (world: World, log: number) => world.host.queries.stateOf(log).log(log)?.waiting

  it('are stored, and wait no longer', () => {
    const { world, bob, team } = ended()
    expect([waiting(world, bob.identity), waiting(world, team)]).toEqual([2, 2])
    settleAck(bob)
    expect([waiting(world, bob.identity), waiting(world, team)]).toEqual([0, 0])
    expect(bob.bodies).toEqual(['m1', 'm2', 'm1', 'm2'])
  })

  it('are closed at their deadlines, whether a device has passed them or not', () => {
    const { world, bob, team } = ended({ isRefused: ({ id }) => id === 2n })
    settleAck(bob)
    expect([waiting(world, bob.identity), waiting(world, team)]).toEqual([1, 1])
    world.pass(8 * dayMs)
    expect([waiting(world, bob.identity), waiting(world, team)]).toEqual([0, 0])
  })

  it('that come to a member late are closed, and stay so', () => {
    const { world, bob, team } = ended()
    world.pass(8 * dayMs)
    settleAck(bob)
    expect([waiting(world, bob.identity), waiting(world, team)]).toEqual([0, 0])
  })
})
