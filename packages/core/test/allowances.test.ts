import { decodeServerMessage, encodeClientMessage, limits } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import type { Client } from './client.ts'
import { startMs, World } from './harness.ts'

/** 100 packets at once, and as many in each 100 ms. */
const packetsPerSecond = 1_000

const ping = (clientTime: number) => ({ kind: 'ping', clientTime }) as const

/** A message of so many PINGs, of which each PONG says whose it is. */
function pings(client: Client, count: number, clientTime = 1): void {
  const bytes = encodeClientMessage(Array.from({ length: count }, () => ping(clientTime)))
  client.world.host.received(client.connection, bytes, client.world.nowMs)
}

function tick(world: World, times = 1): void {
  for (let at = 0; at < times; at++) {
    world.nowMs += 100
    world.host.tick(world.nowMs)
    world.settle()
  }
}

/** How many PONGs each client has had since the last time. */
function pongs(...clients: Client[]): number[] {
  return clients.map((client) => client.packets.splice(0).filter(({ kind }) => kind === 'pong').length)
}

describe('[I10] who sends more packets than it may', () => {
  it('is not read for a while, and all that it has sent is served, in order', () => {
    const world = new World({ limits: { packetsPerSecond } })
    const bob = world.online('bob')
    for (let message = 1; message <= 5; message++) pings(bob, 60, message)
    world.settle()
    expect([
      bob
        .all('pong')
        .map(({ clientTime }) => clientTime)
        .at(-1),
      world.paused.has(bob.connection),
    ]).toEqual([2, true])
    expect(pongs(bob)).toEqual([120])
    tick(world)
    expect([bob.last('pong')?.clientTime, world.paused.has(bob.connection)]).toEqual([4, true])
    tick(world, 3)
    expect([bob.last('pong')?.clientTime, world.paused.has(bob.connection), bob.error]).toEqual([5, false, ''])
    expect(pongs(bob)).toEqual([180])
    pings(bob, 60, 6)
    world.settle()
    expect(bob.last('pong')).toMatchObject({ clientTime: 6 })
  })

  it('gets no more by more connections, which are served in turn, and holds up nobody else', () => {
    const world = new World({ limits: { packetsPerSecond } })
    const [one, two, other] = [world.online('bob', 1), world.online('bob', 2), world.online('alice')]
    pongs(one, two, other)
    for (let message = 0; message < 10; message++) for (const client of [one, two]) pings(client, 20)
    pings(other, 50)
    world.settle()
    expect(pongs(one, two, other)).toEqual([60, 40, 50])
    tick(world)
    expect(pongs(one, two, other)).toEqual([40, 60, 0])
    tick(world)
    expect(pongs(one, two, other)).toEqual([60, 40, 0])
    tick(world, 3)
    expect(pongs(one, two, other)).toEqual([40, 60, 0])
    expect([...world.paused]).toEqual([])
  })

  it('sends a message of more packets than a turn has room for: they are handled by turns, others are served meanwhile', () => {
    const world = new World()
    const [one, two, other] = [world.online('bob', 1), world.online('bob', 2), world.online('alice')]
    const handled = new Map<number, number>()
    world.host.edge.write = (connection, bytes) =>
      void handled.set(connection, (handled.get(connection) ?? 0) + decodeServerMessage(bytes).length)
    const turn = (): unknown[] => {
      handled.clear()
      const isMore = world.host.turn(world.nowMs)
      return [isMore, ...[one, two, other].map(({ connection }) => handled.get(connection) ?? 0), world.paused.size]
    }
    turn()
    pings(one, 600)
    pings(one, 30)
    pings(two, 300)
    pings(other, 250)
    // In the first one also what was handled when it came.
    expect([turn(), turn(), turn(), turn()]).toEqual([
      [true, 500, 0, 250, 2],
      [true, 100, 150, 0, 2],
      [false, 30, 150, 0, 0],
      [false, 0, 0, 0, 0],
    ])
  })

  it('and closes: what had come is handled first, then it counts as gone', () => {
    const world = new World()
    const [bob, alice] = [world.online('bob'), world.online('alice')]
    alice.say({ kind: 'watch', users: ['bob'], isOn: true })
    world.settle()
    for (let at = 1; at <= 600; at++) bob.say({ kind: 'typing', toKind: 0, to: 'alice', isActive: true })
    bob.speak()
    bob.disconnect()
    world.host.turn(world.nowMs)
    expect(world.host.registry.byConnection.size).toBe(2)
    world.settle()
    expect([alice.all('typingEvent').length, alice.last('presence')?.state]).toEqual([600, 0])
    expect(world.host.registry.byConnection.size).toBe(1)
  })

  it('and closes: what had come is handled before the next session of its device begins, or the server stops', () => {
    const once = { toKind: 0, to: 'alice', id: 0n, type: 0, priority: 8, receipts: false, body: new Uint8Array(1) } as const
    for (const [isStopping, isBad] of [
      [false, false],
      [true, false],
      [false, true],
      [true, true],
    ] as const) {
      const world = new World()
      const [bob, alice] = [world.online('bob'), world.online('alice')]
      const deadlineMs = world.nowMs + 60_000
      for (let ref = 1; ref <= 900; ref++) bob.say({ kind: 'send', ref, ...once, deadlineMs })
      if (isBad) bob.say({ kind: 'send', ref: 1, ...once, deadlineMs })
      world.isFlushing = isStopping
      const { connection } = bob
      bob.speak()
      bob.disconnect()
      if (isStopping) world.host.stop(1_000)
      else bob.connect()
      world.isFlushing = true
      world.settle()
      if (isStopping) alice.connect()
      expect(world.shards[0]?.state.log(alice.identity)?.lanes[8]?.head).toBe(900)
      expect(world.closes.get(connection)).toBe(isBad ? 'protocol-error' : isStopping ? 'shutting-down' : 'replaced')
    }
  })

  it('and closes: what it has left keeps no other connection of its user away', () => {
    const world = new World({ limits: { connectionsPerUser: 1 } })
    const [one, two] = [world.online('bob', 1), world.client('bob', 2)]
    pings(one, 4_000)
    one.disconnect()
    two.connect()
    for (let turn = 0; turn < 4; turn++) world.host.turn(world.nowMs)
    expect(world.host.registry.byConnection.size).toBe(2)
    world.settle()
    expect([two.phase, two.error]).toEqual(['live', ''])
  })

  it('and closes: what is more than it may send goes with it', () => {
    const world = new World({ limits: { packetsPerSecond } })
    const [bob, alice] = [world.online('bob'), world.online('alice')]
    for (let message = 0; message < 10; message++) {
      for (let at = 1; at <= 60; at++) bob.say({ kind: 'typing', toKind: 0, to: 'alice', isActive: true })
      bob.speak()
    }
    bob.disconnect()
    tick(world)
    tick(world)
    expect(alice.all('typingEvent').length).toBe(240)
    expect(world.host.registry.byConnection.size).toBe(1)
  })

  it('goes on with what was left when it comes back', () => {
    const world = new World({ limits: { packetsPerSecond } })
    const bob = world.online('bob')
    pings(bob, 900)
    bob.disconnect()
    world.settle()
    bob.connect()
    world.settle()
    pongs(bob)
    pings(bob, 1)
    tick(world, 7)
    expect([pongs(bob), world.paused.has(bob.connection)]).toEqual([[0], true])
    tick(world, 2)
    expect([pongs(bob), world.paused.has(bob.connection)]).toEqual([[1], false])
  })

  it('is let go for more than a second has room for in one message, or more than may wait', () => {
    const world = new World({ limits: { packetsPerSecond, bufferedBytes: 5_000 } })
    const [bob, carol] = [world.online('bob'), world.online('carol')]
    pings(bob, 1_050)
    world.settle()
    expect(bob.error).toBe('')
    tick(world, 11)
    pings(bob, 1_150)
    world.settle()
    expect(bob.error).toBe('flood')
    for (let message = 0; message < 100 && carol.error === ''; message++) pings(carol, 100, message)
    world.settle()
    expect([carol.error, carol.all('pong').length]).toEqual(['flood', 100])
    tick(world, 2)
    expect(carol.all('pong').length).toBe(100)
  })

  it('comes again and again with the cursors of many logs, which counts, and one HELLO is never too much', () => {
    const world = new World({ limits: { packetsPerSecond } })
    const bob = world.client('bob')
    const cursors = Array.from({ length: 1_000 }, (_, at) => ({ log: 1_000 + at, lane: 0, seq: 1, notStored: [] }))
    const again = (): string => {
      if (bob.phase !== 'offline') bob.disconnect()
      bob.connect('bob', { cursors })
      world.settle()
      return bob.error
    }
    expect([again(), again(), again()]).toEqual(['', '', 'flood'])
    expect(world.host.registry.ofUser(bob.identity)).toEqual([])
    tick(world, 12)
    expect([again(), bob.phase]).toEqual(['', 'live'])
  })

  it('sends pings of the WebSocket, and is not read until there is room for them', () => {
    const world = new World({ limits: { packetsPerSecond } })
    const bob = world.online('bob')
    for (let at = 0; at < 150; at++) world.host.heard(bob.connection, world.nowMs)
    expect(world.paused.has(bob.connection)).toBe(true)
    tick(world)
    expect([world.paused.has(bob.connection), bob.error]).toEqual([false, ''])
    const early = world.client('early')
    early.connect()
    for (let at = 0; at < 100; at++) world.host.heard(early.connection, world.nowMs)
    world.settle()
    expect([early.phase, world.paused.has(early.connection)]).toEqual(['live', false])
    const stranger = world.client('stranger')
    const connection = world.newConnection(stranger)
    for (let at = 0; at < 100; at++) world.host.heard(connection, world.nowMs)
    expect([world.paused.has(connection), world.closes.get(connection)]).toEqual([false, undefined])
    world.host.heard(connection, world.nowMs)
    expect(world.closes.get(connection)).toBe('flood')
    // A second packet behind HELLO does not wait for a turn in which it would be allowed.
    const hasty = world.newConnection(stranger)
    for (let at = 0; at < 100; at++) world.host.heard(hasty, world.nowMs)
    const hello = { versionMin: 1, versionMax: 1, token: 'stranger', device: stranger.device, session: 1, agent: '', epoch: 0 }
    world.host.received(hasty, encodeClientMessage([{ kind: 'hello', ...hello, cursors: [] }, ping(1)]), world.nowMs)
    expect(world.closes.get(hasty)).toBe('protocol-error')
  })

  it('is not taken for silent while what it said waits', () => {
    const world = new World({ limits: { packetsPerSecond: 10, heartbeatMs: 1_000 } })
    const bob = world.online('bob')
    for (let message = 0; message < 20; message++) pings(bob, 10, message)
    tick(world, 150)
    expect([bob.error, world.paused.has(bob.connection)]).toEqual(['', true])
    tick(world, 60)
    expect([bob.error, bob.last('pong')?.clientTime, world.paused.has(bob.connection)]).toEqual(['', 19, false])
    tick(world, 80)
    expect(bob.error).toBe('heartbeat-timeout')
  })

  it('waits no longer when the clock is set back', () => {
    const world = new World({ limits: { packetsPerSecond } })
    const bob = world.online('bob')
    pings(bob, 150)
    world.nowMs = startMs - 60_000
    pings(bob, 1)
    tick(world)
    expect([bob.error, world.paused.has(bob.connection)]).toEqual(['', false])
  })

  it('sends ACKs of many ranges, of which each counts as a packet', () => {
    const ranges = Array.from({ length: limits.ranges }, () => ({ from: 1, to: 1 }))
    for (const count of [38, 40]) {
      const world = new World()
      const bob = world.online('bob')
      const ack = { kind: 'ack', log: bob.identity, lane: 0, upTo: 0, notStored: ranges } as const
      world.host.received(bob.connection, encodeClientMessage(Array.from({ length: count }, () => ack)), world.nowMs)
      world.settle()
      // 10,000 packets may come at once.
      expect([count, bob.error, world.paused.has(bob.connection)]).toEqual([count, '', count > 38])
    }
  })
})
