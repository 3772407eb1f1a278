import { codeNumber } from '@posthaste/protocol'
import { describe, expect, it, vi } from 'vitest'
import { PosthasteError } from '../../src/errors.ts'
import { jsonKind } from '../../src/kinds.ts'
import type { Message } from '../../src/message.ts'
import { systemClock, systemRandom } from '../../src/ports.ts'
import { Posthaste } from '../../src/posthaste.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { deliver, FakeServer, resultOf } from './fakeServer.ts'

function clientOf(server: FakeServer, token: string | (() => string | Promise<string>) = 'token'): Posthaste {
  return new Posthaste({ url: 'ws://localhost:7400', token, transport: server.transport })
}

describe('an iterator', () => {
  it('acknowledges the message before at next, and nothing that was broken off', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const messages = alice.receive()
    const connection = await server.session()
    connection.say(deliver(1), deliver(2), deliver(3))
    const seen: string[] = []
    for await (const message of messages) {
      seen.push(message.text())
      if (seen.length === 2) break
    }
    const again: Message[] = []
    await new Promise<void>((resolve) => {
      alice.receive((message) => {
        again.push(message)
        if (again.length === 2) resolve()
      })
    })
    expect(seen).toEqual(['message 1', 'message 2'])
    expect(again.map((message) => [message.text(), message.redelivered])).toEqual([
      ['message 2', true],
      ['message 3', false],
    ])
    await alice.close()
  })

  it('gives the highest priority first among what waits', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const messages = alice.receive()
    const connection = await server.session()
    connection.say(deliver(1), deliver(1, { lane: 3, id: 3n }), deliver(1, { lane: 0, id: 4n }))
    await connection.next('ack', 3)
    const priorities: number[] = []
    for (let count = 0; count < 3; count++) priorities.push((await messages.next()).value.priority)
    expect(priorities).toEqual([0, 3, 8])
    await alice.close()
    expect(await messages.next()).toEqual({ done: true, value: undefined })
  })

  it('acknowledges all that it gave to calls that did not wait for each other, and releases them at its end', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const messages = alice.receive()
    const both = [messages.next(), messages.next()]
    const connection = await server.session()
    connection.say(deliver(1), deliver(1, { lane: 3, id: 3n }), deliver(2), deliver(2, { lane: 3, id: 4n }))
    const texts = async (results: Promise<IteratorResult<Message>>[]) =>
      (await Promise.all(results)).map(({ value }) => `${value.priority}: ${value.text()}`).sort()
    expect(await texts(both)).toEqual(['3: message 1', '8: message 1'])
    expect(await texts([messages.next(), messages.next()])).toEqual(['3: message 2', '8: message 2'])
    await messages.return?.()
    await alice.close()
  })

  it('ends at once after close', async () => {
    const alice = clientOf(new FakeServer())
    await alice.close()
    expect(await alice.receive().next()).toEqual({ done: true, value: undefined })
    expect(() => alice.receive(() => {})).toThrow(expect.objectContaining({ code: 'closed' }))
  })

  it('says why the client ended, also to whoever receives after that, and leaves what is stored to the next client', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const messages = alice.receive()
    const connection = await server.session()
    connection.say(deliver(1), deliver(2))
    const first = await messages.next()
    const ended = new Promise((resolve) => alice.on('connection', ({ status }) => status === 'ended' && resolve(status)))
    connection.say({ kind: 'error', code: codeNumber('replaced'), retryAfterMs: 0, text: '' })
    await ended
    expect(first.value?.text()).toBe('message 1')
    await expect(messages.next()).rejects.toMatchObject({ code: 'replaced' })
    await expect(alice.receive().next()).rejects.toMatchObject({ code: 'replaced' })
    expect(() => alice.receive(() => {})).toThrow(expect.objectContaining({ code: 'replaced' }))
    await messages.return?.()
    await alice.close()
  })

  it('ends with an error when the client ends by itself', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const next = alice.receive().next()
    const connection = await server.session()
    connection.say({ kind: 'error', code: codeNumber('replaced'), retryAfterMs: 0, text: '' })
    await expect(next).rejects.toMatchObject({ code: 'replaced' })
    await alice.close()
  })
})

describe('handlers', () => {
  it('that throw are told to error observers, and the policy decides', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const errors: PosthasteError[] = []
    alice.on('error', (error) => errors.push(error))
    const seen: string[] = []
    const done = new Promise<void>((resolve) => {
      alice.receive(
        (message) => {
          seen.push(message.text())
          if (message.text() === 'message 1') throw new Error('not this one')
          resolve()
        },
        { onFailure: () => 'set-aside' },
      )
    })
    const connection = await server.session()
    connection.say(deliver(1), deliver(2))
    await done
    expect(seen).toEqual(['message 1', 'message 2'])
    expect(errors).toMatchObject([{ code: 'handler-failed' }])
    const [aside] = await alice.setAside.list()
    expect(aside?.text()).toBe('message 1')
    if (aside !== undefined) await alice.setAside.drop(aside)
    expect(await alice.setAside.list()).toEqual([])
    await alice.close()
  })

  it.each([
    ['throws', () => expect.fail('a bug of the policy'), 'a bug of the policy'],
    ['decides nothing', () => undefined as never, "neither { retryInMs }, 'set-aside' nor 'stop'"],
    ['names no time', () => ({ retryInMs: -5 }), "neither { retryInMs }, 'set-aside' nor 'stop'"],
  ])('are tried again as by default where the policy %s, and that is told', async (_what, onFailure, text) => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const told = new Promise<PosthasteError>((resolve) => alice.on('error', resolve))
    alice.receive(() => expect.fail('no'), { onFailure })
    const connection = await server.session()
    connection.say(deliver(1))
    const { message } = await told
    expect(message).toContain('(attempt 1): no; onFailure failed: ')
    expect(message).toContain(text)
    expect(await alice.setAside.list()).toEqual([])
    await alice.close()
  })

  it('wait for a policy that takes its time', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    alice.on('error', () => {})
    const next = new Promise<string>((resolve) => {
      const handler = (message: Message): void => {
        if (message.text() === 'message 1') throw new Error('no')
        resolve(message.text())
      }
      alice.receive(handler, { onFailure: async () => 'set-aside' as const })
    })
    const connection = await server.session()
    connection.say(deliver(1), deliver(2))
    expect(await next).toBe('message 2')
    expect(await alice.setAside.list()).toHaveLength(1)
    await alice.close()
  })

  it('are one at a time for a client, and stop with their signal', async () => {
    const alice = clientOf(new FakeServer())
    const controller = new AbortController()
    alice.receive(() => {}, { signal: controller.signal })
    expect(() => alice.receive(() => {})).toThrow(PosthasteError)
    controller.abort()
    alice.receive(() => {})
    await alice.close()
  })
})

describe('closing', () => {
  it('ends a stop that waits for a running handler', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const begun = new Promise<() => Promise<void>>((resolve) => {
      const stop = alice.receive(() => {
        resolve(stop)
        return new Promise(() => {})
      })
    })
    const connection = await server.session()
    connection.say(deliver(1))
    const stop = await begun
    const stopped = stop()
    await alice.close()
    await stopped
    await stop()
  })
})

describe('a store that is lost', () => {
  it('while the app has a message of an iterator ends it, and the message is not handed out again and again', async () => {
    const server = new FakeServer()
    const store = memoryStore()
    let steps = 0
    const fraction = (): number => {
      steps += 1
      return steps < 1_000 ? 0.5 : expect.fail('the client spins')
    }
    const random = { ...systemRandom(), fraction }
    const alice = new Posthaste({ url: 'ws://localhost:7400', token: 'token', store, random, transport: server.transport })
    const messages = alice.receive()
    const connection = await server.session()
    connection.say(deliver(1))
    expect((await messages.next()).value?.text()).toBe('message 1')
    const lost = { code: 'store-lost', message: 'gone', retryable: false }
    store.commit = () => Promise.reject(new PosthasteError(lost))
    await expect(alice.send({ to: 'bob', body: 'hello' })).rejects.toMatchObject(lost)
    await expect(messages.next()).rejects.toMatchObject(lost)
    await alice.close()
  })
})

describe('a connection that is lost', () => {
  it('is tried again when the network comes back, also in a page that is hidden and at work for others', async () => {
    const page = new EventTarget()
    vi.stubGlobal('addEventListener', page.addEventListener.bind(page))
    vi.stubGlobal('removeEventListener', page.removeEventListener.bind(page))
    const document = Object.assign(new EventTarget(), { visibilityState: 'hidden' })
    vi.stubGlobal('document', document)
    const server = new FakeServer()
    const setTimer = (callback: () => void, delayMs: number): (() => void) => {
      // Only what must not wait happens here.
      if (delayMs === 0) queueMicrotask(callback)
      return () => {}
    }
    const clock = { ...systemClock, setTimer }
    const random = { ...systemRandom(), fraction: () => 0.5 }
    const alice = new Posthaste({ url: 'ws://localhost:7400', token: 'token', clock, random, transport: server.transport })
    alice.connect()
    const connectionsAfter = async (type: string, target: EventTarget): Promise<number> => {
      ;(await server.session(server.connections.length || 1)).end()
      target.dispatchEvent(new Event(type))
      await new Promise((resolve) => setImmediate(resolve))
      return server.connections.length
    }
    expect(await connectionsAfter('visibilitychange', document)).toBe(1)
    page.dispatchEvent(new Event('online'))
    await server.connection(2)
    expect(await connectionsAfter('online', page)).toBe(3)
    document.visibilityState = 'visible'
    expect(await connectionsAfter('visibilitychange', document)).toBe(4)
    await alice.close()
    vi.unstubAllGlobals()
  })
})

describe('what the app and the runtime throw', () => {
  it('disturbs nobody in an observer that is async', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const failed = new Promise<PosthasteError>((resolve) => alice.on('error', resolve))
    alice.on('message', async () => {
      throw new Error('no such row')
    })
    alice.connect()
    const connection = await server.session()
    connection.say(deliver(1))
    expect(await failed).toMatchObject({ code: 'observer-failed', message: expect.stringContaining('no such row') })
    await alice.close()
  })

  it('is printed when nobody observes errors: a message would come again and again, and nobody know why', async () => {
    const printed: unknown[] = []
    const log = vi.spyOn(console, 'error').mockImplementation((value) => printed.push(value))
    const server = new FakeServer()
    const alice = clientOf(server)
    const stop = alice.on('error', () => stop())
    alice.receive(() => {
      throw new Error('no such row')
    })
    const connection = await server.session()
    connection.say(deliver(1))
    await expect.poll(() => printed.length).toBe(1)
    expect(printed).toMatchObject([{ code: 'handler-failed', message: expect.stringContaining('(attempt 2): no such row') }])
    log.mockRestore()
    await alice.close()
  })

  it('is a connection that failed where it is the socket: it is tried again', async () => {
    const transport = (): never => {
      throw new DOMException('An insecure WebSocket may not be opened from here.', 'SecurityError')
    }
    const alice = new Posthaste({ url: 'ws://localhost:7400', token: 'token', transport })
    const waiting = new Promise((resolve) => {
      alice.connection.subscribe(({ status }) => status === 'waiting' && resolve(status))
    })
    alice.connect()
    await waiting
    await alice.close()
  })

  it('leaves nothing at the signal of a handler that its policy stopped', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const { signal } = new AbortController()
    const removed = new Promise((resolve) => {
      signal.removeEventListener = (...parameters: unknown[]) => resolve(parameters[0])
    })
    alice.receive(() => Promise.reject(new Error('no')), { signal, onFailure: () => 'stop' })
    const connection = await server.session()
    connection.say(deliver(1))
    expect(await removed).toBe('abort')
    await alice.close()
  })
})

describe('an id that is used again', () => {
  it('names the new message, not the one that ended', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const order = { to: 'bob', body: 'one pizza', id: 5n }
    const cancelled = await alice.send(order)
    await cancelled.cancel()
    const sent = await alice.send(order)
    expect([cancelled.status, sent.status]).toEqual(['cancelled', 'outbox'])
    const waiting = sent.waitFor('sent')
    const connection = await server.session()
    connection.say(resultOf(await connection.next('send')))
    await waiting
    expect([cancelled.status, sent.status]).toEqual(['cancelled', 'sent'])
    await alice.close()
  })
})

describe('the rest', () => {
  it('sends real-time messages without storing them', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    expect(await alice.sendRealtime({ to: 'bob', body: 'x' })).toBe('expired')
    const connection = await server.session()
    const status = alice.sendRealtime({ to: 'bob', body: 'x' })
    const { request } = await connection.next('realtime')
    connection.say({ kind: 'realtimeResult', request, status: codeNumber('delivered') })
    expect(await status).toBe('delivered')
    const handle = await alice.send({ to: 'bob', body: 'x', expirySeconds: 0 })
    const waited = handle.waitFor('delivered')
    connection.say({
      kind: 'realtimeResult',
      request: (await connection.next('realtime', 2)).request,
      status: codeNumber('expired'),
    })
    await expect(waited).rejects.toMatchObject({ code: 'expired' })
    await expect(handle.waitFor('read')).rejects.toMatchObject({ code: 'invalid-argument', field: 'status' })
    await alice.close()
  })

  it('hands real-time messages to observers, then acknowledges them', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    alice.connect()
    const connection = await server.session()
    const told = new Promise<string>((resolve) =>
      alice.on('realtime', (message) => resolve(`${message.text()} ${JSON.stringify(message)}`)),
    )
    const body = new TextEncoder().encode('now')
    const from = { sender: 200, senderName: 'bob', toKind: 0, to: 'alice', id: 1n, type: 0, priority: 8, timeMs: 1 } as const
    connection.say({ kind: 'realtimeDeliver', token: 9, ...from, body })
    const [text = '', json = ''] = (await told).split(' ')
    const rest = { from: { user: 'bob' }, to: { user: 'alice' }, type: 0, priority: 8, timeMs: 1 }
    expect([text, JSON.parse(json)]).toEqual(['now', { ...rest, id: '1', body: 'bm93' }])
    expect(await connection.next('realtimeAck')).toMatchObject({ token: 9 })
    await alice.close()
  })

  it('reads members page by page', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const users: string[] = []
    const all = (async () => {
      for await (const { user } of alice.groups.members('team')) users.push(user)
    })()
    const connection = await server.session()
    const first = await connection.next('members')
    connection.say({ kind: 'membersReply', request: first.request, members: [{ user: 'alice', roles: 7 }], next: 'alice' })
    const second = await connection.next('members', 2)
    expect(second.after).toBe('alice')
    connection.say({ kind: 'membersReply', request: second.request, members: [{ user: 'bob', roles: 3 }], next: '' })
    await all
    expect(users).toEqual(['alice', 'bob'])
    await alice.close()
  })

  it('rejects a request with the server’s code, and one whose answer was lost as retryable', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const created = alice.groups.create('team')
    const connection = await server.session()
    connection.say({ kind: 'reply', request: (await connection.next('groupCreate')).request, code: codeNumber('already-exists') })
    await expect(created).rejects.toMatchObject({ code: 'already-exists' })
    const left = alice.groups.leave('team')
    expect(await connection.next('memberSet')).toMatchObject({ user: 'alice', roles: 0 })
    connection.end()
    await expect(left).rejects.toMatchObject({ code: 'connection-lost', retryable: true })
    await alice.close()
  })

  it('watches presence once per user, however many watch', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const seen: string[] = []
    const undo = alice.watchPresence(['bob'], ({ state }) => seen.push(state))
    const undoToo = alice.watchPresence(['bob'], ({ state }) => seen.push(state))
    const connection = await server.session()
    expect(await connection.next('watch')).toMatchObject({ users: ['bob'], isOn: true })
    connection.say({ kind: 'presence', user: 'bob', state: 1, lastSeenMs: 5 })
    undo()
    undoToo()
    expect(await connection.next('watch', 2)).toMatchObject({ users: ['bob'], isOn: false })
    expect(seen).toEqual(['online', 'online'])
    expect(connection.all('watch')).toHaveLength(2)
    await alice.close()
  })

  it('tells typing at once, then at most every 5 seconds', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    alice.connect()
    const connection = await server.session()
    for (let key = 0; key < 10; key++) alice.typing('bob', true)
    alice.typing('bob', false)
    alice.typing('bob', false)
    await connection.next('typing', 2)
    expect(connection.all('typing').map(({ isActive }) => isActive)).toEqual([true, false])
    await alice.close()
  })

  it('tries a token function that fails again, and ends when it refuses', async () => {
    const server = new FakeServer()
    let calls = 0
    const alice = clientOf(server, () => {
      calls += 1
      if (calls === 1) throw new Error('the backend is down')
      if (calls === 2) return '\ud800'
      throw Object.assign(new Error('banned'), { code: 'token-refused' })
    })
    const ended = new Promise<string>((resolve) => {
      alice.connection.subscribe((state) => state.status === 'ended' && resolve(state.fault.code))
    })
    alice.connect()
    expect(await ended).toBe('token-refused')
    expect(calls).toBe(3)
    await expect(alice.send({ to: 'bob', body: 'x' })).rejects.toMatchObject({ code: 'token-refused' })
    await alice.close()
  })

  it('gives typed kinds their type', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const chat = jsonKind(7, (value) => ({ text: String((value as { text: unknown }).text) }))
    await alice.send({ to: 'bob', ...chat.encode({ text: 'hello' }) })
    const connection = await server.session()
    const send = await connection.next('send')
    expect(send.type).toBe(7)
    const received = new Promise<Message>((resolve) => alice.on('message', resolve))
    connection.say(deliver(1, { type: 7, body: send.body }))
    const message = await received
    expect(chat.matches(message)).toBe(true)
    expect(chat.decode(message)).toEqual({ text: 'hello' })
    expect(JSON.parse(JSON.stringify(message))).toMatchObject({
      id: '1001',
      key: '100-200-1001-1900000000000',
      to: { user: 'alice' },
    })
    await alice.close()
  })

  it('is not disturbed by observers that throw', async () => {
    const server = new FakeServer()
    const alice = clientOf(server)
    const errors: PosthasteError[] = []
    alice.on('message', () => {
      throw new Error('oops')
    })
    alice.on('error', (error) => errors.push(error))
    alice.connect()
    const connection = await server.session()
    connection.say(deliver(1))
    await connection.next('ack')
    expect(errors).toMatchObject([{ code: 'observer-failed' }])
    await alice.close()
  })
})
