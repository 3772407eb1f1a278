import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { codeNumber } from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import { Posthaste } from '../../src/posthaste.ts'
import { nodeStore } from '../../src/stores/node.ts'
import { TestClock } from '../../src/testing/testClock.ts'
import { FakeServer, resultOf } from './fakeServer.ts'

function clientOf(server: FakeServer): Posthaste {
  return new Posthaste({ url: 'ws://localhost:7400', token: 'token', transport: server.transport })
}

describe('waiting', () => {
  it('rejects with how the message ended', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const message = await alice.send({ to: 'bob', body: 'x' })
    const connection = await server.session()
    const delivered = message.waitFor('delivered')
    connection.say(resultOf(await connection.next('send'), { status: codeNumber('blocked'), count: 0 }))
    await expect(delivered).rejects.toMatchObject({ code: 'blocked', message: `Message ${message.id} to bob ended: blocked.` })
    const again = await message.retry()
    expect(again.id).not.toBe(message.id)
    expect(await connection.next('send', 2)).toMatchObject({ id: again.id, to: 'bob' })
    expect(await again.retry()).toBe(again)
    await alice.close()
    await expect(again.retry()).rejects.toMatchObject({ code: 'closed' })
    await expect(again.waitFor('sent')).rejects.toMatchObject({ code: 'closed' })
  })

  it('sends the content of an expired message again, and after a restart says that it is gone', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'posthaste-client-'))
    const server = new FakeServer()
    const restarted = (): Posthaste =>
      new Posthaste({ url: 'ws://localhost:7400', token: 'token', transport: server.transport, store: nodeStore(folder) })
    const alice = restarted()
    const message = await alice.send({ to: 'bob', body: 'x' })
    const connection = await server.session()
    connection.say(resultOf(await connection.next('send'), { status: codeNumber('expired'), count: 0 }))
    await expect(message.waitFor('sent')).rejects.toMatchObject({ code: 'expired' })
    const again = await message.retry()
    expect(await connection.next('send', 2)).toMatchObject({ id: again.id, body: new TextEncoder().encode('x') })
    await alice.close()
    const later = restarted()
    const found = await later.find('bob', message.id)
    expect(found?.status).toBe('expired')
    await expect(found?.retry()).rejects.toMatchObject({ code: 'not-found' })
    expect((await later.find('bob', again.id))?.status).toBe('outbox')
    await later.close()
    await rm(folder, { recursive: true })
  })

  it('rejects at once for a message of a client that had ended before its handle was made', async () => {
    const refused = Object.assign(new Error('signed out'), { code: 'token-refused' })
    let isSignedOut = false
    const token = (): string => {
      if (isSignedOut) throw refused
      return 'token'
    }
    const server = new FakeServer()
    const alice = new Posthaste({ url: 'ws://localhost:7400', token, transport: server.transport })
    const { id } = await alice.send({ to: 'bob', body: 'x' })
    const connection = await server.session()
    isSignedOut = true
    const ended = new Promise((resolve) => alice.connection.subscribe(({ status }) => status === 'ended' && resolve(status)))
    connection.end(1_001)
    await ended
    const found = await alice.find('bob', id)
    await expect(found?.waitFor('sent')).rejects.toMatchObject({ code: 'token-refused' })
    await alice.close()
  })

  it('ends with its signal, and leaves the message alone', async () => {
    const alice = clientOf(new FakeServer())
    const message = await alice.send({ to: 'bob', body: 'x' })
    const controller = new AbortController()
    const sent = message.waitFor('sent', { signal: controller.signal })
    controller.abort(new Error('enough'))
    await expect(sent).rejects.toThrow('enough')
    expect(await Promise.all([message.cancel(), message.cancel()])).toContain(true)
    expect(message.status).toBe('cancelled')
    expect(await message.cancel()).toBe(true)
    await alice.close()
  })

  it('waits for any, a number, or all of a group', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const message = await alice.send({ to: { group: 'team' }, body: 'x' })
    const connection = await server.session()
    const any = message.waitFor('delivered', { by: 'any' })
    const two = message.waitFor('delivered', { by: 2 })
    const all = message.waitFor('delivered')
    connection.say(resultOf(await connection.next('send'), { destination: 300, count: 0 }))
    const counts = { kind: 'counts', destination: 300, id: message.id, read: 0, members: 3 } as const
    connection.say({ ...counts, delivered: 1 })
    await any
    connection.say({ ...counts, delivered: 2 })
    await two
    expect(message.status).toBe('sent')
    connection.say({ ...counts, delivered: 3 })
    await all
    expect(message.status).toBe('delivered')
    await alice.close()
  })

  it.each([0, -1, 1.5, Number.NaN, 'most'])('is refused for a number of members that can’t be: %s', async (by) => {
    const alice = clientOf(new FakeServer())
    const message = await alice.send({ to: { group: 'team' }, body: 'x' })
    const refused = { name: 'PosthasteError', code: 'invalid-argument', field: 'by' }
    await expect(message.waitFor('delivered', { by: by as never })).rejects.toMatchObject(refused)
    await alice.close()
  })

  it('ends at the deadline of a group’s message that only some have stored', async () => {
    const time = new TestClock(1_800_000_000_000)
    const nowMs = () => time.nowMs
    const clock = { wallMs: nowMs, monotonicMs: nowMs, setTimer: time.setTimer.bind(time) }
    const server = new FakeServer()
    const alice = new Posthaste({ url: 'ws://localhost:7400', token: 'token', transport: server.transport, clock })
    const message = await alice.send({ to: { group: 'team' }, body: 'x', expirySeconds: 60 })
    const connection = await server.session()
    connection.say(resultOf(await connection.next('send'), { destination: 300, count: 0 }))
    connection.say({ kind: 'counts', destination: 300, id: message.id, delivered: 1, read: 0, members: 3 })
    await message.waitFor('delivered', { by: 1 })
    const all = message.waitFor('delivered')
    const read = message.waitFor('read', { by: 'any' })
    const late = [all, read].map((wait) => expect(wait).rejects.toMatchObject({ code: 'incomplete', retryable: false }))
    for (const passedMs of [62_000, 3_000]) {
      time.moveTo(time.nowMs + passedMs)
      time.fire()
    }
    await Promise.all(late)
    expect([message.status, message.counts?.delivered]).toEqual(['sent', 1])
    await alice.close()
  })
})
