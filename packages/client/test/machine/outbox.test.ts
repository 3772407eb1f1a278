import { describe, expect, it } from 'vitest'
import type { Draft } from '../../src/machine/events.ts'
import { tables } from '../../src/machine/rows.ts'
import { code, Disk, draft, Rig, resultOf, welcome } from './rig.ts'

const dayMs = 86_400_000
const bob = { toKind: 0, to: 'bob', id: 5n } as const

const find = (rig: Rig, id = 5n, toKind: 0 | 1 = 0, to = 'bob') => rig.answer(rig.ask({ kind: 'find', toKind, to, id }))
const lose = (rig: Rig): void => rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
const sweep = (rig: Rig): void => rig.step({ kind: 'timer', timer: 'outbox' })
const sendAll = (rig: Rig, drafts: readonly Draft[]): number => rig.ask({ kind: 'send', drafts })
const ended = (rig: Rig): unknown[] => rig.notices('forgotten').map(({ message }) => message.status)
const large = (bytes: number, fields: Partial<Draft> = {}): Draft => draft({ body: new Uint8Array(bytes), ...fields })

/** Lets the outbox's timer ring each time that it was set for. @returns after how many ms the app was told something */
function ringUntilTold(rig: Rig, ringsMax = 5_000): number {
  const [beginMs, told] = [rig.monotonicMs, rig.all('notify').length]
  for (let rings = 0; rings < ringsMax; rings++) {
    const timer = rig.all('setTimer').findLast((one) => one.timer === 'outbox')
    rig.advance(timer?.delayMs ?? Number.NaN)
    sweep(rig)
    if (rig.all('notify').length > told) return rig.monotonicMs - beginMs
  }
  throw new Error('the app was told nothing')
}

describe('what the app asks of the outbox', () => {
  it('is how many messages, and bytes, wait for the server’s verdict', () => {
    const rig = new Rig().live()
    sendAll(rig, [large(10), large(20), large(30)])
    rig.say(resultOf(rig.sent('send')[1] ?? expect.fail()))
    expect(rig.answer(rig.ask({ kind: 'pending' }))).toEqual({ kind: 'pending', pending: { messages: 2, bytes: 40 } })
  })

  it('is never answered with a cancellation of what is not there, or has expired unsent', () => {
    const rig = new Rig().open()
    const call = rig.ask({ kind: 'cancel', ...bob })
    rig.send({ id: 5n, expirySeconds: 1 })
    rig.advance(1_000)
    sweep(rig)
    const late = rig.ask({ kind: 'cancel', ...bob })
    for (const one of [call, late]) expect(rig.answer(one)).toEqual({ kind: 'cancelled', isCancelled: false })
    expect(rig.statuses()).toEqual(['expired'])
  })

  it('is answered no earlier when the message has expired before it was stored, and is asked for again', () => {
    const rig = new Rig().open()
    rig.isHolding = true
    rig.send({ id: 5n, expirySeconds: 1 })
    rig.advance(1_000)
    sweep(rig)
    const again = rig.send({ id: 5n, expirySeconds: 1 })
    expect(rig.answer(again)).toBeUndefined()
    rig.fail()
    expect(rig.answer(again)).toMatchObject({ kind: 'fault', fault: { code: 'store-failed' } })
  })

  it('leaves no body of a message that has expired before it was stored', () => {
    const rig = new Rig().open()
    rig.isHolding = true
    rig.send({ id: 4n })
    rig.send({ id: 5n, expirySeconds: 1 })
    rig.advance(1_000)
    sweep(rig)
    rig.release()
    expect([rig.disk.count(tables.outbox), rig.disk.count(tables.body)]).toEqual([2, 1])
  })

  it('fixes the deadline in the commit that stores the message', () => {
    const rig = new Rig().live()
    rig.clear()
    rig.send()
    expect(rig.all('commit')).toHaveLength(1)
    expect(rig.sent('send')).toHaveLength(1)
  })
})

describe('a send is refused', () => {
  const fault = (code: string, message: string, field?: string) => ({
    kind: 'fault',
    fault: { code, message, retryable: field === undefined, ...(field === undefined ? {} : { field }) },
  })

  it('for what the server would not take, up to its very limits', () => {
    const rig = new Rig().live({ bodyBytesMax: 100, expirySecondsMax: 60 })
    expect(rig.answer(sendAll(rig, [large(100, { expirySeconds: 60 })]))).toMatchObject({ kind: 'sent' })
    expect(rig.answer(sendAll(rig, [large(101)]))).toEqual(
      fault('too-large', 'The body has 101 bytes; 0 to 100 are allowed.', 'body'),
    )
    expect(rig.answer(rig.send({ expirySeconds: 61 }))).toEqual(
      fault('invalid-argument', 'expirySeconds is 61; 0 to 60 are allowed.', 'expirySeconds'),
    )
  })

  it('but not for its default expiry: it lives as long as the server allows then', () => {
    for (const [expirySecondsMax, livesSeconds] of [
      [60, 60],
      [2_592_000, 604_800],
    ] as const) {
      const early = new Rig().open()
      early.send({ expirySeconds: 604_800 })
      const rig = new Rig().live({ expirySecondsMax })
      expect(rig.answer(rig.send({ expirySeconds: 604_800 }))).toMatchObject({ kind: 'sent' })
      for (const one of [early.live({ expirySecondsMax }), rig]) {
        const livesMs = one.lastPacket('send').deadlineMs - one.serverMs
        expect(Math.round(livesMs / 1_000)).toBe(livesSeconds)
      }
    }
  })

  it('for an id that has other content, also when both come in it, and nothing of it is stored [I8]', () => {
    const rig = new Rig().live()
    const conflict = fault('conflict', "The id 5 was used before to 'bob' with other content. The first message stays.", 'id')
    expect(rig.answer(sendAll(rig, [draft(), draft({ id: 5n }), draft({ id: 5n, type: 1 })]))).toEqual(conflict)
    expect(rig.disk.count(tables.outbox)).toBe(0)
    expect(rig.answer(sendAll(rig, [draft(), draft(), draft({ id: 5n }), draft({ id: 5n, to: 'carol' })]))).toMatchObject({
      kind: 'sent',
    })
    expect(rig.answer(rig.send({ id: 5n, type: 1 }))).toEqual(conflict)
    expect(rig.disk.count(tables.outbox)).toBe(4)
  })

  it('but not for what comes in it twice: that is one message, and takes room once [I2]', () => {
    const rig = new Rig(new Disk(), { outboxMessages: 2, outboxBytes: 100 }).live()
    const twice = large(60, { id: 5n })
    const answer = rig.answer(sendAll(rig, [twice, twice, large(40), twice]))
    expect(answer).toMatchObject({ kind: 'sent', messages: [{ id: 5n }, { id: 5n }, {}, { id: 5n }] })
    expect(rig.disk.count(tables.outbox)).toBe(2)
  })

  it('when the outbox is full, and what it has already takes no room again [I10]', () => {
    const rig = new Rig(new Disk(), { outboxMessages: 2, outboxBytes: 100 }).live()
    const full = fault('outbox-full', 'The outbox holds 2 messages or 100 bytes that are not delivered yet.')
    const [first, second, third] = [large(60, { id: 1n }), large(40, { id: 2n }), large(0, { id: 3n })]
    sendAll(rig, [first])
    expect(rig.answer(sendAll(rig, [large(20), large(21)]))).toEqual(full)
    expect(rig.answer(sendAll(rig, [large(41)]))).toEqual(full)
    expect(rig.answer(sendAll(rig, [first, second]))).toMatchObject({ kind: 'sent' })
    expect(rig.answer(sendAll(rig, [first, second]))).toMatchObject({ kind: 'sent' })
    expect(rig.answer(sendAll(rig, [first, third]))).toEqual(full)
    const smaller = new Rig(rig.disk, { outboxMessages: 1, outboxBytes: 10 }).open()
    expect(smaller.answer(sendAll(smaller, [first, second]))).toMatchObject({ kind: 'sent' })
  })

  it('no more once messages are delivered: their bodies take no room, after a restart too [I10]', () => {
    const limits = { outboxMessages: 1, outboxBytes: 100 }
    const rig = new Rig(new Disk(), limits).live()
    sendAll(rig, [large(100)])
    rig.say(resultOf(rig.lastPacket('send')), { kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 0 })
    const restarted = new Rig(rig.disk, limits).open()
    for (const one of [rig, restarted]) expect(one.answer(sendAll(one, [large(100)]))).toMatchObject({ kind: 'sent' })
  })
})

describe('a status', () => {
  it('is what the app was told, whatever comes after it [I6]', () => {
    const rig = new Rig().live()
    rig.send({ id: 5n })
    rig.say(resultOf(rig.lastPacket('send')), { kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 0 })
    rig.say({ kind: 'status', destination: 200, id: 5n, status: code('expired') })
    expect(find(rig)).toMatchObject({ message: { status: 'delivered' } })
  })

  it('ends as it is when nobody knows any more how it goes on [I6]', () => {
    const rig = new Rig().live()
    rig.send({ id: 5n })
    rig.say(resultOf(rig.lastPacket('send')), { kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 0 })
    rig.reconnect()
    const none = { destination: 0, count: 0, lane: 0, timeMs: 0, delivered: 0, read: 0, members: 1 }
    rig.say({ kind: 'statuses', request: rig.lastPacket('query').request, statuses: [{ ...none, status: code('unknown') }] })
    expect([rig.statuses(), ended(rig)]).toEqual([['sent', 'delivered'], ['delivered']])
    expect(find(rig)).toEqual({ kind: 'found', message: undefined })
  })

  it('that ends a message is told once that is stored, not when what it was before is [I6]', () => {
    const rig = new Rig().open()
    rig.isHolding = true
    rig.send({ id: 5n })
    const call = rig.ask({ kind: 'cancel', ...bob })
    rig.releaseOne()
    expect([rig.answer(call), rig.statuses()]).toEqual([undefined, []])
    rig.releaseOne()
    expect([rig.answer(call), rig.statuses()]).toEqual([{ kind: 'cancelled', isCancelled: true }, ['cancelled']])
  })

  it('that a failed commit held is stored with the next one [I12]', () => {
    const rig = new Rig().live()
    rig.send({ id: 5n })
    rig.isHolding = true
    rig.say(resultOf(rig.lastPacket('send')))
    rig.fail()
    rig.isHolding = false
    rig.step({ kind: 'timer', timer: 'store' })
    expect(new Rig(rig.disk).live().sent('send')).toEqual([])
  })
})

describe('a message under the id of one that was taken back', () => {
  it('stays when the commit of that one fails [I1]', () => {
    const rig = new Rig().open()
    rig.isHolding = true
    rig.send({ id: 5n })
    rig.ask({ kind: 'cancel', ...bob })
    const again = rig.send({ id: 5n, type: 9 })
    rig.fail()
    rig.isHolding = false
    rig.step({ kind: 'timer', timer: 'store' })
    expect(rig.answer(again)).toMatchObject({ kind: 'sent' })
    expect(find(rig)).toMatchObject({ message: { type: 9 } })
  })
})

describe('the time that a message has', () => {
  it('is counted by the clock that shows more of it, though the wall clock was set back', () => {
    const rig = new Rig().open()
    rig.send({ expirySeconds: 60 })
    rig.monotonicMs += 20_000
    rig.wallMs -= 50_000
    rig.live()
    expect(rig.lastPacket('send').deadlineMs).toBe(rig.serverMs + 40_000 + 1)
  })

  it('ends a message that the server can’t know at its deadline, by a timer set for then', () => {
    const early = new Rig().open()
    early.send({ expirySeconds: 200 })
    expect([ringUntilTold(early), early.statuses()]).toEqual([200_000, ['expired']])
    const late = new Rig().live()
    lose(late)
    late.send({ expirySeconds: 200 })
    // By the earliest that the server's clock can show, which runs apart from this one; it is looked after once a second.
    expect([ringUntilTold(late), late.statuses()]).toEqual([201_037, ['expired']])
  })

  it('is not over while the server’s clock may show that it is not, after a long handshake: another run could be told that it was sent [I6]', () => {
    const rig = new Rig().live()
    lose(rig)
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.greet()
    rig.advance(14_000)
    rig.send({ expirySeconds: 5 })
    rig.advance(1_000)
    // It says what time it was at some moment of the last 15 seconds.
    rig.say({ ...welcome, serverTimeMs: rig.serverMs })
    expect([rig.statuses(), rig.sent('send').length]).toEqual([[], 1])
  })

  it('is looked after once a minute at least, and once a second at most', () => {
    const rig = new Rig().open()
    rig.send({ expirySeconds: 100 })
    rig.send({ expirySeconds: 0 })
    const delays = () => rig.all('setTimer').flatMap(({ timer, delayMs }) => (timer === 'outbox' ? [delayMs] : []))
    expect(delays()).toEqual([60_000, 1_000])
    rig.advance(1_000)
    sweep(rig)
    expect(delays()).toEqual([60_000, 1_000, 60_000])
  })

  it('ends nothing that the server may have: it says how that ended [I6]', () => {
    const rig = new Rig().live()
    rig.send({ id: 5n, expirySeconds: 60 })
    lose(rig)
    rig.advance(61_000)
    sweep(rig)
    const restarted = new Rig(rig.disk).open()
    restarted.advance(61_000)
    sweep(restarted)
    expect([rig.statuses(), restarted.statuses()]).toEqual([[], []])
  })

  it('costs no commit once it is over', () => {
    const rig = new Rig().open()
    rig.send({ expirySeconds: 1 })
    rig.advance(1_000)
    sweep(rig)
    rig.clear()
    rig.advance(1_000)
    sweep(rig)
    expect(rig.all('commit')).toEqual([])
  })

  it('does not end what waits for its deadline while the clocks are in doubt', () => {
    const rig = new Rig().live()
    rig.isHolding = true
    rig.wallMs += 600_000
    rig.send({ expirySeconds: 3_600 })
    rig.say({ kind: 'pong', clientTime: rig.monotonicMs, serverTimeMs: rig.serverMs + 600_000 })
    sweep(rig)
    expect([rig.statuses(), ended(rig)]).toEqual([[], []])
    rig.isHolding = false
    rig.release()
    expect(rig.sent('send')).toHaveLength(1)
  })

  it('ends what has no receipts as expired, however late that is noticed [I6]', () => {
    const rig = new Rig().open()
    rig.send({ receipts: false, expirySeconds: 60 })
    rig.advance(2 * dayMs)
    sweep(rig)
    expect([rig.statuses(), ended(rig), rig.disk.count(tables.outbox)]).toEqual([['expired'], [], 0])
  })
})

describe('the end of a key, a day after the deadline', () => {
  it('ends a message of which nothing better is known as unknown [I6]', () => {
    const answered = new Rig().live()
    const unanswered = new Rig().live()
    for (const rig of [answered, unanswered]) rig.send({ expirySeconds: 60 })
    answered.say(resultOf(answered.lastPacket('send')))
    for (const rig of [answered, unanswered]) {
      lose(rig)
      expect(ringUntilTold(rig)).toBe(60_000 + dayMs)
      expect(rig.statuses().at(-1)).toBe('unknown')
    }
  })

  it('is not undone by a verdict that comes after it [I6]', () => {
    const rig = new Rig().live()
    rig.send({ expirySeconds: 60 })
    rig.advance(60_000 + dayMs)
    sweep(rig)
    rig.say(resultOf(rig.lastPacket('send')))
    expect(rig.statuses()).toEqual(['unknown'])
  })

  it('is not undone by anything better, or by what ends a message without receipts [I6]', () => {
    for (const receipts of [true, false]) {
      const rig = new Rig().live()
      rig.send({ expirySeconds: 60, receipts })
      rig.advance(60_000 + dayMs)
      sweep(rig)
      rig.say(resultOf(rig.lastPacket('send'), { status: code(receipts ? 'delivered' : 'sent') }))
      expect([rig.statuses(), ended(rig)]).toEqual([['unknown'], []])
    }
  })

  it('ends what is delivered, or expired, as that [I6]', () => {
    for (const status of ['delivered', 'expired'] as const) {
      const rig = new Rig().live()
      rig.send({ id: 5n, expirySeconds: 60 })
      rig.say(resultOf(rig.lastPacket('send')), { kind: 'status', destination: 200, id: 5n, status: code(status) })
      lose(rig)
      rig.advance(dayMs)
      expect(ringUntilTold(rig)).toBe(60_000)
      expect([rig.statuses(), ended(rig), rig.disk.count(tables.outbox)]).toEqual([['sent', status], [status], 0])
    }
  })

  it('comes for what expired before the server was ever heard, too: nothing is kept for ever [I10]', () => {
    const rig = new Rig().open()
    rig.send({ expirySeconds: 60 })
    expect(ringUntilTold(rig)).toBe(60_000)
    expect(ringUntilTold(rig)).toBe(dayMs)
    expect([rig.statuses(), ended(rig), rig.disk.count(tables.outbox)]).toEqual([['expired'], ['expired'], 0])
  })

  it('is not judged by clocks that are in doubt', () => {
    const rig = new Rig().live()
    rig.send({ expirySeconds: 60 })
    rig.say(resultOf(rig.lastPacket('send')))
    lose(rig)
    rig.advance(60_000 + dayMs)
    rig.wallMs += 10_000
    sweep(rig)
    expect(rig.statuses()).toEqual(['sent'])
  })

  it('is not judged before the server has said what time it is', () => {
    const rig = new Rig().live()
    rig.send({ expirySeconds: 60 })
    const restarted = new Rig(rig.disk)
    restarted.advance(60_000 + dayMs)
    restarted.open()
    sweep(restarted)
    expect([restarted.statuses(), ended(restarted)]).toEqual([[], []])
  })
})

describe('a group’s message at its deadline', () => {
  /** One that one of two members has. */
  function shared(expirySeconds = 60): Rig {
    const rig = new Rig().live()
    rig.send({ toKind: 1, to: 'team', id: 5n, expirySeconds })
    rig.say(resultOf(rig.lastPacket('send'), { destination: 300, count: 0 }))
    rig.say({ kind: 'counts', destination: 300, id: 5n, delivered: 1, read: 0, members: 2 })
    return rig
  }

  it('is told to be incomplete two seconds later, when all counts have come', () => {
    expect(ringUntilTold(shared())).toBe(62_000)
  })

  it('is not told so without a connection, and is after the next WELCOME [I6]', () => {
    const rig = shared()
    lose(rig)
    rig.advance(62_000)
    rig.clear()
    sweep(rig)
    expect(rig.all('notify')).toEqual([])
    expect(rig.last('setTimer')).toEqual({ kind: 'setTimer', timer: 'outbox', delayMs: 60_000 })
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live()
    sweep(rig)
    // Somebody may have stored it meanwhile, in time.
    expect(rig.notices('status')).toEqual([])
    rig.answerQuery('sent', { delivered: 1, members: 2 })
    sweep(rig)
    expect(rig.notices('status')).toMatchObject([{ message: { isIncomplete: true } }])
    sweep(rig)
    expect(rig.notices('status')).toHaveLength(1)
  })

  it('is not told so while the clocks are in doubt', () => {
    const rig = shared()
    rig.clear()
    rig.advance(62_000)
    rig.wallMs += 10_000
    sweep(rig)
    expect(rig.all('notify')).toEqual([])
  })

  it('is told nothing of when all have it', () => {
    const rig = shared()
    rig.say({ kind: 'counts', destination: 300, id: 5n, delivered: 2, read: 0, members: 2 })
    rig.clear()
    rig.advance(62_000)
    sweep(rig)
    expect(rig.all('notify')).toEqual([])
  })
})

describe('ten thousand delivered messages', () => {
  it('are kept to be told when they are read; the oldest is given up for one more [I10]', () => {
    const rig = new Rig(new Disk(), { outboxMessages: 20_000, outboxBytes: 10_000_000 }).live()
    const mark = (delivered: number): void => rig.say({ kind: 'mark', destination: 200, lane: 8, delivered, read: 0 })
    const answer = (): void => {
      const sent = rig.sent('send')
      rig.packets.length = 0
      if (sent.length > 0) rig.say(...sent.map((send) => resultOf(send)))
      if (sent.length > 0) answer()
    }
    sendAll(
      rig,
      Array.from({ length: 10_000 }, (_, at) => draft({ id: BigInt(at + 1) })),
    )
    answer()
    mark(10_000)
    expect(rig.notices('forgotten')).toEqual([])
    // One that is refused takes nobody's place.
    rig.send({ id: 20_000n })
    rig.say(resultOf(rig.lastPacket('send'), { status: code('blocked'), count: 0 }))
    expect(rig.notices('forgotten')).toEqual([])
    rig.send({ id: 20_001n })
    rig.say(resultOf(rig.lastPacket('send'), { count: 10_001 }))
    mark(10_001)
    expect(rig.notices('forgotten')).toMatchObject([{ message: { id: 1n, status: 'delivered' } }])
  })
})
