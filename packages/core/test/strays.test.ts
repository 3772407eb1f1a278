import { codeByNumber } from '@posthaste/protocol'
import { describe, expect, it, vi } from 'vitest'
import { decodeRecord, MemoryTables, Shard } from '../src/index.ts'
import { type Command, decodeCommand, encodeCommand } from '../src/shard/commands.ts'
import { World } from './harness.ts'

const realtime = (toKind: 0 | 1, to: string, id: bigint) =>
  ({ kind: 'realtime', request: 1, toKind, to, id, type: 0, priority: 0, body: Uint8Array.of(1) }) as const

/** The results of real-time messages that a client was told. */
function resultsOf(client: ReturnType<World['online']>): string[] {
  return client.all('realtimeResult').map(({ status }) => codeByNumber(status).name)
}

describe('what is sent to nobody, by nobody, or twice', () => {
  it('[I9] real-time messages are refused to nobody, and to a group that the sender may not send to', () => {
    const world = new World()
    const [alice] = [world.online('alice'), world.online('bob')]
    world.group('team', 'bob', 'alice')
    world.member('team', 'alice', 2)
    for (const packet of [realtime(0, 'nobody', 1n), realtime(1, 'team', 2n)]) {
      alice.say(packet)
      world.settle()
    }
    expect(resultsOf(alice)).toEqual(['invalid-destination', 'not-allowed'])
  })

  it('a real-time message with id 0 has no result, whatever becomes of it', () => {
    const world = new World()
    const alice = world.online('alice')
    alice.say(realtime(0, 'nobody', 0n))
    world.settle()
    expect(resultsOf(alice)).toEqual([])
  })

  it('a real-time message that nobody confirms is unknown, once its time is over and not before', () => {
    const world = new World({ limits: { realtimeMs: 5_000 } })
    const [alice] = [world.online('alice'), world.online('bob')]
    alice.say(realtime(0, 'bob', 1n))
    world.settle()
    world.pass(4_900)
    expect(resultsOf(alice)).toEqual([])
    world.pass(200)
    expect(resultsOf(alice)).toEqual(['unknown'])
  })

  it('who watches no longer is told nothing more of it, whether there is such a user or not', () => {
    const world = new World()
    const [alice] = [world.online('alice'), world.online('bob')]
    alice.say({ kind: 'watch', users: ['nobody', 'bob'], isOn: true })
    world.settle()
    expect(alice.all('presence').map(({ user, state }) => [user, state])).toEqual([
      ['nobody', 2],
      ['bob', 1],
    ])
    alice.say({ kind: 'watch', users: ['nobody', 'bob'], isOn: false })
    world.settle()
    expect(alice.all('presence')).toHaveLength(2)
  })

  it('who watches a user that is not there yet, or is deleted and made again, sees it come', () => {
    const world = new World()
    const alice = world.online('alice')
    alice.say({ kind: 'watch', users: ['bob'], isOn: true })
    world.online('bob')
    world.deleteUser('bob')
    world.pass(1)
    world.online('bob')
    expect(alice.all('presence').map(({ state }) => state)).toEqual([2, 1, 2, 1])
  })

  it('who watches more users than a session may is told nothing of them [I10]', () => {
    const world = new World({ limits: { watchesPerSession: 1 } })
    const alice = world.online('alice')
    for (const user of ['bob', 'carol']) world.online(user)
    alice.say({ kind: 'watch', users: ['bob', 'carol'], isOn: true })
    world.settle()
    expect(alice.all('presence').map(({ user, state }) => [user, state])).toEqual([
      ['bob', 1],
      ['carol', 2],
    ])
  })

  it('a lane that HELLO names twice begins where it says first', () => {
    const world = new World()
    const bob = world.online('bob')
    const alice = world.online('alice')
    for (const id of [1n, 2n]) alice.verdict('bob', { id })
    const cursor = { log: bob.identity, lane: 8, notStored: [] }
    bob.disconnect()
    bob.connect('bob', { cursors: [2, 0].map((seq) => ({ ...cursor, seq })) })
    world.settle()
    expect([...bob.all('deliver'), ...bob.all('skip')]).toEqual([])
  })

  it('a connection ends with the code of a token that is not valid, and one that says nothing in time', () => {
    const world = new World()
    world.host.edge.verify = () => undefined
    const alice = world.client('alice')
    alice.connect()
    const silent = world.newConnection(world.client('nobody'))
    world.settle()
    world.host.verified(alice.connection, { isOk: false, code: 'token-expired', text: 'it was for yesterday' }, world.nowMs)
    world.settle()
    expect([alice.error, alice.last('error')?.text]).toEqual(['token-expired', 'it was for yesterday'])
    world.pass(9_900)
    expect(world.closes.get(silent)).toBe(undefined)
    world.pass(1_000)
    expect(world.closes.get(silent)).toBe('auth-timeout')
  })

  it('a token that is verified twice begins one session', () => {
    const world = new World()
    world.host.edge.verify = () => undefined
    const alice = world.client('alice')
    alice.connect()
    world.settle()
    const verified = { isOk: true, user: 'alice', issuedAtMs: world.nowMs, expiresAtMs: 0 } as const
    for (const _ of [1, 2]) world.host.verified(alice.connection, verified, world.nowMs)
    world.settle()
    expect([alice.all('welcome').length, alice.error]).toEqual([1, ''])
  })

  it('a fault of the surroundings is not taken for one of the client', () => {
    const world = new World()
    const [alice] = [world.online('alice'), world.online('bob')]
    world.host.edge.hash = () => {
      throw new Error('the hash failed')
    }
    alice.send('bob')
    expect(() => world.settle()).toThrow('the hash failed')
  })

  it('an ACK of a log that the session does not read is nothing', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const position = world.shards[0]?.position
    bob.say({ kind: 'ack', log: alice.identity, lane: 8, upTo: 1, notStored: [{ from: 1, to: 1 }] })
    world.settle()
    expect([bob.phase, bob.all('acked'), world.shards[0]?.position]).toEqual(['live', [], position])
  })

  it('[I1] cursors of a log that is not its own, and of a lane that never was, say nothing', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    bob.disconnect()
    alice.verdict('bob', { id: 1n, priority: 3 })
    const cursor = { lane: 3, seq: 1, notStored: [] }
    bob.connect('bob', {
      cursors: [
        { ...cursor, log: alice.identity },
        { ...cursor, log: bob.identity, lane: 4, seq: 7 },
      ],
    })
    world.settle()
    alice.verdict('alice', { id: 2n })
    alice.verdict('bob', { id: 3n, priority: 4 })
    expect([bob.bodies, alice.query('bob', 1n), alice.query('bob', 3n)]).toEqual([['m1', 'm3'], 'delivered', 'delivered'])
  })

  it('a result for a connection that is gone is for nobody', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.isFlushing = false
    const sent = alice.send('bob')
    world.settle()
    alice.disconnect()
    world.isFlushing = true
    world.settle()
    expect([sent.status, bob.bodies]).toEqual(['', ['m1']])
  })

  it('a sender that has gone is told nothing of its real-time messages', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    alice.say(realtime(0, 'bob', 1n))
    alice.say(realtime(0, 'alice', 2n))
    world.settle()
    const token = bob.last('realtimeDeliver')?.token ?? 0
    const expected = ['expired']
    expect(resultsOf(alice)).toEqual(expected)
    alice.disconnect()
    bob.say({ kind: 'realtimeAck', token })
    world.settle()
    alice.connect()
    world.settle()
    alice.say(realtime(0, 'bob', 3n))
    world.settle()
    alice.disconnect()
    world.pass(60_000)
    expect([resultsOf(alice), bob.all('realtimeDeliver').length]).toEqual([[], 2])
  })

  it('who watches a user twice is told once', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    for (const _ of [1, 2]) alice.say({ kind: 'watch', users: ['bob'], isOn: true })
    world.settle()
    bob.disconnect()
    world.settle()
    expect(alice.all('presence').map(({ state }) => state)).toEqual([1, 1, 0])
  })

  it('rights that change twice in one record attach a group once', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.group('team', 'alice')
    world.isFlushing = false
    for (const roles of [3, 7]) {
      const set = { kind: 'memberSet', tag: 0, ref: 0, group: 'team', user: 'bob', roles, by: 0 } as const
      world.host.batchers[0]?.submit(set)
    }
    world.isFlushing = true
    world.settle()
    alice.verdict('#team')
    expect([bob.all('group').map(({ roles }) => roles), bob.all('deliver').length]).toEqual([[3, 7], 1])
  })

  it('a group that is made by a user who is being deleted has no member', () => {
    const world = new World()
    const alice = world.online('alice')
    world.isFlushing = false
    world.host.batchers[0]?.submit({ kind: 'userDelete', tag: 0, ref: 0, user: 'alice', validAfterMs: 0 })
    alice.say({ kind: 'groupCreate', request: 1, group: 'team' })
    world.settle()
    world.isFlushing = true
    world.settle()
    const { queries } = world.host
    expect(queries.members(queries.identityOf(1, 'team'), '', 9)).toEqual([])
    expect(queries.membershipsOf(alice.identity)).toEqual([])
  })

  it('what fills a write leaves nothing for the end of the turn', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const { write } = world.host.edge
    const sizes: number[] = []
    world.host.edge.write = (connection, bytes) => {
      if (connection === bob.connection) sizes.push(bytes.length)
      write(connection, bytes)
    }
    alice.verdict('bob', { bodyBytes: 65_536 })
    expect(sizes).toHaveLength(1)
    expect(sizes[0]).toBeGreaterThan(65_536)
  })

  it('a message that an operator sends is answered to the operator', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const { kind: _kind, ...message } = alice.compose('bob', { id: 5n }, 0)
    const who = { sender: alice.identity, senderName: 'alice', device: '', isTooLarge: false, hash: '0'.repeat(16) }
    const code = world.operate(0, (origin) => ({ kind: 'send', ...message, ...who, ...origin }))
    expect([codeByNumber(code).name, bob.bodies, alice.all('result')]).toEqual(['sent', ['m5'], []])
  })

  it('[I10] who blocks somebody costs no more for all that they watch, and tells them what they watch of it', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    const names = Array.from({ length: 100 }, (_, number) => `nobody-${number}`)
    bob.say({ kind: 'watch', users: [...names, 'alice'], isOn: true })
    world.settle()
    const lookUps = vi.spyOn(world.host.queries, 'identityOf')
    const block = (isBlocked: boolean): void => alice.say({ kind: 'block', request: 1, user: 'bob', isBlocked })
    for (const isBlocked of [true, false]) {
      block(isBlocked)
      world.settle()
    }
    expect(lookUps.mock.calls.length).toBeLessThan(20)
    const told = bob.all('presence').filter(({ user }) => user === 'alice')
    expect(told.slice(-2).map(({ state }) => state)).toEqual([2, 1])
  })

  it('who blocks themselves is refused: it would be heard by nobody else', () => {
    const world = new World()
    const alice = world.online('alice')
    alice.say({ kind: 'block', request: 1, user: 'alice', isBlocked: true })
    world.settle()
    expect(codeByNumber(alice.all('reply').at(-1)?.code ?? 0).name).toBe('invalid-destination')
    expect(world.host.queries.isBlocked(alice.identity, alice.identity)).toBe(false)
  })

  it('a user that was deleted meanwhile blocks nobody', () => {
    const world = new World()
    const { identity: user } = world.online('alice')
    const block = (): number =>
      world.operate(0, (origin) => ({ kind: 'block', ...origin, user, target: 99, targetName: 'bob', isBlocked: true }))
    expect(block()).toBe(0)
    world.deleteUser('alice')
    expect(codeByNumber(block()).name).toBe('not-found')
  })

  it('who comes and goes more often than eight times loses what came in the oldest stays', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.group('team', 'alice')
    bob.disconnect()
    for (let id = 1n; id <= 9n; id++) {
      world.member('team', 'bob', 3)
      alice.verdict('#team', { id })
      world.member('team', 'bob', 0)
    }
    world.member('team', 'bob', 3)
    bob.reconnect()
    expect(bob.bodies).toEqual(['m3', 'm4', 'm5', 'm6', 'm7', 'm8', 'm9'])
  })
})

describe('what comes from an earlier time', () => {
  it('[I6] is not told: counts of a message to a group that waited while its sender was away', () => {
    const world = new World()
    const [alice, bob] = [world.online('alice'), world.online('bob')]
    world.group('team', 'alice', 'bob')
    for (const id of [1n, 2n]) {
      alice.verdict('#team', { id })
      // The counts of the first are told, so that those of the second wait.
      world.pass(120)
    }
    alice.disconnect()
    for (const entry of bob.inbox) bob.read(entry)
    world.settle()
    alice.reconnect()
    expect(alice.queryState('#team', 2n)).toMatchObject({ delivered: 1, read: 1 })
    world.pass(300)
    expect(alice.all('counts')).toEqual([])
  })

  /** A shard that has begun an epoch, and applies one command a record. */
  function shardOf(epoch: number): { readonly shard: Shard; readonly apply: (command: Command) => ReturnType<Shard['apply']> } {
    const shard = new Shard(0, 2, new MemoryTables())
    let number = 0
    const apply = (command: Command): ReturnType<Shard['apply']> => {
      number += 1
      return shard.apply(number, {
        clockMs: number,
        incarnation: Math.max(1, shard.state.meta.incarnation),
        number,
        commands: [command],
      })
    }
    apply({ kind: 'begin', incarnation: 1, epoch, shards: 2 })
    return { shard, apply }
  }

  it('[I12] a command that another shard forwarded in an older epoch is neither applied nor confirmed', () => {
    const { apply, shard } = shardOf(2)
    const forwarded = (epoch: number, number: number, user: string): Command => {
      const command = encodeCommand({ kind: 'userCreate', tag: 0, ref: 0, user })
      return { kind: 'forwarded', source: 1, epoch, number, command }
    }
    expect(apply(forwarded(2, 1, 'new')).forwardsApplied).toEqual([{ source: 1, number: 1 }])
    expect(apply(forwarded(1, 2, 'old')).forwardsApplied).toEqual([])
    expect(['new', 'old'].map((user) => shard.state.addresses.get(0, user) !== undefined)).toEqual([true, false])
  })

  it('[I12] what was confirmed in an older epoch still waits in this one', () => {
    const { apply, shard } = shardOf(2)
    // A group whose name belongs to the other shard is made by a user of this one.
    for (let at = 0; shard.state.forwards.scan(1, 0, undefined, 9).length === 0; at++)
      apply({ kind: 'groupCreate', tag: 0, ref: 0, group: `g${at}`, by: 2, byName: 'alice' })
    apply({ kind: 'forwardDone', target: 1, epoch: 1, number: 1 })
    expect(shard.state.forwards.scan(1, 0, undefined, 9)).toHaveLength(1)
    apply({ kind: 'forwardDone', target: 1, epoch: 2, number: 1 })
    expect(shard.state.forwards.scan(1, 0, undefined, 9)).toEqual([])
  })

  it('an echo for who is no more, or after its deadline, is not stored', () => {
    const { apply, shard } = shardOf(1)
    const session = {
      kind: 'session',
      tag: 0,
      ref: 0,
      user: 'alice',
      issuedAtMs: 9,
      session: 1,
      epoch: 1,
      log: 0,
      cursors: [],
    } as const
    for (const digit of ['1', '2']) apply({ ...session, device: digit.repeat(32) })
    const sender = shard.state.addresses.get(0, 'alice')?.identity ?? 0
    const echo = {
      kind: 'echo',
      sender,
      device: '1'.repeat(32),
      toKind: 0,
      to: 'bob',
      type: 0,
      priority: 8,
      body: Uint8Array.of(1),
    } as const
    const stored = (): number => shard.state.entries.scan(sender, 0, undefined, 9).length
    apply({ ...echo, id: 1n, deadlineMs: 5 })
    apply({ ...echo, id: 2n, deadlineMs: 1_000, sender: 999 })
    expect(stored()).toBe(0)
    apply({ ...echo, id: 3n, deadlineMs: 1_000 })
    expect(stored()).toBe(1)
    const who = { tag: 0, ref: 0, sender: 998, senderName: 'nobody', receipts: true, isTooLarge: false, hash: '' }
    apply({ ...echo, ...who, kind: 'send', to: 'alice', id: 9n, deadlineMs: 1_000 })
    expect(stored()).toBe(2)
    apply({ kind: 'userDelete', tag: 0, ref: 0, user: 'alice', validAfterMs: 0 })
    apply({ ...echo, id: 4n, deadlineMs: 1_000 })
    expect(stored()).toBe(0)
  })

  it('a word of rights reaches nobody once the user has ended', () => {
    const { apply, shard } = shardOf(1)
    const change = { kind: 'membership', user: 99, group: 5, groupName: 'team' } as const
    expect(apply({ ...change, roles: 3 }).memberships).toEqual([])
    expect(apply({ ...change, roles: 0 }).memberships).toHaveLength(1)
    expect(shard.state.memberships.scan(99, 0, undefined, 9)).toEqual([])
  })

  it('[I3] an older session of a device does not take its place in a group from a newer one', () => {
    const { apply, shard } = shardOf(1)
    const device = '1'.repeat(32)
    apply({ kind: 'groupCreate', tag: 0, ref: 0, group: 'team', by: 0, byName: '' })
    const group = shard.state.addresses.get(1, 'team')?.identity ?? 0
    apply({ kind: 'memberJoin', tag: 0, ref: 0, group: 'team', user: 8, userName: 'bob', roles: 3, by: 0, isFull: false })
    const attach = { kind: 'attach', tag: 7, ref: 0, group, user: 8, device, epoch: 1, cursors: [], devices: [device] } as const
    const attached = [2, 1, 2, 3].map((session) => apply({ ...attach, session }).sessions.length)
    expect(attached).toEqual([1, 0, 1, 1])
    expect(shard.state.members.get(group, 8)?.devices.map(({ session }) => session)).toEqual([3])
  })

  it('[I10] of incarnations the last 64 are remembered', () => {
    const { apply, shard } = shardOf(1)
    for (let incarnation = 2; incarnation <= 70; incarnation++) apply({ kind: 'begin', incarnation, epoch: 1, shards: 2 })
    expect(shard.state.meta.began.map((one) => one.incarnation)).toEqual(Array.from({ length: 64 }, (_, at) => at + 7))
  })

  it('bytes of a command that there never was are refused', () => {
    expect(() => decodeCommand(Uint8Array.of(0x91, 0x7f))).toThrow('no such command')
    expect(() => decodeRecord(Uint8Array.of(0x95, 1, 1, 1, 1, 0x91, 0x91, 0x7f))).toThrow('no such command')
  })
})
