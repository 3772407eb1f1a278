import { beforeEach, describe, expect, it } from 'vitest'
import { nowMs, pairOf } from '../auth/tokens.ts'
import { awkwardNames, badNames, newSystem } from './system.ts'

const system = await newSystem()
beforeEach(() => system.operations.reset())

describe('POST /v1/users', () => {
  it('creates a user, and finds it the second time', async () => {
    const carol = { name: 'carol', identity: 4, isOnline: false, lastSeen: null, lastSeenMs: null, devices: 0, waiting: 0 }
    const first = await system.call('POST', '/v1/users', { name: 'carol' })
    expect(first).toMatchObject({ status: 201, headers: { location: '/v1/users/carol' } })
    expect(first.body).toEqual(carol)
    const second = await system.call('POST', '/v1/users', { name: 'carol' })
    expect(second.status).toBe(200)
    expect(second.body).toEqual(carol)
  })

  it.each([...badNames, ['', 'empty'] as const, ['..', "'..'"] as const, ['\ud800', 'Unicode'] as const])(
    'refuses the name %j',
    async (name, rule) => {
      const { status, body } = await system.call('POST', '/v1/users', { name })
      expect(status).toBe(400)
      expect(body).toMatchObject({ code: 'invalid-argument', field: 'name', detail: expect.stringContaining(rule) })
    },
  )

  it.each([7, null, true, ['carol'], {}])('refuses the name %j', async (name) => {
    expect(await system.call('POST', '/v1/users', { name })).toMatchObject({
      status: 400,
      body: { field: 'name', code: 'invalid-argument' },
    })
  })
})

describe('GET /v1/users/:name', () => {
  it('gives a user with times as text and as ms', async () => {
    const alice = { name: 'alice', identity: 1, isOnline: true, lastSeenMs: nowMs, devices: 2, waiting: 5 }
    system.operations.users.set('alice', alice)
    const { status, body } = await system.call('GET', '/v1/users/alice')
    expect(status).toBe(200)
    expect(body).toEqual({ ...alice, lastSeen: '2026-01-01T00:00:00.000Z' })
  })

  it.each(awkwardNames)('finds %j', async (name) => {
    const created = await system.call('POST', '/v1/users', { name })
    expect(created.status).toBe(201)
    expect(await system.call('GET', String(created.headers.location))).toMatchObject({ status: 200, body: { name } })
  })

  it.each(badNames)('refuses the name %j', async (name, rule) => {
    const { status, body } = await system.call('GET', `/v1/users/${encodeURIComponent(name)}`)
    expect(status).toBe(400)
    expect(body).toMatchObject({ code: 'invalid-argument', field: 'name', detail: expect.stringContaining(rule) })
  })
})

describe('DELETE /v1/users/:name', () => {
  it('deletes a user', async () => {
    expect(await system.call('DELETE', '/v1/users/alice')).toMatchObject({ status: 204, text: '' })
    expect(system.operations.users.has('alice')).toBe(false)
    expect(await system.call('DELETE', '/v1/users/alice')).toMatchObject({
      status: 404,
      body: { code: 'not-found', field: 'name' },
    })
  })
})

describe('POST /v1/users/:name/tokens', () => {
  const tokenOf = ({ body }: { readonly body: unknown }) => system.auth.verify(String(Reflect.get(Object(body), 'token')))

  it('makes a token for an hour', async () => {
    const answer = await system.call('POST', '/v1/users/alice/tokens')
    expect(answer.status).toBe(201)
    expect(answer.body).toEqual({
      token: expect.any(String),
      expiresAt: '2026-01-01T01:00:00.000Z',
      expiresAtMs: nowMs + 3_600_000,
    })
    expect(await tokenOf(answer)).toEqual({ isOk: true, user: 'alice', issuedAtMs: nowMs, expiresAtMs: nowMs + 3_600_000 })
    expect(answer.headers['cache-control']).toBe('no-store')
  })

  it('makes a token for as long as asked', async () => {
    const answer = await system.call('POST', '/v1/users/alice/tokens', { ttlSeconds: 1 })
    expect(answer.body).toMatchObject({ expiresAtMs: nowMs + 1_000 })
    expect(await tokenOf(answer)).toMatchObject({ expiresAtMs: nowMs + 1_000 })
  })

  it.each([0, -1, 1.5, 31_536_001, '60', null])('refuses ttlSeconds %j', async (ttlSeconds) => {
    const answer = await system.call('POST', '/v1/users/alice/tokens', { ttlSeconds })
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid-argument', field: 'ttlSeconds' } })
  })

  it('refuses a user that does not exist', async () => {
    expect(await system.call('POST', '/v1/users/nobody/tokens')).toMatchObject({ status: 404, body: { field: 'name' } })
  })

  it('refuses when there is no secret', async () => {
    const keysOnly = await newSystem({ secrets: [], jwks: { keys: [pairOf('ES256').jwk] } })
    expect(await keysOnly.call('POST', '/v1/users/alice/tokens')).toMatchObject({
      status: 501,
      body: { code: 'no-secret', retryable: false },
    })
  })
})

describe('the lists of users', () => {
  it('go page by page', async () => {
    const gathered: unknown[] = []
    for (let next: unknown = ''; next !== null; ) {
      const { status, body } = await system.call('GET', `/v1/users?limit=1${next === '' ? '' : `&after=${next}`}`)
      expect(status).toBe(200)
      const page = Object(body) as { items: { name: string }[]; next: string | null }
      gathered.push(page.items.map(({ name }) => name))
      next = page.next
    }
    expect(gathered).toEqual([['alice'], ['bob']])
  })

  it('refuse what is no page', async () => {
    for (const path of [
      '/v1/users?limit=0',
      '/v1/users?after=',
      '/v1/users/alice/blocks?after=-1',
      '/v1/users/alice/groups?after=x',
    ])
      expect([path, await system.call('GET', path)]).toMatchObject([path, { status: 400, body: { code: 'invalid-argument' } }])
  })

  it('say whom a user has blocked', async () => {
    await system.call('PUT', '/v1/users/alice/blocks/bob')
    expect((await system.call('GET', '/v1/users/alice/blocks')).body).toEqual({ items: [{ user: 'bob' }], next: null })
  })
})

describe('POST /v1/users/:name/revoke', () => {
  it('answers with what holds: never earlier than it was', async () => {
    await system.call('POST', '/v1/users/alice/revoke', { validAfter: nowMs })
    const answer = await system.call('POST', '/v1/users/alice/revoke', { validAfter: 5 })
    expect(answer).toMatchObject({ status: 200, body: { validAfterMs: nowMs } })
  })

  it.each<[string, unknown, number]>([
    ['now by default', undefined, nowMs],
    ['now by default', {}, nowMs],
    ['a time in ms', { validAfter: 5 }, 5],
    ['a time as text', { validAfter: '2025-12-31T23:59:59.5Z' }, nowMs - 500],
    ['a time with a zone', { validAfter: '2026-01-01T02:00:00+02:00' }, nowMs],
  ])('revokes the tokens made before %s', async (_what, body, validAfterMs) => {
    const answer = await system.call('POST', '/v1/users/alice/revoke', body)
    expect(answer.status).toBe(200)
    expect(answer.body).toEqual({ validAfter: new Date(validAfterMs).toISOString(), validAfterMs })
    expect(system.operations.validAfterMs.get('alice')).toBe(validAfterMs)
  })

  it.each([
    -1,
    1.5,
    '2026-01-01',
    '2026-01-01T00:00:00',
    '2026-13-01T00:00:00Z',
    '2026-02-30T00:00:00Z',
    '0001-01-01T00:00:00Z',
    'yesterday',
    '5',
    null,
    true,
    nowMs + 60_001,
    1e20,
    {},
  ])('refuses validAfter %j', async (validAfter) => {
    const answer = await system.call('POST', '/v1/users/alice/revoke', { validAfter })
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid-argument', field: 'validAfter' } })
    expect(system.operations.validAfterMs.size).toBe(0)
  })

  it('refuses a user that does not exist', async () => {
    expect(await system.call('POST', '/v1/users/nobody/revoke')).toMatchObject({ status: 404, body: { field: 'name' } })
  })
})

describe('PUT and DELETE /v1/users/:name/blocks/:other', () => {
  it('block and unblock, as often as asked', async () => {
    for (const [method, size] of [
      ['PUT', 1],
      ['PUT', 1],
      ['DELETE', 0],
      ['DELETE', 0],
    ] as const) {
      expect(await system.call(method, '/v1/users/alice/blocks/bob')).toMatchObject({ status: 204, text: '' })
      expect(system.operations.blocks.size).toBe(size)
    }
  })

  it.each([
    ['nobody', 'bob', 404, 'name'],
    ['alice', 'nobody', 404, 'other'],
    ['alice', 'a%0Ab', 400, 'other'],
  ])('name the one at fault: %s, %s', async (name, other, status, field) => {
    expect(await system.call('PUT', `/v1/users/${name}/blocks/${other}`)).toMatchObject({ status, body: { field } })
  })
})
