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

describe('the deadline of a message', () => {
  const message = { to: { user: 'bob' }, type: 0, priority: 8, receipts: true, body: new Uint8Array(1) }

  async function newOperations(world: World, clock: { ms: number }): Promise<HostOperations> {
    const operations = new HostOperations(
      { host: world.host, wake() {} },
      '1.2.3',
      () => 0,
      () => clock.ms,
    )
    const made = [operations.createUser('alice'), operations.createUser('bob')]
    world.settle()
    await Promise.all(made)
    return operations
  }
  async function send(world: World, operations: HostOperations, id: bigint, expirySeconds: number): Promise<string> {
    const answer = operations.send('alice', { ...message, id, expirySeconds })
    world.settle()
    const outcome = await answer
    return outcome.isOk ? outcome.value.status : outcome.code
  }

  it("counts from now, not from the host's last tick, by the server's time", async () => {
    const world = new World()
    const clock = { ms: 5_000 }
    const operations = await newOperations(world, clock)
    const deadlineOf = (id: bigint): unknown => {
      const outcome = operations.messageStatus('alice', { user: 'bob' }, id)
      return outcome.isOk ? outcome.value.deadlineMs : outcome.code
    }
    const beganMs = world.nowMs
    clock.ms += 90
    expect(await send(world, operations, 1n, 60)).toBe('sent')
    expect(deadlineOf(1n)).toBe(beganMs + 90 + 60_000)
    // The host's time was older than it seemed: what is nearer to its turn says more.
    world.host.nowMs = beganMs + 97
    expect(await send(world, operations, 2n, 60)).toBe('sent')
    expect(deadlineOf(2n)).toBe(beganMs + 97 + 60_000)
    clock.ms += 1
    expect(await send(world, operations, 3n, 60)).toBe('sent')
    expect(deadlineOf(3n)).toBe(beganMs + 98 + 60_000)
  })

  it("has no slack for clocks that differ: it is the server's own; the first verdict stands all the same", async () => {
    const world = new World({ settings: { expirySecondsMax: 60 } })
    const operations = await newOperations(world, { ms: 0 })
    expect(await send(world, operations, 1n, 60)).toBe('sent')
    expect(await send(world, operations, 2n, 61)).toBe('invalid')
    world.set({ expirySecondsMax: 30 })
    expect(await send(world, operations, 1n, 60)).toBe('sent')
    expect(await send(world, operations, 2n, 31)).toBe('invalid')
    expect(await send(world, operations, 2n, 30)).toBe('sent')
  })
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
    const expiryOf = async (id: string, expirySeconds: number) =>
      (await call('POST', '/messages', { ...message, id, expirySeconds })).status
    expect(await expiryOf('2', expirySecondsMax)).toBe(200)
    expect(await expiryOf('3', expirySecondsMax + 1)).toBe(expirySecondsMax < 2_592_000 ? 422 : 400)
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
