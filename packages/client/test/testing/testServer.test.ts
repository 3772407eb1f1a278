import { afterEach, describe, expect, it } from 'vitest'
import { createTestServer, type TestServer } from '../../src/testing/index.ts'
import type { Message } from '../../src/message.ts'

let server: TestServer

afterEach(() => server.close())

describe('a test server', () => {
  it('carries a message from one client to another without a sleep', async () => {
    server = createTestServer()
    const [alice, bob] = [server.client({ user: 'alice' }), server.client({ user: 'bob' })]
    const texts: string[] = []
    bob.receive((message) => texts.push(message.text()))
    const sent = await alice.send({ to: 'bob', body: 'hello' })
    await sent.waitFor('delivered')
    expect(texts).toEqual(['hello'])
  })

  it('takes undefined for what is left out', async () => {
    server = createTestServer({ startMs: undefined, flushing: undefined, seed: undefined, limits: { connections: undefined } })
    const left = { device: undefined, store: undefined, token: undefined, limits: { outboxMessages: undefined } }
    server.createUser('bob')
    await (await server.client({ user: 'alice', ...left }).send({ to: 'bob', body: 'hello' })).waitFor('sent')
  })

  it('lets time pass only when told to: a message expires when the clock says so [I5]', async () => {
    server = createTestServer()
    const alice = server.client({ user: 'alice' })
    server.createUser('bob')
    const sent = await alice.send({ to: 'bob', body: 'x', expirySeconds: 3_600 })
    await server.advance(3_599_000)
    expect(sent.status).toBe('sent')
    await server.advance(2_000)
    expect(sent.status).toBe('expired')
    expect(server.nowMs).toBe(Date.UTC(2026, 0, 1, 1, 0, 1))
  })

  it('lets a day pass in moments', async () => {
    server = createTestServer()
    const alice = server.client({ user: 'alice' })
    server.createUser('bob')
    const sent = await alice.send({ to: 'bob', body: 'x', expirySeconds: 86_400 })
    await server.advance(86_401_000)
    expect(sent.status).toBe('expired')
  })

  it('keeps a death in the middle of a commit from being waited for', async () => {
    server = createTestServer()
    const alice = server.client({ user: 'alice', device: 'phone' })
    server.createUser('bob')
    void alice.send({ to: 'bob', body: 'x' })
    server.kill(alice)
    await server.settle()
    const again = server.client({ user: 'alice', device: 'phone' })
    expect(await again.pending()).toEqual({ messages: 0, bytes: 0 })
  })

  it('says sent only of what is durable, and forgets the rest in a crash [I1] [I12]', async () => {
    server = createTestServer({ flushing: 'manual' })
    const [alice, bob] = [server.client({ user: 'alice' }), server.client({ user: 'bob' })]
    alice.connect()
    await server.flush()
    const texts: string[] = []
    bob.receive((message) => texts.push(message.text()))
    await server.flush()
    const sent = await alice.send({ to: 'bob', body: 'hello' })
    await server.settle()
    expect(sent.status).toBe('outbox')
    server.crash()
    await server.settle()
    expect(alice.connection.state.status).toBe('waiting')
    server.restart()
    for (let step = 0; step < 20; step++) {
      await server.advance(5_000)
      await server.flush()
    }
    expect(sent.status).toBe('delivered')
    expect(texts).toEqual(['hello'])
  })

  it('cuts a client off, and lets it come back', async () => {
    server = createTestServer()
    const alice = server.client({ user: 'alice' })
    server.createUser('bob')
    alice.connect()
    await server.settle()
    expect(alice.connection.state.status).toBe('live')
    server.disconnect(alice)
    await server.advance(60_000)
    expect(alice.connection.state.status).toBe('waiting')
    const sent = await alice.send({ to: 'bob', body: 'x' })
    server.reconnect(alice)
    await server.advance(30_000)
    expect(sent.status).toBe('sent')
    server.cut(alice)
    await server.advance(200)
    expect(alice.connection.state.status).toBe('live')
  })

  it('kills a client in the middle of its handler: the next one on the device gets the message again, as redelivered', async () => {
    server = createTestServer()
    const alice = server.client({ user: 'alice' })
    const seen: [string, boolean][] = []
    const note = (message: Message): void => {
      seen.push([message.text(), message.redelivered])
    }
    const bob = server.client({ user: 'bob', device: 'phone' })
    bob.receive(async (message) => {
      note(message)
      if (message.text() === 'two') await new Promise(() => {})
    })
    for (const body of ['one', 'two', 'three']) await alice.send({ to: 'bob', body })
    await server.settle()
    server.kill(bob)
    const again = server.client({ user: 'bob', device: 'phone' })
    again.receive(note)
    await server.settle()
    expect(seen).toEqual([
      ['one', false],
      ['two', false],
      ['two', true],
      ['three', false],
    ])
  })

  it('refuses tokens that it did not make, and those whose time is over', async () => {
    server = createTestServer()
    const mallory = server.client({ user: 'mallory', token: 'forged' })
    mallory.connect()
    const old = server.token('alice', 1_000)
    const alice = server.client({ user: 'alice', token: old })
    await server.advance(1_000)
    alice.connect()
    await server.settle()
    expect(mallory.connection.state).toMatchObject({ status: 'ended', fault: { code: 'token-invalid' } })
    expect(alice.connection.state).toMatchObject({ status: 'ended', fault: { code: 'token-expired' } })
  })
})
