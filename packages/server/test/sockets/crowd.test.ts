import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import pino from 'pino'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { patienceTurns, turnMs } from '../../src/sockets/handshakes.ts'
import { LocalSockets } from '../../src/sockets/local.ts'

const switching = 'HTTP/1.1 101 Switching Protocols'
const upgrade = [
  'GET /v1/connect HTTP/1.1',
  'Host: localhost',
  'Upgrade: websocket',
  'Connection: Upgrade',
  'Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==',
  'Sec-WebSocket-Version: 13',
  '\r\n',
].join('\r\n')
/** A PING without content, masked. */
const ping = Buffer.from([0x89, 0x80, 1, 2, 3, 4])
/** Of one turn of the event loop. */
const most = 4

/** What one test sees of its sockets. */
function served() {
  const nothing = (): void => undefined
  const seen = { turn: 0, turns: [] as number[], heard: 0, onHeard: nothing, onConnected: nothing }
  const events = {
    connected: () => {
      seen.turns.push(seen.turn)
      seen.onConnected()
    },
    message: nothing,
    refused: nothing,
    heard: () => {
      seen.heard += 1
      seen.onHeard()
    },
    read: nothing,
    closed: nothing,
  }
  const sockets = new LocalSockets({ messageBytesMax: 65_536, heartbeatMs: 30_000 }, pino({ level: 'silent' }), events)
  ends.push(() => sockets.end())
  return { seen, sockets }
}

const ends: (() => unknown)[] = []
afterEach(async () => {
  vi.useRealTimers()
  for (const end of ends.splice(0).reverse()) await end()
})

/** So many clients that have sent all but the end of their handshakes. */
async function beginAll(count: number, port: number): Promise<Socket[]> {
  const clients: Socket[] = []
  for (let number = 0; number < count; number++) {
    const client = connect(port, '127.0.0.1')
    ends.push(() => client.destroy())
    clients.push(client)
    await once(client, 'connect')
    client.write(upgrade.slice(0, -1))
  }
  return clients
}

/** Does something in each turn of the event loop until it is told to stop. */
function eachTurn(act: () => void): () => void {
  let isOver = false
  const next = (): void => {
    if (isOver) return
    act()
    setImmediate(next)
  }
  next()
  return () => {
    isOver = true
  }
}

/** Ends all handshakes at once. Resolves once a packet that came with each has been heard, with how the clients were answered. */
async function completeAll(clients: readonly Socket[], { seen }: ReturnType<typeof served>): Promise<Set<string | undefined>> {
  const all = new Promise<void>((resolve) => {
    seen.onHeard = () => {
      if (seen.heard === clients.length) resolve()
    }
  })
  const answers = clients.map(async (client) => String((await once(client, 'data'))[0]).split('\r\n')[0])
  for (const client of clients) client.write(Buffer.concat([Buffer.from(upgrade.slice(-1)), ping]))
  await all
  return new Set(await Promise.all(answers))
}

describe('handshakes that complete at the same time', () => {
  it('[I10] become connections a few a turn, so that others are served in between, and lose nothing that came with them', async () => {
    const server = served()
    const { seen, sockets } = server
    const clients = await beginAll(40, await sockets.listen(0, '127.0.0.1'))
    const stop = eachTurn(() => {
      seen.turn += 1
    })
    const answers = await completeAll(clients, server)
    stop()
    const perTurn = new Map<number, number>()
    for (const at of seen.turns) perTurn.set(at, (perTurn.get(at) ?? 0) + 1)
    expect(seen.turns).toHaveLength(40)
    expect(Math.max(...perTurn.values())).toBeLessThanOrEqual(most)
    expect(answers).toEqual(new Set([switching]))
  })

  it('[I10] are read by turns when they took long, and complete all the same', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    const server = served()
    const { seen, sockets } = server
    const clients = await beginAll(60, await sockets.listen(0, '127.0.0.1'))
    // A few of the event loop's own turns for each of them: by then all are being read.
    let left = 4 * clients.length
    await new Promise<void>((resolve) => {
      const stop = eachTurn(() => {
        left -= 1
        if (left > 0) return
        stop()
        resolve()
      })
    })
    // To the first turn in which they take long.
    vi.advanceTimersByTime(patienceTurns * turnMs)
    const stop = eachTurn(() => {
      seen.turn += 1
      vi.advanceTimersByTime(turnMs)
    })
    const answers = await completeAll(clients, server)
    stop()
    expect(answers).toEqual(new Set([switching]))
    // Two and then one a turn, not four.
    expect(new Set(seen.turns).size).toBeGreaterThan(40)
  })
})

describe('clients that connect at the same time', () => {
  it('[I10] are all accepted before what takes longer begins, since the event loop accepts one a turn and the system lets few wait', async () => {
    // So that accepting them does not take as long as others wait for it at most.
    vi.useFakeTimers({ toFake: ['performance'] })
    const { seen, sockets } = served()
    const port = await sockets.listen(0, '127.0.0.1')
    const acceptedAtFirst = new Promise<number>((resolve) => {
      seen.onConnected = () => resolve(sockets.accepted)
    })
    for (let number = 0; number < 40; number++) {
      const client = connect(port, '127.0.0.1')
      ends.push(() => client.destroy())
      client.write(upgrade)
    }
    expect(await acceptedAtFirst).toBe(40)
  })
})

describe('a page', () => {
  it('[I10] is all that its connection is for, which takes no second request as long as it likes', async () => {
    const { sockets } = served()
    const client = connect(await sockets.listen(0, '127.0.0.1'), '127.0.0.1')
    ends.push(() => client.destroy())
    client.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n')
    const answer = String((await once(client, 'data'))[0])
    expect(answer).toMatch(/^HTTP\/1.1 200 OK\r\n/)
    expect(answer).toMatch(/^connection: close\r$/im)
  })
})
