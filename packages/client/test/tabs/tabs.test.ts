import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Posthaste } from '../../src/posthaste.ts'
import type { SentMessage } from '../../src/sentMessage.ts'
import { OrderedStore } from '../../src/stores/ordered.ts'
import { sharedBetweenTabs } from '../../src/tabs/browser.ts'
import { createTestServer, type TestServer } from '../../src/testing/index.ts'
import { TestDevice } from '../../src/testing/testLink.ts'
import { FakeOrigin } from './fakeOrigin.ts'

let server: TestServer
let origin: FakeOrigin
let device: TestDevice
let bob: Posthaste
let atBob: string[]
let isRefused: boolean

beforeEach(() => {
  server = createTestServer()
  origin = new FakeOrigin()
  device = new TestDevice()
  bob = server.client({ user: 'bob', tabs: false })
  atBob = []
  isRefused = false
  bob.receive((message) => atBob.push(message.text()))
})

afterEach(() => {
  vi.unstubAllGlobals()
  vi.restoreAllMocks()
})

/** A tab, of alice's as a rule. */
function openTab(tab: number, user = 'alice', before?: Promise<void>): Posthaste {
  const store = Object.assign(device.open(), { tabs: sharedBetweenTabs('device') })
  const token = async (): Promise<string> => {
    await before
    if (isRefused) throw Object.assign(new Error('signed out'), { code: 'token-refused' })
    return server.token(user)
  }
  const client = server.client({ user, store, token })
  origin.within(tab, () => client.connect())
  return client
}

function die(tab: number, client: Posthaste): void {
  server.kill(client)
  origin.die(tab)
}

/** Lets that many steps of whatever is under way happen; every tenth one is a turn of the event loop, which moves the network. */
async function steps(count: number): Promise<void> {
  for (let step = 1; step <= count; step++) {
    await (step % 10 === 0 ? new Promise((resolve) => setImmediate(resolve)) : Promise.resolve())
  }
}

/** A promise, and what resolves it. */
function withResolvers(): { promise: Promise<void>; resolve: () => void } {
  let resolve = (): void => {}
  const promise = new Promise<void>((done) => {
    resolve = done
  })
  return { promise, resolve }
}

const moments = Array.from({ length: 100 }, (_, moment) => moment)

describe('a tab that shares a client', () => {
  it.each(moments)('loses and doubles nothing that it sent, whenever the leader dies: moment %i [I1] [I2]', async (moment) => {
    const [first, second] = [openTab(1), openTab(2)]
    await server.settle()
    const sending = [1, 2].map((body) => origin.within(2, () => second.send({ to: 'bob', body: `${body}` })))
    await steps(moment)
    die(1, first)
    await server.advance(1_000)
    const sent = await Promise.all(sending)
    await server.advance(1_000)
    expect(sent.map(({ status }) => status)).toEqual(['delivered', 'delivered'])
    expect(atBob).toEqual(['1', '2'])
  })

  it.each(moments)('handles each message once, whenever the leader dies: moment %i [I2] [I3]', async (moment) => {
    // The second one leads next, and must wait until the third has said what it is doing.
    const [first, , third] = [openTab(1), openTab(2), openTab(3)]
    await server.settle()
    const handled: [string, boolean][] = []
    origin.within(3, () =>
      third.receive(async (message) => {
        handled.push([message.text(), message.redelivered])
        await steps(25)
      }),
    )
    await server.settle()
    for (const body of ['1', '2', '3']) void bob.send({ to: 'alice', body })
    await steps(moment * 2)
    die(1, first)
    await server.advance(1_000)
    expect(handled).toEqual([
      ['1', false],
      ['2', false],
      ['3', false],
    ])
  })

  it('calls one message redelivered that the leader was about to hand over when it died: nobody knows whether it did', async () => {
    const [first, second] = [openTab(1), openTab(2)]
    await server.settle()
    const handled: [string, boolean][] = []
    origin.within(2, () => second.receive((message) => handled.push([message.text(), message.redelivered])))
    await server.settle()
    origin.mute(1)
    for (const body of ['1', '2']) void bob.send({ to: 'alice', body })
    await server.advance(1_000)
    expect(handled).toEqual([])
    die(1, first)
    await server.advance(1_000)
    expect(handled).toEqual([
      ['1', true],
      ['2', false],
    ])
  })

  it('tells statuses that only move forward, when the leader dies before it has stored what it told [I6]', async () => {
    const [first, second] = [openTab(1), openTab(2)]
    await server.settle()
    server.disconnect(bob)
    const told: string[] = []
    origin.within(2, () => second.on('status', ({ message }) => told.push(message.status)))
    const sending = origin.within(2, () => second.send({ to: 'bob', body: 'x' }))
    await server.advance(1_000)
    const sent = await sending
    vi.spyOn(OrderedStore.prototype, 'commit').mockResolvedValue()
    server.reconnect(bob)
    for (let turn = 0; turn < 40 && sent.status !== 'delivered'; turn++) await server.advance(1_000)
    die(1, first)
    vi.restoreAllMocks()
    await server.advance(1_000)
    expect(told.filter((status, at) => status !== told[at - 1])).toEqual(['sent', 'delivered'])
    expect(sent.status).toBe('delivered')
  })

  it('sends again what another tab had sent and the server refused', async () => {
    const [first, second] = [openTab(1), openTab(2)]
    await server.settle()
    const refused: SentMessage[] = []
    second.on('status', ({ message }) => refused.push(message))
    await origin.within(1, () => first.send({ to: 'nobody', body: 'hello' }))
    await server.settle()
    expect(refused.map(({ status }) => status)).toEqual(['invalid-destination'])
    const again = origin.within(2, () => refused[0]?.retry())
    await server.settle()
    expect((await again)?.id).not.toBe(refused[0]?.id)
  })

  it('does not wait for a tab whose store has a name that begins like the locks of its own tabs', async () => {
    const store = Object.assign(new TestDevice().open(), { tabs: sharedBetweenTabs('device/tab/x') })
    const other = server.client({ user: 'carol', store })
    origin.within(2, () => other.connect())
    await server.settle()
    const first = openTab(1)
    const handled: string[] = []
    origin.within(1, () => first.receive((message) => handled.push(message.text())))
    void bob.send({ to: 'alice', body: 'hello' })
    await server.advance(1_000)
    expect(handled).toEqual(['hello'])
  })

  it('leaves nothing behind at the leader when it is gone', async () => {
    const listening = {
      add: vi.spyOn(AbortSignal.prototype, 'addEventListener'),
      remove: vi.spyOn(AbortSignal.prototype, 'removeEventListener'),
    }
    const count = (): number => listening.add.mock.calls.length - listening.remove.mock.calls.length
    openTab(1)
    await server.settle()
    const before = count()
    for (let tab = 2; tab < 5; tab++) {
      const other = openTab(tab)
      await server.settle()
      die(tab, other)
      await server.settle()
    }
    // Of the three: what they held themselves.
    expect(count() - before).toBe(3 * 2)
  })

  it('says lost of what may not be asked twice, and unknown of what was sent to who is connected', async () => {
    const [first, second] = [openTab(1), openTab(2)]
    await server.settle()
    const created = origin.within(2, () => second.groups.create('team'))
    const realtime = origin.within(2, () => second.sendRealtime({ to: 'bob', body: 'now' }))
    await steps(1)
    die(1, first)
    await expect(created).rejects.toMatchObject({ code: 'connection-lost', retryable: true })
    expect(await realtime).toBe('unknown')
  })

  it('tells a wait what the leader before had heard of and could not pass on', async () => {
    const [first, second] = [openTab(1), openTab(2)]
    await server.settle()
    const sent = await origin.within(2, () => second.send({ to: 'bob', body: 'x' }))
    const waited = sent.waitFor('delivered')
    // The first one stores what became of it while its voice reaches nobody.
    origin.mute(1)
    await server.advance(1_000)
    expect(sent.status).toBe('outbox')
    die(1, first)
    await server.advance(1_000)
    await waited
  })

  it('never acts for another user, whose page was left open or comes later', async () => {
    const first = openTab(1)
    await server.settle()
    void bob.send({ to: 'alice', body: 'for alice' })
    const [second, seen] = [openTab(2, 'carol'), [] as string[]]
    second.on('message', (message) => seen.push(message.text()))
    origin.within(2, () => second.receive((message) => seen.push(message.text())))
    const sending = origin.within(2, () => second.send({ to: 'bob', body: 'from carol' }))
    await Promise.all([expect(sending).rejects.toMatchObject({ code: 'wrong-user' }), server.advance(1_000)])
    expect([second.connection.state, first.connection.state]).toMatchObject([
      { status: 'ended', fault: { code: 'wrong-user', field: 'token' } },
      { status: 'live', user: 'alice' },
    ])
    die(1, first)
    const third = openTab(3)
    await server.advance(1_000)
    expect(third.connection.state).toMatchObject({ status: 'live', user: 'alice' })
    expect([seen, atBob]).toEqual([[], []])
  })

  it('passes the lead on when it turns out to be another user than the store is', async () => {
    const owner = openTab(1)
    await server.settle()
    await origin.within(1, () => owner.send({ to: 'bob', body: 'before' }))
    await server.settle()
    die(1, owner)
    const { promise, resolve } = withResolvers()
    const carol = openTab(2, 'carol', promise)
    await steps(200)
    const alice = openTab(3)
    const sending = origin.within(3, () => alice.send({ to: 'bob', body: 'from alice' }))
    await steps(200)
    resolve()
    await server.advance(10_000)
    await sending
    expect([carol.connection.state, alice.connection.state]).toMatchObject([
      { status: 'ended', fault: { code: 'wrong-user' } },
      { status: 'live', user: 'alice' },
    ])
    expect(atBob).toEqual(['before', 'from alice'])
    const late = origin.within(2, () => carol.send({ to: 'bob', body: 'from carol' }))
    await expect(late).rejects.toMatchObject({ code: 'wrong-user' })
  })

  it('passes the lead on when it closes its client, and ends for all when the token function refuses', async () => {
    const [first, second] = [openTab(1), openTab(2)]
    await server.settle()
    const closing = first.close()
    await server.settle()
    await closing
    expect(first.connection.state).toMatchObject({ status: 'ended', fault: { code: 'closed' } })
    await server.advance(1_000)
    expect(second.connection.state).toMatchObject({ status: 'live', user: 'alice' })
    const third = openTab(3)
    await server.settle()
    expect(third.connection.state).toMatchObject({ status: 'live' })
    isRefused = true
    server.cut(second)
    await server.advance(1_000)
    for (const client of [second, third]) {
      expect(client.connection.state).toMatchObject({ status: 'ended', fault: { code: 'token-refused' } })
      await expect(client.send({ to: 'bob', body: 'x' })).rejects.toMatchObject({ code: 'token-refused' })
    }
    // Whoever comes later begins again.
    isRefused = false
    const fourth = openTab(4)
    await server.advance(1_000)
    expect(fourth.connection.state).toMatchObject({ status: 'live' })
  })
})
