import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { RunningServer } from '../src/options.ts'
import { startServer, type Tuning } from '../src/server.ts'

/** The key of their HTTP API. */
export const adminKey = 'the-key-of-this-test'
/** What signs tokens. */
export const secrets = [new Uint8Array(32).fill(7)]

/** Starts a server in a directory of its own; both go at the end of the test. */
export async function newServer({ gateways = 0, ...tuning }: Tuning & { gateways?: number } = {}): Promise<RunningServer> {
  const directory = await mkdtemp(join(tmpdir(), 'posthaste-server-'))
  onTestFinished(() => rm(directory, { recursive: true, force: true }))
  const where = { dataDirectory: directory, port: 0, adminPort: 0, host: '127.0.0.1', adminHost: '127.0.0.1' }
  const server = await startServer({ ...where, auth: { secrets }, adminKey, logLevel: 'silent', gateways }, tuning)
  onTestFinished(() => server.stop())
  return server
}

/** Posts to its HTTP API. */
export async function post(server: RunningServer, path: string, body: unknown): Promise<{ status: number; body: unknown }> {
  const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' }
  const url = `http://127.0.0.1:${server.adminPort}/v1${path}`
  const response = await fetch(url, { method: 'POST', headers, body: JSON.stringify(body) })
  return { status: response.status, body: await response.json() }
}
