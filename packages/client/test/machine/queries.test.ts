import { codeNumber, limits } from '@posthaste/protocol'
import { expect, it } from 'vitest'
import { Disk, draft, Rig, resultOf } from './rig.ts'

/** How many messages are sent and not delivered, when the connection is lost. */
const open = 18 * limits.items

function waiting(): Rig {
  const rig = new Rig(new Disk(), { outboxMessages: open, outboxBytes: 1_000_000 }).live()
  for (let id = 1n; id <= BigInt(open); id++) rig.send({ id })
  for (let from = 0; from < open; ) {
    const sent = rig.sent('send').slice(from)
    rig.say(...sent.map((packet, at) => resultOf(packet, { count: from + at + 1 })))
    from += sent.length
  }
  return rig.reconnect()
}

function answer(rig: Rig): void {
  const { request, messages } = rig.lastPacket('query')
  const place = { status: codeNumber('sent'), destination: 300, count: 0, lane: 8, timeMs: 0 }
  rig.say({
    kind: 'statuses',
    request,
    statuses: messages.map(() => ({ ...place, delivered: 0, read: 0, members: 1 })),
  })
}

it('[I10] what is asked of very many messages comes with rests, so that the server does not take it for a flood', () => {
  const rig = waiting()
  for (let query = 1; query <= 16; query++) {
    expect(rig.sent('query').length).toBe(query)
    answer(rig)
  }
  expect(rig.sent('query').length).toBe(16)
  rig.step({ kind: 'timer', timer: 'query' })
  expect(rig.sent('query').length).toBe(17)
  answer(rig)
  expect(rig.all('setTimer').filter(({ timer }) => timer === 'query')).toMatchObject([{ delayMs: 30 }, { delayMs: 30 }])
  rig.step({ kind: 'timer', timer: 'query' })
  answer(rig)
  expect(rig.sent('query').flatMap(({ messages }) => messages).length).toBe(open)
  rig.step({ kind: 'timer', timer: 'query' })
  expect(rig.sent('query').length).toBe(18)
})

it('the rest ends with the connection, and another one begins anew', () => {
  const rig = waiting()
  for (let query = 1; query <= 16; query++) answer(rig)
  rig.reconnect()
  expect(rig.all('clearTimer').at(-1)).toBeDefined()
  expect(rig.sent('query').length).toBe(17)
  answer(rig)
  expect(rig.sent('query').length).toBe(18)
})

it('a message that is told delivered during a rest is asked for after it', () => {
  const rig = waiting()
  for (let query = 1; query <= 16; query++) answer(rig)
  const [{ id } = draft()] = rig.sent('query').at(-1)?.messages ?? []
  rig.say({ kind: 'status', destination: 300, id: id ?? 0n, status: codeNumber('delivered') })
  expect(rig.sent('query').length).toBe(16)
  rig.step({ kind: 'timer', timer: 'query' })
  expect(rig.lastPacket('query').messages.map((asked) => asked.id)).toContain(id)
})
