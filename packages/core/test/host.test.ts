import { encodeClientMessage, limits } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { decodeRecord, type ShardRecord } from '../src/index.ts'
import { type Command, encodeCommand } from '../src/shard/commands.ts'
import type { Client } from './client.ts'
import { World } from './harness.ts'

const raw = (client: Client, bytes: Uint8Array): void => {
  client.world.host.received(client.connection, bytes, client.world.nowMs)
  client.world.settle()
}

const names = Array.from({ length: 256 }, (_, at) => `user ${at}`)
const query = (to: string) => {
  const messages = Array.from({ length: 256 }, (_, at) => ({ toKind: 0, to, id: BigInt(at + 1) }) as const)
  return { kind: 'query', request: 1, messages } as const
}

function records(world: World): ShardRecord[] {
  return world.journals.flatMap((journal) => [...journal.read(1)].map(({ bytes }) => decodeRecord(bytes)))
}

describe('the greeting', () => {
  it.each([
    ['a packet before HELLO', { kind: 'ping', clientTime: 1 } as const, 'hello-expected'],
    [
      'a version that nobody speaks',
      {
        kind: 'hello',
        versionMin: 2,
        versionMax: 9,
        token: 'bob',
        device: new Uint8Array(16),
        session: 1,
        agent: '',
        epoch: 0,
        cursors: [],
      } as const,
      'version-unsupported',
    ],
  ])('ends with a code for %s', (_name, packet, code) => {
    const world = new World()
    const client = world.client('bob')
    client.connection = world.newConnection(client)
    client.phase = 'greeting'
    client.say(packet)
    world.settle()
    expect([client.error, client.ended]).toEqual([code, code])
  })

  it('ends with a code for a second HELLO, and for anything sent before WELCOME', () => {
    const world = new World()
    const bob = world.online('bob')
    const hello = {
      kind: 'hello',
      versionMin: 1,
      versionMax: 1,
      token: 'bob',
      device: new Uint8Array(16),
      session: 9,
      agent: '',
      epoch: 0,
      cursors: [],
    } as const
    bob.say(hello)
    world.settle()
    expect(bob.error).toBe('hello-expected')
    const early = world.client('eve')
    early.connect()
    early.send('bob')
    world.settle()
    expect(early.error).toBe('protocol-error')
  })

  it('[I10] looks at each of many connections within two seconds, and not at all of them at once', () => {
    const world = new World()
    const silent = Array.from({ length: 5_000 }, (_, at) => {
      const client = world.client(`user ${at}`)
      client.connection = world.newConnection(client)
      return client
    })
    const ended = () => silent.filter(({ connection }) => world.closes.get(connection) === 'auth-timeout').length
    world.nowMs += 10_001
    world.host.tick(world.nowMs)
    expect(ended()).toBe(500)
    // The round that is under way may have begun before anybody was there.
    for (let tick = 0; tick < 20; tick++) world.host.tick(world.nowMs)
    expect(ended()).toBe(5_000)
  })

  it('ends with auth-timeout when no HELLO comes, with heartbeat-timeout when nothing is heard', () => {
    const world = new World()
    const silent = world.client('bob')
    silent.connection = world.newConnection(silent)
    const bob = world.online('bob')
    world.nowMs += 10_001
    world.host.tick(world.nowMs)
    world.settle()
    expect([world.closes.get(silent.connection), bob.phase]).toEqual(['auth-timeout', 'live'])
    world.nowMs += 50_000
    world.host.tick(world.nowMs)
    world.settle()
    expect(bob.error).toBe('heartbeat-timeout')
  })

  it('ends with token-expired at the end of the token, unless it is renewed for the same user', () => {
    const world = new World()
    const [bob, eve] = [world.online('bob'), world.online('eve')]
    bob.say({ kind: 'renew', token: 'bob' })
    eve.say({ kind: 'renew', token: 'bob' })
    world.settle()
    expect([bob.all('renewed').length, eve.error]).toEqual([1, 'token-invalid'])
    world.host.verified(
      bob.connection,
      { isOk: true, user: 'bob', issuedAtMs: world.nowMs, expiresAtMs: world.nowMs + 50 },
      world.nowMs,
    )
    world.pass(49)
    expect(bob.phase).toBe('live')
    world.pass(1)
    expect(bob.error).toBe('token-expired')
  })

  it('[I10] takes no more connections than it may, and none while it stops', () => {
    const world = new World({ limits: { connections: 1 } })
    const bob = world.online('bob')
    expect(world.online('eve').error).toBe('busy')
    world.host.stop(4_000)
    world.settle()
    expect([bob.error, bob.last('error')?.retryAfterMs]).toEqual(['shutting-down', 4_000])
    expect(world.online('bob').error).toBe('shutting-down')
    world.settle()
    expect(world.host.isIdle).toBe(true)
  })

  it('rejects connection numbers that stand for something else', () => {
    const world = new World()
    expect(() => world.host.connected(1, world.nowMs)).toThrow(RangeError)
  })
})

describe('malformed packets', () => {
  it.each([
    ['no MessagePack', Uint8Array.of(0xc1), 'malformed-packet'],
    ['an empty message', new Uint8Array(0), 'malformed-packet'],
    ['a packet of an unknown number', Uint8Array.of(0x91, 99), 'unknown-packet'],
    ["a packet of the server's", Uint8Array.of(0x92, 53, 0), 'unknown-packet'],
    ['a lane that is none', encodeClientMessage([{ kind: 'ack', log: 1, lane: 16, upTo: 1, notStored: [] }]), 'out-of-range'],
  ])('%s ends the connection with a code, and nothing of the message is acted upon', (_name, bytes, code) => {
    const world = new World()
    const bob = world.online('bob')
    const before = world.shards[0]?.position
    const send = encodeClientMessage([bob.compose('bob', {}, 1)])
    const message = new Uint8Array(bytes.length === 0 ? 0 : send.length + bytes.length)
    if (bytes.length > 0) {
      message.set(send)
      message.set(bytes, send.length)
    }
    raw(bob, message)
    expect([bob.error, bob.ended, bob.inbox]).toEqual([code, code, []])
    expect(world.shards[0]?.position).toBe((before ?? 0) + 1)
  })
})

describe('sending over the wire', () => {
  it('[I4] refs count without gaps; a gap ends the connection', () => {
    const world = new World()
    const bob = world.online('bob')
    bob.say(bob.compose('bob', {}, 2))
    world.settle()
    expect(bob.error).toBe('protocol-error')
  })

  it('[I4] after REFUSE all SENDs are ignored until RESUME, and nothing is lost or reordered', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.freeBytes = 1
    for (const id of [1n, 2n, 3n]) alice.send('bob', { id })
    world.settle()
    expect(alice.all('refuse')).toMatchObject([{ ref: 1, code: 42 }])
    world.freeBytes = 2 ** 40
    alice.say(alice.compose('bob', { id: 9n }, 4))
    world.settle()
    alice.say({ kind: 'resume', ref: 1 })
    for (const id of [1n, 2n, 3n]) alice.say(alice.compose('bob', { id }, Number(id)))
    world.settle()
    expect(alice.all('result').map(({ ref }) => ref)).toEqual([1, 2, 3])
    expect(bob.bodies).toEqual(['m1', 'm2', 'm3'])
    alice.say({ kind: 'resume', ref: 1 })
    world.settle()
    expect(alice.error).toBe('protocol-error')
  })

  it('[I10] ACKs are taken when the disk is nearly full', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob', 1, { isAcking: false })]
    alice.verdict('bob')
    world.freeBytes = 1
    bob.ack()
    world.settle()
    expect(alice.last('mark')).toMatchObject({ delivered: 1 })
  })

  it('[I10] a sender that is too fast is refused with rate-limited, and goes on as time passes', () => {
    const world = new World({ limits: { sendsPerSecond: 100 } })
    const alice = world.online('alice')
    world.online('bob')
    for (let id = 1n; id <= 1_001n; id++) alice.send('bob', { id })
    world.settle()
    expect(alice.all('refuse')).toMatchObject([{ ref: 1_001, code: 41 }])
    world.pass(1_000)
    alice.say({ kind: 'resume', ref: 1_001 })
    alice.say(alice.compose('bob', { id: 1_001n }, 1_001))
    world.settle()
    expect(alice.last('result')).toMatchObject({ ref: 1_001, status: 2 })
  })

  it('[I10] sends are refused with busy while too much waits for the journal, and who floods then is let go', () => {
    const world = new World({ limits: { pendingBytes: 1_000 } })
    const alice = world.online('alice')
    world.online('bob')
    world.isFlushing = false
    alice.send('bob', { id: 1n })
    world.settle()
    alice.send('bob', { id: 2n })
    world.settle()
    for (let id = 3n; id <= 30n; id++) alice.send('bob', { id })
    world.settle()
    expect(alice.last('refuse')).toMatchObject({ code: 40 })
    const read = { kind: 'read', log: alice.identity, lane: 8, seq: 1, sender: alice.identity, count: 1 } as const
    for (let at = 0; at < 60; at++) alice.say(read)
    world.settle()
    expect(alice.error).toBe('flood')
  })

  it('[I10] what waits for the journal is counted with all the ranges that a device has passed', () => {
    const notStored = Array.from({ length: 256 }, (_, at) => ({ from: 2 ** 40 + 2 * at, to: 2 ** 40 + 2 * at }))
    const cursors = Array.from({ length: 16 }, (_, lane) => ({ lane, seq: 2 ** 41, notStored }))
    const device = '01'.repeat(16)
    const origin = { tag: 2, ref: 0, device, session: 1, epoch: 1, cursors }
    const commands: Command[] = [
      { kind: 'session', ...origin, user: 'bob', issuedAtMs: 1, log: 1 },
      { kind: 'attach', ...origin, group: 1, user: 2, devices: [device] },
    ]
    for (const command of commands) {
      const batcher = new World().host.batchers[0]
      batcher?.submit(command)
      const share = (batcher?.pendingBytes ?? 0) / encodeCommand(command).length
      expect([share > 0.9, share < 1.1]).toEqual([true, true])
    }
  })

  it('[I10] requests are refused as sends are: while the disk is nearly full, too much waits, or they come too fast', () => {
    const world = new World({ limits: { pendingBytes: 1_000, sendsPerSecond: 100 } })
    const alice = world.online('alice')
    world.online('bob')
    const create = (group: string) => alice.request({ kind: 'groupCreate', request: 1, group })
    world.freeBytes = 0
    expect([create('one'), alice.block('bob')]).toEqual(['disk-full', 'disk-full'])
    world.freeBytes = 1e12
    expect(create('one')).toBe('')
    world.isFlushing = false
    for (let id = 1n; id <= 30n; id++) {
      alice.send('bob', { id })
      if (id <= 2n) world.settle()
    }
    expect(create('two')).toBe('busy')
    world.isFlushing = true
    world.settle()
    for (let at = 0; at < 1_000; at++) alice.block('bob', at % 2 === 0)
    expect(create('two')).toBe('rate-limited')
    world.pass(1_000)
    expect(create('two')).toBe('')
  })

  it('[I10] a ping or pong of the WebSocket keeps a connection, and far too many of them end it', () => {
    const world = new World({ limits: { packetsPerSecond: 500 } })
    const bob = world.online('bob')
    const heard = (times: number) => {
      for (let at = 0; at < times; at++) world.host.heard(bob.connection, world.nowMs)
      world.settle()
    }
    for (let at = 0; at < 10; at++) {
      world.nowMs += 10_000
      heard(400)
      world.host.tick(world.nowMs)
    }
    expect(bob.error).toBe('')
    heard(1_000)
    expect(bob.error).toBe('flood')
  })

  it('[I10] who has far more verified or looked up than a client needs is let go', () => {
    const packets = [
      { kind: 'renew', token: 'bob' },
      query('alice'),
      { kind: 'watch', isOn: true, users: names },
      { kind: 'members', request: 1, group: 'team', after: '', limit: 256 },
      { kind: 'receipts', request: 1, group: 'team', id: 1n, after: '', limit: 256 },
    ] as const
    for (const packet of packets) {
      const world = new World()
      const [, bob] = [world.online('alice'), world.online('bob')]
      // One message has room for 145 such QUERYs. All of them at once would hold up everybody else.
      const times = (count: number) => encodeClientMessage(Array.from({ length: count }, () => packet))
      // It costs as much as thousands of PINGs: what comes next waits.
      raw(bob, times(packet.kind === 'renew' ? 10 : 20))
      raw(bob, times(packet.kind === 'renew' ? 200 : 65))
      expect([packet.kind, bob.error, world.paused.has(bob.connection)]).toEqual([packet.kind, '', true])
      world.pass(1_000)
      expect([packet.kind, bob.error]).toEqual([packet.kind, 'flood'])
    }
  })

  it('an ACK beyond what was delivered ends the connection', () => {
    const world = new World()
    const bob = world.online('bob')
    bob.say({ kind: 'ack', log: bob.identity, lane: 0, upTo: 1, notStored: [] })
    world.settle()
    expect(bob.error).toBe('protocol-error')
  })

  it('[I12] no record holds more than can be read back, however many ranges are folded', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const team = world.group('team', 'alice', 'bob')
    alice.verdict('#team', { id: 1n })
    const ranges = Array.from({ length: limits.ranges }, (_, at) => ({ from: at + 10, to: at + 10 }))
    for (let round = 0; round < 5; round++) bob.say({ kind: 'ack', log: team, lane: 8, upTo: 1, notStored: ranges })
    world.settle()
    world.pass(200)
    expect(bob.phase).toBe('live')
    expect(() => records(world)).not.toThrow()
    expect(() =>
      world.host.submit(
        (origin) => ({ kind: 'userCreate', ...origin, user: '' }),
        0,
        () => undefined,
      ),
    ).toThrow()
  })

  it('[I10] what is written at once has no more packets than a message may have', () => {
    const world = new World({ limits: { packetsPerSecond: 1e6 } })
    const bob = world.online('bob')
    for (let at = 0; at < 9_000; at++) bob.say({ kind: 'ping', clientTime: 1 })
    const messages: Uint8Array[] = []
    while (bob.speak()) messages.push(new Uint8Array(0))
    world.settle()
    expect([bob.all('pong').length, bob.phase]).toEqual([9_000, 'live'])
  })

  it('answers PING with the time of the server', () => {
    const world = new World()
    const bob = world.online('bob')
    bob.say({ kind: 'ping', clientTime: 77 })
    world.settle()
    expect(bob.last('pong')).toEqual({ kind: 'pong', clientTime: 77, serverTimeMs: world.nowMs })
  })
})

describe('what is never journaled', () => {
  const realtime = (client: Client, to: string, id = 1n): string => {
    const toKind = to.startsWith('#') ? 1 : 0
    client.say({
      kind: 'realtime',
      request: 4,
      toKind,
      to: to.replace('#', ''),
      id,
      type: 0,
      priority: 0,
      body: Buffer.from('now'),
    })
    client.world.settle()
    const status = client.last('realtimeResult')?.status
    return status === undefined ? '' : String(status)
  }

  it('a real-time message is delivered once a device says so, expired when nobody is connected', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const before = world.shards[0]?.position
    expect(realtime(alice, 'bob')).toBe('')
    bob.say({ kind: 'realtimeAck', token: bob.last('realtimeDeliver')?.token ?? 0 })
    world.settle()
    expect(alice.last('realtimeResult')).toMatchObject({ request: 4, status: 4 })
    expect(world.shards[0]?.position).toBe(before)
    bob.disconnect()
    world.settle()
    expect(realtime(alice, 'bob')).toBe('3')
  })

  it('is unknown when nobody confirms it in time, and has no result with id 0', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    realtime(alice, 'bob', 0n)
    expect(bob.last('realtimeDeliver')).toMatchObject({ token: 0 })
    realtime(alice, 'bob')
    world.pass(5_000)
    expect(alice.all('realtimeResult')).toMatchObject([{ status: 18 }])
  })

  it('[I6] nobody but a receiver can confirm it', () => {
    const world = new World()
    const [alice, bob, eve] = [world.online('alice'), world.online('bob'), world.online('eve')]
    realtime(alice, 'bob')
    const token = bob.last('realtimeDeliver')?.token ?? 0
    for (const client of [eve, alice]) client.say({ kind: 'realtimeAck', token })
    world.settle()
    expect(alice.all('realtimeResult')).toEqual([])
  })

  it('[I6] [I9] in a group neither who has left, nor who may not receive, nor the sender can confirm it', () => {
    const world = new World()
    const [alice, bob, carol, dave] = ['alice', 'bob', 'carol', 'dave'].map((user) => world.online(user))
    const second = world.online('alice', 2)
    if (alice === undefined || bob === undefined || carol === undefined || dave === undefined) throw new Error('no clients')
    world.group('team', 'alice', 'bob', 'carol')
    world.member('team', 'dave', 1)
    world.member('team', 'carol', 0)
    realtime(alice, '#team')
    const token = bob.last('realtimeDeliver')?.token ?? 0
    for (const client of [carol, dave, second]) client.say({ kind: 'realtimeAck', token })
    world.settle()
    expect(alice.all('realtimeResult')).toEqual([])
    bob.say({ kind: 'realtimeAck', token })
    world.settle()
    expect(alice.last('realtimeResult')).toMatchObject({ status: 4 })
  })

  it('[I9] presence, typing and real-time messages need the right to send', () => {
    const world = new World()
    const [alice, bob, carol] = [world.online('alice'), world.online('bob'), world.online('carol')]
    world.group('team', 'alice', 'bob')
    bob.block('alice')
    expect(realtime(alice, 'bob')).toBe('12')
    expect(realtime(carol, '#team')).toBe('13')
    alice.say({ kind: 'typing', toKind: 0, to: 'bob', isActive: true })
    bob.say({ kind: 'typing', toKind: 0, to: 'alice', isActive: true })
    bob.say({ kind: 'typing', toKind: 0, to: 'carol', isActive: true })
    alice.say({ kind: 'watch', users: ['bob', 'carol', 'nobody'], isOn: true })
    world.settle()
    expect([bob.all('typingEvent').length, alice.all('typingEvent').length, carol.all('typingEvent').length]).toEqual([0, 0, 1])
    expect(alice.all('presence').map(({ user, state }) => [user, state])).toEqual([
      ['bob', 2],
      ['carol', 1],
      ['nobody', 2],
    ])
    carol.disconnect()
    world.settle()
    expect(alice.last('presence')).toMatchObject({ user: 'carol', state: 0 })
  })

  it('[I9] presence is not told to whom one has blocked, not even that it changed, and is again when the block is lifted', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const states = (): number[] => alice.all('presence').map(({ state }) => state)
    alice.say({ kind: 'watch', users: ['nobody', 'bob'], isOn: true })
    bob.block('alice')
    bob.block('alice')
    expect(states()).toEqual([2, 1, 2])
    bob.disconnect()
    world.settle()
    bob.reconnect()
    world.settle()
    expect(states()).toEqual([2, 1, 2])
    bob.request({ kind: 'block', request: 9, user: 'alice', isBlocked: false })
    world.settle()
    expect(states()).toEqual([2, 1, 2, 1])
  })
})

describe('what an operator submits', () => {
  it('is answered once it is flushed and applied', () => {
    const world = new World()
    const answers: unknown[] = []
    world.isFlushing = false
    world.host.submit(
      (origin) => ({ kind: 'userCreate', ...origin, user: 'bob' }),
      0,
      (answer) => answers.push(answer),
    )
    world.settle()
    expect(answers).toEqual([])
    world.isFlushing = true
    world.settle()
    world.host.submit(
      (origin) => ({ kind: 'userCreate', ...origin, user: 'bob' }),
      0,
      (answer) => answers.push(answer),
    )
    world.settle()
    expect(answers).toEqual([
      { kind: 'reply', code: 0, value: 0x100_0000_0001, isNew: true },
      { kind: 'reply', code: 0, value: 0x100_0000_0001, isNew: false },
    ])
    expect(world.deleteUser('nobody')).toBe(44)
  })
})
