import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Message } from '../../src/message.ts'
import type { Posthaste } from '../../src/posthaste.ts'
import { memoryStore } from '../../src/stores/memory.ts'
import { nodeStore } from '../../src/stores/node.ts'
import { connectionOf, live, once, RealServer, tokenOf } from './realServer.ts'

let server: RealServer

beforeEach(async () => {
  server = await RealServer.start()
})

afterEach(() => server.close())

/** What a client's handler gets, and a promise of so many. */
function received(client: Posthaste): { texts: string[]; until(count: number): Promise<void> } {
  const texts: string[] = []
  const waiting = new Set<() => void>()
  client.receive((message) => {
    texts.push(message.text())
    for (const check of waiting) check()
  })
  return {
    texts,
    until: (count) =>
      new Promise((resolve) => {
        const check = (): void => {
          if (texts.length < count) return
          waiting.delete(check)
          resolve()
        }
        waiting.add(check)
        check()
      }),
  }
}

describe('a message to a user', () => {
  it('goes through outbox, sent, delivered and read, once', async () => {
    const [alice, bob] = [server.client('alice'), server.client('bob')]
    const got: Message[] = []
    bob.receive((message) => got.push(message))
    await live(bob)
    const steps: string[] = []
    alice.on('status', ({ message, previous }) => steps.push(`${previous} → ${message.status}`))
    const sent = await alice.send({ to: 'bob', body: 'hello', priority: 3, type: 7 })
    expect(sent.status).toBe('outbox')
    await sent.waitFor('delivered')
    await expect.poll(() => got).toHaveLength(1)
    const [message] = got
    if (message === undefined) expect.fail()
    expect([message.text(), message.from, message.to, message.priority, message.type, message.id, message.redelivered]).toEqual([
      'hello',
      { user: 'alice' },
      { user: 'bob' },
      3,
      7,
      sent.id,
      false,
    ])
    expect(message.timeMs).toBe(sent.timeMs)
    await bob.markRead(message)
    await sent.waitFor('read')
    expect(steps).toEqual(['outbox → sent', 'sent → delivered', 'delivered → read'])
    expect(await alice.pending()).toEqual({ messages: 0, bytes: 0 })
  })

  it('waits for a device, in order of priority and then of sending', async () => {
    await server.known('bob')
    const alice = server.client('alice')
    for (const [at, priority] of [8, 8, 0, 15, 0].entries()) {
      await (await alice.send({ to: 'bob', body: `${at}`, priority })).waitFor('sent')
    }
    const bob = server.client('bob')
    const texts: string[] = []
    bob.on('message', (message) => texts.push(message.text()))
    bob.connect()
    await once(bob, 'message', (message) => message.text() === '3')
    expect(texts).toEqual(['2', '4', '0', '1', '3'])
  })

  it('ends as invalid-destination when there is nobody of that name', async () => {
    const sent = await server.client('alice').send({ to: 'nobody', body: 'x' })
    await expect(sent.waitFor('sent')).rejects.toMatchObject({ code: 'invalid-destination' })
    expect(sent.status).toBe('invalid-destination')
  })

  it('ends as expired when no device stored it in time, and is never handed over [I5]', async () => {
    await server.known('bob')
    const alice = server.client('alice')
    const sent = await alice.send({ to: 'bob', body: 'x', expirySeconds: 1 })
    await sent.waitFor('sent')
    await expect(sent.waitFor('delivered')).rejects.toMatchObject({ code: 'expired' })
    expect(sent.status).toBe('expired')
    const bob = server.client('bob')
    const { texts, until } = received(bob)
    await (await alice.send({ to: 'bob', body: 'after' })).waitFor('delivered')
    await until(1)
    expect(texts).toEqual(['after'])
  })

  it('ends as blocked from the block on, and goes through again after the end of it', async () => {
    const [alice, bob] = [server.client('alice'), server.client('bob')]
    const { texts, until } = received(bob)
    await live(bob)
    await (await alice.send({ to: 'bob', body: 'before' })).waitFor('delivered')
    await bob.block('alice')
    const blocked = await alice.send({ to: 'bob', body: 'blocked' })
    await expect(blocked.waitFor('sent')).rejects.toMatchObject({ code: 'blocked' })
    await bob.unblock('alice')
    await (await blocked.retry()).waitFor('delivered')
    await until(2)
    expect(texts).toEqual(['before', 'blocked'])
  })

  it('is a conflict when its id was used with other content by another device [I8]', async () => {
    await server.known('bob')
    const [first, second] = [server.client('alice'), server.client('alice')]
    await (await first.send({ to: 'bob', body: 'one', id: 9n })).waitFor('sent')
    const same = await second.send({ to: 'bob', body: 'one', id: 9n })
    await same.waitFor('sent')
    await expect(first.send({ to: 'bob', body: 'other', id: 9n })).rejects.toMatchObject({ code: 'conflict' })
    const third = server.client('alice')
    const other = await third.send({ to: 'bob', body: 'two', id: 9n })
    await expect(other.waitFor('sent')).rejects.toMatchObject({ code: 'conflict' })
  })

  it('is refused when its body is larger than the server takes', async () => {
    const alice = server.client('alice')
    alice.connect()
    await live(alice)
    await expect(alice.send({ to: 'bob', body: new Uint8Array(65_537) })).rejects.toMatchObject({ code: 'too-large' })
  })

  it('to oneself comes to all devices of the user, the sending one too', async () => {
    const [desk, phone] = [server.client('alice'), server.client('alice')]
    const [atDesk, onPhone] = [received(desk), received(phone)]
    await Promise.all([live(desk), live(phone)])
    await desk.send({ to: 'alice', body: 'note' })
    await Promise.all([atDesk.until(1), onPhone.until(1)])
  })
})

describe('two devices of a user', () => {
  it('both get what comes, and each what the other sent, as outgoing', async () => {
    const [desk, phone] = [server.client('alice'), server.client('alice')]
    const bob = server.client('bob')
    const [atDesk, onPhone, atBob] = [received(desk), received(phone), received(bob)]
    await Promise.all([live(desk), live(phone), live(bob)])
    const echo = once(phone, 'message', ({ outgoing }) => outgoing)
    const own: Message[] = []
    desk.on('message', (message) => own.push(message))
    const sent = await desk.send({ to: 'bob', body: 'from the desk' })
    await atBob.until(1)
    expect(await echo).toMatchObject({ to: { user: 'bob' }, from: { user: 'alice' }, outgoing: true, id: sent.id })
    await (await bob.send({ to: 'alice', body: 'to both' })).waitFor('delivered')
    await Promise.all([atDesk.until(1), onPhone.until(1)])
    expect([atDesk.texts, onPhone.texts]).toEqual([['to both'], ['to both']])
    expect(own.map((message) => message.text())).toEqual(['to both'])
  })

  it('are told what the other has read', async () => {
    const [desk, phone] = [server.client('alice'), server.client('alice')]
    const bob = server.client('bob')
    const atDesk: Message[] = []
    desk.receive((message) => atDesk.push(message))
    received(phone)
    await Promise.all([live(desk), live(phone)])
    const told = once(phone, 'read')
    await bob.send({ to: 'alice', body: 'x' })
    await expect.poll(() => atDesk).toHaveLength(1)
    const [message] = atDesk
    if (message === undefined) expect.fail()
    await desk.markRead(message)
    expect(await told).toMatchObject({ log: message.position.log, lane: 8, mark: 1 })
  })
})

describe('a group', () => {
  it('brings a message to every member once, and counts who has it', async () => {
    const [alice, bob, carol] = [server.client('alice'), server.client('bob'), server.client('carol')]
    const [atBob, atCarol] = [received(bob), received(carol)]
    await Promise.all([live(bob), live(carol)])
    await alice.groups.create('team')
    for (const user of ['bob', 'carol']) await alice.groups.setMember('team', user, ['send', 'receive'])
    const sent = await alice.send({ to: { group: 'team' }, body: 'all' })
    await sent.waitFor('delivered', { by: 'any' })
    await sent.waitFor('delivered')
    await Promise.all([atBob.until(1), atCarol.until(1)])
    expect(sent.counts).toEqual({ delivered: 2, read: 0, members: 2 })
    const receipts: unknown[] = []
    for await (const receipt of alice.receipts('team', sent.id)) receipts.push(receipt)
    expect(receipts).toEqual([
      { user: 'bob', status: 'delivered' },
      { user: 'carol', status: 'delivered' },
    ])
    const members: unknown[] = []
    for await (const member of alice.groups.members('team')) members.push(member)
    expect(members).toMatchObject([
      { user: 'alice', roles: ['send', 'receive', 'admin'] },
      { user: 'bob', roles: ['send', 'receive'] },
      { user: 'carol', roles: ['send', 'receive'] },
    ])
  })

  it('is read once all have read it', async () => {
    const [alice, bob] = [server.client('alice'), server.client('bob')]
    const got: Message[] = []
    bob.receive((message) => got.push(message))
    await live(bob)
    await alice.groups.create('team')
    await alice.groups.setMember('team', 'bob', ['send', 'receive'])
    const sent = await alice.send({ to: { group: 'team' }, body: 'all' })
    await expect.poll(() => got).toHaveLength(1)
    const [message] = got
    if (message === undefined) expect.fail()
    expect(message.to).toEqual({ group: 'team' })
    await bob.markRead(message)
    await sent.waitFor('read')
    expect(sent.counts).toEqual({ delivered: 1, read: 1, members: 1 })
  })

  it('is told to whom it concerns, and says no with a code', async () => {
    const [alice, bob] = [server.client('alice'), server.client('bob')]
    bob.connect()
    await live(bob)
    await alice.groups.create('team')
    await expect(alice.groups.create('team')).rejects.toMatchObject({ code: 'already-exists' })
    await expect(bob.groups.delete('team')).rejects.toMatchObject({ code: expect.stringMatching(/not-(member|allowed)/) })
    const refused = await bob.send({ to: { group: 'team' }, body: 'x' })
    await expect(refused.waitFor('sent')).rejects.toMatchObject({ code: 'not-member' })
    const joined = once(bob, 'group')
    await alice.groups.setMember('team', 'bob', ['receive'])
    expect(await joined).toEqual({ group: 'team', roles: ['receive'] })
    const mute = await bob.send({ to: { group: 'team' }, body: 'x' })
    await expect(mute.waitFor('sent')).rejects.toMatchObject({ code: 'not-allowed' })
    const left = once(bob, 'group')
    await bob.groups.leave('team')
    expect(await left).toEqual({ group: 'team', roles: [] })
    expect(await bob.groups.list()).toEqual([])
    await alice.groups.delete('team')
    const gone = await alice.send({ to: { group: 'team' }, body: 'x' })
    await expect(gone.waitFor('sent')).rejects.toMatchObject({ code: 'invalid-destination' })
  })
})

describe('what is not stored', () => {
  it('reaches who is connected, and says whether', async () => {
    const [alice, bob] = [server.client('alice'), server.client('bob')]
    await server.known('carol')
    bob.connect()
    alice.connect()
    await Promise.all([live(alice), live(bob)])
    const got = once(bob, 'realtime')
    expect(await alice.sendRealtime({ to: 'bob', body: 'now', type: 5 })).toBe('delivered')
    expect((await got).text()).toBe('now')
    expect(await alice.sendRealtime({ to: 'carol', body: 'now' })).toBe('expired')
    const typing = once(bob, 'typing')
    alice.typing('bob', true)
    expect(await typing).toEqual({ from: { user: 'alice' }, to: { user: 'bob' }, isActive: true })
    const once0 = once(bob, 'message')
    await alice.send({ to: 'bob', body: 'once', id: 0n })
    expect((await once0).text()).toBe('once')
  })

  it('tells presence at once and at every change', async () => {
    await server.known('bob')
    const alice = server.client('alice')
    const states: string[] = []
    alice.watchPresence(['bob'], ({ state }) => states.push(state))
    await expect.poll(() => states).toEqual(['offline'])
    const bob = server.client('bob')
    bob.connect()
    await expect.poll(() => states).toEqual(['offline', 'online'])
    await bob.close()
    await expect.poll(() => states).toEqual(['offline', 'online', 'offline'])
  })
})

describe('a server that is stopped and started again', () => {
  it('loses nothing, repeats nothing, and statuses go on [I1] [I2]', async () => {
    const [alice, bob] = [server.client('alice'), server.client('bob')]
    const { texts, until } = received(bob)
    await live(bob)
    const all = Array.from({ length: 400 }, (_, at) => `${at}`)
    const sending = (async () => {
      const sent = []
      for (const body of all) sent.push(await alice.send({ to: 'bob', body }))
      return sent
    })()
    await until(50)
    await server.stop()
    await server.restart()
    for (const message of await sending) await message.waitFor('delivered')
    await until(400)
    expect(texts).toEqual(all)
  })

  it('tells of what was delivered while the sender was away', async () => {
    const directory = await mkdtemp(join(tmpdir(), 'posthaste-outbox-'))
    try {
      await server.known('bob')
      const alice = server.client('alice', { store: nodeStore(directory) })
      const { id } = await alice.send({ to: 'bob', body: 'x' })
      await (await alice.find('bob', id))?.waitFor('sent')
      await alice.close()
      const bob = server.client('bob')
      await received(bob).until(1)
      const again = server.client('alice', { store: nodeStore(directory) })
      const found = await again.find('bob', id)
      await found?.waitFor('delivered')
      expect(found?.status).toBe('delivered')
      await again.close()
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })
})

describe('a connection that is cut', () => {
  it('loses and repeats nothing, again and again [I1] [I2] [I3]', async () => {
    const [near, far] = [await server.wire(), await server.wire()]
    const alice = server.client('alice', { url: near.url })
    const bob = server.client('bob', { url: far.url })
    const { texts, until } = received(bob)
    await live(bob)
    const all = Array.from({ length: 300 }, (_, at) => `${at}`)
    for (const [at, body] of all.entries()) {
      await alice.send({ to: 'bob', body })
      if (at % 50 === 25) near.cut()
      if (at % 50 === 40) far.cut()
    }
    await until(300)
    expect(texts).toEqual(all)
  })
})

describe('tokens', () => {
  it('that are not the server’s end the client, with the code', async () => {
    const mallory = server.client('mallory', { token: tokenOf('mallory', 60, new Uint8Array(32).fill(9)) })
    mallory.connect()
    await connectionOf(mallory, 'ended')
    expect(mallory.connection.state).toMatchObject({ fault: { code: 'token-invalid' } })
    await expect(mallory.send({ to: 'bob', body: 'x' })).rejects.toMatchObject({
      code: 'token-invalid',
      help: `http://127.0.0.1:${server.port}/errors/token-invalid`,
    })
    const page = await fetch(`http://127.0.0.1:${server.port}/errors/token-invalid`)
    expect([page.status, await page.text()]).toEqual([200, expect.stringContaining('token-invalid')])
  })

  it('are renewed before they expire, and the session lives on', async () => {
    let calls = 0
    const alice = server.client('alice', {
      token: () => {
        calls += 1
        return tokenOf('alice', 2)
      },
    })
    const states: string[] = []
    alice.connection.subscribe(({ status }) => states.push(status))
    alice.connect()
    await expect.poll(() => calls, { timeout: 10_000 }).toBeGreaterThanOrEqual(3)
    expect(states).toEqual(['connecting', 'live'])
  })

  it('of another user are refused for a store that has one', async () => {
    const store = memoryStore()
    const alice = server.client('alice', { store: keep(store) })
    alice.connect()
    await live(alice)
    await alice.close()
    const bob = server.client('bob', { store: keep(store) })
    bob.connect()
    await connectionOf(bob, 'ended')
    expect(bob.connection.state).toMatchObject({ fault: { code: 'wrong-user' } })
  })
})

/** The store, left open by `close` and not opened twice: as if it was durable. */
function keep(store: ReturnType<typeof memoryStore>): ReturnType<typeof memoryStore> {
  return {
    open: () => store.open().catch(() => {}),
    commit: (writes) => store.commit(writes),
    get: (key) => store.get(key),
    scan: (from, to, limit) => store.scan(from, to, limit),
    close: async () => {},
  }
}
