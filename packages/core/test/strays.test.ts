import { codeByNumber } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
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
