import { decodeClientMessage, type ServerPacketOf } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { tables } from '../../src/machine/rows.ts'
import { deliver, draft, Rig, welcome } from './rig.ts'

const groups = (rig: Rig): unknown => rig.answer(rig.ask({ kind: 'groups' }))
const rights = (rig: Rig): unknown[] => rig.notices('group').map(({ rights: { group, roles } }) => [group, roles])
const team = (roles: number, group = 'team', identity = 300) => ({ identity, group, roles })
/** How many packets each message to the server has. */
const written = (rig: Rig): number[] => rig.all('write').map(({ bytes }) => decodeClientMessage(bytes).length)

describe('the groups of the user', () => {
  it('are listed by name, with the rights that WELCOME and GROUP say', () => {
    const rig = new Rig().live({ groups: [team(3), team(1, 'crew', 301), team(7, 'zoo', 302)] })
    rig.say({ kind: 'group', ...team(2, 'judo', 303) }, { kind: 'group', ...team(0, 'zoo', 302) })
    const list = [
      { group: 'crew', roles: 1 },
      { group: 'judo', roles: 2 },
      { group: 'team', roles: 3 },
    ]
    expect(groups(rig)).toEqual({ kind: 'groups', groups: list })
    expect(rights(rig)).toEqual([
      ['team', 3],
      ['crew', 1],
      ['zoo', 7],
      ['judo', 2],
      ['zoo', 0],
    ])
  })

  it('are told, and their names stored, where something changed', () => {
    const rig = new Rig().live({ groups: [team(3)] })
    expect(rig.disk.count(tables.group)).toBe(1)
    rig.clear()
    rig.say({ kind: 'group', ...team(3) })
    expect(rig.effects).toEqual([])
    rig.say({ kind: 'group', ...team(3, 'crew') })
    expect([rights(rig), groups(rig)]).toMatchObject([[], { groups: [{ group: 'crew' }] }])
    expect(rig.all('commit')).toHaveLength(1)
  })

  it('are known by name after a restart, too, and else by their number', () => {
    const { disk } = new Rig().live({ groups: [team(3)] })
    const rig = new Rig(disk).live()
    rig.say(deliver(1, { log: 300 }), deliver(1, { log: 301, id: 7n }))
    expect(rig.notices('message').map(({ entry }) => entry.to)).toEqual(['team', '#301'])
    expect(groups(rig)).toEqual({ kind: 'groups', groups: [] })
  })
})

describe('a real-time message', () => {
  const packet = (token: number): ServerPacketOf<'realtimeDeliver'> => ({
    kind: 'realtimeDeliver',
    token,
    sender: 200,
    senderName: 'bob',
    toKind: 0,
    to: 'alice',
    id: 5n,
    type: 1,
    priority: 0,
    timeMs: 1_800_000_000_000,
    body: Uint8Array.of(1, 2),
  })

  it('is handed to the app, and then acknowledged where that is wanted', () => {
    const rig = new Rig().live()
    rig.say(packet(9), packet(0))
    const { kind: _, token, ...entry } = packet(9)
    expect(rig.notices('realtime')).toMatchObject([{ entry }, { entry }])
    expect(rig.sent('realtimeAck')).toEqual([{ kind: 'realtimeAck', token }])
  })
})

describe('a message of the server that is out of place', () => {
  const fault = (rig: Rig): unknown => ('fault' in rig.machine.connection ? rig.machine.connection.fault : undefined)

  it('is named by what is missing before it', () => {
    const rig = new Rig().live()
    rig.say(deliver(3))
    const message = 'The connection is broken: an entry is missing before 3 of lane 8 of log 100.'
    expect(fault(rig)).toEqual({ code: 'protocol-error', message, retryable: true })
  })

  it('breaks the connection before WELCOME, and nothing that follows in it is taken', () => {
    const rig = new Rig().open()
    rig.greet()
    rig.say(deliver(1), { ...welcome, serverTimeMs: rig.serverMs })
    const message = 'The connection is broken: deliver came before WELCOME.'
    expect([rig.machine.connection.status, fault(rig)]).toEqual(['waiting', { code: 'protocol-error', message, retryable: true }])
  })

  it('is nothing to a client that is closing', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.send()
    rig.ask({ kind: 'close' })
    rig.say(deliver(3))
    expect(rig.all('closeSocket')).toEqual([])
    rig.release()
    expect(rig.last('closeSocket').closeCode).toBe(1_000)
  })

  it('is told to be unreadable where it is', () => {
    const rig = new Rig().live()
    rig.step({ kind: 'socketMessage', socket: rig.socket, bytes: null })
    expect(rig.machine.connection).toMatchObject({ status: 'waiting', fault: { retryable: true } })
    expect(fault(rig)).toMatchObject({ message: expect.stringMatching(/^The server's message can't be read: ./) })
  })
})

describe('what is written in one step', () => {
  it('goes out in messages of 1,024 packets at most [I10]', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    for (let sender = 1; sender <= 1_025; sender++) {
      rig.ask({ kind: 'markRead', position: { epoch: 7, log: 100, lane: 8, seq: 1 }, sender, count: 1 })
    }
    rig.isHolding = false
    rig.release()
    rig.clear()
    rig.say(deliver(1))
    expect(written(rig)).toEqual([1_024, 2])
  })

  it('goes out in messages that end with the packet that reaches 32 KiB [I10]', () => {
    const lengths = (bytes: number): number[] => {
      const rig = new Rig().live()
      rig.clear()
      const drafts = [bytes, 10].map((length, at) => draft({ id: BigInt(at + 1), body: new Uint8Array(length) }))
      rig.ask({ kind: 'send', drafts })
      return rig.all('write').map((effect) => effect.bytes.length)
    }
    const [whole = 0] = lengths(32_000)
    const [alone = 0] = lengths(40_000)
    const overhead = alone - 40_000
    expect(whole).toBeGreaterThan(32_000 + 2 * overhead)
    expect(lengths(32_768 - overhead)).toHaveLength(2)
    expect(lengths(32_767 - overhead)).toHaveLength(1)
  })
})
