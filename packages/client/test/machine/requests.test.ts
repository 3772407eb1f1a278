import { describe, expect, it } from 'vitest'
import type { Draft, Request } from '../../src/machine/events.ts'
import { code, draft, Rig } from './rig.ts'

const create = (group = 'team'): Request => ({ kind: 'groupCreate', group })
const request = (rig: Rig, one: Request = create()): number => rig.ask({ kind: 'request', request: one })
const realtime = (rig: Rig, fields: Partial<Draft> = {}): number => rig.ask({ kind: 'realtime', draft: draft(fields) })
const status = (name: string) => ({ kind: 'status', status: name })
const lose = (rig: Rig): void => rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
const timers = (rig: Rig): number[] =>
  rig.all('setTimer').flatMap(({ timer, delayMs }) => (timer === 'realtime' ? [delayMs] : []))

describe('a request', () => {
  it('is written at once while there is a session, and answered by its number', () => {
    const rig = new Rig().live()
    const calls = [request(rig), request(rig, create('crew'))]
    const [first, second] = rig.sent('groupCreate').map((packet) => packet.request)
    rig.say({ kind: 'reply', request: second ?? 0, code: 0 })
    expect(calls.map((call) => rig.answer(call))).toEqual([undefined, { kind: 'done' }])
    rig.say({ kind: 'reply', request: first ?? 0, code: code('already-exists') })
    const fault = { code: 'already-exists', message: "The server answered 'already-exists' to groupCreate.", retryable: false }
    expect(rig.answer(calls[0] ?? 0)).toEqual({ kind: 'fault', fault })
  })

  it('says whether the same may succeed later', () => {
    const rig = new Rig().live()
    const call = request(rig)
    rig.say({ kind: 'reply', request: rig.lastPacket('groupCreate').request, code: code('rate-limited') })
    expect(rig.answer(call)).toMatchObject({ fault: { code: 'rate-limited', retryable: true } })
  })

  it('for members or receipts is answered with a page of them', () => {
    const rig = new Rig().live()
    const page = { group: 'team', after: '', limit: 2 }
    const calls = [request(rig, { kind: 'members', ...page }), request(rig, { kind: 'receipts', id: 5n, ...page })]
    const members = [{ user: 'bob', roles: 3 }]
    rig.say({ kind: 'membersReply', request: rig.lastPacket('members').request, members, next: 'bob' })
    const receipts = [{ user: 'bob', status: code('delivered') }]
    rig.say({ kind: 'receiptsReply', request: rig.lastPacket('receipts').request, receipts, next: '' })
    expect(calls.map((call) => rig.answer(call))).toEqual([
      { kind: 'members', members, next: 'bob' },
      { kind: 'receipts', receipts: [{ user: 'bob', status: 'delivered' }], next: '' },
    ])
  })

  it('means the user where it names nobody, and whom it names else', () => {
    const rig = new Rig().live()
    for (const user of ['', 'bob']) request(rig, { kind: 'memberSet', group: 'team', user, roles: 0 })
    request(rig, { kind: 'block', user: 'mallory', isBlocked: true })
    expect(rig.sent('memberSet').map(({ user }) => user)).toEqual(['alice', 'bob'])
    expect(rig.sent('block')).toMatchObject([{ user: 'mallory' }])
  })

  it('that nobody waits for any more is not answered, and others are', () => {
    const rig = new Rig().live()
    const calls = [request(rig), request(rig, create('crew'))]
    rig.step({ kind: 'abort', call: calls[0] ?? 0 })
    for (const packet of rig.sent('groupCreate')) rig.say({ kind: 'reply', request: packet.request, code: 0 })
    expect(calls.map((call) => rig.answer(call))).toEqual([undefined, { kind: 'done' }])
  })

  it('is refused where a thousand wait already, for a session or for their answers [I10]', () => {
    const fault = { code: 'busy', message: '1000 requests wait already.', retryable: true }
    for (const rig of [new Rig().open(), new Rig().live()]) {
      const calls = Array.from({ length: 1_001 }, () => request(rig))
      expect(calls.map((call) => rig.answer(call)).filter((answer) => answer !== undefined)).toEqual([{ kind: 'fault', fault }])
      expect(rig.answer(calls[1_000] ?? 0)).toBeDefined()
    }
  })

  it('that waits for a session ends with the client', () => {
    const rig = new Rig().open()
    const call = request(rig)
    rig.refuseToken(true)
    expect(rig.answer(call)).toMatchObject({ kind: 'fault', fault: { code: 'token-refused' } })
  })

  it('is not asked by an answer that belongs to none', () => {
    const rig = new Rig().live()
    rig.clear()
    rig.say({ kind: 'reply', request: 99, code: 0 }, { kind: 'realtimeResult', request: 99, status: code('delivered') })
    expect([rig.effects, rig.machine.connection.status]).toEqual([[], 'live'])
  })
})

describe('a real-time message', () => {
  it('is answered with what became of it, once', () => {
    const rig = new Rig().live()
    const call = realtime(rig, { id: 5n })
    const { request: number, id } = rig.lastPacket('realtime')
    for (const name of ['delivered', 'expired'] as const) rig.say({ kind: 'realtimeResult', request: number, status: code(name) })
    expect([id, rig.answer(call), rig.all('settle').length]).toEqual([5n, status('delivered'), 1])
  })

  it('with id 0 is written, and nobody knows what becomes of it', () => {
    const rig = new Rig().live()
    const call = realtime(rig, { id: 0n })
    expect([rig.sent('realtime').length, rig.answer(call), timers(rig)]).toEqual([1, status('unknown'), []])
  })

  it('expires without a session, and has an unknown end where the network is congested', () => {
    const rig = new Rig().open()
    expect(rig.answer(realtime(rig))).toEqual(status('expired'))
    rig.live()
    rig.isCongested = true
    expect(rig.answer(realtime(rig))).toEqual(status('unknown'))
    expect(rig.sent('realtime')).toEqual([])
  })

  it('has an unknown end where a thousand wait already [I10]', () => {
    const rig = new Rig().live()
    const calls = Array.from({ length: 1_001 }, () => realtime(rig))
    expect(calls.filter((call) => rig.answer(call) !== undefined)).toEqual([calls[1_000]])
    expect([rig.answer(calls[1_000] ?? 0), rig.sent('realtime').length]).toEqual([status('unknown'), 1_000])
  })

  it('has an unknown end with its connection, and its timer ends', () => {
    const rig = new Rig().live()
    const call = realtime(rig)
    lose(rig)
    expect(rig.answer(call)).toEqual(status('unknown'))
    expect(rig.all('clearTimer').map(({ timer }) => timer)).toContain('realtime')
  })

  it('is given up by a timer that is set for the first that waits', () => {
    const rig = new Rig().live()
    const calls = [realtime(rig)]
    for (let later = 1; later <= 2; later++) {
      rig.advance(10_000)
      calls.push(realtime(rig))
    }
    expect(timers(rig)).toEqual([30_000])
    for (const delayMs of [10_000, 10_000, 10_000]) {
      rig.advance(delayMs)
      rig.step({ kind: 'timer', timer: 'realtime' })
    }
    expect(calls.map((call) => rig.answer(call))).toEqual([status('unknown'), status('unknown'), status('unknown')])
    expect(timers(rig)).toEqual([30_000, 10_000, 10_000])
  })

  it('is refused beyond what the server allows, and is written up to its very limits', () => {
    const rig = new Rig().live({ bodyBytesMax: 10, expirySecondsMax: 60 })
    const body = (bytes: number) => ({ body: new Uint8Array(bytes) })
    const calls = [
      realtime(rig, { expirySeconds: 60, ...body(11) }),
      realtime(rig, { expirySeconds: 61, ...body(10) }),
      realtime(rig, { expirySeconds: 60, ...body(10) }),
    ]
    const faults = calls.map((call) => rig.answer(call)).map((answer) => (answer?.kind === 'fault' ? answer.fault : undefined))
    expect(faults.map((fault) => [fault?.code, fault?.field])).toEqual([
      ['too-large', 'body'],
      ['invalid-argument', 'expirySeconds'],
      [undefined, undefined],
    ])
    expect(rig.sent('realtime')).toHaveLength(1)
  })
})
