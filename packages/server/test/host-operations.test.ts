import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { RunningServer } from '../src/options.ts'
import { startServer } from '../src/server.ts'

const adminKey = 'the-key-of-this-test'
let directory: string
let server: RunningServer
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'posthaste-operations-'))
  const auth = { secrets: [new Uint8Array(32).fill(7)], jwks: undefined, audience: undefined }
  const where = { dataDirectory: directory, port: 0, adminPort: 0, host: '127.0.0.1', adminHost: '127.0.0.1' }
  const options = { ...where, auth, adminKey, logLevel: 'silent', shards: 1, isRestored: false }
  // A disk on which nothing is ever free enough.
  server = await startServer(options, { limits: { freeBytes: Number.MAX_SAFE_INTEGER } })
})
afterEach(async () => {
  await server.stop()
  await rm(directory, { recursive: true, force: true })
})

function call(method: string, path: string, body: unknown): Promise<Response> {
  const json = body === undefined ? {} : { 'content-type': 'application/json' }
  return fetch(`http://127.0.0.1:${server.adminPort}/v1${path}`, {
    method,
    headers: { authorization: `Bearer ${adminKey}`, ...json },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  })
}

it.each([
  ['POST', '/users', { name: 'alice' }],
  ['POST', '/groups', { name: 'team' }],
  ['PUT', '/groups/team/members/alice', { roles: ['send'] }],
] as const)(
  '[I10] journals nothing for %s %s while the disk is nearly full, and says when to try again',
  async (method, path, body) => {
    const response = await call(method, path, body)
    expect([response.status, await response.json()]).toMatchObject([507, { code: 'disk-full', retryable: true }])
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThan(0)
  },
)

it.each([
  ['DELETE', '/users/alice', undefined],
  ['POST', '/users/alice/revoke', {}],
  ['DELETE', '/groups/team', undefined],
  ['DELETE', '/groups/team/members/alice', undefined],
] as const)('does %s %s on a disk that is nearly full too: it takes away', async (method, path, body) => {
  const response = await call(method, path, body)
  expect(response.status).not.toBe(507)
})
