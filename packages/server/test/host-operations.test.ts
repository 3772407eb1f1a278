import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { LimitSettings } from '../src/limits.ts'
import type { RunningServer } from '../src/options.ts'
import { startServer } from '../src/server.ts'
import { World } from '../../core/test/harness.ts'
import { HostOperations } from '../src/hostOperations.ts'

const adminKey = 'the-key-of-this-test'
const auth = { secrets: [new Uint8Array(32).fill(7)], jwks: undefined, audience: undefined }
let directory: string
let server: RunningServer

/** @param freeBytes how many must be free on the disk for anything to be journaled */
async function start(freeBytes: number, limits: LimitSettings = {}): Promise<void> {
  const where = { dataDirectory: directory, port: 0, adminPort: 0, host: '127.0.0.1', adminHost: '127.0.0.1' }
  server = await startServer({ ...where, auth, adminKey, logLevel: 'silent', limits }, { limits: { freeBytes } })
}

async function make(): Promise<void> {
  directory = await mkdtemp(join(tmpdir(), 'posthaste-operations-'))
  await start(0)
}
async function remove(): Promise<void> {
  await server.stop()
  await rm(directory, { recursive: true, force: true })
}

function call(method: string, path: string, body: unknown): Promise<Response> {
  const json = body === undefined ? {} : { 'content-type': 'application/json' }
  return fetch(`http://127.0.0.1:${server.adminPort}/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${adminKey}`, ...json },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

describe('while the disk is nearly full', () => {
  beforeAll(async () => {
    await make()
    for (const name of ['alice', 'bob']) await call('POST', '/users', { name })
    await call('POST', '/groups', { name: 'team' })
    await call('PUT', '/groups/team/members/alice', { roles: ['send', 'receive'] })
    await call('PUT', '/users/alice/blocks/bob', undefined)
    await server.stop()
    await start(Number.MAX_SAFE_INTEGER)
  })
  afterAll(remove)

  it.each([
    ['POST', '/users', { name: 'carol' }],
    ['POST', '/groups', { name: 'crew' }],
    ['PUT', '/groups/team/members/bob', { roles: ['send'] }],
    ['PUT', '/groups/team/members/alice', { roles: ['send', 'admin'] }],
    ['PUT', '/users/bob/blocks/alice', undefined],
  ] as const)('[I10] journals nothing for %s %s, and says when to try again: %j', async (method, path, body) => {
    const response = await call(method, path, body)
    expect([response.status, await response.json()]).toMatchObject([507, { code: 'disk-full', retryable: true }])
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
  })

  it.each([
    ['POST', '/users/alice/revoke', {}, 200],
    ['PUT', '/groups/team/members/alice', { roles: ['receive'] }, 204],
    ['DELETE', '/users/alice/blocks/bob', undefined, 204],
    ['DELETE', '/groups/team/members/alice', undefined, 204],
    ['DELETE', '/groups/team', undefined, 204],
    ['DELETE', '/users/alice', undefined, 204],
  ] as const)('does %s %s all the same: it takes away', async (method, path, body, status) => {
    expect((await call(method, path, body)).status).toBe(status)
  })
})

it('answers who creates what is deleted in the record that it was created in', async () => {
  const world = new World()
  const operations = new HostOperations({ host: world.host, wake() {} }, '1.2.3', () => 0)
  const answers = [
    operations.createUser('alice'),
    operations.deleteUser('alice'),
    operations.createGroup('team'),
    operations.deleteGroup('team'),
  ]
  world.settle()
  const identity = expect.any(Number)
  expect(await Promise.all(answers)).toEqual([
    { isOk: true, value: { user: expect.objectContaining({ name: 'alice', identity, waiting: 0 }), isNew: true } },
    { isOk: true, value: undefined },
    { isOk: true, value: { name: 'team', identity, members: 0 } },
    { isOk: true, value: undefined },
  ])
  expect([operations.user('alice'), operations.group('team')]).toEqual([undefined, undefined])
})

describe('on a server', () => {
  beforeEach(make)
  afterEach(remove)

  it.each([
    [60, 60],
    [2_592_000, 604_800],
  ])('a message lives by default as long as a server of %i s allows, at most 7 days', async (expirySecondsMax, seconds) => {
    await server.stop()
    await start(0, { expirySecondsMax })
    for (const name of ['alice', 'bob']) await call('POST', '/users', { name })
    const message = { from: 'alice', to: { user: 'bob' }, body: 'x' }
    expect((await call('POST', '/messages', { ...message, id: '1' })).status).toBe(200)
    const status = Object(await (await call('GET', '/messages/alice/user/bob/1', undefined)).json()) as Record<string, number>
    // The deadline counts from the receipt, the time is that of the record.
    expect(Math.abs(Number(status.deadlineMs) - Number(status.timeMs) - seconds * 1_000)).toBeLessThan(10_000)
    // A little more is taken, since estimates of the server's time err.
    const longer = await call('POST', '/messages', { ...message, id: '2', expirySeconds: 2_592_000 })
    expect(longer.status).toBe(expirySecondsMax < 2_592_000 ? 422 : 200)
  })

  it('lists users, groups, the groups of a user and whom it has blocked', async () => {
    for (const name of ['alice', 'bob', 'carol']) await call('POST', '/users', { name })
    for (const name of ['team', 'crew', 'old']) {
      await call('POST', '/groups', { name })
      await call('PUT', `/groups/${name}/members/alice`, { roles: ['send', 'admin'] })
    }
    for (const other of ['bob', 'carol']) await call('PUT', `/users/alice/blocks/${other}`, undefined)
    await call('DELETE', '/users/carol', undefined)
    await call('DELETE', '/groups/old', undefined)
    const list = async (path: string): Promise<unknown> => (await call('GET', path, undefined)).json()
    const user = { isOnline: false, lastSeen: null, devices: 0, waiting: 0 }
    expect(await list('/users?limit=2')).toMatchObject({
      items: [
        { name: 'alice', ...user },
        { name: 'bob', ...user },
      ],
      next: 'bob',
    })
    expect(await list('/users?limit=2&after=bob')).toEqual({ items: [], next: null })
    const members = { members: 1, identity: expect.any(Number) }
    expect(await list('/groups')).toEqual({
      items: [
        { name: 'crew', ...members },
        { name: 'team', ...members },
      ],
      next: null,
    })
    const roles = ['send', 'admin']
    const first = await list('/users/alice/groups?limit=1')
    expect(first).toEqual({ items: [{ group: 'team', roles }], next: expect.any(String) })
    const { next } = Object(first) as { next: string }
    expect(await list(`/users/alice/groups?limit=1&after=${next}`)).toEqual({ items: [{ group: 'crew', roles }], next: null })
    expect(await list('/users/alice/blocks')).toEqual({ items: [{ user: 'bob' }], next: null })
    expect(await list('/users/carol/blocks')).toMatchObject({ code: 'not-found', field: 'name' })
    expect(await list('/users/carol/groups')).toMatchObject({ code: 'not-found', field: 'name' })
  })
})
