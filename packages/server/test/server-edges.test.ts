import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { HostLimits } from '@posthaste/core'
import { codeNumber, decodeServerMessage, encodeClientMessage, type ServerPacket } from '@posthaste/protocol'
import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { WebSocket } from 'ws'
import { TokenVerifier } from '../src/auth/index.ts'
import { Gateway } from '../src/gateway.ts'
import type { RunningServer } from '../src/options.ts'
import { startServer } from '../src/server.ts'
import { newSystem } from './http/system.ts'

const adminKey = 'the-key-of-this-test'
const secrets = [new Uint8Array(32).fill(7)]
let directory: string
let server: RunningServer | undefined

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'posthaste-edges-'))
})
afterEach(async () => {
  vi.restoreAllMocks()
  await server?.stop()
  await rm(directory, { recursive: true, force: true })
})

async function start(limits: Partial<HostLimits> = {}, adminPort = 0): Promise<RunningServer> {
  const auth = { secrets, jwks: undefined, audience: undefined }
  const where = { dataDirectory: directory, port: 0, adminPort, host: '127.0.0.1', adminHost: '127.0.0.1' }
  return await startServer({ ...where, auth, adminKey, logLevel: 'silent', shards: 1, isRestored: false }, { limits })
}

async function post(
  adminPort: number,
  path: string,
  body: unknown,
): Promise<{ status: number; body: { readonly identity?: number } }> {
  const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' }
  const response = await fetch(`http://127.0.0.1:${adminPort}/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) })
  return { status: response.status, body: (await response.json()) as { readonly identity?: number } }
}

/** What is answered to these bytes, as text. */
function answerTo(port: number, bytes: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(bytes))
    let text = ''
    socket.on('data', (data) => {
      text += data.toString()
    })
    socket.on('close', () => resolve(text))
    socket.on('error', reject)
  })
}

it('[I12] takes nothing over HTTP before this incarnation has begun: what comes first is of its epoch too', async () => {
  const { listen, begin } = Gateway.prototype
  const epochs: number[] = []
  vi.spyOn(Gateway.prototype, 'begin').mockImplementation(function (this: Gateway) {
    epochs.push(this.host.epoch)
    begin.call(this)
  })
  const first = await start()
  const { adminPort } = first
  await first.stop()
  let created: unknown
  vi.spyOn(Gateway.prototype, 'listen').mockImplementation(async function (this: Gateway, port, host) {
    created = (await post(adminPort, '/users', { name: 'alice' })).body.identity
    return await listen.call(this, port, host)
  })
  await rm(directory, { recursive: true })
  server = await start({}, adminPort)
  // Identities begin with the epoch, times 2^40.
  expect(Math.floor(Number(created) / 2 ** 40)).toBe(epochs.at(-1))
  // It is another one than that of the directories that were there before: whoever knows those takes this one for a restored server.
  await server.stop()
  await rm(directory, { recursive: true })
  server = await start({}, adminPort)
  for (const epoch of epochs) expect(epoch).toSatisfy((one: number) => one >= 1 && one <= 4_096)
  expect([epochs.length, new Set(epochs).size > 1]).toEqual([3, true])
})

/** Has the next server's process begin with that clock. */
function startClockAt(offsetMs: number): void {
  const { timeOrigin } = performance
  vi.spyOn(performance, 'timeOrigin', 'get').mockReturnValue(timeOrigin + offsetMs)
}

/** Connects with a token of that user, of now. Resolves with WELCOME or ERROR, and what closes the session later. */
async function greet(port: number, user: string): Promise<{ readonly first: ServerPacket; readonly closed: Promise<number> }> {
  const verifier = await TokenVerifier.create({ secrets, jwks: undefined, audience: undefined })
  const token = await verifier.makeToken(user, { ttlSeconds: 3_600 })
  return await greetWith(port, token)
}

async function greetWith(
  port: number,
  token: string,
): Promise<{ readonly first: ServerPacket; readonly closed: Promise<number> }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/connect`)
  const closed = new Promise<number>((resolve) => socket.on('close', resolve))
  await new Promise((resolve) => socket.on('open', resolve))
  const hello = { versionMin: 1, versionMax: 1, token, device: new Uint8Array(16), session: 1, agent: '', epoch: 0, cursors: [] }
  const answer = new Promise<Buffer>((resolve) => socket.once('message', resolve))
  socket.send(encodeClientMessage([{ kind: 'hello', ...hello }]))
  const [first] = decodeServerMessage(await answer)
  return { first: first as ServerPacket, closed }
}

it('[I5] goes on from what it recorded when the clock was ahead before, and messages live as long as they shall', async () => {
  startClockAt(2 * 86_400_000)
  const first = await start()
  for (const name of ['alice', 'bob']) await post(first.adminPort, '/users', { name })
  await first.stop()
  vi.restoreAllMocks()
  server = await start()
  const send = { from: 'alice', to: { user: 'bob' }, body: 'hello', id: '1', expirySeconds: 60 }
  expect(await post(server.adminPort, '/messages', send)).toMatchObject({ status: 200, body: { status: 'sent' } })
})

it.each([-7_200_000, 7_200_000])(
  '[I9] takes tokens and their end by the system’s clock, though its own is off by %i ms',
  async (offMs) => {
    startClockAt(offMs)
    server = await start()
    const { first } = await greet(server.port, 'alice')
    const { tokenExpiresMs, serverTimeMs } = first as Extract<ServerPacket, { kind: 'welcome' }>
    expect(Math.abs(serverTimeMs - Date.now() - offMs)).toBeLessThan(60_000)
    expect(Math.abs(tokenExpiresMs - serverTimeMs - 3_600_000)).toBeLessThan(60_000)
  },
)

it('[I9] revokes tokens, and lets none make a deleted user again, though its own clock is behind', async () => {
  const verifier = await TokenVerifier.create({ secrets, jwks: undefined, audience: undefined })
  const token = await verifier.makeToken('alice', { ttlSeconds: 3_600 })
  startClockAt(-7_200_000)
  server = await start()
  const { closed } = await greetWith(server.port, token)
  expect((await post(server.adminPort, '/users/alice/revoke', {})).status).toBe(200)
  expect(await closed).toBe(4_000 + codeNumber('token-revoked'))
  const headers = { authorization: `Bearer ${adminKey}` }
  await post(server.adminPort, '/users', { name: 'bob' })
  const ofBob = await verifier.makeToken('bob', { ttlSeconds: 3_600 })
  await fetch(`http://127.0.0.1:${server.adminPort}/v1/users/bob`, { method: 'DELETE', headers })
  for (const old of [token, ofBob])
    expect((await greetWith(server.port, old)).first).toMatchObject({ kind: 'error', code: codeNumber('token-revoked') })
})

it('[I10] refuses what is sent over HTTP by whoever has too many living keys, and says when to try again', async () => {
  server = await start({ keysPerSender: 1 })
  for (const name of ['alice', 'bob']) expect((await post(server.adminPort, '/users', { name })).status).toBe(201)
  const send = { from: 'alice', to: { user: 'bob' }, body: 'hello' }
  const { adminPort } = server
  expect(await post(adminPort, '/messages', { ...send, id: '1' })).toMatchObject({ status: 200, body: { status: 'sent' } })
  const refused = await post(adminPort, '/messages', { ...send, id: '2' })
  expect(refused).toMatchObject({ status: 429, body: { code: 'too-many-keys', retryable: true } })
})

it('blocks nobody by themselves, and says who is no user', async () => {
  server = await start()
  const { adminPort } = server
  expect((await post(adminPort, '/users', { name: 'alice' })).status).toBe(201)
  expect((await post(adminPort, '/groups', { name: 'team' })).status).toBe(201)
  const put = async (path: string, body: unknown): Promise<unknown> => {
    const headers = { authorization: `Bearer ${adminKey}`, 'content-type': 'application/json' }
    const url = `http://127.0.0.1:${adminPort}/v1${path}`
    return await (await fetch(url, { method: 'PUT', headers, body: JSON.stringify(body) })).json()
  }
  expect(await put('/users/alice/blocks/alice', {})).toMatchObject({ code: 'invalid-argument', field: 'other' })
  const nobody = await put('/groups/team/members/nobody', { roles: ['send'] })
  expect(nobody).toMatchObject({ code: 'not-found', field: 'user' })
})

it('answers what is no request, or has too large a head, with a problem', async () => {
  server = await start()
  const large = await answerTo(server.adminPort, `GET /v1/health HTTP/1.1\r\nx: ${'y'.repeat(20_000)}\r\n\r\n`)
  expect(large).toMatch(/^HTTP\/1.1 431 Request Header.*application\/problem\+json.*"status":431.*"code":"invalid-argument"/s)
  const odd = await answerTo(server.adminPort, 'HELLO\r\n\r\n')
  expect(odd).toMatch(/^HTTP\/1.1 400 Bad Request.*application\/problem\+json.*"status":400.*"code":"invalid-argument"/s)
  const nowhere = await answerTo(server.adminPort, 'GET /v1/health HTTP/1.1\r\nconnection: close\r\n\r\n')
  expect(nowhere).toMatch(/^HTTP\/1.1 400 Bad Request.*application\/problem\+json.*'Host' is missing.*"code":"invalid-argument"/s)
  // Before 1.1 there was none.
  expect(await answerTo(server.adminPort, 'GET /v1/health HTTP/1.0\r\n\r\n')).toMatch(/^HTTP\/1.1 200 OK/)
  const expecting = await answerTo(server.adminPort, 'POST /v1/users HTTP/1.1\r\nhost: x\r\nexpect: foo\r\n\r\n')
  expect(expecting).toMatch(/^HTTP\/1.1 417 Expectation.*application\/problem\+json.*"status":417.*"code":"invalid-argument"/s)
})

it('says shutting-down, and when to come back, to what comes while it closes', async () => {
  const { app } = await newSystem()
  let goOn = (): void => {}
  const rest = new Promise<void>((resolve) => {
    goOn = resolve
  })
  app.addHook('preClose', () => rest)
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const closed = app.close()
  const answer = await fetch(`${url}/v1/health`)
  const { status, headers } = answer
  expect([status, headers.get('connection')]).toEqual([503, 'close'])
  expect(headers.get('retry-after')).toMatch(/^\d+$/)
  expect(await answer.json()).toMatchObject({ code: 'shutting-down' })
  goOn()
  await closed
})
