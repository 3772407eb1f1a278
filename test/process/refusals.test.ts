import { writeFileSync } from 'node:fs'
import { Posthaste } from '@posthaste/client'
import { encodeClientMessage, statusByNumber } from '@posthaste/protocol'
import { pack } from 'msgpackr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { programPath } from '../cli/program.ts'
import { Place, until } from './place.ts'
import { RawClient, sendPacket } from './raw.ts'

const place = new Place()
let team: RawClient
beforeAll(async () => {
  await place.start()
  team = await RawClient.join(place.url, place.token('carol'))
  team.send({ kind: 'groupCreate', request: 1, group: 'team' })
  expect((await team.take('reply')).code).toBe(0)
})
afterAll(() => place.end())

const send = (...rest: string[]) => place.ground.run(['send', '--as', 'alice', ...rest])
/** What the server knows of alice's message to bob: `unknown` when it has never seen it. */
const statusAtServer = async (id: string) => {
  const { stdout } = await place.ground.run(['status', '--from', 'alice', '--to', 'bob', '--id', id, '--json'])
  return JSON.parse(stdout).status
}
const tooLong = 'a'.repeat(129)
const tooMuch = new Uint8Array(65_537)

describe('a store of another user', () => {
  it.each([
    ['that has been connected', true],
    ['whose user has never had a server', false],
  ])('%s takes no message, and nothing goes out under the wrong name', async (name, isConnected) => {
    const store = ['--store', `of alice ${isConnected}`, '--to', 'bob']
    const nowhere = isConnected ? [] : ['--url', 'ws://127.0.0.1:9', '--timeout', '1s']
    const first = await send(...store, ...nowhere, `first ${isConnected}`)
    expect([name, first.code]).toEqual([name, isConnected ? 0 : 9])
    const other = await place.ground.run(['send', '--as', 'bob', ...store, 'from bob'])
    expect([other.code, other.stdout, other.stderr]).toEqual([8, '', expect.stringContaining("belongs to 'alice'")])
    expect((await place.ground.run(['listen', '--as', 'bob', ...store.slice(0, 2), '--count', '1'])).code).toBe(8)
    const client = new Posthaste({ url: place.url, token: place.token('bob') })
    const got: string[] = []
    client.receive((message) => got.push(message.text()))
    expect((await send(...store, `last ${isConnected}`)).code).toBe(0)
    await until(
      () => got.includes(`last ${isConnected}`),
      () => `bob has ${got}`,
    )
    await client.close()
    expect(got).toContain(`first ${isConnected}`)
    expect(got).not.toContain('from bob')
  })
})

describe('a message that the server refuses', () => {
  const alice = () => RawClient.join(place.url, place.token('alice'))

  it.each([
    ['invalid-destination', 10, 'nobody'],
    ['not-member', 13, 'group:team'],
  ] as const)('[I6] ends as %s, and the command line exits with %i', async (code, number, to) => {
    const client = new Posthaste({ url: place.url, token: place.token('alice') })
    const address = to.startsWith('group:') ? { group: to.slice(6) } : to
    const sent = await client.send({ to: address, body: 'hello' })
    await expect(sent.waitFor('delivered')).rejects.toMatchObject({ code })
    expect(sent.status).toBe(code)
    await client.close()
    const { code: exitCode, stderr } = await send('--to', to, 'hello')
    expect([exitCode, stderr]).toEqual([number, expect.stringContaining(code)])
  })

  it('[I8] is a conflict when its id came before with other content, by whatever way it comes', async () => {
    expect((await send('--to', 'bob', '--id', '900', 'first')).code).toBe(0)
    const again = await send('--to', 'bob', '--id', '900', '--store', 'again', 'first')
    const other = await send('--to', 'bob', '--id', '900', '--store', 'other', 'second')
    expect([again.code, other.code, other.stderr]).toEqual([0, 16, expect.stringContaining('conflict')])
    const client = new Posthaste({ url: place.url, token: place.token('alice') })
    const sent = await client.send({ to: 'bob', id: 900n, body: 'third' })
    await expect(sent.waitFor('sent')).rejects.toMatchObject({ code: 'conflict' })
    await client.close()
    const raw = await alice()
    raw.send(sendPacket(1, { id: 900n, body: Buffer.from('fourth') }))
    expect(statusByNumber((await raw.take('result')).status)).toBe('conflict')
    raw.cut()
  })

  it('[I6] is judged by the server itself when a hostile client sends it', async () => {
    const raw = await alice()
    const verdict = async (packet: ReturnType<typeof sendPacket>) => {
      raw.send(packet)
      return statusByNumber((await raw.take('result')).status)
    }
    const dayMs = 86_400_000
    expect(await verdict(sendPacket(1, { id: 1_001n, to: 'nobody' }))).toBe('invalid-destination')
    expect(await verdict(sendPacket(2, { id: 1_002n, toKind: 1, to: 'team' }))).toBe('not-member')
    expect(await verdict(sendPacket(3, { id: 1_003n, body: tooMuch }))).toBe('too-large')
    expect(await verdict(sendPacket(4, { id: 1_004n, deadlineMs: Date.now() + 32 * dayMs }))).toBe('invalid')
    expect(await verdict(sendPacket(5, { id: 1_005n, deadlineMs: Date.now() - 1 }))).toBe('expired')
    expect(await verdict(sendPacket(6, { id: 1_006n }))).toBe('sent')
    expect(await verdict(sendPacket(7, { id: 1_006n, priority: 3 }))).toBe('conflict')
    raw.cut()
  })
})

describe('a body over the limit', () => {
  it('is refused by the SDK with the limit, and is never sent', async () => {
    const client = new Posthaste({ url: place.url, token: place.token('alice') })
    // Before the first connection nobody knows the limit: the message waits in the outbox, and ends there.
    const early = await client.send({ to: 'bob', id: 2_001n, body: tooMuch })
    await expect(early.waitFor('sent')).rejects.toMatchObject({ code: 'too-large' })
    const late = client.send({ to: 'bob', id: 2_002n, body: tooMuch })
    await expect(late).rejects.toMatchObject({ code: 'too-large', field: 'body', message: expect.stringContaining('0 to 65536') })
    await client.close()
    expect([await statusAtServer('2001'), await statusAtServer('2002')]).toEqual(['unknown', 'unknown'])
  })

  it('is refused by the command line with its exit code, and is never sent', async () => {
    writeFileSync(place.ground.path('big'), tooMuch)
    const { code, stderr } = await send('--to', 'bob', '--id', '2003', '--file', 'big')
    expect([code, stderr]).toEqual([15, expect.stringContaining('too-large')])
    expect(await statusAtServer('2003')).toBe('unknown')
  })
})

describe('a field outside its range', () => {
  it.each([
    ['priority', { priority: 16 }, /0 to 15/],
    ['priority', { priority: -1 }, /0 to 15/],
    ['priority', { priority: 1.5 }, /0 to 15/],
    ['type', { type: 2 ** 32 }, /0 to 4294967295/],
    ['expirySeconds', { expirySeconds: -1 }, /0 to 2592000/],
    ['expirySeconds', { expirySeconds: 31 * 86_400 }, /0 to 2592000/],
    ['id', { id: 2n ** 64n }, /0 to 18446744073709551615/],
    ['id', { id: -1n }, /0 to 18446744073709551615/],
    ['to', { to: '' }, /1 to 128 bytes/],
    ['to', { to: tooLong }, /1 to 128 bytes/],
    ['to', { to: { group: 'a\u0007b' } }, /1 to 128 bytes/],
    ['to', { to: '\ud800' }, /1 to 128 bytes/],
    ['to', { to: '..' }, /1 to 128 bytes/],
  ] as const)('is refused by the SDK, which names %s and what is allowed: %o', async (field, wrong, range) => {
    const client = new Posthaste({ url: place.url, token: place.token('alice') })
    const refused = client.send({ to: 'bob', body: 'hello', ...wrong })
    await expect(refused).rejects.toMatchObject({ code: 'invalid-argument', field, message: expect.stringMatching(range) })
    await client.close()
  })

  it.each([
    ['--priority', ['--priority', '16'], /0 to 15/],
    ['--expiry', ['--expiry=-1'], /0 to 30d/],
    ['--expiry', ['--expiry', '31d'], /0 to 30d/],
    ['--type', ['--type', '4294967296'], /0 to 4294967295/],
    ['--id', ['--id', '18446744073709551616'], /1 to 18446744073709551615/],
    ['--to', ['--to', ''], /1 to 128 bytes/],
    ['--to', ['--to', tooLong], /1 to 128/],
    ['--to', ['--to', 'group:..'], /1 to 128 bytes/],
    ['--to', ['--to', 'a\u0007b'], /1 to 128 bytes: control/],
    ['--to', ['--to', 'group:'], /1 to 128 bytes/],
  ])('is refused by the command line with code 2, which names %s and what is allowed: %j', async (flag, wrong, range) => {
    const to = flag === '--to' ? [] : ['--to', 'bob']
    const { code, stderr } = await send(...to, ...wrong, 'hello')
    expect([code, stderr]).toEqual([2, expect.stringContaining(flag)])
    expect(stderr).toMatch(range)
  })

  it('is refused by the command line when it is a text whose bytes are no UTF-8', async () => {
    const line = `send --as alice --to bob "$(printf 'caf\\351')"`
    const { code, stderr } = await place.ground.shell(`node ${programPath} ${line}`).ended
    expect([code, stderr]).toEqual([2, expect.stringContaining('not well-formed UTF-8')])
  })

  const fields = (changes: Record<number, unknown>) => {
    const values: unknown[] = [4, 1, 0, 'bob', 5n, 0, 8, BigInt(Date.now() + 60_000), true, Buffer.from('hello')]
    for (const [at, value] of Object.entries(changes)) values[Number(at)] = value
    return pack(values)
  }
  it('is what the next tests are about: without one, the same packet is accepted', async () => {
    const raw = await RawClient.join(place.url, place.token('alice'))
    raw.sendBytes(fields({}))
    expect(statusByNumber((await raw.take('result')).status)).toBe('sent')
    raw.cut()
  })

  /** A SEND to 'bob' with the second byte of the name made ill-formed. */
  const illFormedName = () => {
    const bytes = Buffer.from(encodeClientMessage([sendPacket(1)]))
    bytes[bytes.indexOf('bob') + 1] = 0xff
    return bytes
  }

  it.each([
    ['priority 16', () => fields({ 6: 16 }), 'out-of-range', /priority/],
    ['a negative deadline', () => fields({ 7: -1 }), 'out-of-range', /deadlineMs/],
    ['an id of 2^64', () => fields({ 4: 2 ** 64 }), 'malformed-packet', /id/],
    ['a negative id', () => fields({ 4: -5 }), 'out-of-range', /id/],
    ['an id as text', () => fields({ 4: '5' }), 'malformed-packet', /id/],
    ['a type of 2^32', () => fields({ 5: 2n ** 32n }), 'out-of-range', /type/],
    ['an empty destination', () => fields({ 3: '' }), 'out-of-range', /to/],
    ['a destination of 129 bytes', () => fields({ 3: tooLong }), 'too-big', /to/],
    ['a destination with a control character', () => fields({ 3: 'a\u0007b' }), 'out-of-range', /to/],
    ['a destination that is no UTF-8', illFormedName, 'malformed-packet', /to/],
    ['a destination of a third kind', () => fields({ 2: 2 }), 'out-of-range', /toKind/],
  ] as const)('is refused by the server with a code when a hostile client sends it: %s', async (_what, bytes, code, text) => {
    const raw = await RawClient.join(place.url, place.token('alice'))
    raw.sendBytes(bytes())
    expect(await raw.closed).toMatchObject({ code, closeCode: expect.any(Number), text: expect.stringMatching(text) })
  })
})
