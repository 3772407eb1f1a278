/** Messages from user to user with Socket.IO, as an app would do it, in a process of its own. Started by `Child`. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { Server } from 'socket.io'
import { answerAll, settingsOf } from '../answering.ts'

/** How the server is started. */
export interface SocketIoServerSettings {
  /** Whether a message is confirmed when the receiver acknowledges it; otherwise when it has been handed to the receiver's connection. */
  readonly isRelayed: boolean
}

const acknowledgeMs = 10_000

const { isRelayed } = settingsOf<SocketIoServerSettings>()
const http = createServer()
const io = new Server(http, { connectionStateRecovery: {} })
io.on('connection', (socket) => {
  socket.join(String(socket.handshake.auth.user))
  socket.on('send', (to: string, body: string, confirm: () => void) => {
    if (isRelayed) {
      io.to(to)
        .timeout(acknowledgeMs)
        .emit('message', body, (error: Error | null) => {
          if (error === null) confirm()
        })
    } else {
      io.to(to).emit('message', body)
      confirm()
    }
  })
})
http.listen(0, '127.0.0.1')
await once(http, 'listening')

answerAll({ port: () => (http.address() as AddressInfo).port })
