import { afterEach, describe, expect, it } from 'vitest'
import type { Posthaste } from '../../src/posthaste.ts'
import type { SentMessage } from '../../src/sentMessage.ts'
import { createTestServer, type TestServer } from '../../src/testing/index.ts'

/** So many messages, of which every second one expires unseen: twice as many ranges as a packet may have, and some. */
const count = 1_160

let server: TestServer

afterEach(() => server.close())

/** A device that only a member of the group has been on, and what waits for it there. */
async function waiting(to: 'bob' | { readonly group: string }): Promise<SentMessage[]> {
  server = createTestServer({ flushing: 'manual' })
  const alice = server.client({ user: 'alice', limits: { outboxMessages: 10_000 } })
  const bob = server.client({ user: 'bob', device: 'phone' })
  for (const client of [alice, bob]) client.connect()
  await server.flush()
  await during(alice.groups.create('team'))
  await during(alice.groups.setMember('team', 'bob', ['send', 'receive']))
  await server.advance(1_000)
  await server.flush()
  await during(bob.close())
  const drafts = Array.from({ length: count }, (_, at) => ({ to, body: 'x', expirySeconds: at % 2 === 0 ? 10 : 86_400 }))
  const sent = await during(alice.sendMany(drafts))
  for (let flushed = 0; flushed < 20; flushed++) await server.flush()
  await server.advance(20_000)
  await server.flush()
  return [...sent]
}

/** Flushes until that is done. */
async function during<T>(promise: Promise<T>): Promise<T> {
  let isDone = false
  const done = promise.finally(() => {
    isDone = true
  })
  while (!isDone) await server.flush()
  return done
}

/** Goes on until it has to be over. */
async function goOn(): Promise<void> {
  for (let step = 0; step < 60; step++) {
    await server.advance(step < 20 ? 200 : 2_000)
    await server.flush()
  }
}

/** A client of the device, that calls back as its so many-th message is stored. */
function receiver(at: number, reached: () => void, stored: Set<bigint>): Posthaste {
  const bob = server.client({ user: 'bob', device: 'phone' })
  bob.on('message', ({ id }) => {
    stored.add(id)
    if (stored.size === at) reached()
  })
  bob.receive(() => {})
  return bob
}

describe('a device with more unconfirmed ranges than HELLO has room for', () => {
  const cases = (['bob', { group: 'team' }] as const).flatMap((to) =>
    (['crash', 'cut', 'kill'] as const).flatMap((how) => [257, 515, 560].map((at) => ({ to, how, at }))),
  )

  it.each(cases)('is told of as delivered with just what it stored: $to $how at $at [I6] [I1] [I2]', async ({ to, how, at }) => {
    const sent = await waiting(to)
    const stored = new Set<bigint>()
    const act = { crash: () => server.restart(), cut: () => server.cut(bob), kill: () => server.kill(bob) }[how]
    const bob = receiver(at, () => setImmediate(act), stored)
    // HELLO, and ATTACH: all else is on its way after that, and nothing that bob says is journaled.
    for (let flushed = 0; flushed < 5 && stored.size < at; flushed++) await server.flush()
    expect(stored.size).toBeGreaterThanOrEqual(at)
    if (how === 'kill') receiver(0, () => {}, stored)
    await goOn()
    expect(stored.size).toBe(count / 2)
    expect(bob.connection.state.status).not.toBe('ended')
    const wrong = sent.filter(({ id, status }) => status !== (stored.has(id) ? 'delivered' : 'expired'))
    expect(wrong.map(({ status }) => status)).toEqual([])
  })
})
