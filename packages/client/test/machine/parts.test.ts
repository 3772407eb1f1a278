import { describe, expect, it } from 'vitest'
import { fingerprintOf } from '../../src/machine/outboxMessage.ts'
import { keyPart, keyRange, numberRow, rowKey, tables } from '../../src/machine/rows.ts'
import { ServerTime } from '../../src/machine/serverTime.ts'
import { deliver, Disk, Rig, serverStartMs, welcome } from './rig.ts'

const at = (monotonicMs: number, wallMs = monotonicMs) => ({ monotonicMs, wallMs, random: 0, isCongested: false })

describe('the server’s time', () => {
  it('lies between the answer and the answer plus the time it took', () => {
    const time = new ServerTime()
    time.sample(1_000, 50_000, at(1_100))
    expect(time.earliest(at(1_100))).toBe(50_000)
    expect(time.latest(at(1_100))).toBe(50_101)
    expect(time.middle(at(1_100))).toBe(50_051)
  })

  it('keeps the tightest bounds, widened by 200 ppm', () => {
    const time = new ServerTime()
    time.sample(1_000, 50_000, at(1_010))
    time.sample(11_000, 60_000, at(11_500))
    expect(time.latest(at(11_500)) - time.earliest(at(11_500))).toBeCloseTo(11 + 10_490 * 200e-6, 3)
  })

  it('takes a contradicting answer alone: the clock did not run meanwhile', () => {
    const time = new ServerTime()
    time.sample(1_000, 50_000, at(1_010))
    time.sample(2_000, 950_000, at(2_010))
    expect(time.earliest(at(2_010))).toBe(950_000)
    expect(time.latest(at(2_010))).toBe(950_011)
  })

  it('is bounded ever wider as time passes', () => {
    const time = new ServerTime()
    time.sample(1_000, 50_000, at(1_100))
    expect([time.earliest(at(11_100)), time.latest(at(11_100))]).toEqual([59_998, 60_103])
  })

  it('is known exactly where two answers just touch', () => {
    const time = new ServerTime()
    time.sample(1_000, 50_000, at(1_010))
    time.sample(1_000, 50_011, at(1_010))
    expect([time.earliest(at(1_010)), time.latest(at(1_010))]).toEqual([50_011, 50_011])
  })

  it('is not known, nor suspect, before the first answer, which counts alone', () => {
    const time = new ServerTime()
    expect([time.isKnown, time.answers, time.isSuspect(at(0, 5_000))]).toEqual([false, 0, false])
    time.sample(1_000, 1_050, at(1_100))
    expect([time.isKnown, time.answers, time.earliest(at(1_100)), time.latest(at(1_100))]).toEqual([true, 1, 1_050, 1_151])
  })

  it('is suspect once the wall clock gained more than two seconds', () => {
    const time = new ServerTime()
    time.sample(1_000, 50_000, at(1_010))
    expect([3_000, 3_001].map((wallMs) => time.isSuspect(at(1_000, wallMs)))).toEqual([false, true])
  })

  it('is suspect once the wall clock was set back by more than two seconds, whatever it shows later', () => {
    const isSuspect = [2_000, 2_001].map((backMs) => {
      const time = new ServerTime()
      time.sample(1_000, 50_000, at(1_010))
      time.observe(at(2_000, 2_000 - backMs))
      return time.isSuspect(at(3_000, 3_000 - backMs))
    })
    expect(isSuspect).toEqual([false, true])
  })

  it('is measured from the first request that has no answer, or from that of a new connection', () => {
    for (const isFirst of [undefined, true]) {
      const time = new ServerTime()
      time.sample(0, 50_000, at(10))
      time.asks(at(1_000))
      time.asks(at(2_000, 7_000), isFirst)
      time.sample(1_000, 52_000, at(2_010, 7_010))
      expect(time.isSuspect(at(2_020, 7_020))).toBe(isFirst === undefined)
    }
  })

  it('is bounded by the answers of one connection alone: another server’s clock may be ahead [I5]', () => {
    const rig = new Rig().live()
    const aheadMs = 40
    rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.greet()
    const serverTimeMs = rig.serverMs + aheadMs + 50
    rig.advance(100)
    rig.say({ ...welcome, serverTimeMs })
    // That server's clock has passed this deadline 10 ms ago.
    rig.say(deliver(1, { deadlineMs: rig.serverMs + aheadMs - 10 }))
    expect(rig.lastPacket('ack')).toMatchObject({ upTo: 1, notStored: [{ from: 1, to: 1 }] })
  })

  it('is suspect after the wall clock gained on the monotonic one, until the next answer', () => {
    const time = new ServerTime()
    time.sample(1_000, 50_000, at(1_010))
    expect(time.isSuspect(at(2_000, 4_100))).toBe(true)
    expect(time.isSuspect(at(2_000, 500))).toBe(false)
    time.asks(at(2_000, 4_100))
    time.sample(2_000, 53_000, at(2_010, 4_110))
    expect(time.isSuspect(at(2_020, 4_120))).toBe(false)
    expect(time.earliest(at(2_010))).toBe(53_000)
  })
})

describe('a sleep in which the monotonic clock stands still', () => {
  const sleepMs = 60_000
  /** The deadline has passed by the time of the wake-up. */
  const entry = deliver(1, { deadlineMs: serverStartMs + sleepMs / 2 })

  it('between HELLO and WELCOME does not make an entry seem in time [I5]', () => {
    const rig = new Rig().open()
    rig.greet()
    const serverTimeMs = rig.serverMs
    rig.wallMs += sleepMs
    rig.say({ ...welcome, serverTimeMs }, entry)
    expect(rig.sent('ack')).toEqual([])
    rig.say({ kind: 'pong', clientTime: Math.floor(rig.monotonicMs), serverTimeMs: serverTimeMs + sleepMs })
    expect(rig.lastPacket('ack')).toMatchObject({ upTo: 1, notStored: [{ from: 1, to: 1 }] })
  })

  it('between a PING and its answer has the time asked for once more [I5]', () => {
    const rig = new Rig().live()
    rig.wallMs += sleepMs
    rig.step({ kind: 'timer', timer: 'handlers' })
    rig.wallMs += sleepMs
    rig.say({ kind: 'pong', clientTime: Math.floor(rig.monotonicMs), serverTimeMs: rig.serverMs + sleepMs }, entry)
    expect(rig.sent('ping')).toHaveLength(2)
    expect(rig.sent('ack')).toEqual([])
  })

  it('is noticed after the wall clock was set back as far [I5]', () => {
    const rig = new Rig().live()
    rig.wallMs -= sleepMs
    rig.step({ kind: 'timer', timer: 'handlers' })
    rig.wallMs += sleepMs
    rig.say(entry)
    expect(rig.sent('ping')).toHaveLength(1)
    expect(rig.sent('ack')).toEqual([])
  })

  it('is noticed though the wall clock was set back by more meanwhile [I5]', () => {
    const rig = new Rig().live()
    rig.wallMs += sleepMs - 3_600_000
    rig.say(entry)
    expect(rig.sent('ping')).toHaveLength(1)
    expect(rig.sent('ack')).toEqual([])
    rig.say({ kind: 'pong', clientTime: Math.floor(rig.monotonicMs), serverTimeMs: rig.serverMs + sleepMs })
    expect(rig.lastPacket('ack')).toMatchObject({ upTo: 1, notStored: [{ from: 1, to: 1 }] })
  })

  it('is noticed where that was between a PING and its answer [I5]', () => {
    const rig = new Rig().live()
    rig.wallMs += sleepMs
    rig.step({ kind: 'timer', timer: 'handlers' })
    rig.wallMs += sleepMs - 3_600_000
    rig.say({ kind: 'pong', clientTime: Math.floor(rig.monotonicMs), serverTimeMs: rig.serverMs }, entry)
    expect(rig.sent('ping')).toHaveLength(2)
    expect(rig.sent('ack')).toEqual([])
  })
})

describe('rows', () => {
  it('have keys whose byte order is the order of their numbers', () => {
    const keys = [0, 255, 256, 2 ** 32, Number.MAX_SAFE_INTEGER].map((number) => rowKey(tables.outbox, number))
    expect(keys.map((key) => keyPart(key, 0))).toEqual([0, 255, 256, 2 ** 32, Number.MAX_SAFE_INTEGER])
    const texts = keys.map((key) => Buffer.from(key).toString('hex'))
    expect([...texts].sort()).toEqual(texts)
  })

  it('that can’t be read end the client instead of losing what they hold', () => {
    const rig = new Rig().live()
    rig.send()
    for (const key of rig.disk.rows.keys()) if (key.startsWith('02')) rig.disk.rows.set(key, Uint8Array.of(0xc0))
    const restarted = new Rig(rig.disk).open()
    expect(restarted.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'store-corrupt' } })
    expect(restarted.all('commit')).toEqual([])
  })

  it('of different bodies have different fingerprints', () => {
    const encoder = new TextEncoder()
    const prints = ['', 'a', 'b', 'ab', 'ba', 'hello', 'jello'].map((text) => fingerprintOf(encoder.encode(text)))
    expect(new Set(prints).size).toBe(7)
    for (const print of prints) expect(Number.isSafeInteger(print)).toBe(true)
  })
})

describe('the memory of keys', () => {
  it('forgets a key once its entry’s deadline has passed, and none before', () => {
    const rig = new Rig().live()
    rig.say(deliver(1, { deadlineMs: serverStartMs + 5_000 }), deliver(2, { deadlineMs: serverStartMs + 60_000 }))
    rig.advance(6_000)
    rig.step({ kind: 'timer', timer: 'keys' })
    expect(rig.last('scan')).toMatchObject({ from: keyRange.from, to: keyRange.to })
    const row = (id: bigint, deadlineMs: number) => [rowKey(tables.key, 100, 200, id), numberRow.write(deadlineMs)] as const
    rig.step({ kind: 'scanned', rows: [row(1_001n, serverStartMs + 5_000), row(1_002n, serverStartMs + 60_000)] })
    expect(rig.disk.has(rowKey(tables.key, 100, 200, 1_001n))).toBe(false)
    expect(rig.disk.has(rowKey(tables.key, 100, 200, 1_002n))).toBe(true)
  })

  it('is not read at open', () => {
    const rig = new Rig(new Disk())
    rig.step({ kind: 'start' })
    expect(rig.last('open').to).toEqual(Uint8Array.of(tables.key))
  })
})

describe('a sweep that the store fails', () => {
  it('leaves its timer set', () => {
    const rig = new Rig().live()
    rig.clear()
    rig.step({ kind: 'timer', timer: 'keys' })
    rig.step({ kind: 'readFailed', fault: { code: 'store-failed', message: 'no', retryable: true } })
    expect(rig.all('setTimer').filter(({ timer }) => timer === 'keys')).toHaveLength(1)
  })
})

describe('presence and typing', () => {
  it('are not known any more once the connection is gone, and watched again on the next', () => {
    const rig = new Rig().live()
    rig.step({ kind: 'watch', users: ['bob'], isOn: true })
    rig.say({ kind: 'presence', user: 'bob', state: 1, lastSeenMs: 0 })
    rig.reconnect()
    expect(rig.notices('presence').map(({ state }) => state)).toEqual(['online', 'unknown'])
    expect(rig.sent('watch')).toHaveLength(2)
  })

  it('forget who types after 10 seconds', () => {
    const rig = new Rig().live()
    rig.say({ kind: 'typingEvent', senderName: 'bob', toKind: 0, to: 'alice', isActive: true })
    rig.advance(9_999)
    rig.step({ kind: 'timer', timer: 'typing' })
    expect(rig.notices('typing').map(({ isActive }) => isActive)).toEqual([true])
    rig.advance(1)
    rig.step({ kind: 'timer', timer: 'typing' })
    expect(rig.notices('typing').map(({ isActive }) => isActive)).toEqual([true, false])
  })

  it('tell a destination again after 5 seconds, and at once that typing ended', () => {
    const rig = new Rig().live()
    const type = (isActive: boolean) => rig.step({ kind: 'typing', toKind: 0, to: 'bob', isActive })
    type(true)
    type(true)
    rig.advance(5_000)
    type(true)
    type(false)
    expect(rig.sent('typing').map(({ isActive }) => isActive)).toEqual([true, true, false])
  })

  it('[I10] tell a destination at most once a second that typing began, and the last word in the end', () => {
    const rig = new Rig().live()
    const type = (isActive: boolean) => rig.step({ kind: 'typing', toKind: 0, to: 'bob', isActive })
    for (let key = 0; key < 100; key++) {
      type(true)
      type(false)
    }
    type(true)
    const told = () => rig.sent('typing').map(({ isActive }) => isActive)
    expect(told()).toEqual([true, false])
    rig.advance(1_000)
    rig.step({ kind: 'timer', timer: 'typing' })
    expect(told()).toEqual([true, false, true])
  })
})

describe('requests and real-time messages', () => {
  const rest = { id: undefined, type: 0, priority: 8, expirySeconds: 0, receipts: true, body: new Uint8Array() }
  const realtime = { kind: 'realtime', draft: { toKind: 0, to: 'bob', ...rest } } as const

  it('wait for a session, and fail with the connection', () => {
    const rig = new Rig().open()
    const call = rig.ask({ kind: 'request', request: { kind: 'groupCreate', group: 'team' } })
    rig.live()
    expect(rig.sent('groupCreate')).toHaveLength(1)
    rig.reconnect()
    expect(rig.answer(call)).toMatchObject({ kind: 'fault', fault: { code: 'connection-lost', retryable: true } })
    expect(rig.sent('groupCreate')).toHaveLength(1)
  })

  it('are not asked once nobody waits for them', () => {
    const rig = new Rig().open()
    const call = rig.ask({ kind: 'request', request: { kind: 'groupCreate', group: 'team' } })
    rig.step({ kind: 'abort', call })
    rig.live()
    expect(rig.sent('groupCreate')).toEqual([])
  })

  it('end unknown after 30 seconds without an answer [I6]', () => {
    const rig = new Rig().live()
    const call = rig.ask(realtime)
    rig.advance(29_999)
    rig.step({ kind: 'timer', timer: 'realtime' })
    expect(rig.answer(call)).toBeUndefined()
    rig.advance(1)
    rig.step({ kind: 'timer', timer: 'realtime' })
    expect(rig.answer(call)).toEqual({ kind: 'status', status: 'unknown' })
  })

  it('make no commit for what is sent in real time', () => {
    const rig = new Rig().live()
    rig.clear()
    rig.ask(realtime)
    rig.ask(realtime)
    const [first, second] = rig.sent('realtime').map(({ id }) => id)
    expect(second).toBeGreaterThan(first ?? 0n)
    expect(rig.all('commit')).toEqual([])
  })
})
