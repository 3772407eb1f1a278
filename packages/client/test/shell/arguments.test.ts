import { describe, expect, it } from 'vitest'
import { connectUrl } from '../../src/connectUrl.ts'
import { Posthaste } from '../../src/posthaste.ts'
import { deliver, FakeServer } from './fakeServer.ts'

function clientOf(server: FakeServer): Posthaste {
  return new Posthaste({ url: 'ws://localhost:7400', token: 'token', transport: server.transport })
}

describe('arguments', () => {
  const send = (fields: Record<string, unknown>) => {
    const alice = clientOf(new FakeServer())
    return alice.send({ to: 'bob', body: '', ...fields } as never)
  }

  it.each([
    ['to', { to: '' }],
    ['to', { to: { user: 'a', group: 'b' } }],
    ['to', { to: 'x'.repeat(129) }],
    ['id', { id: 5 }],
    ['id', { id: -1n }],
    ['id', { id: 1n << 64n }],
    ['type', { type: 2 ** 32 }],
    ['priority', { priority: 16 }],
    ['expirySeconds', { expirySeconds: -1 }],
    ['expirySeconds', { expirySeconds: 1.5 }],
    ['expirySeconds', { expirySeconds: 2_592_001 }],
    ['receipts', { receipts: 1 }],
    ['body', { body: 5 }],
    ['body', { body: 'lone \ud800' }],
  ])('are refused before anything is stored: %s %o', async (field, fields) => {
    await expect(send(fields)).rejects.toMatchObject({
      name: 'PosthasteError',
      code: 'invalid-argument',
      field,
      retryable: false,
    })
  })

  it('name what is allowed, and where help is', async () => {
    await expect(send({ priority: 16 })).rejects.toThrow('0 to 15')
    for (const expirySeconds of [-1, 2_592_001])
      await expect(send({ expirySeconds })).rejects.toThrow(`expirySeconds must be a whole number from 0 to 2592000, not`)
    await expect(send({ body: new Uint8Array(1_048_577) })).rejects.toMatchObject({
      code: 'too-large',
      help: helpOf('too-large'),
    })
  })

  const helpOf = (code: string): string => `http://localhost:7400/errors/${code}`
  const position = { epoch: 1, log: 1, lane: 8, seq: 1 }
  const readMark = { sender: 1, count: 1 }
  const calls: [string, (alice: Posthaste) => unknown][] = [
    ['options', (alice) => alice.send(undefined as never)],
    ['priority', (alice) => alice.send({ to: 'bob', body: '', priority: 16 })],
    ['messages', (alice) => alice.sendMany('x' as never)],
    ['id', (alice) => alice.sendMany([{ to: 'bob', body: '', id: 0n }])],
    ['expirySeconds', (alice) => alice.sendMany([{ to: 'bob', body: '', expirySeconds: 0 }])],
    ['to', (alice) => alice.sendRealtime({ to: '', body: '' })],
    ['to', (alice) => alice.find('', 1n)],
    ['id', (alice) => alice.find('bob', 1 as never)],
    ['to', (alice) => alice.typing('..', true)],
    ['handler', (alice) => alice.receive('x' as never)],
    ['acknowledge', (alice) => alice.receive(() => {}, { acknowledge: 'never' as never })],
    ['onFailure', (alice) => alice.receive(() => {}, { onFailure: 5 as never })],
    ['positions.lane', (alice) => alice.receive(() => {}, { positions: [{ ...position, lane: 16 }] })],
    ['position.seq', (alice) => alice.markRead({ position: { ...position, seq: -1 }, readMark })],
    ['position.seq', (alice) => alice.markRead({ position: { ...position, seq: 0 }, readMark })],
    ['position', (alice) => alice.markRead({ position: undefined as never, readMark })],
    ['readMark.sender', (alice) => alice.markRead(undefined as never)],
    ['position', (alice) => alice.setAside.retry(undefined as never)],
    ['position', (alice) => alice.setAside.drop(undefined as never)],
    ['readMark.count', (alice) => alice.markRead({ position, readMark: { sender: 1, count: 0.5 } })],
    ['readMark.sender', (alice) => alice.markRead({ position } as never)],
    ['position.log', (alice) => alice.setAside.drop({ position: { ...position, log: Number.NaN } })],
    ['users', (alice) => alice.watchPresence([''], () => {})],
    ['users', (alice) => alice.watchPresence('bob' as never, () => {})],
    ['user', (alice) => alice.block('')],
    ['event', (alice) => alice.on('nonsense' as never, () => {})],
    ['observer', (alice) => alice.on('message', 5 as never)],
    ['group', (alice) => alice.groups.create('')],
    ['group', (alice) => alice.groups.members('').next()],
    ['roles', (alice) => alice.groups.setMember('team', 'bob', ['owner' as never])],
    ['roles', (alice) => alice.groups.setMember('team', 'bob', 'admin' as never)],
    ['user', (alice) => alice.groups.setMember('team', '', [])],
    ['id', (alice) => alice.receipts('team', -1n).next()],
    ['status', async (alice) => (await alice.send({ to: 'bob', body: '' })).waitFor('outbox' as never)],
    ['by', async (alice) => (await alice.send({ to: 'bob', body: '' })).waitFor('sent', { by: 0 })],
  ]
  it.each(calls)('of any call are refused with the field and where help is: %s %s', async (field, call) => {
    const alice = clientOf(new FakeServer())
    const refused = async (): Promise<unknown> => await call(alice)
    const help = helpOf('invalid-argument')
    await expect(refused()).rejects.toMatchObject({ name: 'PosthasteError', code: 'invalid-argument', field, help })
    await alice.close()
  })

  it('of a second handler, and what a handler or an observer threw, say where help is', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const told: (string | undefined)[] = []
    alice.on('error', ({ help }) => told.push(help))
    alice.on('message', () => {
      throw new Error('no')
    })
    alice.receive(() => Promise.reject(new Error('no')))
    expect(() => alice.receive(() => {})).toThrow(expect.objectContaining({ help: helpOf('already-receiving') }))
    const connection = await server.session()
    connection.say(deliver(1))
    await expect.poll(() => told).toEqual([helpOf('observer-failed'), helpOf('handler-failed')])
    await alice.close()
  })

  const options: [string, Record<string, unknown>][] = [
    ['token', { token: 5 }],
    ['agent', { agent: 'x'.repeat(257) }],
    ['store', { store: './directory' }],
    ['options', { sotre: undefined }],
    ['limits', { limits: { outboxMesages: 1 } }],
    ['limits.outboxMessages', { limits: { outboxMessages: -1 } }],
    ['limits.inboxBytes', { limits: { inboxBytes: 0 } }],
    ['limits.inboxMessages', { limits: { inboxMessages: 1.5 } }],
  ]
  it.each(options)('of a client are refused with the field and where help is: %s %o', (field, fields) => {
    const make = (): Posthaste => new Posthaste({ url: 'ws://localhost:7400', token: 't', ...fields } as never)
    expect(make).toThrow(expect.objectContaining({ code: 'invalid-argument', field, help: helpOf('invalid-argument') }))
  })

  it.each([undefined, null, 'ws://localhost'])('of a client that are none at all are refused: %j', (none) => {
    const make = (): Posthaste => new Posthaste(none as never)
    expect(make).toThrow(expect.objectContaining({ name: 'PosthasteError', code: 'invalid-argument', field: 'url' }))
  })

  it('that are undefined count as left out, limits too', async () => {
    const left = { store: undefined, tabs: undefined, agent: undefined }
    const limits = { outboxMessages: 1, outboxBytes: undefined, inboxMessages: undefined }
    const alice = new Posthaste({
      url: 'ws://localhost:7400',
      token: 't',
      ...left,
      limits,
      transport: new FakeServer().transport,
    })
    await alice.send({ to: 'bob', body: 'x'.repeat(1_000) })
    await expect(alice.send({ to: 'bob', body: '' })).rejects.toMatchObject({ code: 'outbox-full' })
    await alice.close()
  })

  it.each(['nowhere', 'localhost:7400', 'ftp://localhost', 'ws://alice:secret@localhost', 'ws://localhost/#x', ''])(
    'are refused that are no URL of a server: %j',
    (url) => {
      const make = (): Posthaste => new Posthaste({ url, token: 't' })
      expect(make).toThrow(
        expect.objectContaining({ code: 'invalid-argument', field: 'url', message: expect.stringContaining('ws://') }),
      )
    },
  )

  it('may be an http URL; the path is added where there is none', () => {
    expect(connectUrl('http://localhost:7400')).toBe('ws://localhost:7400/v1/connect')
    expect(connectUrl('https://example.org/chat')).toBe('wss://example.org/chat')
    expect(connectUrl('ws://localhost/?shard=1')).toBe('ws://localhost/v1/connect?shard=1')
  })
})
