import { describe, expect, it } from 'vitest'
import { code, Rig, serverStartMs } from './rig.ts'

const periodMs = 1_000
const lastDelay = (rig: Rig, name: 'heartbeat' | 'renew'): number =>
  rig.all('setTimer').findLast(({ timer }) => timer === name)?.delayMs ?? Number.NaN
const beat = (rig: Rig): void => rig.step({ kind: 'timer', timer: 'heartbeat' })
/** Lets the heartbeat's timer ring when it was set for. @returns after how many ms */
const ring = (rig: Rig): number => {
  const delayMs = lastDelay(rig, 'heartbeat')
  rig.advance(delayMs)
  beat(rig)
  return delayMs
}
const pong = (rig: Rig): void => rig.say({ kind: 'pong', clientTime: Math.floor(rig.monotonicMs), serverTimeMs: rig.serverMs })
/** Something goes out that nobody answers. */
const write = (rig: Rig, isActive = true): void => rig.step({ kind: 'typing', toKind: 0, to: 'bob', isActive })
const live = (): Rig => new Rig().live({ heartbeatMs: periodMs })

describe('the heartbeat', () => {
  it('rings after a period without a word, and again when the connection is given up', () => {
    const rig = live()
    expect([ring(rig), rig.sent('ping').length, lastDelay(rig, 'heartbeat')]).toEqual([1_000, 1, 1_000])
    ring(rig)
    const message = 'Nothing was heard from the server for 2000 ms.'
    const fault = { code: 'heartbeat-timeout', message, retryable: true }
    expect(rig.machine.connection).toMatchObject({ status: 'waiting', fault })
    expect(rig.last('closeSocket').closeCode).toBe(4_000 + code('heartbeat-timeout'))
  })

  it('asks a server that says nothing, however much is written to it', () => {
    const rig = live()
    rig.advance(900)
    write(rig)
    rig.advance(100)
    beat(rig)
    expect(rig.sent('ping')).toHaveLength(1)
  })

  it('is written to a server that says much, when nothing else is', () => {
    const rig = live()
    rig.advance(900)
    pong(rig)
    rig.advance(100)
    beat(rig)
    expect([rig.sent('ping').length, lastDelay(rig, 'heartbeat')]).toEqual([1, 1_000])
  })

  it('is not needed while both have something to say, and rings when the first of them has said nothing for a period', () => {
    const rig = live()
    rig.advance(500)
    pong(rig)
    rig.advance(200)
    write(rig)
    rig.advance(300)
    beat(rig)
    expect([rig.sent('ping').length, lastDelay(rig, 'heartbeat')]).toEqual([0, 500])
    ring(rig)
    expect(rig.sent('ping')).toHaveLength(1)
  })

  it('rings a period after the last word of the server, though that was the answer of the same millisecond', () => {
    const rig = live()
    ring(rig)
    pong(rig)
    rig.advance(500)
    write(rig)
    rig.advance(100)
    beat(rig)
    expect(lastDelay(rig, 'heartbeat')).toBe(400)
  })

  it('gives the server a period to answer when it rings much too late: a page in the background', () => {
    const rig = live()
    ring(rig)
    pong(rig)
    rig.advance(9_000)
    beat(rig)
    expect([rig.sent('ping').length, rig.machine.connection.status]).toEqual([2, 'live'])
    rig.advance(500)
    write(rig)
    rig.advance(100)
    beat(rig)
    expect([lastDelay(rig, 'heartbeat'), rig.machine.connection.status]).toEqual([400, 'live'])
    ring(rig)
    expect(rig.machine.connection.status).toBe('waiting')
  })

  it('gives the server two periods in all, though it was asked early', () => {
    const rig = live()
    rig.advance(100)
    rig.step({ kind: 'wake' })
    rig.advance(950)
    write(rig)
    rig.advance(50)
    beat(rig)
    expect([lastDelay(rig, 'heartbeat'), rig.machine.connection.status]).toEqual([900, 'live'])
    ring(rig)
    expect(rig.machine.connection.status).toBe('waiting')
  })

  it('asks once more where nothing was written since the last time', () => {
    const rig = live()
    rig.advance(100)
    rig.step({ kind: 'wake' })
    ring(rig)
    expect(rig.sent('ping')).toHaveLength(2)
  })
})

describe('after a wake-up', () => {
  it('the server is asked at once, and has five seconds, however long a period is', () => {
    const rig = new Rig().live({ heartbeatMs: 20_000 })
    rig.step({ kind: 'wake' })
    expect(rig.sent('ping')).toHaveLength(1)
    rig.advance(4_000)
    beat(rig)
    expect([rig.machine.connection.status, lastDelay(rig, 'heartbeat')]).toEqual(['live', 1_000])
    ring(rig)
    expect(rig.machine.connection).toMatchObject({ status: 'waiting', fault: { code: 'heartbeat-timeout' } })
  })

  it('the timer rings after five seconds, or a period where that is less', () => {
    for (const [heartbeatMs, delayMs] of [
      [20_000, 5_000],
      [1_000, 1_000],
    ] as const) {
      const rig = new Rig().live({ heartbeatMs })
      rig.step({ kind: 'wake' })
      expect(lastDelay(rig, 'heartbeat')).toBe(delayMs)
    }
  })

  it('an answer is enough', () => {
    const rig = new Rig().live({ heartbeatMs: 20_000 })
    rig.step({ kind: 'wake' })
    pong(rig)
    ring(rig)
    expect(rig.machine.connection.status).toBe('live')
  })
})

describe('the renewal of a token', () => {
  const renew = (rig: Rig): void => rig.step({ kind: 'timer', timer: 'renew' })
  const expiring = (leftMs: number, isFixed = false): Rig =>
    new Rig(undefined, {}, isFixed).live({ tokenExpiresMs: serverStartMs + 1 + leftMs })

  it('begins a minute before the end, or after four fifths of a short life', () => {
    for (const [leftMs, delayMs] of [
      [600_000, 540_000],
      [300_000, 240_000],
      [100_000, 80_000],
      [0, 0],
    ] as const) {
      expect(lastDelay(expiring(leftMs), 'renew')).toBe(delayMs)
    }
  })

  it('is not wanted of a token that never ends, or is the only one there is', () => {
    for (const rig of [new Rig().live(), expiring(600_000, true)]) {
      expect(rig.all('setTimer').filter(({ timer }) => timer === 'renew')).toEqual([])
    }
  })

  it('of a long life is waited for in pieces that every timer can bear', () => {
    const rig = expiring(2_000_000_005)
    const delays = [lastDelay(rig, 'renew')]
    for (let rings = 0; rings < 2; rings++) {
      rig.advance(delays.at(-1) ?? 0)
      rig.clear()
      renew(rig)
      delays.push(lastDelay(rig, 'renew'))
    }
    expect(delays).toEqual([1_000_000_000, 999_940_005, Number.NaN])
    expect(rig.all('getToken')).toHaveLength(1)
  })

  it('asks the token function, and takes a token that does not show whose it is', () => {
    const rig = expiring(600_000)
    const before = rig.all('getToken').length
    renew(rig)
    expect(rig.all('getToken')).toHaveLength(before + 1)
    rig.takeToken()
    expect([rig.sent('renew'), rig.machine.connection.status]).toMatchObject([[{ token: 'token' }], 'live'])
  })

  it('that fails is told and tried again within half a minute; one that is refused ends the client', () => {
    const rig = expiring(600_000)
    renew(rig)
    rig.refuseToken(false)
    expect([rig.notices('error').map(({ fault }) => fault.code), lastDelay(rig, 'renew')]).toEqual([['token-failed'], 15_000])
    expect(rig.machine.connection.status).toBe('live')
    renew(rig)
    rig.refuseToken(true)
    expect(rig.machine.connection).toMatchObject({ status: 'ended', fault: { code: 'token-refused' } })
  })
})
