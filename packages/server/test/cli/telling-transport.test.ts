import { createServer } from 'node:http'
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { WebSocketServer } from 'ws'
import { causeOf, TellingTransport } from '../../src/cli/telling-transport.ts'

const servers: Server[] = []
afterEach(() => {
  for (const server of servers.splice(0)) server.close()
})

/** @returns where it listens */
async function listening(server: Server): Promise<string> {
  servers.push(server)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

/** Connects, and resolves with the code of the close. */
function tried(transport: TellingTransport, url: string): Promise<number> {
  return new Promise((resolve) => transport.open(url, { opened: () => {}, message: () => {}, closed: resolve }))
}

describe('a connection that fails', () => {
  it.each([
    ['a name that there is not', () => 'ws://nowhere.invalid/v1/connect', /^getaddrinfo (ENOTFOUND|EAI_AGAIN) nowhere\.invalid$/],
    ['a port that nobody listens on', () => 'ws://127.0.0.1:1/v1/connect', /^connect ECONNREFUSED 127\.0\.0\.1:1$/],
    ['the port of something else', (host: string) => `ws://${host}/v1/connect`, /^Unexpected server response: 404$/],
    ['TLS where there is none', (host: string) => `wss://${host}/v1/connect`, /^no TLS is spoken there$/],
  ])('has a cause: %s', async (_what, urlAt, cause) => {
    const other = createServer((_request, response) => void response.writeHead(404).end())
    const transport = new TellingTransport()
    expect(await tried(transport, urlAt(await listening(other)))).toBe(1_006)
    expect(transport.cause).toMatch(cause)
  })

  it('has that of the first address, where there are several', () => {
    expect(causeOf(new AggregateError([new Error('connect ECONNREFUSED ::1:1'), new Error('b')]))).toBe(
      'connect ECONNREFUSED ::1:1',
    )
    expect(causeOf(new AggregateError([], 'none'))).toBe('none')
  })

  it('has none when the SDK gave it up, and ends all the same', async () => {
    const silent = createTcpServer(() => {})
    const transport = new TellingTransport()
    const host = await listening(silent)
    const closed = new Promise<number>((resolve) => {
      const socket = transport.open(`ws://${host}/`, { opened: () => {}, message: () => {}, closed: resolve })
      // Not open yet: nothing to send it on.
      socket.send(new Uint8Array(1))
      socket.close(1_000)
    })
    expect([await closed, transport.cause]).toEqual([1_006, undefined])
  })
})

describe('a connection', () => {
  it('carries messages both ways, and forgets why the one before failed', async () => {
    const http = createServer()
    const server = new WebSocketServer({ server: http })
    const received: unknown[] = []
    server.on('connection', (socket) => {
      socket.on('message', (data: Buffer) => {
        received.push([...data])
        socket.send(Uint8Array.of(7))
        socket.send('text')
      })
    })
    const transport = new TellingTransport()
    await tried(transport, 'ws://127.0.0.1:1/')
    expect(transport.cause).toBeDefined()
    const host = await listening(http)
    const messages: unknown[] = []
    await new Promise<number>((resolve) => {
      const socket = transport.open(`ws://${host}/`, {
        opened: () => socket.send(Uint8Array.of(1, 2)),
        message: (bytes) => {
          messages.push(bytes === null ? null : [...bytes])
          expect(socket.bufferedBytes).toBe(0)
          if (bytes === null) socket.close(4_000)
        },
        closed: resolve,
      })
    }).then((code) => expect(code).toBe(4_000))
    expect([received, messages, transport.cause]).toEqual([[[1, 2]], [[7], null], undefined])
  })

  it('is cut off when its close is not answered', async () => {
    const http = createServer()
    const server = new WebSocketServer({ server: http })
    server.on('connection', (socket) => socket.pause())
    const host = await listening(http)
    const transport = new TellingTransport()
    const code = await new Promise<number>((resolve) => {
      const socket = transport.open(`ws://${host}/`, {
        opened: () => {
          vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
          socket.close(1_000)
          vi.advanceTimersByTime(5_000)
          vi.useRealTimers()
        },
        message: () => {},
        closed: resolve,
      })
    })
    for (const socket of server.clients) socket.terminate()
    expect(code).toBe(1_006)
  })
})
