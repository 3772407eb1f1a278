import { once } from 'node:events'
import { connect } from 'node:net'
import { statusByNumber } from '@posthaste/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { jsonLines } from '../cli/program.ts'
import { Place, pause } from './place.ts'
import { RawClient, sendPacket } from './raw.ts'

let place: Place
beforeEach(() => {
  place = new Place('serve')
})
afterEach(() => place.end())

const messages = 200

describe('a server that is told to stop', () => {
  it('[I1] tells clients when to come back, answers what it has accepted, and starts again with nothing to replay', {
    timeout: 60_000,
  }, async () => {
    const first = await place.start()
    const bob = await RawClient.join(place.url, place.token('bob'))
    bob.cut()
    const alice = await RawClient.join(place.url, place.token('alice'))
    for (let ref = 1; ref <= messages; ref++) alice.send(sendPacket(ref, { priority: ref % 16 }))
    for (let ref = 1; ref <= messages; ref++) expect(statusByNumber((await alice.take('result')).status)).toBe('sent')
    expect(Number((await place.health()).journalRecords)).toBeGreaterThan(0)

    first.child.kill('SIGTERM')
    const closing = await alice.closed
    expect(closing).toMatchObject({ code: 'shutting-down', closeCode: 4_076 })
    expect(closing.retryAfterMs).toBeGreaterThan(0)
    expect((await first.ended).code).toBe(0)
    await expect(RawClient.open(place.url)).rejects.toThrow('no connection')

    const second = await place.start()
    // The record that begins the new run, and no more.
    expect(Number((await place.health()).journalRecords)).toBeLessThanOrEqual(2)
    expect(second.stderr()).not.toContain('Replayed')
    const listener = await place.ground.run(['listen', '--as', 'bob', '--json', '--count', String(messages)])
    const received = jsonLines(listener.stdout)
    expect(new Set(received.map(({ id }) => id)).size).toBe(messages)
    expect((await place.ground.run(['status', '--from', 'alice', '--to', 'bob', '--id', '7'])).stdout).toContain('delivered')
  })

  it('[I10] is not held up by a client of the HTTP API that never ends its request', async () => {
    const server = await place.start()
    const bob = await RawClient.join(place.url, place.token('bob'))
    const half = connect(place.adminPort, '127.0.0.1', () => half.write('GET /v1/health HTTP/1.1\r\nHost: '))
    half.on('error', () => {})
    await once(half, 'connect')
    await pause(100)
    server.child.kill('SIGTERM')
    expect(await Promise.race([bob.closed, pause(10_000)])).toMatchObject({ code: 'shutting-down' })
    expect((await server.ended).code).toBe(0)
  })

  it('[I1] [I12] replays what a kill left, and keeps users, groups, rights and messages through both', {
    timeout: 60_000,
  }, async () => {
    await place.start()
    const run = async (...words: string[]) => {
      const { code, stderr } = await place.ground.run(words)
      expect([code, stderr]).toEqual([0, expect.any(String)])
    }
    for (const name of ['alice', 'bob', 'carol']) await run('user', 'create', name)
    await run('group', 'create', 'team')
    for (const name of ['alice', 'bob']) await run('group', 'add', 'team', name)
    await run('send', '--as', 'alice', '--to', 'group:team', 'to all')
    await run('send', '--as', 'alice', '--to', 'bob', 'to you')
    await run('user', 'block', 'carol', 'alice')

    await place.kill()
    // What was said just after a start is in no checkpoint yet, which the rest above may be by now.
    await place.start()
    await place.createUsers(['dave'])
    await place.kill()
    const killed = await place.start()
    expect(killed.stdout() + killed.stderr()).toContain('Replayed')
    killed.child.kill('SIGTERM')
    expect((await killed.ended).code).toBe(0)
    const stopped = await place.start()
    expect(stopped.stdout() + stopped.stderr()).not.toContain('Replayed')

    const { stdout } = await place.ground.run(['listen', '--as', 'bob', '--json', '--count', '2'])
    expect(new Set(jsonLines(stdout).map(({ text }) => text))).toEqual(new Set(['to all', 'to you']))
    const blocked = await place.ground.run(['send', '--as', 'alice', '--to', 'carol', 'hello?'])
    const stranger = await place.ground.run(['send', '--as', 'carol', '--to', 'group:team', 'hello?'])
    expect([blocked.code, stranger.code]).toEqual([12, 13])
  })
})
