import { describe, expect, it } from 'vitest'
import type { Client } from './client.ts'
import { World } from './harness.ts'

const readerCount = 600

/** A group with many readers online, one device each. */
function crowd(): { world: World; alice: Client; readers: Client[] } {
  const world = new World()
  const alice = world.online('alice')
  const readers = Array.from({ length: readerCount }, (_, at) => world.online(`u${at}`))
  world.group('team', 'alice', ...readers.map(({ user }) => user))
  return { world, alice, readers }
}

/** How many connections each turn writes to from now on. */
function writesPerTurn(world: World): number[] {
  const writes: number[] = []
  const { edge } = world.host
  const { write } = edge
  const turn = world.host.turn.bind(world.host)
  edge.write = (connection, bytes) => {
    writes[writes.length - 1] = (writes.at(-1) ?? 0) + 1
    write(connection, bytes)
  }
  world.host.turn = (nowMs) => {
    writes.push(0)
    return turn(nowMs)
  }
  return writes
}

const realtime = {
  kind: 'realtime',
  request: 4,
  toKind: 1,
  to: 'team',
  id: 1n,
  type: 0,
  priority: 0,
  body: Buffer.from('now'),
} as const

describe('what goes to many goes in slices', () => {
  it('[I10] a real-time message, typing and presence reach all, some sessions a turn', () => {
    const { world, alice, readers } = crowd()
    const writes = writesPerTurn(world)
    alice.say(realtime)
    alice.say({ kind: 'typing', toKind: 1, to: 'team', isActive: true })
    world.settle()
    for (const reader of readers) {
      expect(reader.all('realtimeDeliver')).toHaveLength(1)
      expect(reader.all('typingEvent')).toHaveLength(1)
      reader.say({ kind: 'watch', users: ['alice'], isOn: true })
    }
    world.settle()
    writes.length = 0
    alice.disconnect()
    world.settle()
    for (const reader of readers) expect(reader.last('presence')).toMatchObject({ user: 'alice', state: 0 })
    expect(Math.max(...writes)).toBeLessThanOrEqual(256)
  })

  it('[I10] a message to one does not wait for all of those to many', () => {
    const { world, alice, readers } = crowd()
    const last = readers.at(-1)
    if (last === undefined) throw new Error('nobody there')
    for (let id = 1n; id <= 4n; id++) alice.say({ ...realtime, id })
    alice.say({ ...realtime, toKind: 0, to: last.user, id: 9n })
    world.settle()
    expect(last.all('realtimeDeliver').map(({ id }) => id)).toEqual([9n, 1n, 2n, 3n, 4n])
  })

  it('[I3] [I10] a message to a group reaches all, some sessions a turn, and so does what comes meanwhile', () => {
    const { world, alice, readers } = crowd()
    const writes = writesPerTurn(world)
    /** Sends, and has a turn in which it is not applied yet, and one in which some readers get it. */
    const send = (id: bigint, priority: number): void => {
      alice.send('#team', { id, priority })
      alice.speak()
      world.host.turn(world.nowMs)
      world.flush()
      world.host.turn(world.nowMs)
    }
    send(1n, 8)
    send(2n, 8)
    send(3n, 0)
    world.settle()
    for (const reader of readers) {
      const ids = reader.all('deliver').map(({ id }) => id)
      expect(ids.filter((id) => id !== 3n)).toEqual([1n, 2n])
      expect(ids).toHaveLength(3)
    }
    // Beside its readers a turn writes to the sender.
    expect(Math.max(...writes)).toBeLessThanOrEqual(257)
    expect(readers.at(-1)?.all('deliver')[0]?.id).toBe(1n)
  })

  it('[I9] who loses its right while others are given a message does not get it', () => {
    const { world, alice, readers } = crowd()
    const last = readers.at(-1)
    if (last === undefined) throw new Error('nobody there')
    alice.say(realtime)
    alice.speak()
    world.host.turn(world.nowMs)
    world.member('team', last.user, 0)
    expect(last.all('realtimeDeliver')).toEqual([])
    expect(readers.at(-2)?.all('realtimeDeliver')).toHaveLength(1)
  })

  it('watchers are told what is true in the end, when it changes while they are told', () => {
    const { world, alice, readers } = crowd()
    for (const reader of readers) reader.say({ kind: 'watch', users: ['alice'], isOn: true })
    world.settle()
    const [first, gone, ended] = [readers[0], readers.at(-2), readers.at(-1)]
    if (first === undefined || gone === undefined || ended === undefined) throw new Error('nobody there')
    const second = world.client('alice', 2)
    world.isFlushing = false
    second.connect()
    world.settle()
    alice.disconnect()
    // The first ones are told that alice is offline. Her second device is there before the others have been.
    world.host.turn(world.nowMs)
    const told = gone.all('presence').length
    gone.say({ kind: 'watch', users: ['alice'], isOn: false })
    gone.speak()
    ended.disconnect()
    world.isFlushing = true
    world.flush()
    world.settle()
    expect(first.all('presence').map(({ state }) => state)).toEqual([1, 0, 1])
    for (const reader of readers.slice(0, -2)) expect(reader.last('presence')).toMatchObject({ state: 1 })
    expect(gone.all('presence')).toHaveLength(told)
  })

  it('[I10] whoever sends more than can wait is refused', () => {
    const { world, alice, readers } = crowd()
    // There is enough of what a session may send, and of each of these in a turn.
    world.pass(1_000)
    for (const reader of readers.slice(0, 5)) {
      for (let count = 1; count <= 220; count++) reader.say({ kind: 'typing', toKind: 0, to: 'u1', isActive: true })
      reader.speak()
    }
    alice.say({ ...realtime, toKind: 0, to: 'u2', request: 7 })
    alice.speak()
    world.settle()
    expect(alice.last('realtimeResult')).toMatchObject({ request: 7, status: 41 })
  })
})
