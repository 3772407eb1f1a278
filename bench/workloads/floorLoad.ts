/** The load generator of `floor`: sockets that answer what comes. Started by `Child`. */
import { connect } from 'node:net'
import { answerAll, settingsOf } from '../answering.ts'

/** What this load generator is started with. */
export interface FloorSettings {
  readonly port: number
  readonly sockets: number
}

/** When all had the message, in ms since the epoch, and the CPU time that this took here. */
export interface FloorArrival {
  readonly allMs: number
  readonly cpuUs: number
}

/** As many bytes as an ACK has with its frame. */
const answer = Buffer.alloc(20, 2)
const shared = Buffer.allocUnsafe(65_536)
const { port, sockets } = settingsOf<FloorSettings>()
let received = 0
let cpu = process.cpuUsage()
let allMs = 0

answerAll({
  connect: async () => {
    for (let count = 0; count < sockets; count++) await connectOne()
  },
  begin: () => {
    received = 0
    cpu = process.cpuUsage()
  },
  arrival: (): FloorArrival => {
    const { user, system } = process.cpuUsage(cpu)
    return { allMs, cpuUs: user + system }
  },
})

function connectOne(): Promise<void> {
  return new Promise((resolve, reject) => {
    const callback = (): boolean => {
      received += 1
      socket.write(answer)
      if (received === sockets) allMs = performance.timeOrigin + performance.now()
      return true
    }
    const socket = connect({ port, host: '127.0.0.1', noDelay: true, onread: { buffer: shared, callback } }, resolve)
    socket.on('error', reject)
  })
}
