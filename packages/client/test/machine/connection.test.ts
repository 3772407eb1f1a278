import { encodeServerMessage } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { connectionTable, stateNames } from '../../src/machine/connection.ts'
import type { MachineEvent } from '../../src/machine/events.ts'
import { code, deliver, Disk, draft, Rig, serverStartMs, welcome } from './rig.ts'

/** How to bring a machine into each of the connection's states. */
const ways: Record<(typeof stateNames)[number], () => Rig> = {
  idle: () => new Rig(),
  opening: () => {
    const rig = new Rig()
    rig.step({ kind: 'start' })
    return rig
  },
  preparing: () => new Rig().open(),
  connecting: () => {
    const rig = new Rig().open()
    rig.takeToken()
    return rig
  },
  greeting: () => {
    const rig = new Rig().open()
    rig.greet()
    return rig
  },
  live: () => new Rig().live(),
  waiting: () => {
    const rig = new Rig().live()
    rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
    return rig
  },
  closing: () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.send()
    rig.ask({ kind: 'close' })
    return rig
  },
  ended: () => {
    const rig = new Rig().open()
    rig.refuseToken(true)
    return rig
  },
}

/** Every event, as it may come at any time. */
function eventsFor(rig: Rig): MachineEvent[] {
  const socket = rig.socket
  const fault = { code: 'x', message: 'x', retryable: true }
  const bytes = encodeServerMessage([deliver(1)])
  const timers = [
    'connection',
    'heartbeat',
    'renew',
    'resume',
    'outbox',
    'handlers',
    'typing',
    'keys',
    'store',
    'realtime',
  ] as const
  return [
    { kind: 'start' },
    { kind: 'opened', rows: [], newDevice: new Uint8Array(16) },
    { kind: 'openFailed', fault },
    { kind: 'token', attempt: 1, token: 't', subject: 'alice' },
    { kind: 'tokenFailed', attempt: 1, fault, isTerminal: false },
    { kind: 'socketOpened', socket },
    { kind: 'socketClosed', socket, closeCode: 1_006 },
    { kind: 'socketClosed', socket: socket - 1, closeCode: 4_070 },
    { kind: 'socketMessage', socket, bytes },
    { kind: 'socketMessage', socket, bytes: null },
    { kind: 'socketMessage', socket, bytes: encodeServerMessage([welcome]) },
    {
      kind: 'socketMessage',
      socket,
      bytes: encodeServerMessage([{ kind: 'error', code: code('busy'), retryAfterMs: 5, text: '' }]),
    },
    { kind: 'found', lookup: 1, values: [new Uint8Array([1])] },
    { kind: 'scanned', rows: [] },
    { kind: 'readFailed', fault },
    ...timers.map((timer) => ({ kind: 'timer', timer }) as const),
    { kind: 'wake' },
    { kind: 'ask', call: 900, ask: { kind: 'send', drafts: [draft()] } },
    { kind: 'ask', call: 901, ask: { kind: 'realtime', draft: draft() } },
    { kind: 'ask', call: 902, ask: { kind: 'find', toKind: 0, to: 'bob', id: 1n } },
    { kind: 'ask', call: 903, ask: { kind: 'groups' } },
    { kind: 'ask', call: 904, ask: { kind: 'request', request: { kind: 'groupCreate', group: 'team' } } },
    { kind: 'ask', call: 905, ask: { kind: 'close' } },
    { kind: 'abort', call: 904 },
    { kind: 'receive', positions: [], isBatched: false },
    { kind: 'handlerDone', run: 1 },
    { kind: 'handlerFailed', run: 1, decision: 'stop' },
    { kind: 'sendOnce', draft: draft({ id: 0n }) },
    { kind: 'typing', toKind: 0, to: 'bob', isActive: true },
    { kind: 'watch', users: ['bob'], isOn: true },
  ]
}

describe('the connection', () => {
  it.each(stateNames)('has a row for every input in the state %s, and bears every event in it', (state) => {
    const count = eventsFor(ways[state]()).length
    for (let at = 0; at < count; at++) {
      const rig = ways[state]()
      const event = eventsFor(rig)[at]
      if (event !== undefined) rig.step(event)
      rig.release()
      expect(['idle', 'connecting', 'live', 'waiting', 'ended']).toContain(rig.machine.connection.status)
    }
    for (const row of Object.values(connectionTable)) expect(row).toHaveLength(stateNames.length)
  })

  it('sends HELLO only once the session number is stored, which grows over restarts', () => {
    const rig = new Rig()
    rig.isHolding = true
    rig.open()
    rig.takeToken()
    expect(rig.all('openSocket')).toEqual([])
    rig.release()
    rig.step({ kind: 'socketOpened', socket: rig.socket })
    expect(rig.lastPacket('hello')).toMatchObject({ session: 1, epoch: 0, cursors: [] })
    const restarted = new Rig(rig.disk).open()
    const hello = restarted.greet()
    expect(hello.session).toBe(2)
    expect(hello.device).toEqual(rig.lastPacket('hello').device)
  })

  it('backs off with full jitter, from 100 ms doubling to 30 s', () => {
    const rig = new Rig().open()
    const delays: number[] = []
    for (let attempt = 0; attempt < 11; attempt++) {
      rig.refuseToken(false)
      const { delayMs } = rig
        .all('setTimer')
        .filter(({ timer }) => timer === 'connection')
        .at(-1) ?? { delayMs: -1 }
      delays.push(delayMs)
      rig.step({ kind: 'timer', timer: 'connection' })
    }
    // The random fraction is one half.
    expect(delays).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 6_400, 12_800, 15_000, 15_000])
  })

  it('begins again with the shortest wait after a session that held', () => {
    const rig = new Rig().live()
    rig.reconnect()
    rig.reconnect()
    rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
    expect(rig.machine.connection).toMatchObject({ retryInMs: 200 })
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live()
    rig.advance(10_000)
    rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
    expect(rig.machine.connection).toMatchObject({ retryInMs: 50 })
  })

  it('waits at least as long as the server asks, also when the network comes back', () => {
    const rig = new Rig().live()
    rig.say({ kind: 'error', code: code('shutting-down'), retryAfterMs: 5_000, text: '' })
    expect(rig.machine.connection).toMatchObject({ status: 'waiting', retryInMs: 5_050, fault: { code: 'shutting-down' } })
    rig.advance(1_000)
    rig.step({ kind: 'wake' })
    expect(rig.all('setTimer').at(-1)).toMatchObject({ timer: 'connection', delayMs: 4_000 })
  })

  it.each(['replaced', 'stale-session', 'token-invalid', 'version-unsupported', 'user-removed', 'too-many-devices'] as const)(
    'ends for good at %s, by ERROR or by the close code alone',
    (name) => {
      const told = new Rig().live()
      told.say({ kind: 'error', code: code(name), retryAfterMs: 0, text: '' })
      const cut = new Rig().live()
      cut.step({ kind: 'socketClosed', socket: cut.socket, closeCode: 4_000 + code(name) })
      for (const rig of [told, cut]) {
        expect(rig.machine.connection).toMatchObject({ status: 'ended', fault: { code: name, retryable: false } })
        expect(rig.answer(rig.send())).toMatchObject({ kind: 'fault', fault: { code: name } })
      }
    },
  )

  it('does not come back by itself after a code that it does not know', () => {
    const told = new Rig().live()
    told.say({ kind: 'error', code: 555, retryAfterMs: 0, text: 'Gone for good.' })
    const cut = new Rig().live()
    cut.step({ kind: 'socketClosed', socket: cut.socket, closeCode: 4_555 })
    for (const rig of [told, cut]) {
      expect(rig.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'unrecognised', retryable: false } })
    }
  })

  it('comes back with a fresh token at token-expired, but not with the only one there is', () => {
    const rig = new Rig().live()
    rig.say({ kind: 'error', code: code('token-expired'), retryAfterMs: 0, text: '' })
    expect(rig.machine.connection.status).toBe('waiting')
    const fixed = new Rig(new Disk(), {}, true).live()
    fixed.say({ kind: 'error', code: code('token-expired'), retryAfterMs: 0, text: '' })
    expect(fixed.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'token-expired' } })
  })

  it('ends when the token function refuses, and only then', () => {
    const rig = new Rig().open()
    rig.refuseToken(false)
    expect(rig.machine.connection.status).toBe('waiting')
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.refuseToken(true)
    expect(rig.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'token-refused' } })
  })

  it('refuses another user’s token, before the server hears of it where that can be seen', () => {
    const rig = new Rig().live()
    const seen = new Rig(rig.disk).open()
    seen.takeToken('mallory')
    expect(seen.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'wrong-user' } })
    expect(seen.all('openSocket')).toEqual([])
    const opaque = new Rig(rig.disk).open()
    opaque.greet()
    opaque.say({ ...welcome, user: 'mallory' })
    expect(opaque.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'wrong-user' } })
  })

  it('sends PING after a silence, and gives up after two', () => {
    const rig = new Rig().live({ heartbeatMs: 1_000 })
    rig.advance(1_000)
    rig.step({ kind: 'timer', timer: 'heartbeat' })
    expect(rig.sent('ping')).toHaveLength(1)
    rig.advance(999)
    rig.step({ kind: 'timer', timer: 'heartbeat' })
    expect(rig.machine.connection.status).toBe('live')
    rig.advance(1)
    rig.step({ kind: 'timer', timer: 'heartbeat' })
    expect(rig.machine.connection).toMatchObject({ status: 'waiting', fault: { code: 'heartbeat-timeout' } })
  })

  it('stays as long as anything is heard', () => {
    const rig = new Rig().live({ heartbeatMs: 1_000 })
    for (let beat = 0; beat < 10; beat++) {
      rig.advance(1_000)
      rig.step({ kind: 'timer', timer: 'heartbeat' })
      rig.say({ kind: 'pong', clientTime: Math.floor(rig.monotonicMs), serverTimeMs: rig.serverMs })
    }
    expect(rig.machine.connection.status).toBe('live')
    expect(rig.sent('ping')).toHaveLength(10)
  })

  it('renews the token before it expires', () => {
    const rig = new Rig().live({ tokenExpiresMs: serverStartMs + 600_000 })
    const { delayMs } = rig.all('setTimer').find(({ timer }) => timer === 'renew') ?? { delayMs: 0 }
    expect(delayMs).toBeGreaterThan(500_000)
    expect(delayMs).toBeLessThan(600_000)
    rig.step({ kind: 'timer', timer: 'renew' })
    rig.takeToken('alice')
    expect(rig.sent('renew')).toHaveLength(1)
    rig.clear()
    rig.say({ kind: 'renewed', tokenExpiresMs: serverStartMs + 1_200_000 })
    expect(rig.all('setTimer')).toMatchObject([{ timer: 'renew' }])
  })

  it('acts on nothing of a message that can’t be read', () => {
    const rig = new Rig().live()
    const good = encodeServerMessage([deliver(1)])
    rig.step({ kind: 'socketMessage', socket: rig.socket, bytes: Uint8Array.of(...good, 0xc1) })
    expect(rig.machine.connection).toMatchObject({ status: 'waiting', fault: { code: 'malformed-packet' } })
    expect(rig.notices('message')).toEqual([])
  })

  it('ignores what an older socket still says', () => {
    const rig = new Rig().live()
    const old = rig.socket
    rig.reconnect()
    rig.step({ kind: 'socketMessage', socket: old, bytes: encodeServerMessage([deliver(1)]) })
    rig.step({ kind: 'socketClosed', socket: old, closeCode: 1_006 })
    expect(rig.notices('message')).toEqual([])
    expect(rig.machine.connection.status).toBe('live')
  })

  it('closes once everything is stored and acknowledged', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.say(deliver(1))
    const send = rig.send()
    const close = rig.ask({ kind: 'close' })
    expect(rig.all('closeStore')).toEqual([])
    rig.release()
    expect(rig.answer(send)).toMatchObject({ kind: 'sent' })
    expect(rig.sent('ack')).toHaveLength(1)
    expect(rig.last('closeSocket').closeCode).toBe(1_000)
    expect(rig.all('closeStore')).toHaveLength(1)
    expect(rig.answer(close)).toEqual({ kind: 'done' })
    expect(rig.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'closed' } })
  })

  it('closes a client that was never used without opening its store', () => {
    const rig = new Rig()
    expect(rig.answer(rig.ask({ kind: 'close' }))).toEqual({ kind: 'done' })
    expect(rig.all('open')).toEqual([])
  })

  it('stores what is done before it closes after the connection has ended', () => {
    const rig = new Rig().live()
    rig.receive()
    rig.say(deliver(1))
    rig.say({ kind: 'error', code: code('replaced'), retryAfterMs: 0, text: '' })
    rig.isHolding = true
    rig.step({ kind: 'handlerDone', run: 1 })
    const close = rig.ask({ kind: 'close' })
    expect(rig.answer(close)).toBeUndefined()
    rig.release()
    expect(rig.answer(close)).toEqual({ kind: 'done' })
  })
})
