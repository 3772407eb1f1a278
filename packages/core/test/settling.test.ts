import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { MemoryTables, Shard } from '../src/index.ts'
import { entryKey } from '../src/rows/rows.ts'
import type { Command } from '../src/shard/commands.ts'
import type { Pace } from '../src/shard/state.ts'
import { type Client, dayMs } from './client.ts'
import { dump, startMs, World } from './harness.ts'

const lane = 8
const many = 4_900
/** What a record may look at: 2,000 rows that are due, twice since they are deleted, or 1,000 that are settled, and what its commands do. */
const rowsMax = 4_500

function fill(from: Client, to: string, count: number): void {
  const deadlineMs = from.world.nowMs + 7 * dayMs
  for (let id = 1; id <= count; id++) {
    from.send(to, { id: BigInt(id), deadlineMs })
    // What a session may send at once is limited: time fills it up.
    if (id % 500 === 0) from.world.pass(100)
  }
  from.world.settle()
}

/** How many entries each record looks at from now on. */
function looksPerRecord(world: World): number[] {
  const looks: number[] = []
  let isApplying = false
  for (const shard of world.shards) {
    const { entries } = shard.state
    const { get, look } = { get: entries.get.bind(entries), look: entries.look.bind(entries) }
    const apply = shard.apply.bind(shard)
    const count = (): void => {
      if (isApplying) looks[looks.length - 1] = (looks.at(-1) ?? 0) + 1
    }
    entries.get = (outer, inner) => {
      count()
      return get(outer, inner)
    }
    entries.look = (outer, inner) => {
      count()
      return look(outer, inner)
    }
    shard.apply = (position, record) => {
      looks.push(0)
      isApplying = true
      const effects = apply(position, record)
      isApplying = false
      return effects
    }
  }
  return looks
}

/** A client has stored all of a log at once, without a word to the server, and says so as it connects. */
function storesUpTo(client: Client, log: number, seq: number, notStored: { from: number; to: number }[] = []): void {
  const cursor = client.cursor(log, lane)
  cursor.seq = seq
  cursor.notStored = notStored
  client.connect()
}

function deviceOf(world: World, client: Client, log = client.identity) {
  const state = world.host.queries.stateOf(log)
  const devices = (log === client.identity ? state.log(log) : state.members.get(log, client.identity))?.devices
  const id = Buffer.from(client.device).toString('hex')
  return devices?.find((device) => device.id === id)
}

/** How a client's device names itself in a command about what it has stored. */
function placeOf({ device, session }: Client) {
  return { device: Buffer.from(device).toString('hex'), session, lane }
}

function open(shards = 1): { world: World; alice: Client; bob: Client } {
  const world = new World({ shards })
  const alice = world.online('alice')
  const bob = world.online('bob')
  return { world, alice, bob }
}

describe('a record looks at a limited number of entries', () => {
  it('[I6] [I10] when a device passes thousands of its own at once, and passes them again', () => {
    const { world, alice, bob } = open()
    const lagging = world.online('bob', 2)
    for (const client of [bob, lagging]) client.disconnect()
    fill(alice, 'bob', many)
    const looks = looksPerRecord(world)
    storesUpTo(bob, bob.identity, many)
    world.settle()
    expect([alice.query('bob', 1n), alice.query('bob', BigInt(many))]).toEqual(['delivered', 'delivered'])
    bob.disconnect()
    storesUpTo(bob, bob.identity, 0)
    world.settle()
    bob.disconnect()
    storesUpTo(bob, bob.identity, many)
    world.settle()
    expect(deviceOf(world, bob)).toMatchObject({ unsettled: [] })
    expect(Math.max(...looks)).toBeLessThan(rowsMax)
  })

  it('[I6] [I10] when a member passes and reads thousands of a group at once', () => {
    const { world, alice, bob } = open()
    const team = world.group('team', 'alice', 'bob')
    bob.disconnect()
    fill(alice, '#team', many)
    const looks = looksPerRecord(world)
    storesUpTo(bob, team, many)
    world.settle()
    expect(alice.queryState('#team', 1n)).toMatchObject({ status: 'delivered', delivered: 1 })
    bob.say({ kind: 'read', log: team, lane, seq: many, sender: 0, count: 0 })
    world.settle()
    expect([alice.query('#team', 1n), alice.query('#team', BigInt(many))]).toEqual(['read', 'read'])
    expect(bob.last('readMark')).toMatchObject({ log: team, lane, mark: many })
    expect(Math.max(...looks)).toBeLessThan(rowsMax)
    looks.length = 0
    const { meta } = world.host.queries.stateOf(team)
    const { queued } = meta
    bob.disconnect()
    bob.isAcking = false
    storesUpTo(bob, team, 0)
    world.settle()
    bob.disconnect()
    storesUpTo(bob, team, many)
    world.settle()
    // What a member was counted for is not looked at again: nothing of it had to wait.
    expect(looks.reduce((sum, rows) => sum + rows, 0)).toBeLessThan(rowsMax)
    expect(meta.queued).toBe(queued)
  })

  it('[I10] when a lagging device goes and thousands are trimmed', () => {
    const { world, alice, bob } = open()
    world.set({ deviceDays: 1 })
    const lagging = world.online('bob', 2)
    lagging.disconnect()
    fill(alice, 'bob', many)
    const looks = looksPerRecord(world)
    for (let hour = 0; hour < 25; hour++) world.pass(3_600_000)
    expect(world.host.queries.stateOf(bob.identity).log(bob.identity)).toMatchObject({ kept: 0, devices: [{}] })
    expect(Math.max(...looks)).toBeLessThan(rowsMax)
  })
})

describe('what is said and not yet settled', () => {
  /** Applies records until just one more than the device's HELLO: most of what it said is unsettled. */
  function begun(notStored: { from: number; to: number }[] = [], shards = 1) {
    const opened = open(shards)
    const { world, alice, bob } = opened
    bob.disconnect()
    fill(alice, 'bob', many)
    world.isFlushing = false
    storesUpTo(bob, bob.identity, many, notStored)
    world.settle()
    world.flush(1)
    world.settle()
    const unsettled = deviceOf(world, bob)?.unsettled[0]?.upTo
    expect([bob.phase, unsettled, deviceOf(world, bob)?.cursors[lane]]).toEqual(['live', many, 256])
    return opened
  }

  it('[I6] does not take with it what was passed without being stored', () => {
    const { world, alice, bob } = begun([{ from: 2_000, to: 2_010 }])
    bob.say({ kind: 'ack', log: bob.identity, lane, upTo: many, notStored: [] })
    alice.send('bob', { id: BigInt(many + 1) })
    world.isFlushing = true
    world.settle()
    const told = [1, 1_999, 2_000, 2_010, 2_011, many, many + 1].map((id) => alice.query('bob', BigInt(id)))
    expect(told).toEqual(['delivered', 'delivered', 'sent', 'sent', 'delivered', 'delivered', 'delivered'])
  })

  it('[I6] [I12] is settled after a crash, though the device never comes back', () => {
    const { world, alice, bob } = begun([{ from: 2_000, to: 2_010 }])
    // The server has confirmed the ranges: nobody repeats them.
    expect(bob.last('acked')).toMatchObject({ upTo: many })
    world.isFlushing = true
    world.crash()
    alice.reconnect()
    expect([1_999, 2_000, 2_011].map((id) => alice.query('bob', BigInt(id)))).toEqual(['delivered', 'sent', 'delivered'])
  })

  it('[I6] is settled though the device disconnects', () => {
    const { world, alice, bob } = begun()
    bob.disconnect()
    world.isFlushing = true
    world.settle()
    expect(alice.query('bob', BigInt(many))).toBe('delivered')
  })

  it('[I6] a READ waits for it', () => {
    const { world, alice, bob } = begun()
    bob.say({ kind: 'read', log: bob.identity, lane, seq: 2_500, sender: alice.identity, count: 2_500 })
    world.isFlushing = true
    world.settle()
    expect([2_500, 2_501].map((id) => alice.query('bob', BigInt(id)))).toEqual(['read', 'delivered'])
    expect(bob.last('readMark')).toMatchObject({ mark: 2_500 })
  })

  it('[I6] ends where the device says on its next connection that it is', () => {
    const { world, alice, bob } = begun()
    bob.disconnect()
    bob.isAcking = false
    storesUpTo(bob, bob.identity, 4_500)
    world.isFlushing = true
    world.settle()
    expect([4_500, 4_501].map((id) => alice.query('bob', BigInt(id)))).toEqual(['delivered', 'sent'])
  })

  it('[I6] is forgotten for a lane that the device names no longer', () => {
    const { world, alice, bob } = begun()
    bob.disconnect()
    bob.isAcking = false
    bob.cursors.clear()
    bob.connect()
    world.isFlushing = true
    world.settle()
    expect(deviceOf(world, bob)).toMatchObject({ unsettled: [] })
    expect([256, many].map((id) => alice.query('bob', BigInt(id)))).toEqual(['delivered', 'sent'])
  })

  it('[I10] remembers no more than 1,024 ranges and 1,024 READs of a lane: past that it hides a delivery, and invents none', () => {
    const { world, alice, bob } = open()
    bob.disconnect()
    fill(alice, 'bob', many)
    bob.isAcking = false
    storesUpTo(bob, bob.identity, 400)
    world.settle()
    world.isFlushing = false
    const place = { tag: 0, ref: 0, log: bob.identity, user: bob.identity, ...placeOf(bob) }
    for (let from = 401; from <= 2_401; from += 500) {
      const notStored = Array.from({ length: 250 }, (_, at) => ({ from: from + 2 * at, to: from + 2 * at }))
      world.host.batchers[0]?.submit({ kind: 'ack', ...place, upTo: from + 499, notStored })
      for (let sender = 1; sender <= 250; sender++)
        world.host.batchers[0]?.submit({ kind: 'read', ...place, seq: 1, sender, count: 1 })
    }
    // One record holds all of it. Its first ACK passes 256, and what is said after that waits.
    world.settle()
    world.flush(1)
    const [unsettled] = deviceOf(world, bob)?.unsettled ?? []
    expect([unsettled?.upTo, unsettled?.notStored.length, unsettled?.reads.length]).toEqual([2_900, 1_024, 1_024])
    expect(unsettled?.notStored.slice(0, 2)).toEqual([
      { from: 657, to: 853 },
      { from: 855, to: 855 },
    ])
    world.isFlushing = true
    world.settle()
    const told = [402, 656, 658, 852, 854, 855, 2_900].map((id) => alice.query('bob', BigInt(id)))
    expect(told).toEqual(['delivered', 'delivered', 'sent', 'sent', 'delivered', 'sent', 'delivered'])
  })

  it('[I6] keeps the device in its slot', () => {
    const { world, alice, bob } = begun()
    bob.disconnect()
    // Eight others in one record, for eight slots.
    for (let device = 2; device <= 9; device++) world.client('bob', device).connect()
    world.settle()
    world.isFlushing = true
    world.settle()
    expect(deviceOf(world, bob)?.cursors[lane]).toBe(many)
    expect(alice.query('bob', BigInt(many))).toBe('delivered')
  })

  it('[I6] of a deleted user goes with it', () => {
    const { world, alice } = begun()
    world.isFlushing = true
    expect(world.deleteUser('bob')).toBe(0)
    world.settle()
    expect(['delivered', 'removed']).toContain(alice.query('bob', BigInt(many)))
    const { meta } = world.host.queries.stateOf(alice.identity)
    expect(meta.queued - meta.dequeued).toBe(0)
  })
})

/** What devices of a small group and a user may say, in any order. */
const word = fc.record({
  isGroup: fc.boolean(),
  isRead: fc.boolean(),
  device: fc.nat({ max: 1 }),
  lane: fc.nat({ max: 1 }),
  share: fc.nat({ max: 10 }),
  from: fc.integer({ min: 1, max: 60 }),
  length: fc.nat({ max: 9 }),
})
type Word = typeof word extends fc.Arbitrary<infer W> ? W : never
const paces = fc.record({ commandRows: fc.integer({ min: 1, max: 5 }), recordRows: fc.integer({ min: 1, max: 7 }) })
const words = fc.array(word, { minLength: 1, maxLength: 25, size: 'max' })

describe('settling', () => {
  it('[I6] [I11] comes to the same, however few rows a record may look at', () => {
    fc.assert(
      fc.property(words, fc.boolean(), paces, (said, isAlone, pace) => {
        const quick = afterAll(said, isAlone, { commandRows: 1_000_000, recordRows: 1_000_000 })
        expect(afterAll(said, isAlone, pace)).toEqual(quick)
      }),
      { seed: 11, numRuns: Number(process.env.RUNS ?? 100) },
    )
  })
})

const origin = { tag: 0, ref: 0 }
const deviceIds = ['0', '1'].map((digit) => digit.repeat(32))

/** What all is once it is settled. A device that is alone may say that it has read what it has not stored: of two, what the other one stores meanwhile would count. */
function afterAll(said: readonly Word[], isAlone: boolean, pace: Pace): string[] {
  const ground = new Ground(pace)
  for (const one of said) ground.say(isAlone ? { ...one, device: 0 } : one, isAlone)
  return ground.rows()
}

/** A shard with 120 messages to bob and to a group that he is in, half of them in lane 0 and half in lane 1, and two devices of his. */
class Ground {
  readonly #tables = new MemoryTables()
  readonly #shard: Shard
  #number = 0
  readonly #alice: number
  readonly #bob: number
  readonly #team: number
  readonly #stored = new Map<string, Set<number>>()
  readonly #cursors = new Map<string, number>()

  constructor(pace: Pace) {
    this.#shard = new Shard(0, 1, this.#tables, pace)
    const { addresses } = this.#shard.state
    this.#apply({ kind: 'begin', incarnation: 1, epoch: 1, shards: 1 })
    for (const user of ['alice', 'bob']) this.#apply({ kind: 'userCreate', ...origin, user })
    this.#alice = addresses.get(0, 'alice')?.identity ?? 0
    this.#bob = addresses.get(0, 'bob')?.identity ?? 0
    this.#apply({ kind: 'groupCreate', ...origin, group: 'team', by: this.#alice, byName: 'alice' })
    this.#apply({ kind: 'memberSet', ...origin, group: 'team', user: 'bob', roles: 3, by: 0 })
    this.#team = addresses.get(1, 'team')?.identity ?? 0
    for (const device of deviceIds) {
      const session = { ...origin, device, session: 1, epoch: 1, cursors: [] }
      this.#apply({ kind: 'session', ...session, user: 'bob', issuedAtMs: startMs + 1, log: 0 })
      this.#apply({ kind: 'attach', ...session, group: this.#team, user: this.#bob, devices: deviceIds })
    }
    for (let id = 1; id <= 120; id++) for (const toKind of [0, 1] as const) this.#send(id, toKind)
  }

  #apply(...commands: Command[]): void {
    this.#number += 1
    this.#shard.apply(this.#number, { clockMs: startMs, incarnation: 1, number: this.#number, commands })
  }

  /** Every third of the group's is bob's own. */
  #send(id: number, toKind: 0 | 1): void {
    const isOwn = id % 3 === 0 && toKind === 1
    this.#apply({
      kind: 'send',
      ...origin,
      sender: isOwn ? this.#bob : this.#alice,
      senderName: isOwn ? 'bob' : 'alice',
      device: '7'.repeat(32),
      toKind,
      to: toKind === 0 ? 'bob' : 'team',
      id: BigInt(id),
      type: 0,
      priority: id % 2,
      deadlineMs: startMs + dayMs,
      receipts: true,
      isTooLarge: false,
      hash: '',
      body: new Uint8Array(1),
    })
  }

  /** An ACK, or a READ of what the device has stored; of anything if `isAnyRead`. */
  say({ isGroup, isRead, device, lane, share, from, length }: Word, isAnyRead: boolean): void {
    const log = isGroup ? this.#team : this.#bob
    const key = `${log}/${device}/${lane}`
    const who = { ...origin, log, user: this.#bob, device: deviceIds[device] ?? '', session: 1, lane }
    const upTo = share * 6
    const stored = this.#stored.get(key) ?? new Set<number>()
    this.#stored.set(key, stored)
    if (isRead) {
      const seq = isAnyRead ? upTo : Math.max(0, ...[...stored].filter((one) => one <= upTo))
      return this.#apply({ kind: 'read', ...who, seq, sender: isGroup ? 0 : this.#alice, count: seq })
    }
    this.#apply({ kind: 'ack', ...who, upTo, notStored: length === 0 ? [] : [{ from, to: from + length }] })
    const cursor = this.#cursors.get(key) ?? 0
    for (let seq = cursor + 1; seq <= upTo; seq++) if (length === 0 || seq < from || seq > from + length) stored.add(seq)
    this.#cursors.set(key, Math.max(upTo, cursor))
  }

  /** The rows of contacts, keys and entries, and what the member has missed of what counts, once all is settled. */
  rows(): string[] {
    while ((this.#shard.nextDueMs() ?? Number.POSITIVE_INFINITY) <= startMs) this.#apply()
    const { entries, members } = this.#shard.state
    const missed = [0, 1].map((lane) => {
      const done = members.get(this.#team, this.#bob)?.lanes[lane]
      const seqs = (done?.missed ?? []).flatMap(({ from, to }) => Array.from({ length: to - from + 1 }, (_, at) => from + at))
      const counting = seqs.filter((seq) => entries.get(this.#team, entryKey(lane, seq))?.sender === this.#alice)
      return `${lane}: ${done?.delivered} ${done?.read} ${counting}`
    })
    return [...missed, ...dump(this.#shard, this.#tables).filter((row) => /^0[456]/.test(row))]
  }
}
