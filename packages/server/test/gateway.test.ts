import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { codeNumber, encodeClientMessage } from '@posthaste/protocol'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { WebSocket } from 'ws'
import type { RunningServer } from '../src/options.ts'
import { startServer } from '../src/server.ts'

const heartbeatMs = 500
let directory: string
let server: RunningServer
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'posthaste-gateway-'))
  const auth = { secrets: [new Uint8Array(32).fill(7)], jwks: undefined, audience: undefined }
  const where = { dataDirectory: directory, port: 0, adminPort: 0, host: '127.0.0.1', adminHost: '127.0.0.1' }
  const options = { ...where, auth, adminKey: 'the-key-of-this-test', logLevel: 'silent', shards: 1, isRestored: false }
  server = await startServer(options, { limits: { packetsPerSecond: 100, heartbeatMs } })
})
afterEach(async () => {
  await server.stop()
  await rm(directory, { recursive: true, force: true })
})

it.each(['ping', 'pong'] as const)('[I10] counts every WebSocket %s as a packet', async (sign) => {
  const webSocket = new WebSocket(`ws://127.0.0.1:${server.port}/v1/connect`)
  const closed = new Promise<number>((resolve) => webSocket.on('close', resolve))
  await new Promise((resolve) => webSocket.on('open', resolve))
  // A few at a time, each taken before the next: ws itself cuts whoever leaves more than 60 of its pongs untaken.
  while (webSocket.readyState === WebSocket.OPEN) {
    const answered = new Promise((resolve) => webSocket.on('pong', (data) => data.length > 0 && resolve(undefined)))
    for (let at = 0; at < 50; at++) webSocket[sign]()
    webSocket.ping('taken')
    await Promise.race([answered, closed])
    webSocket.removeAllListeners('pong')
  }
  expect(await closed).toBe(4_000 + codeNumber('flood'))
})

it.each([
  [256, 4_000 + codeNumber('hello-expected')],
  [257, 1_008],
])('[I10] takes a message of at most 256 fragments: of %i', async (fragments, closeCode) => {
  const webSocket = new WebSocket(`ws://127.0.0.1:${server.port}/v1/connect`)
  const closed = new Promise<number>((resolve) => webSocket.on('close', resolve))
  await new Promise((resolve) => webSocket.on('open', resolve))
  const ping = encodeClientMessage([{ kind: 'ping', clientTime: 1 }])
  for (let sent = 1; sent < fragments; sent++) webSocket.send(new Uint8Array(0), { fin: false })
  webSocket.send(ping, { fin: true })
  expect(await closed).toBe(closeCode)
})

it('pings each connection once a heartbeat, be it alone or one of many', async () => {
  const alone = await pingsOf(1)
  const many = await pingsOf(30)
  // The first ping may come at once; a tick is 100 ms.
  for (const { gapMs } of [...alone, ...many]) expect(gapMs).toBeGreaterThan(heartbeatMs / 2)
})

/** Connects that many, and gives the time between the first and the second ping of each. */
async function pingsOf(count: number): Promise<{ gapMs: number }[]> {
  const gaps = Array.from({ length: count }, async () => {
    const webSocket = new WebSocket(`ws://127.0.0.1:${server.port}/v1/connect`)
    const [firstMs, secondMs] = await new Promise<number[]>((resolve) => {
      const times: number[] = []
      webSocket.on('ping', () => {
        times.push(performance.now())
        if (times.length === 2) resolve(times)
      })
    })
    webSocket.terminate()
    return { gapMs: (secondMs ?? 0) - (firstMs ?? 0) }
  })
  return await Promise.all(gaps)
}
