import { randomBytes } from 'node:crypto'
import { encodeClientMessage, statusByNumber } from '@posthaste/protocol'
import { pack } from 'msgpackr'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Place, sign, until } from './place.ts'
import { RawClient, sendPacket } from './raw.ts'

const place = new Place()
let witness: RawClient
let witnessRef = 0
beforeAll(async () => {
  await place.start()
  witness = await RawClient.join(place.url, place.token('alice'))
})
afterAll(() => place.end())

/** Whether another client, connected since before, is served as if nothing had happened. */
const witnessIsServed = async (): Promise<boolean> => {
  witnessRef++
  witness.send(sendPacket(witnessRef, { id: BigInt(witnessRef) }))
  const { ref, status } = await witness.take('result')
  return ref === witnessRef && statusByNumber(status) === 'sent'
}

describe('a connection that breaks the protocol', () => {
  const ping = encodeClientMessage([{ kind: 'ping', clientTime: 1 }])
  const nested = Buffer.concat([Buffer.alloc(100_000, 0x91), Buffer.from([0xc0])])

  it.each([
    ['a text', (): string => '{"kind":"ping"}', 'malformed-packet'],
    ['an empty message', () => Buffer.alloc(0), 'malformed-packet'],
    ['random bytes', () => Buffer.concat([Buffer.from([0xc1]), randomBytes(200)]), 'malformed-packet'],
    ['a packet cut short', () => ping.subarray(0, ping.length - 1), 'malformed-packet'],
    ['bytes left over', () => Buffer.concat([ping, Buffer.from([0xff])]), 'malformed-packet'],
    ['a map', () => pack({ kind: 'ping' }), 'malformed-packet'],
    ['a float', () => pack([3, 1.5]), 'malformed-packet'],
    ['a field too few', () => pack([3]), 'malformed-packet'],
    ['a field too many', () => pack([3, 1, 1]), 'malformed-packet'],
    ['arrays in arrays', () => nested, 'malformed-packet'],
    ['an array that claims 2^32 - 1 elements', () => Buffer.from([0xdd, 0xff, 0xff, 0xff, 0xff]), 'too-big'],
    ['a body that claims 2^32 - 1 bytes', () => hugeBody(), 'too-big'],
    ['a packet that there is not', () => pack([99, 1]), 'unknown-packet'],
    ['a packet of the other direction', () => pack([40, 1, 1, 1, 1]), 'unknown-packet'],
    ['5,000 packets in one message', () => Buffer.concat(Array.from({ length: 5_000 }, () => ping)), 'too-big'],
    ['a message over the limit', () => Buffer.alloc(327_681, 0xc0), 'too-big'],
    ['a second HELLO', () => hello(), 'hello-expected'],
    ['a SEND out of turn', () => encodeClientMessage([sendPacket(7)]), 'protocol-error'],
    ['a RESUME without REFUSE', () => encodeClientMessage([{ kind: 'resume', ref: 1 }]), 'protocol-error'],
  ] as const)('[I10] is closed with a code, and alone: %s', async (_what, bytes, code) => {
    const raw = await RawClient.join(place.url, place.token('bob'))
    raw.sendBytes(bytes())
    const closing = await raw.closed
    expect(closing.code).toBe(code)
    expect(closing.closeCode).toBeGreaterThan(4_000)
    expect(await witnessIsServed()).toBe(true)
  })

  it('[I10] is closed with 1009, and alone, when its message is too large to be looked at', async () => {
    const raw = await RawClient.join(place.url, place.token('bob'))
    raw.sendBytes(Buffer.alloc(8 * 1_048_576))
    expect((await raw.closed).closeCode).toBe(1_009)
    expect(await witnessIsServed()).toBe(true)
  })

  it('[I10] acts upon nothing of a message whose end is malformed', async () => {
    const raw = await RawClient.join(place.url, place.token('bob'))
    const good = encodeClientMessage([sendPacket(1, { to: 'alice', id: 4_711n })])
    raw.sendBytes(Buffer.concat([good, Buffer.from([0xc1])]))
    expect((await raw.closed).code).toBe('malformed-packet')
    const again = await RawClient.join(place.url, place.token('bob'))
    again.send({ kind: 'query', request: 1, messages: [{ toKind: 0, to: 'alice', id: 4_711n }] })
    const { statuses } = await again.take('statuses')
    expect(statuses.map(({ status }) => statusByNumber(status))).toEqual(['unknown'])
    again.cut()
  })

  it('must begin with HELLO', async () => {
    const raw = await RawClient.open(place.url)
    raw.sendBytes(ping)
    expect(await raw.closed).toMatchObject({ code: 'hello-expected', closeCode: 4_065 })
  })

  it('must speak a version that the server speaks', async () => {
    const raw = await RawClient.open(place.url)
    raw.hello(place.token('bob'), { versionMin: 7, versionMax: 9 })
    expect(await raw.closed).toMatchObject({ code: 'version-unsupported', text: expect.stringContaining('1') })
  })

  it('[I10] costs nobody else anything when 100 of them break at once', async () => {
    const raws = await Promise.all(Array.from({ length: 100 }, () => RawClient.open(place.url)))
    for (const raw of raws) raw.sendBytes(randomBytes(1_000))
    const closings = await Promise.all(raws.map(({ closed }) => closed))
    expect(closings.filter(({ closeCode }) => closeCode <= 4_000)).toEqual([])
    expect(await witnessIsServed()).toBe(true)
    await until(
      () => witness.isOpen,
      () => 'the witness was closed',
    )
  })

  function hello(): Uint8Array {
    const rest = { versionMin: 1, versionMax: 1, session: 1, agent: '', epoch: 0, cursors: [] }
    return encodeClientMessage([{ kind: 'hello', token: place.token('bob'), device: randomBytes(16), ...rest }])
  }

  function hugeBody(): Uint8Array {
    const bytes = Buffer.from(encodeClientMessage([sendPacket(1, { body: Buffer.alloc(0) })]))
    return Buffer.concat([bytes.subarray(0, bytes.length - 2), Buffer.from([0xc6, 0xff, 0xff, 0xff, 0xff])])
  }
})

describe('a token', () => {
  const nowSeconds = () => Date.now() / 1_000
  const refusalOf = async (token: string) => {
    const raw = await RawClient.open(place.url)
    raw.hello(token)
    return await raw.closed
  }
  const listenWith = (token: string) =>
    place.ground.run(['listen', '--url', place.url, '--token', token, '--count', '1', '--store', 'token-store'])

  it('that is wrong is called so, by the server and the command line', async () => {
    const token = sign(randomBytes(32), 'bob')
    expect(await refusalOf(token)).toMatchObject({ code: 'token-invalid', closeCode: 4_067 })
    expect(await refusalOf('no token at all')).toMatchObject({ code: 'token-invalid', closeCode: 4_067 })
    const { code, stderr } = await listenWith(token)
    expect([code, stderr]).toEqual([5, expect.stringMatching(/not valid/)])
  })

  it('that has expired is called so, by the server and the command line', async () => {
    const token = place.token('bob', { iat: nowSeconds() - 7_200, exp: nowSeconds() - 3_600 })
    expect(await refusalOf(token)).toMatchObject({ code: 'token-expired', closeCode: 4_068 })
    const { code, stderr } = await listenWith(token)
    expect([code, stderr]).toEqual([5, expect.stringMatching(/expired/)])
  })

  it('that is revoked is called so, by the server and the command line, and ends the session that it began', async () => {
    const token = place.token('dora')
    const session = await RawClient.join(place.url, token)
    expect((await place.ground.run(['user', 'revoke', 'dora'])).code).toBe(0)
    expect(await session.closed).toMatchObject({ code: 'token-revoked', closeCode: 4_069 })
    expect(await refusalOf(token)).toMatchObject({ code: 'token-revoked', closeCode: 4_069 })
    const { code, stderr } = await listenWith(token)
    expect([code, stderr]).toEqual([5, expect.stringMatching(/revoked/)])
    const fresh = await RawClient.join(place.url, place.token('dora', { iat: nowSeconds() + 1 }))
    fresh.cut()
  })
})
