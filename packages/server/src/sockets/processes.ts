import { createServer, type Server, type Socket } from 'node:net'
import type { CodeName } from '@posthaste/protocol'
import type { Logger } from '../logging.ts'
import type { ProcessSettings } from './processSettings.ts'
import { checkMs, type RemoteConnection, type RemoteEvents, RemoteGateway } from './remoteGateway.ts'
import { connectionsMax, firstConnection, listenOn, type SocketEvents, type Sockets } from './sockets.ts'

/** How long the server waits before it starts a process again that has died, in ms. */
const restartMs = 500

/**
 * The WebSockets of all clients, in processes of their own: this one accepts connections and hands them out in turn; what is read and written
 * goes through one pipe for each process, many messages at a time. A process that dies takes its connections with it; their clients come back,
 * and it is started again. One that stands still is killed.
 */
export class GatewayProcesses implements Sockets, RemoteEvents {
  readonly #settings: ProcessSettings
  readonly #logger: Logger
  readonly #events: SocketEvents
  readonly #server: Server
  readonly #gateways: RemoteGateway[]
  readonly #connections = new Map<number, RemoteConnection>()
  #nextConnection = firstConnection
  readonly #heldMax = connectionsMax()
  readonly #timer: NodeJS.Timeout
  #accepted = 0
  #isEnding = false

  constructor(count: number, settings: ProcessSettings, logger: Logger, events: SocketEvents) {
    this.#settings = settings
    this.#logger = logger
    this.#events = events
    // Nothing is read of a connection here.
    this.#server = createServer({ pauseOnConnect: true }, (socket) => this.#accept(socket))
    this.#gateways = Array.from({ length: count }, () => new RemoteGateway(settings, this))
    this.#timer = setInterval(() => this.#check(), checkMs)
  }

  get size(): number {
    return this.#connections.size
  }

  get accepted(): number {
    return this.#accepted
  }

  listen(port: number, host: string): Promise<number> {
    return listenOn(this.#server, port, host)
  }

  write(connection: number, bytes: Uint8Array): void {
    const found = this.#connections.get(connection)
    found?.gateway.write(found, bytes)
  }

  close(connection: number, code: CodeName): void {
    const found = this.#connections.get(connection)
    found?.gateway.close(found, code)
  }

  bufferedBytes(connection: number): number {
    const found = this.#connections.get(connection)
    return found === undefined ? 0 : found.onTheWay + found.untaken
  }

  setPaused(connection: number, isPaused: boolean): void {
    const found = this.#connections.get(connection)
    found?.gateway.setPaused(found, isPaused)
  }

  stopListening(): void {
    this.#server.close()
  }

  async end(): Promise<void> {
    this.#isEnding = true
    clearInterval(this.#timer)
    this.#server.close()
    await Promise.all(this.#gateways.map((gateway) => gateway.end()))
  }

  connected(gateway: RemoteGateway, local: number): RemoteConnection {
    const number = this.#nextConnection
    this.#nextConnection += 1
    const connection = { gateway, number, local, onTheWay: 0, untaken: 0 }
    this.#connections.set(number, connection)
    this.#events.connected(number)
    return connection
  }

  message({ number }: RemoteConnection, bytes: Uint8Array): void {
    this.#events.message(number, bytes)
  }

  refused({ number }: RemoteConnection, code: CodeName, text: string): void {
    this.#events.refused(number, code, text)
  }

  heard({ number }: RemoteConnection): void {
    this.#events.heard(number)
  }

  closed({ number }: RemoteConnection): void {
    this.#connections.delete(number)
    this.#events.closed(number)
  }

  read(): void {
    this.#events.read()
  }

  ended(gateway: RemoteGateway, cause: string): void {
    for (const connection of gateway.connections) this.closed(connection)
    this.#events.read()
    const at = this.#gateways.indexOf(gateway)
    if (this.#isEnding || at < 0) return
    this.#gateways.splice(at, 1)
    this.#logger.error({ cause }, 'A process that holds sockets has ended; it is started again')
    setTimeout(() => this.#restart(), restartMs)
  }

  #check(): void {
    // One that has stood still is taken out meanwhile.
    for (const gateway of [...this.#gateways]) gateway.check()
  }

  #restart(): void {
    if (this.#isEnding) return
    try {
      this.#gateways.push(new RemoteGateway(this.#settings, this))
    } catch (error) {
      this.#logger.error({ err: error }, 'A process that holds sockets could not be started; it is tried again')
      setTimeout(() => this.#restart(), restartMs)
    }
  }

  #accept(socket: Socket): void {
    // Until it is handed over, nobody else hears that it failed.
    socket.on('error', () => socket.destroy())
    const gateway = this.#gateways[this.#accepted % this.#gateways.length]
    this.#accepted += 1
    // A process that has no file left for a connection can't even be handed one.
    if (gateway === undefined || gateway.held >= this.#heldMax) socket.destroy()
    else gateway.give(socket)
  }
}
