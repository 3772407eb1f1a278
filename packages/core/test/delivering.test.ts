import { describe, expect, it, vi } from 'vitest'
import type { Shard } from '../src/index.ts'
import { type Client, dayMs } from './client.ts'
import { startMs, World } from './harness.ts'

const lane = 8

function fill(alice: Client, to: string, from: number, upTo: number, expiryMs?: number): void {
  const deadlineMs = alice.world.nowMs + (expiryMs ?? 7 * dayMs)
  for (let id = from; id <= upTo; id++) {
    alice.send(to, { id: BigInt(id), deadlineMs })
    // What a session may send at once is limited: time fills it up.
    if (id % 500 === 0) alice.world.pass(100)
  }
  alice.world.settle()
}

const head = (world: World, log: number) => world.host.queries.stateOf(log).log(log)?.lanes[lane]
const entries = (world: World, log: number): number =>
  world.host.queries.stateOf(log).entries.scan(log, 0, undefined, 100_000).length

describe('delivering', () => {
  it('[I3] [I4] comes in order within a lane, the higher priority first', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob')
    bob.disconnect()
    for (const [id, priority] of [
      [1n, 9],
      [2n, 9],
      [3n, 0],
      [4n, 5],
      [5n, 0],
    ] as const)
      alice.send('bob', { id, priority })
    world.settle()
    bob.reconnect()
    expect(bob.bodies).toEqual(['m3', 'm5', 'm4', 'm1', 'm2'])
  })

  it('[I1] what a device has not acknowledged comes again, what it has does not', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob')
    fill(alice, 'bob', 1, 3)
    bob.isAcking = false
    fill(alice, 'bob', 4, 5)
    bob.cursor(bob.identity, lane).seq = 4
    bob.inbox.pop()
    bob.reconnect()
    expect(bob.all('deliver').map(({ seq }) => seq)).toEqual([5])
  })

  it('[I2] [I3] the cursors of HELLO are the truth: up without ACK, and down after a loss', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob', 1, { isAcking: false })
    world.online('bob', 2, { isAcking: false })
    fill(alice, 'bob', 1, 4)
    bob.reconnect()
    expect(bob.all('deliver')).toEqual([])
    expect(alice.last('mark')).toMatchObject({ delivered: 4 })
    bob.cursor(bob.identity, lane).seq = 1
    bob.reconnect()
    expect(bob.all('deliver').map(({ seq }) => seq)).toEqual([2, 3, 4])
    expect(alice.last('mark')).toMatchObject({ delivered: 4 })
  })

  it('[I1] a cursor beyond the head says nothing of what was stored', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob', 1, { isAcking: false })
    bob.disconnect()
    fill(alice, 'bob', 1, 2)
    bob.connect('bob', { cursors: [{ log: bob.identity, lane, seq: 9, notStored: [] }] })
    bob.cursors.clear()
    world.settle()
    expect([alice.query('bob', 1n), bob.bodies]).toEqual(['sent', ['m1', 'm2']])
  })

  it('[I1] a cursor of another epoch says nothing: the log begins again at its trim point', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob')
    world.online('bob', 2, { isAcking: false })
    fill(alice, 'bob', 1, 3)
    bob.disconnect()
    bob.epoch = 9
    bob.reconnect()
    expect(bob.all('deliver').map(({ seq }) => seq)).toEqual([1, 2, 3])
    expect(bob.inbox).toHaveLength(3)
  })

  it('[I2] ranges not stored are journaled, confirmed, and not told again', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob', 1, { isRefused: ({ id }) => id === 1n })
    fill(alice, 'bob', 1, 2)
    expect(bob.last('acked')).toMatchObject({ log: bob.identity, lane, upTo: 2 })
    expect(bob.cursor(bob.identity, lane).notStored).toEqual([])
  })

  it('[I6] ranges not stored whose ACK was lost are told by HELLO', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob', 1, { isAcking: false, isRefused: ({ id }) => id === 1n })
    fill(alice, 'bob', 1, 2)
    bob.reconnect()
    expect(alice.told(1n)).toEqual(['sent'])
    expect([1n, 2n].map((id) => alice.query('bob', id))).toEqual(['sent', 'delivered'])
    expect(bob.last('acked')).toMatchObject({ upTo: 2 })
  })

  it('[I3] a stale session changes nothing: its ACKs are ignored', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob', 1, { isAcking: false })
    fill(alice, 'bob', 1, 2)
    const old = bob.connection
    const newer = world.client('bob', 1, { isAcking: false })
    newer.session = bob.session
    newer.connect()
    world.settle()
    world.host.batchers[0]?.submit({
      kind: 'ack',
      tag: old,
      ref: 0,
      log: bob.identity,
      user: bob.identity,
      device: '01'.repeat(16),
      session: 1,
      lane,
      upTo: 2,
      notStored: [],
    })
    world.settle()
    expect(newer.phase).toBe('live')
    const log = world.host.queries.stateOf(bob.identity).log(bob.identity)
    expect(log?.devices[0]?.session).toBe(2)
    expect(log?.devices[0]?.cursors[lane]).toBe(0)
  })
})

describe('trimming', () => {
  it('[I1] nothing is trimmed without a device', () => {
    const world = new World()
    const alice = world.online('alice')
    world.operate(0, (origin) => ({ kind: 'userCreate', ...origin, user: 'bob' }))
    fill(alice, 'bob', 1, 5)
    const bob = world.online('bob')
    expect(bob.bodies).toHaveLength(5)
  })

  it('[I10] what waited on disk goes without being held, and without a look at its keys', async () => {
    const world = new World()
    const alice = world.online('alice')
    world.operate(0, (origin) => ({ kind: 'userCreate', ...origin, user: 'bob' }))
    fill(alice, 'bob', 1, 5)
    await world.checkpoint()
    const { state } = world.shards[0] as Shard
    const looks = [vi.spyOn(state.entries, 'get'), vi.spyOn(state.keys, 'get')]
    const bob = world.online('bob')
    expect([bob.bodies.length, head(world, bob.identity)?.trim, alice.query('bob', 5n)]).toEqual([5, 5, 'delivered'])
    // The one look is for the question.
    expect(looks.map((look) => look.mock.calls.length)).toEqual([0, 1])
    world.crash()
    expect([entries(world, bob.identity), alice.query('bob', 5n)]).toEqual([0, 'delivered'])
  })

  it('[I1] what was lent by the tables is copied before the next is read', async () => {
    const world = new World()
    const alice = world.online('alice')
    world.operate(0, (origin) => ({ kind: 'userCreate', ...origin, user: 'bob' }))
    // More than a window: of what comes after its acknowledgement, the first is all that there is to write.
    fill(alice, 'bob', 1, 300)
    await world.checkpoint()
    expect(world.online('bob').bodies).toEqual(Array.from({ length: 300 }, (_, at) => `m${at + 1}`))
  })

  it('[I1] an entry goes once every device has passed it and one has stored it', () => {
    const world = new World()
    const alice = world.online('alice')
    const first = world.online('bob', 1)
    const second = world.online('bob', 2, { isAcking: false })
    fill(alice, 'bob', 1, 3)
    expect(head(world, first.identity)?.trim).toBe(0)
    second.ack()
    world.settle()
    expect(head(world, first.identity)).toMatchObject({ trim: 3, head: 3 })
    expect(entries(world, first.identity)).toBe(0)
  })

  it('[I1] what all devices have passed and none has stored stays for one that comes', () => {
    const world = new World()
    const alice = world.online('alice')
    world.online('bob', 1, { isRefused: ({ id }) => id === 2n })
    fill(alice, 'bob', 1, 3)
    const second = world.online('bob', 2)
    expect(second.bodies).toEqual(['m2', 'm3'])
    expect(alice.told(2n)).toEqual(['sent', 'delivered'])
  })

  it('[I3] a new device begins at the trim point, and is told so', () => {
    const world = new World()
    const alice = world.online('alice')
    world.online('bob', 1)
    fill(alice, 'bob', 1, 3)
    const second = world.online('bob', 2)
    expect(second.all('skip')).toMatchObject([{ from: 1, to: 3, reason: 2 }])
    fill(alice, 'bob', 4, 4)
    expect(second.bodies).toEqual(['m4'])
  })

  it('[I10] delivered entries that are kept for a lagging device go at the limit, the oldest first, and it is told', () => {
    const world = new World({ settings: { inboxEntries: 4 } })
    const alice = world.online('alice')
    const lagging = world.online('bob', 2)
    lagging.disconnect()
    const bob = world.online('bob', 1)
    for (let id = 1n; id <= 10n; id++) expect(alice.verdict('bob', { id })).toBe('sent')
    expect(bob.inbox).toHaveLength(10)
    lagging.reconnect()
    expect(lagging.all('skip')).toMatchObject([{ from: 1, reason: 2 }])
    expect(lagging.bodies).toEqual(['m6', 'm7', 'm8', 'm9', 'm10'].slice(-lagging.inbox.length))
    expect(lagging.inbox.length).toBeGreaterThanOrEqual(4)
    expect(alice.query('bob', 1n)).toBe('delivered')
  })

  it('[I10] an entry that is stored late is the oldest to go all the same', () => {
    const world = new World({ settings: { inboxEntries: 20 } })
    const alice = world.online('alice')
    const lagging = world.online('bob', 3)
    lagging.disconnect()
    world.online('bob', 1, { isRefused: ({ id }) => id <= 3n })
    const second = world.online('bob', 2, { isAcking: false })
    for (let id = 1; id <= 40; id++) fill(alice, 'bob', id, id)
    second.isAcking = true
    second.ack()
    world.settle()
    for (let id = 41; id <= 44; id++) fill(alice, 'bob', id, id)
    lagging.reconnect()
    expect(lagging.bodies).not.toContain('m1')
    expect(lagging.bodies.at(-1)).toBe('m44')
    expect(lagging.inbox).toHaveLength(20)
  })

  it('[I10] hundreds of holes at the beginning of a lane do not keep what is behind them', () => {
    const world = new World({ settings: { inboxEntries: 1_000 } })
    const alice = world.online('alice')
    const bob = world.online('bob', 1, { isRefused: ({ id }) => id <= 300n })
    for (let batch = 0; batch < 15; batch++) fill(alice, 'bob', batch * 100 + 1, batch * 100 + 100)
    const log = world.host.queries.stateOf(bob.identity).log(bob.identity)
    expect([log?.waiting, (log?.kept ?? 0) - 300]).toEqual([300, 1_000])
    fill(alice, 'bob', 1_501, 1_501)
    expect([log?.waiting, (log?.kept ?? 0) - 300]).toEqual([300, 1_000])
  })
})

describe('closing', () => {
  it('[I6] [I10] while a lane rests after a long search, what is late holds up nothing, and is told as expired', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob')
    world.online('bob', 2).disconnect()
    // Kept for the other device: whoever looks for what is due looks at all of these.
    fill(alice, 'bob', 1, 4_000)
    bob.disconnect()
    fill(alice, 'bob', 4_001, 4_001, 100)
    world.pass(100)
    const restMs = (head(world, bob.identity)?.restMs ?? 0) - world.nowMs
    expect(restMs).toBe(40)
    fill(alice, 'bob', 4_002, 4_002, 10)
    fill(alice, 'bob', 4_003, 4_003)
    world.nowMs += 20
    bob.reconnect()
    expect(bob.bodies.at(-1)).toBe('m4003')
    expect(bob.lateCount).toBe(0)
    expect([...new Set(alice.told(4_002n))]).toEqual(['expired'])
    world.pass(1_000)
    expect(alice.query('bob', 4_002n)).toBe('expired')
    expect(alice.told(4_002n)).not.toContain('sent')
  })

  it('[I5] what is late is withheld though no record has closed it, and nothing else', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob')
    bob.disconnect()
    fill(alice, 'bob', 1, 1, 1_000)
    fill(alice, 'bob', 2, 2)
    alice.verdict('bob', { id: 3n, priority: 9 })
    world.isFlushing = false
    world.nowMs += 1_000
    bob.connect()
    world.settle()
    world.isFlushing = true
    world.settle()
    expect(bob.all('deliver').map(({ id }) => id)).not.toContain(1n)
    expect(bob.bodies.sort()).toEqual(['m2', 'm3'])
    expect(bob.all('skip')).toMatchObject([{ from: 1, to: 1, reason: 1 }])
  })

  it('an empty record closes what is due, and its sender is told', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob')
    bob.disconnect()
    fill(alice, 'bob', 1, 1, 1_000)
    const { position } = world.shards[0] ?? { position: 0 }
    world.pass(999)
    expect([alice.told(1n), world.shards[0]?.position]).toEqual([[], position])
    world.pass(1)
    expect([alice.told(1n), world.shards[0]?.position]).toEqual([['expired'], position + 1])
  })

  it('frees the room of what was closed', () => {
    const world = new World({ settings: { inboxEntries: 2 } })
    const alice = world.online('alice')
    world.online('bob', 1, { isAcking: false })
    expect(alice.verdict('bob', { id: 1n, expiryMs: 100 })).toBe('sent')
    expect(alice.verdict('bob', { id: 2n })).toBe('inbox-full')
    world.pass(100)
    expect(alice.verdict('bob', { id: 3n })).toBe('sent')
  })

  it('[I10] the stub of a closed entry stays for a device that lags, at most to the end of the key', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob')
    bob.disconnect()
    fill(alice, 'bob', 1, 3, 1_000)
    world.pass(1_000)
    expect(entries(world, bob.identity)).toBe(3)
    world.pass(dayMs - 1)
    expect(entries(world, bob.identity)).toBe(3)
    world.pass(1)
    expect(entries(world, bob.identity)).toBe(0)
    bob.reconnect()
    expect(bob.all('skip')).toMatchObject([{ from: 1, to: 3, reason: 2 }])
  })

  it('[I10] what has no key leaves no stub, however long a device lags', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const second = world.online('alice', 2)
    const team = world.group('team', 'alice', 'bob')
    for (const client of [bob, second]) client.disconnect()
    for (let at = 0; at < 5; at++) {
      for (const to of ['bob', '#team']) alice.send(to, { id: 0n, expiryMs: 1_000 })
      alice.send('bob', { id: BigInt(at + 1), expiryMs: 1_000 })
    }
    world.settle()
    world.pass(1_000)
    const { entries } = world.host.queries.stateOf(team)
    const ids = (log: number): bigint[] => entries.scan(log, 0, undefined, 100).map(([, { id }]) => id)
    expect([ids(bob.identity), ids(alice.identity), ids(team)]).toEqual([[1n, 2n, 3n, 4n, 5n], [], []])
    alice.send('bob', { id: 6n })
    world.settle()
    bob.reconnect()
    expect(bob.bodies).toEqual(['m6'])
    expect(alice.query('bob', 6n)).toBe('delivered')
  })

  it('[I10] many short deadlines among many long ones cost little: a lane rests after a long search', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob')
    bob.disconnect()
    const beginMs = world.nowMs + 2_000
    for (let id = 1; id <= 4_000; id++) {
      alice.send('bob', { id: BigInt(id), deadlineMs: beginMs + (id % 4 === 0 ? id : dayMs) })
      if (id % 500 === 0) world.pass(100)
    }
    world.settle()
    let reads = 0
    const { state } = world.shards[0] ?? {}
    if (state === undefined) throw new Error('no shard')
    const get = state.entries.get.bind(state.entries)
    state.entries.get = (outer, inner) => {
      reads += 1
      return get(outer, inner)
    }
    for (let ms = 0; ms < 6_200; ms += 4) world.pass(4)
    expect(alice.all('status')).toHaveLength(1_000)
    expect(reads).toBeLessThan(1_000_000)
  })

  it('[I10] one record closes a bounded number, the next ones the rest', () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob')
    bob.disconnect()
    fill(alice, 'bob', 1, 4_900, 10_000)
    world.isFlushing = false
    world.nowMs += 10_000
    world.host.turn(world.nowMs)
    world.flush(1)
    const log = world.host.queries.stateOf(bob.identity).log(bob.identity)
    expect(log?.waiting).toBeGreaterThan(2_000)
    world.isFlushing = true
    world.settle()
    expect([log?.waiting, log?.waitingBytes, log?.kept, log?.keptBytes]).toEqual([0, 0, 0, 0])
    expect(alice.all('status')).toHaveLength(4_900)
  })

  it('[I6] what is due but not closed yet ends expired, not removed, when its log is deleted', () => {
    const world = new World()
    const alice = world.online('alice')
    world.online('bob').disconnect()
    for (let id = 1n; id <= 3_000n; id++) {
      alice.send('bob', { id, deadlineMs: startMs + 10_000 })
      if (id % 500n === 0n) world.pass(1_000)
    }
    world.nowMs = startMs + 20_000
    world.deleteUser('bob')
    // One record closes 2,000.
    for (const id of [1n, 2_999n]) expect([alice.told(id), alice.query('bob', id)]).toEqual([['expired'], 'expired'])
  })

  it('[I9] no cursor of HELLO is confirmed beyond what its device may read: that would tell how far the group has come', () => {
    const world = new World()
    const [alice, bob, carol] = [world.online('alice'), world.online('bob'), world.online('carol')]
    const team = world.group('team', 'alice', 'carol')
    world.member('team', 'bob', 1)
    alice.verdict('#team', { id: 1n })
    world.member('team', 'carol', 0)
    for (const id of [2n, 3n]) alice.verdict('#team', { id })
    const confirmed = (client: Client, seq: number): number => {
      client.disconnect()
      client.connect(client.user, { cursors: [{ log: team, lane: 8, seq, notStored: [{ from: 1, to: 1 }] }] })
      world.settle()
      return client.all('acked').length
    }
    expect([1, 3, 4].map((seq) => confirmed(bob, seq))).toEqual([0, 0, 0])
    expect([1, 3, 4].map((seq) => confirmed(carol, seq))).toEqual([1, 0, 0])
  })

  it('[I10] deadlines that come ever earlier leave nothing behind', () => {
    const world = new World()
    const bob = world.online('bob')
    for (let at = 0; at < 500; at++) bob.send('bob', { id: 0n, deadlineMs: world.nowMs + 1_000_000 - at })
    world.settle()
    const { dueHeap } = world.host.queries.stateOf(bob.identity)
    let taken = 0
    while (dueHeap.take(world.nowMs + 1_000_000) !== undefined) taken += 1
    expect([bob.inbox.length, taken]).toEqual([500, 1])
  })

  it('[I12] what becomes due after a restart is closed, also days ahead of it and without a record in between', async () => {
    const world = new World()
    const alice = world.online('alice')
    const bob = world.online('bob')
    bob.disconnect()
    fill(alice, 'bob', 1, 1, 2 * dayMs)
    await world.checkpoint()
    world.crash()
    alice.reconnect()
    for (let hour = 0; hour < 48; hour++) world.pass(3_600_000)
    expect(alice.told(1n)).toEqual(['expired'])
  })
})
