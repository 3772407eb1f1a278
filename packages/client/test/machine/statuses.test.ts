import { codeNumber, type ServerPacket, type ServerPacketOf, type Status } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import type { Draft } from '../../src/machine/events.ts'
import { fingerprintOf } from '../../src/machine/outboxMessage.ts'
import { tables } from '../../src/machine/rows.ts'
import { Disk, Rig, resultOf, serverStartMs } from './rig.ts'

type Answer = ServerPacketOf<'statuses'>['statuses'][number]

const find = (rig: Rig, id: bigint, toKind: 0 | 1 = 0, to = 'bob') => {
  const answer = rig.answer(rig.ask({ kind: 'find', toKind, to, id }))
  return answer?.kind === 'found' ? answer.message : expect.fail()
}
const status = (id: bigint, name: Status, destination = 200): ServerPacket => ({
  kind: 'status',
  destination,
  id,
  status: codeNumber(name),
})
const mark = (delivered: number, read = 0, lane = 8, destination = 200): ServerPacket => ({
  kind: 'mark',
  destination,
  lane,
  delivered,
  read,
})
const counts = (delivered: number, read: number, members: number): ServerPacket => ({
  kind: 'counts',
  destination: 300,
  id: 5n,
  delivered,
  read,
  members,
})
const answered = (name: Status, fields: Partial<Answer> = {}): Answer => ({
  destination: 200,
  count: 1,
  lane: 8,
  timeMs: serverStartMs,
  delivered: 0,
  read: 0,
  members: 1,
  ...fields,
  status: codeNumber(name),
})
/** Answers the last QUERY. */
const answer = (rig: Rig, ...statuses: Answer[]): void =>
  rig.say({ kind: 'statuses', request: rig.lastPacket('query').request, statuses })
const queried = (rig: Rig): bigint[][] => rig.sent('query').map(({ messages }) => messages.map(({ id }) => id))

/** A message of that id that the server has, as a hole where its count is 0. */
function sent(id: bigint, count = 1, fields: Partial<Draft> = {}): Rig {
  const rig = new Rig().live()
  rig.send({ id, ...fields })
  rig.say(resultOf(rig.lastPacket('send'), { count }))
  return rig
}

/** A message to a group. */
function shared(): Rig {
  const rig = new Rig().live()
  rig.send({ toKind: 1, to: 'team', id: 5n })
  rig.say(resultOf(rig.lastPacket('send'), { destination: 300, count: 0 }))
  return rig
}

describe('a MARK', () => {
  it('speaks for its own destination and lane alone [I6]', () => {
    const rig = sent(1n)
    rig.say(mark(9, 9, 0), mark(9, 9, 8, 201))
    expect(rig.statuses()).toEqual(['sent'])
    rig.say(mark(1))
    expect(rig.statuses()).toEqual(['sent', 'delivered'])
  })

  it('does not speak for what the server has in another lane [I6]', () => {
    const rig = sent(1n)
    rig.reconnect()
    answer(rig, answered('sent', { lane: 0 }))
    rig.say(mark(1), mark(1, 0, 0))
    expect(rig.statuses()).toEqual(['sent'])
  })

  it('passes over what has expired [I6]', () => {
    const rig = sent(1n)
    rig.say(status(1n, 'expired'), mark(1))
    expect(rig.statuses()).toEqual(['sent', 'expired'])
  })

  it('writes the rows that it changes, and no others', () => {
    const rig = sent(1n)
    rig.send({ id: 2n })
    rig.say(resultOf(rig.lastPacket('send')), mark(1))
    rig.clear()
    rig.say(mark(2))
    const rows = rig.all('commit').map(({ writes }) => writes.filter(([key]) => key[0] === tables.outbox).length)
    expect(rows).toEqual([1])
  })

  it('is remembered of a thousand lanes without a message, until their RESULTs come, and no longer [I10]', () => {
    for (const others of [1_000, 1_001]) {
      const rig = sent(1n, 1, { priority: 0 })
      rig.send({ id: 2n })
      rig.say(mark(1), ...Array.from({ length: others }, (_, at) => mark(1, 0, 8, 1_000 + at)))
      rig.say(resultOf(rig.lastPacket('send'), { count: 1 }), mark(1, 0, 0))
      expect([find(rig, 1n)?.status, find(rig, 2n)?.status]).toEqual(['delivered', others === 1_000 ? 'delivered' : 'sent'])
    }
  })
})

describe('a lane', () => {
  const others = Array.from({ length: 1_001 }, (_, at) => mark(1, 0, 8, 1_000 + at))

  it.each([
    ['was read', {}, [mark(2, 1)]],
    ['was told delivered twice, and then read', {}, [mark(2), status(1n, 'delivered'), mark(2, 1)]],
    ['ended with its verdict', { receipts: false }, [mark(2)]],
  ])('has no message any more once its last one %s, and need not be remembered [I10]', (_how, fields, packets) => {
    const rig = sent(1n, 1, fields)
    rig.say(...packets)
    expect(find(rig, 1n)).toBeUndefined()
    rig.send({ id: 2n })
    rig.say(...others)
    rig.say(resultOf(rig.lastPacket('send'), { count: 2 }))
    expect(find(rig, 2n)?.status).toBe('sent')
  })

  it('is remembered with its message, however many others there are', () => {
    const rig = sent(1n)
    rig.say(mark(2))
    rig.send({ id: 2n })
    rig.say(...others)
    rig.say(resultOf(rig.lastPacket('send'), { count: 2 }))
    expect(find(rig, 2n)?.status).toBe('delivered')
  })

  it('keeps its messages when one ends that the server has in another lane [I6]', () => {
    const rig = sent(1n)
    rig.send({ id: 2n })
    rig.say(resultOf(rig.lastPacket('send'), { count: 2 }))
    rig.reconnect()
    const [first, second] = [answered('sent', { lane: 0 }), answered('sent', { count: 2 })]
    answer(rig, ...(queried(rig)[0] ?? []).map((id) => (id === 1n ? first : second)))
    rig.say(status(1n, 'read'), mark(2))
    expect([find(rig, 1n), find(rig, 2n)?.status]).toEqual([undefined, 'delivered'])
  })
})

describe('QUERY', () => {
  it('is not written for what is sent again', () => {
    const rig = new Rig().live()
    rig.send({ id: 2n })
    rig.reconnect()
    expect(queried(rig)).toEqual([])
    expect(rig.sent('send').map(({ id }) => id)).toEqual([2n, 2n])
  })

  it('[I6] is written for what has expired: a device that had stored it in time may have said so meanwhile', () => {
    const rig = sent(1n)
    rig.say(status(1n, 'expired'))
    rig.reconnect()
    expect(queried(rig)).toEqual([[1n]])
    answer(rig, answered('delivered', { delivered: 1 }))
    expect(rig.statuses()).toEqual(['sent', 'expired', 'delivered'])
  })

  it.each([
    ['that nobody knows it any more', answered('unknown', { timeMs: 0 })],
    ['what another message under its id has come to', answered('delivered', { timeMs: serverStartMs + 1, delivered: 1 })],
    ['that it has', answered('expired')],
  ])('[I6] leaves what has expired as it is when the server says %s', (_what, said) => {
    const rig = sent(1n)
    rig.say(status(1n, 'expired'))
    rig.reconnect()
    answer(rig, said)
    expect([rig.statuses(), find(rig, 1n)?.status]).toEqual([['sent', 'expired'], 'expired'])
  })

  it('asks anew on the next connection for all that is not answered, once', () => {
    const rig = new Rig(new Disk(), { outboxMessages: 1_000 }).live()
    for (let id = 1n; id <= 300n; id++) {
      rig.send({ id })
      rig.say(resultOf(rig.lastPacket('send')))
    }
    rig.reconnect()
    rig.clear()
    rig.reconnect()
    answer(rig)
    expect(queried(rig).map((ids) => ids.length)).toEqual([256, 44])
    expect(new Set(queried(rig).flat()).size).toBe(300)
  })

  it('is not asked of what has lost its key meanwhile: the id may be another message’s by now [I6]', () => {
    const rig = sent(1n)
    rig.advance(8 * 86_400_000)
    rig.reconnect()
    expect(queried(rig)).toEqual([])
    expect(find(rig, 1n)).toBeUndefined()
  })

  it('is not believed where it speaks of another message with the same id: one that came at another time [I6]', () => {
    const rig = shared()
    rig.say({ ...counts(1, 0, 2) })
    rig.reconnect()
    answer(rig, answered('sent', { destination: 300, count: 0, members: 2, timeMs: serverStartMs + 1 }))
    rig.release()
    const told = rig.notices('status')
    expect(told.at(-1)?.message).toMatchObject({ status: 'unknown', counts: { delivered: 1, read: 0, members: 2 } })
    rig.say(counts(2, 2, 2))
    expect(rig.notices('status')).toEqual(told)
  })

  it('comes after the answer to the one before, without what has ended meanwhile', () => {
    const rig = new Rig().live()
    for (const id of [1n, 2n, 3n, 4n]) {
      rig.send({ id })
      rig.say(resultOf(rig.lastPacket('send'), { count: 0 }))
    }
    rig.say(...[1n, 2n, 3n].map((id) => status(id, 'delivered')))
    rig.say(status(2n, 'read'), status(4n, 'sent'))
    expect(queried(rig)).toEqual([[1n]])
    answer(rig, answered('delivered'))
    expect(queried(rig)).toEqual([[1n], [3n]])
  })

  it('is not written for what has a count, which MARKs speak for', () => {
    const rig = sent(1n)
    rig.say(status(1n, 'delivered'))
    expect(queried(rig)).toEqual([])
  })
})

describe('what belongs to nothing', () => {
  it('changes nothing: STATUS, COUNTS and STATUSES that nobody waits for', () => {
    const rig = sent(1n)
    rig.reconnect()
    const { request } = rig.lastPacket('query')
    rig.clear()
    rig.say(status(9n, 'delivered'), counts(1, 1, 1))
    rig.say({ kind: 'statuses', request: request + 1, statuses: [answered('read')] })
    expect(rig.effects).toEqual([])
    rig.say({ kind: 'statuses', request, statuses: [answered('sent')] })
    rig.clear()
    rig.say({ kind: 'statuses', request, statuses: [answered('read')] })
    expect(rig.effects).toEqual([])
    expect(rig.machine.connection.status).toBe('live')
  })
})

describe('the counts of a group’s message', () => {
  it('are told each time that one of them changes, and stored', () => {
    const rig = shared()
    const told = [counts(1, 0, 3), counts(1, 0, 3), counts(1, 1, 3), counts(1, 1, 4), counts(2, 1, 4)]
    for (const packet of told) rig.say(packet)
    const views = rig.notices('status').map(({ message }) => Object.values(message.counts ?? {}))
    expect(views).toEqual([[], [1, 0, 3], [1, 1, 3], [1, 1, 4], [2, 1, 4]])
    expect(find(new Rig(rig.disk).open(), 5n, 1, 'team')?.counts).toEqual({ delivered: 2, read: 1, members: 4 })
  })

  it('are in the answer to QUERY, too', () => {
    const rig = shared()
    rig.reconnect()
    answer(rig, answered('sent', { destination: 300, count: 0, delivered: 1, read: 0, members: 2 }))
    expect(rig.notices('status').at(-1)?.message).toMatchObject({
      status: 'sent',
      counts: { delivered: 1, read: 0, members: 2 },
    })
  })

  it('are not known before somebody told them, after a restart neither', () => {
    const rig = shared()
    rig.reconnect()
    answer(rig, answered('sent', { destination: 300, count: 0, members: 0 }))
    for (const one of [rig, new Rig(rig.disk).open()]) expect(find(one, 5n, 1, 'team')?.counts).toBe(undefined)
  })

  it('of nobody do not say that all have read it [I6]', () => {
    const rig = shared()
    rig.say(counts(0, 0, 0))
    expect(find(rig, 5n, 1, 'team')?.status).toBe('sent')
  })

  it('do not make a message incomplete that nobody has [I6]', () => {
    for (const packets of [[], [counts(0, 0, 2)]]) {
      const rig = shared()
      if (packets.length > 0) rig.say(...packets)
      rig.advance(3_602_000)
      rig.step({ kind: 'timer', timer: 'outbox' })
      expect(find(rig, 5n, 1, 'team')).toMatchObject({ status: 'sent', isIncomplete: false })
    }
  })
})

describe('a new epoch', () => {
  it('has what the server never answered sent again, and what it had not stored [I1]', () => {
    const rig = sent(1n)
    rig.send({ id: 2n })
    rig.clear()
    rig.reconnect({ epoch: 8 })
    expect(rig.sent('send').map(({ id }) => id)).toEqual([1n, 2n])
  })

  it('makes nothing of older counts: not after a crash, not of what had expired [I6]', () => {
    const rig = sent(1n)
    rig.say(mark(1))
    rig.send({ id: 2n })
    rig.say(resultOf(rig.lastPacket('send')), status(2n, 'expired'))
    rig.reconnect({ epoch: 8 })
    const restarted = new Rig(rig.disk).live({ epoch: 8 })
    restarted.say(status(2n, 'delivered'), mark(9, 9))
    expect(restarted.notices('status').map(({ message }) => [message.id, message.status])).toEqual([[2n, 'delivered']])
  })
})

describe('a message to a group that is to be sent again in a new epoch', () => {
  it('is, whatever counts come before its RESULT: a process that ended before it knows the destination already [I1] [I6]', () => {
    const rig = new Rig().live()
    rig.send({ id: 5n, toKind: 1, to: 'team' })
    rig.say(resultOf(rig.lastPacket('send'), { count: 0 }))
    const { destination } = resultOf(rig.lastPacket('send'))
    rig.reconnect({ epoch: 8 })
    const restarted = new Rig(rig.disk).live({ epoch: 8 })
    restarted.say({ kind: 'counts', destination, id: 5n, delivered: 2, read: 0, members: 2 })
    expect(restarted.notices('status')).toEqual([])
    restarted.clear()
    restarted.reconnect({ epoch: 8 })
    expect(restarted.sent('send').map(({ id }) => id)).toEqual([5n])
    restarted.say(resultOf(restarted.lastPacket('send'), { count: 0, status: codeNumber('delivered') }))
    restarted.say({ kind: 'counts', destination, id: 5n, delivered: 2, read: 2, members: 2 })
    expect(restarted.notices('status').map(({ message: { status } }) => status)).toEqual(['delivered', 'read'])
  })
})

describe('the content of a message', () => {
  const body = (text: string): Uint8Array => new TextEncoder().encode(text)

  it('is told with how it failed, so that it may be sent again, and not once somebody has it', () => {
    const bodies = (rig: Rig) => rig.notices('status').map(({ message }) => [message.status, message.body?.length])
    const rig = sent(1n)
    rig.say(mark(1), mark(1, 1))
    expect(bodies(rig)).toEqual([
      ['sent', 5],
      ['delivered', undefined],
      ['read', undefined],
    ])
    for (const name of ['expired', 'blocked', 'unknown'] as const) {
      const failed = new Rig().live()
      failed.send()
      failed.say(resultOf(failed.lastPacket('send'), { status: codeNumber(name) }))
      expect(bodies(failed)).toEqual([[name, 5]])
    }
  })

  it.each<Partial<Draft>>([
    { type: 1 },
    { priority: 7 },
    { receipts: false },
    { body: body('hellO') },
    { body: body('Hello') },
    { body: body('hello!') },
    { body: body('hell') },
    { body: body('') },
  ])('is another one with %o, before and after its delivery [I8]', (fields) => {
    const rig = sent(1n)
    expect(rig.answer(rig.send({ id: 1n, ...fields }))).toMatchObject({ fault: { code: 'conflict' } })
    rig.say(mark(1))
    expect(rig.answer(rig.send({ id: 1n, ...fields }))).toMatchObject({ fault: { code: 'conflict' } })
    expect(rig.answer(rig.send({ id: 1n }))).toMatchObject({ kind: 'sent' })
  })

  it('has the fingerprint that earlier versions have stored', () => {
    expect(fingerprintOf(body('hello'))).toBe(4_453_379_910_610_091)
  })
})

describe('after a restart', () => {
  it('a message may be taken back that had no deadline yet: no server can have it', () => {
    const unseen = new Rig().open()
    unseen.send({ id: 5n })
    const attempted = new Rig().live()
    attempted.send({ id: 5n })
    const outcomes = [unseen, attempted].map(({ disk }) => {
      const rig = new Rig(disk).open()
      return rig.answer(rig.ask({ kind: 'cancel', toKind: 0, to: 'bob', id: 5n }))
    })
    expect(outcomes).toMatchObject([{ isCancelled: true }, { isCancelled: false }])
  })
})

describe('a group’s message without an answer when its connection is gone', () => {
  function sentTwice(options: { readonly receipts?: boolean } = {}): Rig {
    const rig = new Rig().live()
    rig.send({ toKind: 1, to: 'team', id: 5n, ...options })
    rig.step({ kind: 'socketClosed', socket: rig.socket, closeCode: 1_006 })
    rig.step({ kind: 'timer', timer: 'connection' })
    rig.live()
    return rig
  }

  it('is asked for once it is answered: its counts may have come before [I6]', () => {
    const rig = sentTwice()
    rig.say(counts(1, 0, 2))
    rig.say(resultOf(rig.lastPacket('send'), { destination: 300, count: 0 }))
    rig.answerQuery('sent', { delivered: 1, members: 2 })
    expect(rig.notices('status').at(-1)).toMatchObject({
      message: { status: 'sent', counts: { delivered: 1, read: 0, members: 2 } },
    })
  })

  it('is not asked for when nobody told of it, or it is the first time', () => {
    const rig = sentTwice({ receipts: false })
    rig.say(resultOf(rig.lastPacket('send'), { destination: 300, count: 0 }))
    rig.send({ toKind: 1, to: 'team', id: 6n })
    rig.say(resultOf(rig.lastPacket('send'), { destination: 300, count: 0 }))
    expect(rig.packets.filter(({ kind }) => kind === 'query')).toEqual([])
  })
})
