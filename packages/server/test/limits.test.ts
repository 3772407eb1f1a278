import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { parseLimits } from '../src/limits.ts'
import type { ServerOptions } from '../src/options.ts'
import { startServer } from '../src/server.ts'

it.each([
  ['bodyBytes=1048576', { bodyBytes: 1_048_576 }],
  ['inboxEntries=5, deviceDays=7', { inboxEntries: 5, deviceDays: 7 }],
])('reads the limits of %s', (text, limits) => expect(parseLimits(text)).toEqual(limits))

it.each([
  ['bodyBytes=1048577', 'bodyBytes is 1048577, a whole number from 0 to 1048576 is allowed'],
  ['bodyBytes', 'bodyBytes is missing, a whole number from 0 to 1048576 is allowed'],
  ['deviceDays=-1', 'deviceDays is -1, a whole number from 1 to 365 is allowed'],
])('refuses %s with the range', (text, fault) => expect(parseLimits(text)).toBe(fault))

it('refuses a limit that does not exist with the names of those that do', () => {
  expect(parseLimits('toString=1')).toMatch(/^'toString' is no limit: bodyBytes, expirySecondsMax/)
})

it('[I10] keeps a limit that was set when it is started again without it', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'posthaste-limits-'))
  const adminKey = 'the-key-of-this-test'
  const options: ServerOptions = {
    dataDirectory: directory,
    port: 0,
    adminPort: 0,
    host: '127.0.0.1',
    adminHost: '127.0.0.1',
    auth: { secrets: [new Uint8Array(32).fill(7)], jwks: undefined, audience: undefined },
    adminKey,
    logLevel: 'silent',
    shards: 1,
    isRestored: false,
  }
  try {
    const first = await startServer({ ...options, limits: { bodyBytes: 3 } })
    await first.stop()
    const second = await startServer(options)
    try {
      const call = async (path: string, body: unknown): Promise<number> => {
        const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' }
        const url = `http://127.0.0.1:${second.adminPort}${path}`
        return (await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })).status
      }
      await call('/v1/users', { name: 'alice' })
      await call('/v1/users', { name: 'bob' })
      const message = { from: 'alice', to: { user: 'bob' } }
      expect(await call('/v1/messages', { ...message, id: '1', body: 'four' })).toBe(413)
      expect(await call('/v1/messages', { ...message, id: '2', body: 'yes' })).toBe(200)
    } finally {
      await second.stop()
    }
  } finally {
    await rm(directory, { recursive: true, force: true })
  }
})
