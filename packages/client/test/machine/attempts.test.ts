import type { CodeName, ServerPacket } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import type { TimerName } from '../../src/machine/events.ts'
import { code, deliver, Disk, Rig, serverStartMs, welcome } from './rig.ts'

const lose = (rig: Rig, closeCode = 1_006): void => rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode })
const ringConnection = (rig: Rig): void => rig.step({ kind: 'timer', timer: 'connection' })
const fault = (rig: Rig): unknown => ('fault' in rig.machine.connection ? rig.machine.connection.fault : undefined)
const shown = (rig: Rig): unknown[] => rig.notices('connection').map(({ state }) => state)
const attempt = (rig: Rig): unknown => ('attempt' in rig.machine.connection ? rig.machine.connection.attempt : undefined)
const error = (name: CodeName, text = ''): ServerPacket => ({ kind: 'error', code: code(name), retryAfterMs: 0, text })

/** Timers that are set and were not cleared. */
function armed(rig: Rig): TimerName[] {
  const names = new Set<TimerName>()
  for (const effect of rig.effects) {
    if (effect.kind === 'setTimer') names.add(effect.timer)
    if (effect.kind === 'clearTimer') names.delete(effect.timer)
  }
  return [...names].sort()
}

/** A client that has its token, and whose session's number is still being stored. */
function preparing(): Rig {
  const rig = new Rig()
  rig.isHolding = true
  rig.open()
  rig.takeToken()
  return rig
}

/** A client whose socket is being opened. */
function connecting(): Rig {
  const rig = new Rig().open()
  rig.takeToken()
  return rig
}

/** A client that waits for WELCOME. */
function greeting(): Rig {
  const rig = new Rig().open()
  rig.greet()
  return rig
}

describe('what the app sees of a connection', () => {
  it('is each attempt once, the session, and what it ended with', () => {
    const rig = new Rig().live()
    lose(rig)
    ringConnection(rig)
    rig.greet()
    const lost = { code: 'connection-lost', message: 'The connection was lost (WebSocket code 1006).', retryable: true }
    expect(shown(rig)).toEqual([
      { status: 'connecting', attempt: 1 },
      { status: 'live', user: 'alice', bodyBytesMax: 65_536 },
      { status: 'waiting', attempt: 1, retryInMs: 50, fault: lost },
      { status: 'connecting', attempt: 2 },
    ])
  })

  it('is the number of the attempts since a session that held, whenever that was', () => {
    const rig = new Rig()
    rig.advance(20_000)
    rig.live()
    lose(rig)
    ringConnection(rig)
    rig.live()
    lose(rig)
    expect(attempt(rig)).toBe(2)
    ringConnection(rig)
    rig.live()
    rig.advance(20_000)
    lose(rig)
    expect(attempt(rig)).toBe(1)
    ringConnection(rig)
    rig.refuseToken(false)
    expect(attempt(rig)).toBe(2)
  })

  it('says what a server said, or else its code, of what may succeed later and of what may not', () => {
    const told = new Rig().live()
    told.say(error('shutting-down', 'Back in a minute.'))
    expect(fault(told)).toEqual({ code: 'shutting-down', message: 'Back in a minute.', retryable: true })
    const cut = new Rig().live()
    lose(cut, 4_000 + code('replaced'))
    expect(fault(cut)).toEqual({ code: 'replaced', message: 'The connection ended: replaced.', retryable: false })
  })

  it('is lost by a close code that is none of the server’s', () => {
    for (const closeCode of [1_001, 4_000, 5_000, 5_555]) {
      const rig = new Rig().live()
      lose(rig, closeCode)
      expect(rig.machine.connection).toMatchObject({ status: 'waiting', fault: { code: 'connection-lost' } })
    }
  })

  it('tells a server that does not answer from one that went away', () => {
    const [unanswered, gone] = [connecting(), greeting()]
    lose(unanswered)
    lose(gone)
    expect([fault(unanswered), fault(gone)]).toMatchObject([
      { message: 'No Posthaste server answers there.' },
      { message: 'The connection was lost (WebSocket code 1006).' },
    ])
  })

  it('names both users where a token is another one’s', () => {
    const rig = new Rig().live()
    rig.step({ kind: 'timer', timer: 'renew' })
    rig.takeToken('bob')
    const message = "The store belongs to 'alice', the token to 'bob'. Give every user a store of its own."
    expect(fault(rig)).toEqual({ code: 'wrong-user', message, retryable: false, field: 'token' })
  })
})

describe('the only token there is', () => {
  it('ends the client when it is spent, and by nothing else that may succeed later', () => {
    const endings = (['token-expired', 'token-revoked', 'shutting-down'] as const).map((name) => {
      const rig = new Rig(new Disk(), {}, true).live()
      rig.say(error(name))
      return rig.machine.connection.status
    })
    expect(endings).toEqual(['ended', 'ended', 'waiting'])
  })

  it('is not the last where there is a token function', () => {
    const rig = new Rig().live()
    rig.say(error('token-revoked'))
    expect(rig.machine.connection.status).toBe('waiting')
  })
})

describe('an attempt', () => {
  it.each([
    ['the token function', () => new Rig().open(), 'The token function did not answer in time.', undefined],
    ['the store', preparing, 'The store did not answer in time.', undefined],
    ['a socket', connecting, 'The server did not answer in time.', 4_000 + code('heartbeat-timeout')],
    ['WELCOME', greeting, 'The server did not answer in time.', 4_000 + code('heartbeat-timeout')],
  ])('is given up when %s does not come in time', (_what, make, message, closeCode) => {
    const rig = make()
    ringConnection(rig)
    expect(fault(rig)).toEqual({ code: 'timeout', message, retryable: true })
    expect(rig.all('closeSocket').map((effect) => effect.closeCode)).toEqual(closeCode === undefined ? [] : [closeCode])
  })

  it('gives a socket 15 seconds, and WELCOME 20', () => {
    const delays = (rig: Rig) => rig.all('setTimer').flatMap(({ timer, delayMs }) => (timer === 'connection' ? [delayMs] : []))
    expect([delays(connecting()).at(-1), delays(greeting()).at(-1)]).toEqual([15_000, 20_000])
  })

  it('uses the token that it asked for, and no answer to an earlier one', () => {
    const rig = new Rig().open()
    const { attempt: first } = rig.last('getToken')
    ringConnection(rig)
    ringConnection(rig)
    rig.step({ kind: 'token', attempt: first, token: 'old', subject: undefined })
    rig.step({ kind: 'tokenFailed', attempt: first, fault: { code: 'x', message: 'x', retryable: false }, isTerminal: true })
    expect([rig.all('openSocket'), rig.machine.connection.status]).toEqual([[], 'connecting'])
    expect(rig.greet().token).toBe('token')
  })

  it('that fails before there is a session tells nothing of presence, and closes no socket', () => {
    const rig = new Rig().open()
    rig.step({ kind: 'watch', users: ['bob'], isOn: true })
    rig.refuseToken(false)
    expect([rig.notices('presence'), rig.all('closeSocket')]).toEqual([[], []])
  })

  it('judges the clocks from its own HELLO on, whatever an earlier connection still asked', () => {
    const rig = new Rig().live()
    rig.step({ kind: 'wake' })
    rig.wallMs += 60_000
    lose(rig)
    ringConnection(rig)
    rig.clear()
    rig.live({ serverTimeMs: serverStartMs + 60_000 })
    rig.say(deliver(1))
    expect([rig.sent('ping'), rig.lastPacket('ack').upTo]).toEqual([[], 1])
  })
})

describe('a packet out of turn', () => {
  const broken = { code: 'protocol-error', message: 'The server sent a packet out of turn.', retryable: true }
  const renewed: ServerPacket = { kind: 'renewed', tokenExpiresMs: 0 }

  it.each([
    ['WELCOME before HELLO', connecting, welcome],
    ['ERROR before HELLO', connecting, error('busy')],
    ['RENEWED before WELCOME', greeting, renewed],
    ['a second WELCOME', () => new Rig().live(), welcome],
  ])('breaks the connection: %s', (_what, make, packet) => {
    const rig = make()
    rig.say(packet)
    expect([rig.machine.connection.status, fault(rig)]).toEqual(['waiting', broken])
    expect(rig.last('closeSocket').closeCode).toBe(4_000 + code('protocol-error'))
  })
})

describe('timers', () => {
  it('of a session are those of its heartbeat and its token, and they end with it', () => {
    const rig = new Rig().live({ tokenExpiresMs: serverStartMs + 600_000 })
    expect(armed(rig)).toEqual(['heartbeat', 'keys', 'renew'])
    lose(rig)
    expect(armed(rig)).toEqual(['connection', 'keys'])
  })

  it('end with the client', () => {
    for (const end of [(rig: Rig) => rig.say(error('replaced')), (rig: Rig) => rig.ask({ kind: 'close' })]) {
      const rig = new Rig().live({ tokenExpiresMs: serverStartMs + 600_000 })
      rig.send()
      end(rig)
      rig.step({ kind: 'timer', timer: 'outbox' })
      expect(armed(rig)).toEqual([])
    }
  })

  it('end with a client whose store is gone while it waits to connect again', () => {
    const rig = new Rig().live()
    lose(rig)
    rig.step({ kind: 'readFailed', fault: { code: 'store-lost', message: 'no', retryable: false } })
    expect(armed(rig)).toEqual([])
  })

  it('end with a client that is closed while it connects', () => {
    for (const rig of [new Rig().open(), connecting(), greeting()]) {
      rig.isHolding = true
      rig.send()
      rig.ask({ kind: 'close' })
      expect(armed(rig)).not.toContain('connection')
      rig.release()
      expect(armed(rig)).toEqual([])
    }
  })
})

describe('a close', () => {
  it('closes the socket that is being opened or greeted', () => {
    for (const rig of [connecting(), greeting()]) {
      rig.ask({ kind: 'close' })
      expect(rig.all('closeSocket')).toEqual([{ kind: 'closeSocket', socket: rig.socket, closeCode: 1_000 }])
    }
  })

  it('writes nothing more to a socket that goes away before everything is stored', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.say(deliver(1))
    const call = rig.ask({ kind: 'close' })
    lose(rig)
    rig.release()
    expect([rig.answer(call), rig.sent('ack'), rig.all('closeSocket').length]).toEqual([{ kind: 'done' }, [], 1])
  })
})
