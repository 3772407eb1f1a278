/** The least that a server in Node does for `groups`: sockets without a protocol, which are written to and read. Started by `Child`. */
import { createServer, type Socket } from 'node:net'
import { answerAll } from '../answering.ts'
import { passed } from '../ground.ts'

/** How a message went to all: CPU in µs, and when it began, in ms since the epoch. */
export interface FloorRound {
  readonly beganMs: number
  readonly answeredMs: number
  readonly userUs: number
  readonly systemUs: number
}

/** As many bytes as a message of 200 B has with its prefix and frame, and as many sockets a turn as the server takes. */
const message = Buffer.alloc(270, 1)
const socketsPerTurn = 256

const sockets: Socket[] = []
let answers = 0
const server = createServer({ noDelay: true }, (socket) => {
  sockets.push(socket)
  socket.on('data', () => {
    answers += 1
  })
})
await new Promise<void>((resolve) => server.listen({ port: 0, host: '127.0.0.1', backlog: 65_535 }, resolve))

answerAll({
  port: () => (server.address() as { port: number }).port,
  connected: () => sockets.length,
  round: async (): Promise<FloorRound> => {
    answers = 0
    const cpu = process.cpuUsage()
    const beganMs = performance.timeOrigin + performance.now()
    for (let at = 0; at < sockets.length; at += socketsPerTurn) {
      for (const socket of sockets.slice(at, at + socketsPerTurn)) socket.write(message)
      await new Promise((resolve) => setImmediate(resolve))
    }
    while (answers < sockets.length) await passed(1)
    const answeredMs = performance.timeOrigin + performance.now() - beganMs
    const { user, system } = process.cpuUsage(cpu)
    return { beganMs, answeredMs, userUs: user, systemUs: system }
  },
})
