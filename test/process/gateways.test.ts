import { existsSync } from 'node:fs'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Place, pause, until } from './place.ts'
import { RawClient, sendPacket } from './raw.ts'

const names = ['alice', 'bob', 'carol', 'dave']
let place: Place
beforeEach(async () => {
  place = new Place('gateways')
  await place.start()
  await place.createUsers(names)
})
afterEach(() => place.end())

const join = (user: string): Promise<RawClient> => RawClient.join(place.url, place.token(user))
const isGone = (pid: number): boolean => !existsSync(`/proc/${pid}`)

describe('processes that hold the sockets', () => {
  it('pass on what clients and server say, small or large, whoever holds the other’s socket', async () => {
    const clients: RawClient[] = []
    for (const name of names) clients.push(await join(name))
    const bodies = [0, 1, 125, 126, 65_535, 65_536].map((length) => Buffer.alloc(length, length))
    for (const [at, from] of clients.entries()) {
      let ref = 0
      for (const to of names.filter((_, other) => other !== at))
        for (const body of bodies) {
          ref += 1
          from.send(sendPacket(ref, { to, body, receipts: false }))
        }
    }
    for (const client of clients) {
      const lengths: number[] = []
      for (let at = 0; at < (clients.length - 1) * bodies.length; at++) {
        const { log, lane, seq, body } = await client.take('deliver')
        client.send({ kind: 'ack', log, lane, upTo: seq, notStored: [] })
        expect(body.every((byte) => byte === body.length % 256)).toBe(true)
        lengths.push(body.length)
      }
      const each = [...bodies, ...bodies, ...bodies].map(({ length }) => length)
      expect(lengths.sort((left, right) => left - right)).toEqual(each.sort((left, right) => left - right))
    }
  })

  it('answer pages, refuse other paths, and close with the code of what was broken', async () => {
    const page = (path: string): Promise<Response> => fetch(`${place.url.replace('ws:', 'http:')}${path}`)
    expect(await (await page('/')).text()).toContain('Posthaste is running')
    expect((await page('/nothing')).status).toBe(404)
    const text = await RawClient.open(place.url)
    text.sendBytes('a text')
    expect(await text.closed).toMatchObject({ code: 'malformed-packet' })
    const large = await join('alice')
    large.sendBytes(new Uint8Array(400_000))
    expect(await large.closed).toMatchObject({ code: 'too-big' })
  })

  it('[I10] let go whoever takes nothing of what is written, and nobody else', { timeout: 60_000 }, async () => {
    const [alice, bob, carol] = [await join('alice'), await join('bob'), await join('carol')]
    bob.pause()
    // Real-time messages wait for no window. The system takes some MiB for a socket, and the server eight more.
    for (let request = 1; request <= 600; request++) {
      alice.send({ kind: 'realtime', request, toKind: 0, to: 'bob', id: 0n, type: 0, priority: 0, body: Buffer.alloc(60_000) })
      if (request % 10 === 0) await pause(10)
    }
    alice.send(sendPacket(1, { to: 'carol' }))
    expect(Buffer.from((await carol.take('deliver')).body)).toEqual(Buffer.from('hello'))
    await pause(1_000)
    bob.resume()
    await bob.closed
    expect([alice.isOpen, carol.isOpen]).toEqual([true, true])
  })

  it('[I1] die with their connections alone, and are started again', { timeout: 60_000 }, async () => {
    const clients = [await join('alice'), await join('bob'), await join('carol'), await join('dave')]
    const [first = 0, second = 0] = place.gateways()
    expect(first).toBeGreaterThan(0)
    process.kill(first, 'SIGKILL')
    await until(
      () => clients.filter(({ isOpen }) => !isOpen).length === 2,
      () => 'two of four lose their connection',
    )
    await until(
      () => place.gateways().length === 2,
      () => 'another one is started',
    )
    expect(place.gateways()).toContain(second)
    const alice = await join('alice')
    const bob = await join('bob')
    alice.send(sendPacket(1, { to: 'bob' }))
    expect(Buffer.from((await bob.take('deliver')).body)).toEqual(Buffer.from('hello'))
  })

  it('end with the server: told to stop it says goodbye, and when it is killed nobody is left', { timeout: 60_000 }, async () => {
    const before = place.gateways()
    const alice = await join('alice')
    place.server?.child.kill('SIGTERM')
    expect(await alice.closed).toMatchObject({ code: 'shutting-down', closeCode: 4_076 })
    expect((await place.server?.ended)?.code).toBe(0)
    expect(before.filter(isGone)).toEqual(before)

    await place.start()
    await join('alice')
    const after = place.gateways()
    await place.kill()
    await until(
      () => after.every(isGone),
      () => 'processes outlive their server',
    )
  })
})
