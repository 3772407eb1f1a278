import { codeNumber, encodeClientMessage } from '@posthaste/protocol'
import { expect, it, onTestFinished } from 'vitest'
import { WebSocket } from 'ws'
import { Newcomers } from '../../src/sockets/newcomers.ts'
import { newServer } from '../servers.ts'

const mebibyte = 1_048_576

/** Newcomers by name, and what becomes of them: `a` was told to go, `a!` was cut. */
function party() {
  const said: string[] = []
  const newcomers = new Newcomers<string>({ tell: (name) => said.push(name), cut: (name) => said.push(`${name}!`) })
  const send = (name: string, mebibytes: number): string => {
    newcomers.add(name)
    newcomers.sent(name, mebibytes * mebibyte)
    return said.splice(0).join(' ')
  }
  const tick = (): string => {
    newcomers.tick()
    return said.splice(0).join(' ')
  }
  return { newcomers, send, tick }
}

it('[I10] tells those that have sent most to go, until 24 MiB are left, and cuts them after a tick', () => {
  const { newcomers, send, tick } = party()
  expect([send('a', 5), send('b', 9), send('c', 4), send('d', 1), send('e', 8), send('f', 5)]).toEqual(Array(6).fill(''))
  expect(send('a', 1)).toBe('b')
  expect(send('e', 9)).toBe('e')
  expect(send('b', 100)).toBe('')
  expect([tick(), tick(), tick()]).toEqual(['', 'b! e!', ''])
  newcomers.delete('a')
  newcomers.sent('a', 100 * mebibyte)
  expect([send('g', 23), send('h', 1), tick()]).toEqual(['g', '', ''])
  newcomers.delete('g')
  expect(tick()).toBe('')
})

it('[I10] cuts at once where those that were told hold too much already', () => {
  const { send, tick } = party()
  expect([send('a', 33), send('b', 33), send('c', 20), send('d', 20), send('e', 20)]).toEqual(['a!', 'b!', '', 'c', 'd!'])
  expect([send('f', 20), tick(), tick()]).toEqual(['e!', '', 'c!'])
})

async function connect(port: number): Promise<{ socket: WebSocket; closed: Promise<number> }> {
  const socket = new WebSocket(`ws://127.0.0.1:${port}/v1/connect`)
  onTestFinished(() => socket.terminate())
  socket.on('error', () => {})
  const closed = new Promise<number>((resolve) => socket.on('close', resolve))
  await new Promise((resolve) => socket.on('open', resolve))
  return { socket, closed }
}

it.each([0, 1])(
  '[I10] closes those with busy that say much and not who they are, not who says little: %i processes',
  async (gateways) => {
    const server = await newServer({ gateways, limits: { helloMs: 50_000 } })
    const quiet = await connect(server.port)
    quiet.socket.send(Buffer.alloc(10_000), { fin: false })
    const loud: { socket: WebSocket; closed: Promise<number> }[] = []
    for (let count = 0; count < 60; count++) loud.push(await connect(server.port))
    for (const { socket } of loud) socket.send(Buffer.alloc(600_000), { fin: false })
    expect(await Promise.race(loud.map(({ closed }) => closed))).toBe(4_000 + codeNumber('busy'))
    expect(quiet.socket.readyState).toBe(WebSocket.OPEN)
    quiet.socket.send(encodeClientMessage([{ kind: 'ping', clientTime: 1 }]), { fin: true })
    expect(await quiet.closed).not.toBe(4_000 + codeNumber('busy'))
    expect(loud.filter(({ socket }) => socket.readyState === WebSocket.OPEN).length).toBeGreaterThan(40)
  },
)
