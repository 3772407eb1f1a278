import { describe, expect, it } from 'vitest'
import { dayMs } from './client.ts'
import { World } from './harness.ts'

describe('the verdict on a message', () => {
  it('[I6] is sent only once the record is flushed', () => {
    const world = new World()
    world.online('bob')
    const alice = world.online('alice')
    world.isFlushing = false
    const sent = alice.send('bob')
    world.settle()
    expect(sent.status).toBe('')
    world.isFlushing = true
    world.settle()
    expect(sent.status).toBe('sent')
  })

  it('is invalid-destination for nobody, and that leaves no key: the same message is taken once the user is there', () => {
    const world = new World()
    const alice = world.online('alice')
    expect(alice.verdict('bob')).toBe('invalid-destination')
    expect(alice.verdict('#team')).toBe('invalid-destination')
    world.online('bob')
    expect(alice.verdict('bob')).toBe('sent')
  })

  it('[I5] is expired at the deadline and past it, sent 1 ms before', () => {
    const world = new World()
    world.online('bob')
    const alice = world.online('alice')
    expect(alice.verdict('bob', { id: 1n, expiryMs: 0 })).toBe('expired')
    expect(alice.verdict('bob', { id: 2n, expiryMs: 1 })).toBe('sent')
  })

  it('is invalid more than an hour beyond the longest expiry', () => {
    const world = new World({ settings: { expirySecondsMax: 60 } })
    world.online('bob')
    const alice = world.online('alice')
    expect(alice.verdict('bob', { id: 1n, expiryMs: 60_000 + 3_600_000 })).toBe('sent')
    expect(alice.verdict('bob', { id: 2n, expiryMs: 60_000 + 3_600_001 })).toBe('invalid')
  })

  it('[I10] is inbox-full when as many wait as may, and one sender may take half', () => {
    const world = new World({ settings: { inboxEntries: 4 } })
    const bob = world.online('bob', 1, { isAcking: false })
    const [alice, carol] = [world.online('alice'), world.online('carol')]
    const from = (client: typeof alice, ids: readonly bigint[]): string[] => ids.map((id) => client.verdict('bob', { id }))
    expect(from(alice, [1n, 2n, 3n])).toEqual(['sent', 'sent', 'inbox-full'])
    expect(from(carol, [1n, 2n, 3n])).toEqual(['sent', 'sent', 'inbox-full'])
    bob.ack()
    world.settle()
    expect(from(alice, [3n, 4n])).toEqual(['inbox-full', 'sent'])
  })

  it('[I10] is inbox-full by bytes too', () => {
    const world = new World({ settings: { inboxBytes: 1_000 } })
    world.online('bob', 1, { isAcking: false })
    const alice = world.online('alice')
    expect(alice.verdict('bob', { id: 1n, bodyBytes: 400 })).toBe('sent')
    expect(alice.verdict('bob', { id: 2n, bodyBytes: 200 })).toBe('inbox-full')
  })

  it('is blocked after a block, and sent again after its end', () => {
    const world = new World()
    const bob = world.online('bob')
    const alice = world.online('alice')
    expect(bob.block('alice')).toBe('')
    expect(alice.verdict('bob', { id: 1n })).toBe('blocked')
    expect(bob.block('alice', false)).toBe('')
    expect(alice.verdict('bob', { id: 2n })).toBe('sent')
    expect(bob.bodies).toEqual(['m2'])
  })

  it('is too-large above the limit, and nothing of it is stored', () => {
    const world = new World({ settings: { bodyBytes: 100 } })
    const bob = world.online('bob')
    const alice = world.online('alice')
    expect(alice.verdict('bob', { id: 1n, bodyBytes: 101 })).toBe('too-large')
    expect(alice.verdict('bob', { id: 2n, bodyBytes: 100 })).toBe('sent')
    expect(bob.inbox).toHaveLength(1)
  })

  it('[I9] is not-member or not-allowed in a group without the right to send', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.group('team', 'alice')
    expect(bob.verdict('#team', { id: 1n })).toBe('not-member')
    world.member('team', 'bob', 2)
    expect(bob.verdict('#team', { id: 2n })).toBe('not-allowed')
    world.member('team', 'bob', 1)
    expect(bob.verdict('#team', { id: 3n })).toBe('sent')
    expect(alice.bodies).toEqual(['m3'])
  })
})

describe('keys', () => {
  it('[I2] a message sent again is stored once, and has the status that it has by now', () => {
    const world = new World()
    const bob = world.online('bob', 1, { isAcking: false })
    const alice = world.online('alice')
    const first = alice.send('bob', { id: 7n })
    world.settle()
    const again = alice.send('bob', { id: 7n })
    world.settle()
    expect([again.status, again.count, again.destination]).toEqual(['sent', first.count, first.destination])
    bob.ack()
    world.settle()
    expect(alice.verdict('bob', { id: 7n })).toBe('delivered')
    expect(bob.inbox).toHaveLength(1)
  })

  it('[I8] the same key with other content is conflict, and the first one stays', () => {
    const world = new World()
    const bob = world.online('bob')
    const alice = world.online('alice')
    alice.verdict('bob', { id: 7n, body: 'one' })
    expect(alice.verdict('bob', { id: 7n, body: 'two' })).toBe('conflict')
    expect(alice.verdict('bob', { id: 7n, body: 'one', type: 1 })).toBe('conflict')
    expect(alice.verdict('bob', { id: 7n, body: 'one', priority: 1 })).toBe('conflict')
    expect(alice.verdict('bob', { id: 7n, body: 'one', receipts: false })).toBe('conflict')
    expect(alice.verdict('bob', { id: 7n, body: 'one' })).toBe('delivered')
    expect(bob.bodies).toEqual(['one'])
  })

  it('[I2] the key is looked up before the rights: what was accepted stays so after a block', () => {
    const world = new World()
    const bob = world.online('bob')
    const alice = world.online('alice')
    alice.verdict('bob', { id: 1n })
    bob.block('alice')
    expect(alice.verdict('bob', { id: 1n })).toBe('delivered')
  })

  it('[I6] a rejection stands when the message is sent again, whatever has changed meanwhile', () => {
    const world = new World()
    const bob = world.online('bob')
    const alice = world.online('alice')
    bob.block('alice')
    expect(alice.verdict('bob', { id: 1n })).toBe('blocked')
    bob.block('alice', false)
    expect(alice.verdict('bob', { id: 1n })).toBe('blocked')
    expect(alice.verdict('bob', { id: 1n, body: 'other' })).toBe('conflict')
    expect(alice.query('bob', 1n)).toBe('blocked')
    expect(alice.verdict('bob', { id: 2n })).toBe('sent')
    expect(bob.bodies).toEqual(['m2'])
  })

  it('[I6] an idle shard answers unknown past the end of a key, though no record has told it the time', () => {
    const world = new World()
    world.online('bob')
    const alice = world.online('alice')
    alice.verdict('bob', { id: 1n, expiryMs: 1_000 })
    world.nowMs += 1_000 + dayMs - 1
    expect(alice.query('bob', 1n)).toBe('delivered')
    world.nowMs += 1
    expect(alice.query('bob', 1n)).toBe('unknown')
    expect(world.host.queries.stateOf(alice.identity).clockMs).toBeLessThan(world.nowMs)
  })

  it('[I2] [I6] a key lives until the deadline plus a day, then its status is unknown', () => {
    const world = new World()
    world.online('bob')
    const alice = world.online('alice')
    const deadlineMs = world.nowMs + 1_000
    alice.verdict('bob', { id: 1n, deadlineMs })
    world.nowMs = deadlineMs + dayMs - 1
    world.settle()
    expect(alice.verdict('bob', { id: 1n, deadlineMs })).toBe('delivered')
    world.nowMs += 1
    world.settle()
    expect(alice.verdict('bob', { id: 1n, deadlineMs })).toBe('unknown')
    expect(alice.query('bob', 1n)).toBe('unknown')
  })

  it('rising ids are taken without a look at the tables', async () => {
    const world = new World()
    world.online('bob')
    const alice = world.online('alice')
    alice.verdict('bob', { id: 10n })
    await world.checkpoint()
    alice.verdict('bob', { id: 11n })
    const tables = world.tables[0]
    let reads = 0
    if (tables === undefined) throw new Error('no tables')
    const get = tables.get.bind(tables)
    tables.get = (key) => {
      if (key[0] === 5) reads += 1
      return get(key)
    }
    for (let id = 20n; id < 30n; id++) expect(alice.verdict('bob', { id })).toBe('sent')
    expect(reads).toBe(0)
    expect(alice.verdict('bob', { id: 5n })).toBe('sent')
    expect(reads).toBeGreaterThan(0)
  })

  it('[I2] an id below the highest that was never used is new', () => {
    const world = new World()
    const bob = world.online('bob')
    const alice = world.online('alice')
    for (const id of [10n, 5n, 10n, 5n, 7n]) alice.verdict('bob', { id })
    expect(bob.bodies).toEqual(['m10', 'm5', 'm7'])
  })

  it('[I2] id 0 is taken as often as it comes, without result, key or status', () => {
    const world = new World()
    const bob = world.online('bob')
    const alice = world.online('alice')
    const sent = [
      alice.send('bob', { id: 0n, body: 'x' }),
      alice.send('bob', { id: 0n, body: 'x' }),
      alice.send('bob', { id: 3n }),
    ]
    world.settle()
    expect(sent.map(({ status }) => status)).toEqual(['', '', 'sent'])
    expect(bob.bodies).toEqual(['x', 'x', 'm3'])
    expect(alice.query('bob', 0n)).toBe('unknown')
  })

  it('[I2] a message to an address that was made anew has its old verdict, and does not land in the new log', () => {
    const world = new World()
    world.online('bob', 1, { isAcking: false })
    const alice = world.online('alice')
    alice.verdict('bob', { id: 1n })
    world.pass(10)
    expect(world.deleteUser('bob')).toBe(0)
    expect(alice.told(1n)).toEqual(['removed'])
    expect(alice.verdict('bob', { id: 1n })).toBe('removed')
    expect(alice.verdict('bob', { id: 2n })).toBe('invalid-destination')
    world.pass(10)
    const again = world.online('bob', 2)
    expect(alice.verdict('bob', { id: 1n })).toBe('removed')
    expect(alice.query('bob', 1n)).toBe('removed')
    expect(alice.verdict('bob', { id: 1n, body: 'other' })).toBe('conflict')
    expect(again.inbox).toEqual([])
    expect(alice.verdict('bob', { id: 2n })).toBe('sent')
    expect(again.bodies).toEqual(['m2'])
  })

  it('[I10] living keys per sender are limited, and a refused sender is told to wait', () => {
    const world = new World({ limits: { keysPerSender: 2 } })
    world.online('bob')
    const alice = world.online('alice')
    expect([1n, 2n].map((id) => alice.verdict('bob', { id, expiryMs: 1_000 }))).toEqual(['sent', 'sent'])
    expect(alice.verdict('bob', { id: 3n })).toBe('')
    expect(alice.last('refuse')).toMatchObject({ ref: 3, code: 43 })
    alice.reconnect()
    world.pass(3 * dayMs)
    alice.reconnect()
    expect(alice.verdict('bob', { id: 3n })).toBe('sent')
  })
})

describe('statuses', () => {
  it('[I6] marks move from delivered to read, never back', () => {
    const world = new World()
    const bob = world.online('bob', 1, { isAcking: false })
    const alice = world.online('alice')
    for (const id of [1n, 2n, 3n]) alice.verdict('bob', { id })
    expect(alice.all('mark')).toEqual([])
    bob.ack()
    world.settle()
    const [, second] = bob.inbox
    if (second === undefined) throw new Error('nothing came')
    bob.read(second)
    world.settle()
    expect(alice.all('mark').map(({ delivered, read }) => [delivered, read])).toEqual([
      [3, 0],
      [3, 2],
    ])
    expect([1n, 2n, 3n].map((id) => alice.query('bob', id))).toEqual(['read', 'read', 'delivered'])
    expect(bob.last('readMark')).toMatchObject({ sender: alice.identity, mark: 2 })
  })

  it('[I6] a READ takes effect only for what its device has acknowledged', () => {
    const world = new World()
    const bob = world.online('bob', 1, { isAcking: false })
    const alice = world.online('alice')
    alice.verdict('bob', { id: 1n })
    const [entry] = bob.inbox
    if (entry === undefined) throw new Error('nothing came')
    bob.read(entry)
    world.settle()
    expect([bob.all('readMark'), alice.query('bob', 1n)]).toEqual([[], 'sent'])
  })

  it('[I6] [I9] a blocked sender gets no more receipts: its messages stay where they stood', () => {
    const world = new World()
    const bob = world.online('bob', 1, { isAcking: false })
    const alice = world.online('alice')
    alice.verdict('bob', { id: 1n })
    bob.ack()
    world.settle()
    alice.verdict('bob', { id: 2n })
    bob.block('alice')
    const before = alice.all('mark').length
    bob.ack()
    for (const entry of bob.inbox) bob.read(entry)
    world.settle()
    expect(alice.all('mark')).toHaveLength(before)
    expect([1n, 2n].map((id) => alice.query('bob', id))).toEqual(['delivered', 'sent'])
    bob.block('alice', false)
    expect([1n, 2n].map((id) => alice.query('bob', id))).toEqual(['read', 'read'])
    expect(alice.last('mark')).toMatchObject({ delivered: 2, read: 2 })
  })

  it('[I6] [I9] a blocked sender does not learn that what one device had passed unstored was stored by another', () => {
    const world = new World()
    world.online('bob', 1, { isRefused: ({ id }) => id === 1n })
    const other = world.online('bob', 2, { isAcking: false })
    const alice = world.online('alice')
    alice.verdict('bob', { id: 1n })
    alice.verdict('bob', { id: 2n })
    world.settle()
    expect([1n, 2n].map((id) => alice.query('bob', id))).toEqual(['sent', 'delivered'])
    other.block('alice')
    other.ack()
    world.settle()
    expect([1n, 2n].map((id) => alice.query('bob', id))).toEqual(['sent', 'delivered'])
    world.pass(7 * dayMs)
    other.block('alice', false)
    expect([1n, 2n].map((id) => alice.query('bob', id))).toEqual(['sent', 'delivered'])
    expect(alice.told(1n)).toEqual(['sent'])
  })

  it('[I6] a message without receipts is sent, and no more is told', () => {
    const world = new World()
    world.online('bob')
    const alice = world.online('alice')
    alice.verdict('bob', { id: 1n, receipts: false })
    expect([alice.all('mark'), alice.query('bob', 1n)]).toEqual([[], 'sent'])
  })

  it('[I6] an entry that a mark passes unstored is told as sent, later stored by another device as delivered', () => {
    const world = new World()
    const lossy = world.online('bob', 1, { isRefused: ({ id }) => id === 2n })
    const other = world.online('bob', 2, { isAcking: false })
    const alice = world.online('alice')
    for (const id of [1n, 2n, 3n]) alice.verdict('bob', { id })
    expect(lossy.bodies).toEqual(['m1', 'm3'])
    expect(alice.last('mark')).toMatchObject({ delivered: 3 })
    expect(alice.told(2n)).toEqual(['sent'])
    expect(alice.queryState('bob', 2n)).toMatchObject({ status: 'sent', count: 0 })
    other.ack()
    world.settle()
    expect(alice.told(2n)).toEqual(['sent', 'delivered'])
    expect(alice.queryState('bob', 2n)).toMatchObject({ status: 'delivered', count: 2 })
  })

  it('[I6] an entry that nobody stores is expired at its deadline, though a mark has passed it', () => {
    const world = new World()
    world.online('bob', 1, { isRefused: ({ id }) => id === 1n })
    const alice = world.online('alice')
    alice.verdict('bob', { id: 1n, expiryMs: 1_000 })
    alice.verdict('bob', { id: 2n, expiryMs: 9_000 })
    world.pass(1_000)
    expect(alice.told(1n)).toEqual(['sent', 'expired'])
    expect([1n, 2n].map((id) => alice.query('bob', id))).toEqual(['expired', 'delivered'])
  })

  it('[I6] a device that stored in time and says so late turns expired into delivered', () => {
    const world = new World()
    const bob = world.online('bob', 1, { isAcking: false })
    const alice = world.online('alice')
    alice.verdict('bob', { id: 1n, expiryMs: 1_000 })
    expect(bob.bodies).toEqual(['m1'])
    world.pass(2_000)
    expect([alice.query('bob', 1n), alice.told(1n)]).toEqual(['expired', ['expired']])
    bob.disconnect()
    world.pass(dayMs - 5_000)
    bob.reconnect()
    expect(alice.told(1n)).toEqual(['expired', 'delivered'])
    expect(alice.query('bob', 1n)).toBe('delivered')
  })

  it('[I6] once expired it stays so for a sender that is not told of deliveries: blocked, or without receipts', () => {
    const world = new World()
    const bob = world.online('bob', 1, { isAcking: false })
    const [alice, carol] = [world.online('alice'), world.online('carol')]
    alice.verdict('bob', { id: 1n, expiryMs: 1_000 })
    carol.verdict('bob', { id: 2n, expiryMs: 1_000, receipts: false })
    carol.verdict('bob', { id: 3n, expiryMs: 9_000, receipts: false })
    world.pass(2_000)
    bob.block('alice')
    const statuses = (): string[] => [alice.query('bob', 1n), carol.query('bob', 2n), carol.query('bob', 3n)]
    expect(statuses()).toEqual(['expired', 'expired', 'sent'])
    bob.ack()
    world.settle()
    expect(statuses()).toEqual(['expired', 'expired', 'sent'])
    world.pass(10_000)
    expect(statuses()).toEqual(['expired', 'expired', 'sent'])
    bob.block('alice', false)
    expect(statuses()).toEqual(['expired', 'expired', 'sent'])
  })

  it('[I6] after the key has ended a late ACK changes nothing that can be asked for', () => {
    const world = new World()
    const bob = world.online('bob', 1, { isAcking: false })
    const alice = world.online('alice')
    alice.verdict('bob', { id: 1n, expiryMs: 1_000 })
    world.pass(1_000)
    world.pass(dayMs)
    bob.ack()
    world.settle()
    expect(alice.query('bob', 1n)).toBe('unknown')
    expect(alice.told(1n)).toEqual(['expired'])
  })
})

describe('echoes', () => {
  it('what one device sends to another user comes to the other devices, marked, and not to itself', () => {
    const world = new World()
    world.online('bob')
    const phone = world.online('alice', 1)
    const laptop = world.online('alice', 2)
    phone.verdict('bob', { id: 1n })
    expect(phone.inbox).toEqual([])
    expect(laptop.inbox).toMatchObject([{ echoTo: { toKind: 0, to: 'bob' }, sender: phone.identity, count: 0, id: 1n }])
    expect(phone.last('skip')).toMatchObject({ log: phone.identity, from: 1, to: 1, reason: 4 })
  })

  it('[I2] is not repeated when the message is sent again, and not made for oneself or groups', () => {
    const world = new World()
    world.online('bob')
    const phone = world.online('alice', 1)
    const laptop = world.online('alice', 2)
    world.group('team', 'alice', 'bob')
    for (let round = 0; round < 2; round++) for (const to of ['bob', 'alice', '#team']) phone.verdict(to, { id: 1n, body: to })
    expect(laptop.inbox.map(({ body, echoTo }) => [Buffer.from(body).toString(), echoTo?.to])).toEqual([
      ['bob', 'bob'],
      ['alice', undefined],
      ['#team', undefined],
    ])
    expect(phone.bodies).toEqual(['alice'])
  })

  it('[I10] takes a quarter of the bytes of the log at most', () => {
    const world = new World({ settings: { inboxBytes: 4_000 } })
    const [bob, phone] = [world.online('bob'), world.online('alice', 1)]
    const laptop = world.online('alice', 2, { isAcking: false })
    for (let id = 1n; id <= 6n; id++) expect(phone.verdict('bob', { id, bodyBytes: 400 })).toBe('sent')
    expect([bob.inbox.length, laptop.inbox.length]).toEqual([6, 2])
  })

  it('[I10] takes a quarter of the log at most, and no room from what others send', () => {
    const world = new World({ settings: { inboxEntries: 8 } })
    const bob = world.online('bob')
    const phone = world.online('alice', 1)
    const laptop = world.online('alice', 2, { isAcking: false })
    for (let id = 1n; id <= 6n; id++) expect(phone.verdict('bob', { id })).toBe('sent')
    expect(laptop.inbox).toHaveLength(2)
    for (let id = 1n; id <= 4n; id++) expect(bob.verdict('alice', { id })).toBe('sent')
    expect(laptop.inbox).toHaveLength(6)
  })
})
