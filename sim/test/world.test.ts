import { describe, expect, it } from 'vitest'
import { EventQueue } from '../world/eventQueue.ts'
import { type ClientEnd, Link, Route, type ServerEnd } from '../world/network.ts'
import { Random } from '../world/random.ts'
import { SimJournal } from '../world/simJournal.ts'
import { Trace } from '../world/trace.ts'
import { World } from '../world/world.ts'

const bytes = (byte: number): Uint8Array => Uint8Array.of(byte)

describe('the event queue', () => {
  it('gives events by time, and those of one time in the order in which they were added', () => {
    const random = new Random(3)
    const queue = new EventQueue()
    const added = Array.from({ length: 500 }, (_, order) => ({ atMs: random.below(20), order }))
    const taken: { atMs: number; order: number }[] = []
    for (const one of added) queue.add(one.atMs, () => taken.push(one))
    for (let next = queue.take(); next !== undefined; next = queue.take()) next.action?.()
    expect(taken).toEqual([...added].sort((left, right) => left.atMs - right.atMs || left.order - right.order))
  })
})

describe('chance', () => {
  it('is the same for a seed and a stream, and another for others', () => {
    const of = (seed: number, stream: string): number[] =>
      Array.from(
        { length: 5 },
        (() => {
          const random = new Random(seed, stream)
          return () => random.next()
        })(),
      )
    expect(of(1, 'a')).toEqual(of(1, 'a'))
    expect(of(1, 'a')).not.toEqual(of(1, 'b'))
    expect(of(1, 'a')).not.toEqual(of(2, 'a'))
    expect(of(1, 'a')).not.toEqual(of(1 + 2 ** 32, 'a'))
  })
})

describe('a simulated journal', () => {
  it('[I12] keeps what was flushed and a prefix of what was not', () => {
    const journal = new SimJournal()
    for (let position = 1; position <= 5; position++) journal.append(position, bytes(position))
    expect(journal.flush(2)).toEqual([1, 2])
    journal.crash(1)
    expect(journal.flushed.map(({ position }) => position)).toEqual([1, 2, 3])
    expect(journal.unflushedCount).toBe(0)
    journal.trim(2)
    expect(journal.lastPosition).toBe(3)
    expect(journal.flushed.map(({ position }) => position)).toEqual([3])
    expect(() => journal.append(3, bytes(3))).toThrow(RangeError)
  })
})

/** One connection that is open, and what came out of its ends. */
function openLink(seed = 6): { world: World; link: Link; route: Route; got: string[] } {
  const world = new World(new Random(5), new Trace(false))
  const route = new Route('u0.d0', [1, 50])
  const got: string[] = []
  const client: ClientEnd = {
    socketOpened: () => got.push('opened'),
    socketMessage: (_socket, message) => got.push(`down ${message[0]}`),
    socketClosed: (_socket, code) => got.push(`client ${code}`),
  }
  const server: ServerEnd = {
    isUp: true,
    epoch: 1,
    clock: () => 0,
    accepted: () => got.push('accepted'),
    received: (_link, message) => got.push(`up ${message[0]}`),
    closed: () => got.push('server closed'),
  }
  const link = new Link(world, new Random(seed), route, client, server, 1)
  world.run(1_000, 1_000)
  return { world, link, route, got }
}

describe('a simulated connection', () => {
  it('carries in order, and what was written before the close comes before it', () => {
    const { world, link, got } = openLink()
    for (let byte = 0; byte < 20; byte++) link.toServer(bytes(byte))
    link.closeByClient()
    world.run(5_000, 1_000)
    expect(got).toEqual(['accepted', 'opened', ...Array.from({ length: 20 }, (_, byte) => `up ${byte}`), 'server closed'])
  })

  it('holds what it carries while it is partitioned', () => {
    const { world, link, route, got } = openLink()
    route.isPartitioned = true
    link.toServer(bytes(1))
    link.toServer(bytes(2))
    world.run(5_000, 1_000)
    expect(got).toEqual(['accepted', 'opened'])
    route.heal()
    link.toServer(bytes(3))
    world.run(9_000, 1_000)
    expect(got.slice(2)).toEqual(['up 1', 'up 2', 'up 3'])
  })

  it('keeps the order of what was held and what was on its way when it is healed', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const { world, link, route, got } = openLink(seed)
      for (let byte = 0; byte < 30; byte++) {
        link.toServer(bytes(byte))
        world.run(world.nowMs + 7, 1_000)
        route.isPartitioned = byte % 10 > 2
        if (byte % 10 === 9) route.heal()
      }
      route.heal()
      world.run(world.nowMs + 500, 1_000)
      expect(got.slice(2)).toEqual(Array.from({ length: 30 }, (_, byte) => `up ${byte}`))
    }
  })

  it('loses what is in flight when it is cut, and tells only whom it should', () => {
    const { world, link, got } = openLink()
    link.toServer(bytes(1))
    link.toClient(bytes(2))
    link.cut({ clientMs: 10, serverMs: undefined })
    world.run(9_000, 1_000)
    expect(got.slice(2)).toEqual(['client 1006'])
  })
})
