import { describe, expect, it } from 'vitest'
import { tables } from '../../src/machine/rows.ts'
import { code, Disk, draft, Rig, resultOf, serverStartMs, welcome } from './rig.ts'

describe('the outbox', () => {
  it('stores a message before it answers, and before the first attempt [I1]', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    const call = rig.send()
    expect(rig.answer(call)).toBeUndefined()
    expect(rig.sent('send')).toEqual([])
    rig.release()
    expect(rig.answer(call)).toMatchObject({ kind: 'sent' })
    expect(rig.sent('send')).toMatchObject([{ ref: 1, to: 'bob', priority: 8 }])
    expect(rig.disk.count(tables.outbox)).toBe(1)
  })

  it('fixes the deadline once, and sends the same again after a crash [I2]', () => {
    const rig = new Rig().live()
    rig.send({ expirySeconds: 60 })
    const first = rig.lastPacket('send')
    expect(first.deadlineMs).toBe(serverStartMs + 60_000 + 1)
    const restarted = new Rig(rig.disk)
    restarted.advance(5_000)
    restarted.live()
    expect(restarted.lastPacket('send')).toEqual(first)
  })

  it('fixes the deadline of what was written before the first handshake at that handshake, minus the time waited', () => {
    const rig = new Rig().open()
    rig.send({ expirySeconds: 60 })
    rig.advance(20_000)
    rig.live()
    expect(rig.lastPacket('send').deadlineMs).toBe(rig.serverMs + 40_000 + 1)
  })

  it('counts nothing as pending that was over before it could go out', () => {
    const rig = new Rig().live()
    rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
    rig.send({ expirySeconds: 1 })
    rig.advance(2_000)
    rig.step({ kind: 'timer', timer: 'outbox' })
    expect(rig.statuses()).toEqual(['expired'])
    expect(rig.answer(rig.ask({ kind: 'pending' }))).toEqual({ kind: 'pending', pending: { messages: 0, bytes: 0 } })
  })

  it('stores the deadline that the first handshake fixed before the first attempt', () => {
    const rig = new Rig().open()
    rig.send({ expirySeconds: 60 })
    rig.greet()
    rig.isHolding = true
    rig.say({ ...welcome, serverTimeMs: rig.serverMs })
    expect(rig.sent('send')).toEqual([])
    rig.release()
    expect(rig.sent('send')).toHaveLength(1)
  })

  it('attempts nothing while the commit of its deadline is under way, whatever happens meanwhile [I5]', () => {
    const rig = new Rig().open()
    rig.send({ expirySeconds: 60 })
    rig.greet()
    rig.isHolding = true
    rig.say({ ...welcome, serverTimeMs: rig.serverMs })
    rig.advance(10)
    rig.step({ kind: 'timer', timer: 'outbox' })
    expect(rig.sent('send')).toEqual([])
    rig.release()
    expect(rig.sent('send')).toHaveLength(1)
  })

  it('returns what was refused to its place before what was written later [I4]', () => {
    const rig = new Rig(new Disk(), { outboxMessages: 1_000 }).open()
    rig.ask({ kind: 'send', drafts: Array.from({ length: 300 }, (_, type) => draft({ type })) })
    rig.live()
    rig.say({ kind: 'refuse', ref: 5, code: code('busy'), retryAfterMs: 1 })
    rig.clear()
    rig.step({ kind: 'timer', timer: 'resume' })
    expect(rig.sent('send').map(({ type }) => type)).toEqual(Array.from({ length: 252 }, (_, at) => at + 4))
  })

  it('counts the time waited by the larger clock, over a restart by the wall clock', () => {
    const disk = new Disk()
    const rig = new Rig(disk).open()
    rig.send({ expirySeconds: 60 })
    const restarted = new Rig(disk)
    restarted.wallMs += 30_000
    restarted.live()
    expect(restarted.lastPacket('send').deadlineMs).toBe(restarted.serverMs + 30_000 + 1)
  })

  it('says cancelled once that is durable: after a crash before, the message is sent [I6]', () => {
    const rig = new Rig().open()
    rig.send({ id: 5n })
    rig.isHolding = true
    const call = rig.ask({ kind: 'cancel', toKind: 0, to: 'bob', id: 5n })
    expect(rig.answer(call)).toBeUndefined()
    expect(new Rig(rig.disk).live().sent('send')).toHaveLength(1)
    rig.release()
    expect(rig.answer(call)).toEqual({ kind: 'cancelled', isCancelled: true })
    expect(new Rig(rig.disk).live().sent('send')).toEqual([])
  })

  it('cancels what could not be stored', () => {
    const rig = new Rig().open()
    rig.isHolding = true
    const sent = rig.send({ id: 5n })
    const call = rig.ask({ kind: 'cancel', toKind: 0, to: 'bob', id: 5n })
    rig.fail()
    expect(rig.answer(sent)).toMatchObject({ kind: 'fault' })
    expect(rig.answer(call)).toEqual({ kind: 'cancelled', isCancelled: true })
  })

  describe('after the clocks have jumped', () => {
    const sleepMs = 600_000
    const wakeUp = (rig: Rig): void =>
      rig.say({ kind: 'pong', clientTime: Math.floor(rig.monotonicMs), serverTimeMs: rig.serverMs + sleepMs })

    it('fixes no deadline before the server has said what time it is', () => {
      const rig = new Rig().live()
      rig.wallMs += sleepMs
      rig.send({ expirySeconds: 60 })
      expect(rig.sent('send')).toEqual([])
      wakeUp(rig)
      expect(rig.sent('send').map(({ deadlineMs }) => deadlineMs - rig.serverMs - sleepMs)).toEqual([60_001])
    })

    it('sends id 0 with a deadline by the server’s answer, and not at all once the connection is gone', () => {
      const rig = new Rig().live()
      rig.wallMs += sleepMs
      const sendOnce = () => rig.step({ kind: 'sendOnce', draft: draft({ id: 0n, expirySeconds: 60 }) })
      sendOnce()
      expect(rig.sent('send')).toEqual([])
      wakeUp(rig)
      expect(rig.sent('send').map(({ deadlineMs }) => deadlineMs - rig.serverMs - sleepMs)).toEqual([60_001])
      rig.wallMs += sleepMs
      sendOnce()
      rig.reconnect()
      wakeUp(rig)
      expect(rig.sent('send')).toHaveLength(1)
    })

    it('has nothing overtake what waits for its deadline [I4]', () => {
      const rig = new Rig().live()
      rig.isHolding = true
      rig.send({ type: 1 })
      rig.wallMs += sleepMs
      rig.send({ type: 2 })
      wakeUp(rig)
      rig.send({ type: 3 })
      rig.release()
      expect(rig.sent('send').map(({ type }) => type)).toEqual([1, 2, 3])
    })
  })

  it('drains by priority, within it in the order written [I4] [I7]', () => {
    const rig = new Rig().open()
    for (const [type, priority] of [8, 0, 8, 15, 0].entries()) rig.send({ type, priority })
    rig.live()
    expect(rig.sent('send').map(({ type }) => type)).toEqual([1, 4, 0, 2, 3])
  })

  it('has at most 256 SENDs without RESULT [I10]', () => {
    const rig = new Rig(new Disk(), { outboxMessages: 1_000 }).open()
    rig.ask({ kind: 'send', drafts: Array.from({ length: 300 }, () => draft()) })
    rig.live()
    expect(rig.sent('send')).toHaveLength(256)
    rig.say(
      ...rig
        .sent('send')
        .slice(0, 10)
        .map((send) => resultOf(send)),
    )
    expect(rig.sent('send')).toHaveLength(266)
  })

  it('has at most 1 MiB without RESULT, but always sends one', () => {
    const rig = new Rig(new Disk(), { outboxBytes: 10_000_000 }).live({ bodyBytesMax: 1_048_576 })
    for (let count = 0; count < 3; count++) rig.send({ body: new Uint8Array(700_000) })
    expect(rig.sent('send')).toHaveLength(1)
    rig.say(resultOf(rig.lastPacket('send')))
    expect(rig.sent('send')).toHaveLength(2)
  })

  it('stops at REFUSE, resumes at that ref after the named time, and drains with what is first by then', () => {
    const rig = new Rig().live()
    rig.send({ type: 1 })
    rig.send({ type: 2 })
    rig.send({ type: 3 })
    rig.say({ kind: 'refuse', ref: 2, code: code('busy'), retryAfterMs: 500 })
    rig.send({ type: 4, priority: 0 })
    expect(rig.sent('send')).toHaveLength(3)
    expect(rig.all('setTimer').filter(({ timer }) => timer === 'resume')).toMatchObject([{ delayMs: 500 }])
    rig.clear()
    rig.step({ kind: 'timer', timer: 'resume' })
    expect(rig.packets[0]).toEqual({ kind: 'resume', ref: 2 })
    expect(rig.sent('send').map(({ ref, type }) => [ref, type])).toEqual([
      [2, 4],
      [3, 2],
      [4, 3],
    ])
  })

  it('sends everything unanswered again on a new connection, refs from 1', () => {
    const rig = new Rig().live()
    rig.send({ type: 1 })
    rig.send({ type: 2 })
    rig.say(resultOf(rig.sent('send')[0] as never))
    rig.clear()
    rig.reconnect()
    expect(rig.sent('send').map(({ ref, type }) => [ref, type])).toEqual([[1, 2]])
  })

  it('asks for the status of what was answered and has not ended', () => {
    const rig = new Rig().live()
    rig.send()
    rig.say(resultOf(rig.lastPacket('send')))
    const { id } = rig.lastPacket('send')
    rig.clear()
    rig.reconnect()
    expect(rig.sent('query')).toMatchObject([{ messages: [{ toKind: 0, to: 'bob', id }] }])
    const counts = { delivered: 0, read: 0, members: 0 }
    const status = { status: code('read'), destination: 200, count: 1, lane: 8, timeMs: serverStartMs, ...counts }
    rig.say({ kind: 'statuses', request: rig.lastPacket('query').request, statuses: [status] })
    expect(rig.statuses()).toEqual(['read'])
    expect(rig.disk.count(tables.outbox)).toBe(0)
  })

  it('asks in batches of 256, one after the other', () => {
    const rig = new Rig(new Disk(), { outboxMessages: 1_000 }).open()
    rig.ask({ kind: 'send', drafts: Array.from({ length: 300 }, () => draft()) })
    rig.live()
    for (let at = 0; at < rig.sent('send').length; at++) rig.say(resultOf(rig.sent('send')[at] as never))
    rig.clear()
    rig.reconnect()
    expect(rig.sent('query').map(({ messages }) => messages.length)).toEqual([256])
    rig.say({ kind: 'statuses', request: rig.lastPacket('query').request, statuses: [] })
    expect(rig.sent('query').map(({ messages }) => messages.length)).toEqual([256, 44])
  })

  it('drops the body at delivered, and the row when the status ends', () => {
    const rig = new Rig().live()
    rig.send()
    rig.say(resultOf(rig.lastPacket('send')))
    expect([rig.disk.count(tables.outbox), rig.disk.count(tables.body)]).toEqual([1, 1])
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 0 })
    expect([rig.disk.count(tables.outbox), rig.disk.count(tables.body)]).toEqual([1, 0])
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 1 })
    expect([rig.disk.count(tables.outbox), rig.disk.count(tables.body)]).toEqual([0, 0])
    expect(rig.statuses()).toEqual(['sent', 'delivered', 'read'])
  })

  it('ends a message without receipts at sent', () => {
    const rig = new Rig().live()
    rig.send({ receipts: false })
    rig.say(resultOf(rig.lastPacket('send')))
    expect(rig.statuses()).toEqual(['sent'])
    expect(rig.disk.count(tables.outbox)).toBe(0)
  })

  it('moves statuses only forward, whatever comes twice [I6]', () => {
    const rig = new Rig().live()
    rig.send()
    const send = rig.lastPacket('send')
    rig.say(resultOf(send))
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 0 })
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 0, read: 0 })
    rig.say({ kind: 'status', destination: 200, id: send.id, status: code('expired') })
    rig.say({ kind: 'status', destination: 200, id: send.id, status: code('sent') })
    expect(rig.statuses()).toEqual(['sent', 'delivered'])
  })

  it('lets an explicit STATUS of sent overrule the marks until one of delivered', () => {
    const rig = new Rig().live()
    rig.send()
    const send = rig.lastPacket('send')
    rig.say(resultOf(send))
    rig.say({ kind: 'status', destination: 200, id: send.id, status: code('sent') })
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 5, read: 5 })
    expect(rig.statuses()).toEqual(['sent'])
    rig.say({ kind: 'status', destination: 200, id: send.id, status: code('delivered') })
    expect(rig.statuses()).toEqual(['sent', 'delivered', 'read'])
  })

  it('turns expired into delivered when a device says so late', () => {
    const rig = new Rig().live()
    rig.send()
    const send = rig.lastPacket('send')
    rig.say(resultOf(send))
    rig.say({ kind: 'status', destination: 200, id: send.id, status: code('expired') })
    rig.say({ kind: 'status', destination: 200, id: send.id, status: code('delivered') })
    expect(rig.statuses()).toEqual(['sent', 'expired', 'delivered'])
  })

  it('counts the members of a group: delivered once all have it', () => {
    const rig = new Rig().live()
    rig.send({ toKind: 1, to: 'team' })
    const send = rig.lastPacket('send')
    rig.say(resultOf(send, { destination: 300, count: 0 }))
    rig.say({ kind: 'counts', destination: 300, id: send.id, delivered: 1, read: 0, members: 2 })
    rig.say({ kind: 'counts', destination: 300, id: send.id, delivered: 2, read: 1, members: 2 })
    rig.say({ kind: 'counts', destination: 300, id: send.id, delivered: 2, read: 2, members: 2 })
    expect(rig.notices('status').map(({ message }) => [message.status, message.counts?.delivered])).toEqual([
      ['sent', undefined],
      ['sent', 1],
      ['delivered', 2],
      ['read', 2],
    ])
  })

  it('says at the deadline of a group’s message that only some have it, after a restart too [I6]', () => {
    const rig = new Rig().live()
    rig.send({ toKind: 1, to: 'team', id: 5n, expirySeconds: 60 })
    rig.say(resultOf(rig.lastPacket('send'), { destination: 300, count: 0 }))
    rig.say({ kind: 'counts', destination: 300, id: 5n, delivered: 1, read: 0, members: 2 })
    const restarted = new Rig(rig.disk).live()
    restarted.answerQuery('sent', { delivered: 1, members: 2 })
    const closedIn = (one: Rig) => {
      one.step({ kind: 'timer', timer: 'outbox' })
      return one.notices('status').at(-1)?.message.isIncomplete
    }
    expect(closedIn(rig)).toBe(false)
    for (const one of [rig, restarted]) {
      one.advance(63_000)
      expect(closedIn(one)).toBe(true)
      expect(one.answer(one.ask({ kind: 'find', toKind: 1, to: 'team', id: 5n }))).toMatchObject({
        message: { status: 'sent', isIncomplete: true, counts: { delivered: 1, members: 2 } },
      })
    }
    rig.say({ kind: 'counts', destination: 300, id: 5n, delivered: 2, read: 0, members: 2 })
    expect(rig.notices('status').at(-1)?.message).toMatchObject({ status: 'delivered', isIncomplete: false })
  })

  it.each(['conflict', 'blocked', 'inbox-full', 'invalid-destination'] as const)(
    'ends a message that is refused for good: %s [I8]',
    (name) => {
      const rig = new Rig().live()
      rig.send()
      rig.say(resultOf(rig.lastPacket('send'), { status: code(name), count: 0, destination: 0 }))
      expect(rig.statuses()).toEqual([name])
      expect(rig.disk.count(tables.outbox)).toBe(0)
    },
  )

  it('sends again in a new epoch what is not delivered, and asks for what is', () => {
    const rig = new Rig().live()
    rig.send({ type: 1 })
    rig.send({ type: 2 })
    for (const send of rig.sent('send')) rig.say(resultOf(send))
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 0 })
    rig.clear()
    rig.reconnect({ epoch: 8 })
    expect(rig.sent('send').map(({ type }) => type)).toEqual([2])
    expect(rig.sent('query').map(({ messages }) => messages.length)).toEqual([1])
  })

  it('ends at its deadline what was never attempted, without the server', () => {
    const rig = new Rig().open()
    rig.send({ expirySeconds: 10 })
    rig.advance(9_999)
    rig.step({ kind: 'timer', timer: 'outbox' })
    expect(rig.statuses()).toEqual([])
    rig.advance(1)
    rig.step({ kind: 'timer', timer: 'outbox' })
    expect(rig.statuses()).toEqual(['expired'])
  })

  it('never attempts what expired while it waited, but asks about what may have been attempted', () => {
    const rig = new Rig().live()
    rig.send({ expirySeconds: 10 })
    rig.advance(20_000)
    rig.clear()
    rig.reconnect()
    expect(rig.sent('send')).toHaveLength(1)
    expect(rig.statuses()).toEqual([])
  })

  it('ends a message as unknown at its key’s end [I6]', () => {
    const rig = new Rig().live()
    rig.send({ expirySeconds: 10 })
    rig.say(resultOf(rig.lastPacket('send')))
    rig.advance(86_411_000)
    rig.step({ kind: 'timer', timer: 'outbox' })
    expect(rig.statuses()).toEqual(['sent', 'unknown'])
  })

  it('attempts what is pending at once when asked, unless the server has asked for patience', () => {
    const rig = new Rig().live()
    rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
    rig.send({ id: 5n })
    const call = rig.ask({ kind: 'retry', toKind: 0, to: 'bob', id: 5n })
    expect(rig.answer(call)).toMatchObject({ kind: 'found', message: { id: 5n, status: 'outbox' } })
    expect(rig.last('setTimer')).toEqual({ kind: 'setTimer', timer: 'connection', delayMs: 0 })
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live()
    rig.say({ kind: 'error', code: code('busy'), retryAfterMs: 5_000, text: '' })
    rig.ask({ kind: 'retry', toKind: 0, to: 'bob', id: 5n })
    expect(rig.last('setTimer')).toEqual({ kind: 'setTimer', timer: 'connection', delayMs: 5_000 })
  })

  it('cancels what was not attempted, and nothing else', () => {
    const rig = new Rig().open()
    rig.send({ id: 5n })
    const early = rig.ask({ kind: 'cancel', toKind: 0, to: 'bob', id: 5n })
    expect(rig.answer(early)).toEqual({ kind: 'cancelled', isCancelled: true })
    rig.live()
    expect(rig.sent('send')).toEqual([])
    rig.send({ id: 6n })
    const late = rig.ask({ kind: 'cancel', toKind: 0, to: 'bob', id: 6n })
    expect(rig.answer(late)).toEqual({ kind: 'cancelled', isCancelled: false })
  })

  it('takes the same id with the same content once, and refuses it with other content [I2] [I8]', () => {
    const rig = new Rig().live()
    rig.send({ id: 5n })
    expect(rig.answer(rig.send({ id: 5n }))).toMatchObject({ kind: 'sent' })
    expect(rig.answer(rig.send({ id: 5n, type: 9 }))).toMatchObject({ kind: 'fault', fault: { code: 'conflict' } })
    expect(rig.sent('send')).toHaveLength(1)
  })

  it('notices another use of an id also when the body is gone', () => {
    const rig = new Rig().live()
    rig.send({ id: 5n })
    rig.say(resultOf(rig.lastPacket('send')), { kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 0 })
    expect(rig.answer(rig.send({ id: 5n }))).toMatchObject({ kind: 'sent' })
    const body = new TextEncoder().encode('jello')
    expect(rig.answer(rig.send({ id: 5n, body }))).toMatchObject({ kind: 'fault', fault: { code: 'conflict' } })
  })

  it('is full at its limits, and has room again once messages are delivered [I10]', () => {
    const rig = new Rig(new Disk(), { outboxMessages: 2 }).live()
    rig.send()
    rig.send()
    expect(rig.answer(rig.send())).toMatchObject({ kind: 'fault', fault: { code: 'outbox-full', retryable: true } })
    for (const send of rig.sent('send')) rig.say(resultOf(send))
    rig.say({ kind: 'mark', destination: 200, lane: 8, delivered: 2, read: 0 })
    expect(rig.answer(rig.send())).toMatchObject({ kind: 'sent' })
  })

  it('is full at its limits before the store is open, too [I10]', () => {
    const rig = new Rig(undefined, { outboxMessages: 3, outboxBytes: 100 })
    const early = [60, 60, 30, 10, 0].map((length) => rig.send({ body: new Uint8Array(length) }))
    const refused = early.map((call) => rig.answer(call) !== undefined)
    expect(refused).toEqual([false, true, false, false, true])
    expect(rig.answer(early[1] ?? 0)).toMatchObject({ fault: { code: 'outbox-full', retryable: true } })
    rig.open()
    expect(early.map((call) => rig.answer(call)?.kind)).toEqual(['sent', 'fault', 'sent', 'sent', 'fault'])
  })

  it('refuses a body over the server’s limit, and ends one that was written before the limit was known', () => {
    const rig = new Rig(new Disk(), { outboxBytes: 1_000_000 }).open()
    rig.send({ body: new Uint8Array(2_000) })
    rig.live({ bodyBytesMax: 1_000 })
    expect(rig.statuses()).toEqual(['too-large'])
    expect(rig.sent('send')).toEqual([])
    expect(rig.answer(rig.send({ body: new Uint8Array(1_001) }))).toMatchObject({ fault: { code: 'too-large', field: 'body' } })
    expect(rig.answer(rig.send({ expirySeconds: 2_592_001 }))).toMatchObject({ fault: { field: 'expirySeconds' } })
  })

  it('makes ids that only rise, over restarts and whatever the clock does', () => {
    const rig = new Rig().live()
    rig.send()
    rig.wallMs -= 60_000
    rig.send()
    const restarted = new Rig(rig.disk)
    restarted.wallMs -= 120_000
    restarted.live()
    restarted.send()
    const ids = restarted.sent('send').map(({ id }) => id)
    expect(ids).toHaveLength(3)
    expect([...ids].sort((a, b) => (a < b ? -1 : 1))).toEqual(ids)
    expect(new Set(ids).size).toBe(3)
  })

  it('tells a send whose commit fails, and forgets it', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    const call = rig.send({ id: 5n })
    rig.fail('store-full')
    expect(rig.answer(call)).toMatchObject({ kind: 'fault', fault: { code: 'store-full' } })
    const found = rig.ask({ kind: 'find', toKind: 0, to: 'bob', id: 5n })
    expect(rig.answer(found)).toEqual({ kind: 'found', message: undefined })
  })

  it('sends id 0 only while there is a session, outside the outbox, in the row of refs', () => {
    const rig = new Rig().open()
    rig.step({ kind: 'sendOnce', draft: draft({ id: 0n }) })
    rig.live()
    expect(rig.sent('send')).toEqual([])
    rig.step({ kind: 'sendOnce', draft: draft({ id: 0n }) })
    rig.send()
    rig.isCongested = true
    rig.step({ kind: 'sendOnce', draft: draft({ id: 0n }) })
    expect(rig.sent('send').map(({ ref, id }) => [ref, id === 0n])).toEqual([
      [1, true],
      [2, false],
    ])
    expect(rig.disk.count(tables.outbox)).toBe(1)
  })
})
