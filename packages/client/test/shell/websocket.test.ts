import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { codeNumber, decodeClientMessage, encodeServerMessage, type ServerPacket } from '@posthaste/protocol'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { WebSocketServer } from 'ws'
import { Posthaste } from '../../src/posthaste.ts'
import { nodeStore } from '../../src/stores/node.ts'
import { deliver, resultOf, welcome } from './fakeServer.ts'

describe('a client in Node, over a real WebSocket and a store on disk', () => {
  let folder: string
  let server: WebSocketServer
  let url: string

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'posthaste-client-'))
    server = new WebSocketServer({ port: 0, host: '127.0.0.1' })
    await once(server, 'listening')
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
    server.on('connection', (socket, request) => {
      expect(request.url).toBe('/v1/connect')
      socket.on('message', (data: Buffer) => {
        const packets: ServerPacket[] = []
        for (const packet of decodeClientMessage(data)) {
          if (packet.kind === 'hello') {
            const seq = packet.cursors[0]?.seq ?? 0
            packets.push({ ...welcome, serverTimeMs: Date.now() }, deliver(seq + 1))
          }
          if (packet.kind === 'send') packets.push(resultOf(packet))
        }
        if (packets.length > 0) socket.send(encodeServerMessage(packets))
      })
    })
  })

  afterEach(async () => {
    for (const socket of server.clients) socket.terminate()
    server.close()
    await rm(folder, { recursive: true })
  })

  it('sends, receives, and after a restart goes on where it was', async () => {
    const texts: string[] = []
    for (let start = 0; start < 3; start++) {
      const alice = new Posthaste({ url, token: 'token', store: nodeStore(folder) })
      const sent = await alice.send({ to: 'bob', body: 'hello' })
      await sent.waitFor('sent')
      for await (const message of alice.receive()) {
        texts.push(message.text())
        if (message.redelivered) continue
        break
      }
      await alice.close()
    }
    // Each loop broke off at its last message, which came again.
    expect(texts).toEqual(['message 1', 'message 1', 'message 2', 'message 2', 'message 3'])
  })

  it('comes back when the server does, and sends what was written meanwhile', async () => {
    const alice = new Posthaste({ url, token: () => Promise.resolve('token'), store: nodeStore(folder) })
    await (await alice.send({ to: 'bob', body: 'one' })).waitFor('sent')
    for (const socket of server.clients) socket.close(4_000 + codeNumber('shutting-down'))
    const next = await alice.send({ to: 'bob', body: 'two' })
    await next.waitFor('sent')
    expect(next.status).toBe('sent')
    await alice.close()
  })
})
