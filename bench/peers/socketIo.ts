/** Socket.IO with connection state recovery and its adapter in memory, in an app that passes messages from user to user. */
import { Child } from '../child.ts'
import type { Peer } from './peer.ts'
import { installedVersion } from './serverProcess.ts'
import type { SocketIoServerSettings } from './socketIoServer.ts'

const inMemory = 'keeps what a receiver may still need in memory, for 2 minutes'
const notKept = 'keeps nothing: who sends must send again what is not confirmed, and the receiver find what came twice'
const text = 'bodies are text, as binary ones cost a second frame'

/** Socket.IO in both ways in which an app would use it. */
export const socketIo: readonly Peer[] = [
  socketIoPeer('recovery', 'Socket.IO, recovery', false, {
    because: inMemory,
    settings: `connectionStateRecovery; ${text}; the server confirms once it has emitted to the receiver, who acknowledges nothing`,
  }),
  socketIoPeer('relayed', 'Socket.IO, acknowledged by the receiver', true, {
    because: notKept,
    settings: `connectionStateRecovery, which leaves out what wants an acknowledgement; ${text}; the server confirms once the receiver has acknowledged`,
  }),
]

function socketIoPeer(id: string, name: string, isRelayed: boolean, description: Pick<Peer, 'because' | 'settings'>): Peer {
  return {
    id: `socket.io-${id}`,
    name,
    survives: 'none',
    ...description,
    version: () => installedVersion('socket.io'),
    async start() {
      const settings: SocketIoServerSettings = { isRelayed }
      const server = new Child('peers/socketIoServer.ts', settings)
      const port = await server.ask<number>('port')
      return { pid: server.process.pid ?? 0, wire: { protocol: 'socket.io', port }, stop: () => server.kill() }
    },
  }
}
