import { describe, expect, it } from 'vitest'
import type { Draft } from '../../src/machine/events.ts'
import { tables } from '../../src/machine/rows.ts'
import { code, Disk, draft, Rig, resultOf } from './rig.ts'

const mebibyte = 1_048_576
const large = (bytes: number, fields: Partial<Draft> = {}): Draft => draft({ body: new Uint8Array(bytes), ...fields })
const types = (rig: Rig): number[] => rig.sent('send').map(({ type }) => type)
const resume = (rig: Rig): void => rig.step({ kind: 'timer', timer: 'resume' })

/** A session whose server takes bodies of up to a mebibyte, with messages that were sent or wait. */
function loaded(...bytes: readonly number[]): Rig {
  const rig = new Rig(new Disk(), { outboxBytes: 10 * mebibyte }).live({ bodyBytesMax: mebibyte })
  rig.ask({ kind: 'send', drafts: bytes.map((length, type) => large(length, { type })) })
  return rig
}

/** A session in which the server takes nothing from the SEND of type 1 on. */
function refused(): Rig {
  const rig = new Rig().live()
  rig.send({ type: 1 })
  rig.say({ kind: 'refuse', ref: 1, code: code('busy'), retryAfterMs: 500 })
  return rig
}

describe('the bodies without RESULT', () => {
  it('have a mebibyte together at most, to the byte [I10]', () => {
    expect(types(loaded(mebibyte / 2, mebibyte / 2))).toEqual([0, 1])
    expect(types(loaded(mebibyte / 2, mebibyte / 2 + 1))).toEqual([0])
    expect(types(loaded(mebibyte, 0))).toEqual([0, 1])
  })

  it('make room for as much with each RESULT', () => {
    const rig = loaded(300_000, 400_000, 400_000, 400_000)
    expect(types(rig)).toEqual([0, 1])
    rig.say(resultOf(rig.sent('send')[0] ?? expect.fail()))
    expect(types(rig)).toEqual([0, 1, 2])
    rig.say(resultOf(rig.sent('send')[1] ?? expect.fail()))
    expect(types(rig)).toEqual([0, 1, 2, 3])
  })
})

describe('a RESULT', () => {
  it('of a SEND that never was changes nothing', () => {
    const rig = new Rig().live()
    rig.send()
    rig.say({ ...resultOf(rig.lastPacket('send')), ref: 9 })
    expect([rig.statuses(), rig.machine.connection.status]).toEqual([[], 'live'])
  })
})

describe('a REFUSE', () => {
  it('is told to the app, with how long the server takes nothing', () => {
    const fault = { code: 'busy', message: 'The server takes no messages for 500 ms: busy.', retryable: true }
    expect(refused().notices('error')).toEqual([{ kind: 'error', fault }])
  })

  it('is answered with one RESUME: none comes before it, and none twice', () => {
    const rig = new Rig().live()
    resume(rig)
    expect(rig.sent('resume')).toEqual([])
    const held = refused()
    resume(held)
    resume(held)
    expect(held.sent('resume')).toEqual([{ kind: 'resume', ref: 1 }])
  })

  it('counts for its connection alone: its timer ends with it', () => {
    const rig = refused()
    rig.clear()
    rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
    expect(rig.all('clearTimer').map(({ timer }) => timer)).toContain('resume')
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live()
    resume(rig)
    expect(rig.sent('resume')).toEqual([])
    expect(types(rig)).toEqual([1])
  })

  it('has what expires meanwhile without ever having been sent end unsent', () => {
    const rig = refused()
    rig.send({ type: 2, expirySeconds: 1 })
    rig.send({ type: 3, expirySeconds: 60 })
    rig.advance(1_500)
    rig.clear()
    resume(rig)
    expect(types(rig)).toEqual([1, 3])
    expect(rig.notices('status').map(({ message }) => [message.type, message.status])).toEqual([[2, 'expired']])
  })
})

describe('a message that the server would not take', () => {
  it('ends unsent where it was written before that was known, and goes out up to the very limit', () => {
    const rig = new Rig().open()
    rig.ask({ kind: 'send', drafts: [large(1_001, { type: 1 }), large(1_000, { type: 2 })] })
    rig.live({ bodyBytesMax: 1_000 })
    expect(types(rig)).toEqual([2])
    expect(rig.statuses()).toEqual(['too-large'])
  })
})

describe('a message with id 0', () => {
  const once = (rig: Rig, fields: Partial<Draft>): void => rig.step({ kind: 'sendOnce', draft: draft({ id: 0n, ...fields }) })

  it('is not sent beyond what the server allows, and is up to its very limits', () => {
    const rig = new Rig().live({ bodyBytesMax: 10, expirySecondsMax: 60 })
    const body = (bytes: number) => ({ body: new Uint8Array(bytes) })
    once(rig, { type: 1, expirySeconds: 60, ...body(11) })
    once(rig, { type: 2, expirySeconds: 61, ...body(10) })
    once(rig, { type: 3, expirySeconds: 60, ...body(10) })
    expect(types(rig)).toEqual([3])
  })

  it('lives by default as long as the server allows', () => {
    const rig = new Rig().live({ expirySecondsMax: 60 })
    once(rig, { expirySeconds: 604_800 })
    expect(Math.round((rig.lastPacket('send').deadlineMs - rig.serverMs) / 1_000)).toBe(60)
  })

  it('is not sent while the server takes no messages, nor afterwards', () => {
    const rig = refused()
    once(rig, { type: 2 })
    resume(rig)
    expect(types(rig)).toEqual([1, 1])
  })

  it('waits for the server’s time with 255 others at most [I10]', () => {
    const rig = new Rig().live()
    rig.wallMs += 600_000
    for (let type = 0; type <= 256; type++) once(rig, { type })
    rig.say({ kind: 'pong', clientTime: rig.monotonicMs, serverTimeMs: rig.serverMs + 600_000 })
    expect(types(rig)).toEqual(Array.from({ length: 256 }, (_, type) => type))
  })
})

describe('the store of a message', () => {
  it('has its body written once, whatever its status becomes', () => {
    const rig = new Rig().live()
    rig.send()
    const send = rig.lastPacket('send')
    rig.clear()
    rig.say(resultOf(send))
    expect(rig.all('commit').flatMap(({ writes }) => writes.map(([key]) => key[0]))).toEqual([tables.outbox])
  })
})
