import { describe, expect, it } from 'vitest'
import { Posthaste } from '../../src/posthaste.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { deliver, FakeServer, resultOf } from './fakeServer.ts'

function clientOf(server: FakeServer, store = memoryStore()): Posthaste {
  return new Posthaste({ url: 'ws://localhost:7400', token: 'token', store, transport: server.transport })
}

describe('a client', () => {
  it('sends, and learns of sent, delivered and read', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const message = await alice.send({ to: 'bob', body: 'hello' })
    expect(message.status).toBe('outbox')
    const connection = await server.session()
    const send = await connection.next('send')
    expect(send).toMatchObject({ ref: 1, to: 'bob', id: message.id, priority: 8, receipts: true })
    const sent = message.waitFor('sent')
    connection.say(resultOf(send))
    await sent
    const delivered = message.waitFor('delivered')
    connection.say({ kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 0 })
    await delivered
    expect(message.status).toBe('delivered')
    const read = message.waitFor('read')
    connection.say({ kind: 'mark', destination: 200, lane: 8, delivered: 1, read: 1 })
    await read
    expect(await alice.find('bob', message.id)).toBeUndefined()
    await alice.close()
    expect(connection.closeCode).toBe(1_000)
  })

  it('stores what it receives, acknowledges it, and hands it to the handler in order', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const texts: string[] = []
    const three = new Promise<void>((resolve) => {
      alice.receive((message) => {
        texts.push(message.text())
        if (texts.length === 3) resolve()
      })
    })
    const connection = await server.session()
    connection.say(deliver(1), deliver(2))
    await connection.next('ack')
    connection.say(deliver(3))
    await three
    expect(texts).toEqual(['message 1', 'message 2', 'message 3'])
    expect(await connection.next('ack', 2)).toMatchObject({ log: 100, lane: 8, upTo: 3, notStored: [] })
    await alice.close()
  })

  it('connects again, with a new session number and its cursors', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    alice.receive(() => {})
    const first = await server.session()
    first.say(deliver(1))
    await first.next('ack')
    first.end()
    const second = await server.session(2)
    const hello = await second.next('hello')
    expect(hello.session).toBe((await first.next('hello')).session + 1)
    expect(hello.cursors).toEqual([{ log: 100, lane: 8, seq: 1, notStored: [] }])
    await alice.close()
  })
})
