import { createServer as createHttpServer, type IncomingMessage, type Server as HttpServer } from 'node:http'
import { createServer, type Server, type Socket } from 'node:net'
import { type CodeName, codeNumber } from '@posthaste/protocol'
import { type Server as LinkServer, WebSocket, WebSocketServer } from 'ws'
import type { Logger } from '../logging.ts'
import { AfterAccepting } from './accepting.ts'
import { FrameWriter } from './frames.ts'
import { Handshakes, turnMs } from './handshakes.ts'
import { Newcomers } from './newcomers.ts'
import { answerPage } from './pages.ts'
import { closeMs, firstConnection, listenOn, type SocketEvents, type SocketOptions, type Sockets } from './sockets.ts'

/** The path that clients connect to. */
const connectPath = '/v1/connect'
const pingEveryMs = 100
/** How long somebody may take to say what it wants, and how often that is looked at. */
const requestMs = 10_000
const requestsCheckedMs = 2_000
/** So many begin to be served at once, and so many become WebSockets; then others get their turn: each costs as much as many messages, and a crowd comes together. */
const servedAtOnce = 4
/** Of one message. Empty ones cost as much as others, and whoever sends them need not have said who it is. */
const maxFragments = 256
/** Whoever is turned away because of one of its first messages was never known: a HELLO, and what follows it too soon. */
const firstMessages = 2
const newcomersText = 'those of whom nobody knows yet who they are have sent too much together'

/** A connection. Its listeners are the same functions for all: most connections idle, and closures of its own would be a part of what one costs. */
class Link extends WebSocket {
  number = 0
  sockets: LocalSockets | undefined
  /** What it runs on. */
  socket: Socket | undefined
  /** How many messages have come. */
  messages = 0
  /** Counts what is read, as long as nobody knows who it is. */
  onRead: ((chunk: Buffer) => void) | undefined
}

function onMessage(this: WebSocket, data: Buffer, isBinary: boolean): void {
  const link = this as Link
  link.sockets?.take(link, data, isBinary)
}

function onHeard(this: WebSocket): void {
  const { sockets, number } = this as Link
  sockets?.heard(number)
}

function onError(this: WebSocket, error: Error): void {
  const { sockets, number } = this as Link
  sockets?.failed(number, error)
}

function onClose(this: WebSocket): void {
  const { sockets, number } = this as Link
  sockets?.closed(number)
}

/** The WebSockets of this process. */
export class LocalSockets implements Sockets {
  readonly #events: SocketEvents
  readonly #logger: Logger
  readonly #options: SocketOptions
  readonly #connections = new Map<number, Link>()
  /** Who is pinged next. */
  #pinging = this.#connections.values()
  #pingsDue = 0
  readonly #webSockets: LinkServer<typeof Link>
  /** What accepts connections, and what serves them. */
  readonly #server: Server
  readonly #http: HttpServer
  /** What accepted sockets wait for, in order. */
  readonly #waiting: { readonly socket: Socket; readonly serve: () => void }[] = []
  readonly #serving = new AfterAccepting(
    () => this.#accepted,
    () => this.#serve(),
  )
  readonly #handshakes = new Handshakes<Socket>()
  #handshakesTimer: NodeJS.Timeout | undefined
  readonly #newcomers = new Newcomers<Link>({
    tell: (link) => {
      link.pause()
      this.#events.refused(link.number, 'busy', newcomersText)
      this.#events.read()
    },
    cut: (link) => link.terminate(),
  })
  readonly #closed: Promise<void>
  #timer: NodeJS.Timeout | undefined
  #nextConnection = firstConnection
  #accepted = 0
  readonly #frames = new FrameWriter()

  constructor(options: SocketOptions, logger: Logger, events: SocketEvents) {
    this.#options = options
    this.#logger = logger
    this.#events = events
    this.#webSockets = new WebSocketServer({
      WebSocket: Link,
      noServer: true,
      // What is a little too large is read, so that its sender can be told why; anything larger ends with close code 1009.
      maxPayload: 2 * options.messageBytesMax,
      maxFragments,
      perMessageDeflate: false,
      skipUTF8Validation: true,
      clientTracking: false,
    })
    const timeouts = { headersTimeout: requestMs, requestTimeout: requestMs, connectionsCheckingInterval: requestsCheckedMs }
    this.#http = createHttpServer(timeouts, (request, response) => {
      this.#handshakes.end(request.socket)
      answerPage(request, response)
    })
    this.#http.on('upgrade', (request, socket: Socket, head) => {
      this.#handshakes.end(socket)
      this.#soon(socket, () => this.#upgrade(request, socket, head))
    })
    // It never listens itself, and looks for those who take too long only once it believes so.
    this.#http.emit('listening')
    this.#server = createServer({ pauseOnConnect: true, allowHalfOpen: true, noDelay: true }, (socket) => this.adopt(socket))
    this.#closed = new Promise((resolve) => this.#server.once('close', resolve))
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

  /** Serves a socket that somebody else has accepted, and of which nothing was read. */
  adopt(socket: Socket): void {
    this.#accepted += 1
    this.#soon(socket, () => {
      this.#http.emit('connection', socket)
      this.#handshakes.begin(socket)
      this.#handshakesTimer ??= setInterval(() => this.#handshakesTurn(), turnMs)
      socket.resume()
    })
  }

  write(connection: number, bytes: Uint8Array): void {
    const found = this.#connections.get(connection)
    if (found?.readyState === WebSocket.OPEN) this.#frames.write(found.socket as Socket, bytes)
  }

  close(connection: number, code: CodeName): void {
    const found = this.#connections.get(connection)
    if (found === undefined) return
    this.#logger.debug({ connection, code }, 'Closing a connection')
    if (found.messages <= firstMessages) this.#isNew(found)
    found.close(4000 + codeNumber(code), code)
    setTimeout(() => found.terminate(), closeMs).unref()
  }

  bufferedBytes(connection: number): number {
    return this.#connections.get(connection)?.socket?.writableLength ?? 0
  }

  /** @returns whether it is there: it may have closed while somebody said so */
  setPaused(connection: number, isPaused: boolean): boolean {
    const found = this.#connections.get(connection)
    if (isPaused) found?.pause()
    else found?.resume()
    return found !== undefined
  }

  /** Calls back once the connection has taken something of what waits. */
  onDrain(connection: number, drained: () => void): void {
    this.#connections.get(connection)?.socket?.once('drain', drained)
  }

  stopListening(): void {
    this.#server.close()
    this.#http.closeIdleConnections()
  }

  async end(): Promise<void> {
    clearInterval(this.#timer)
    clearInterval(this.#handshakesTimer)
    for (const link of this.#connections.values()) link.terminate()
    for (const { socket } of this.#waiting) socket.destroy()
    this.#http.closeAllConnections()
    this.#http.close()
    if (this.#server.listening) this.#server.close()
    await this.#closed
  }

  /** A message has come on a connection. */
  take(link: Link, data: Buffer, isBinary: boolean): void {
    const { messageBytesMax } = this.#options
    const { number: connection } = link
    link.messages += 1
    if (link.messages === 1) this.#isKnown(link)
    if (!isBinary) this.#events.refused(connection, 'malformed-packet', 'messages must be binary')
    else if (data.length > messageBytesMax)
      this.#events.refused(connection, 'too-big', `a message has at most ${messageBytesMax} bytes`)
    else this.#events.message(connection, data)
    this.#events.read()
  }

  /** A ping or pong of the WebSocket has come. */
  heard(connection: number): void {
    this.#events.heard(connection)
  }

  /** A connection failed, and will be closed. */
  failed(connection: number, error: Error): void {
    this.#logger.debug({ connection, err: error }, 'A connection failed')
  }

  /** A connection is gone. */
  closed(connection: number): void {
    const link = this.#connections.get(connection)
    if (link !== undefined) this.#isKnown(link)
    this.#connections.delete(connection)
    this.#events.closed(connection)
    this.#events.read()
  }

  /** Serves a socket in its turn. */
  #soon(socket: Socket, serve: () => void): void {
    // Until then nobody else hears that it failed.
    socket.on('error', destroyFailed)
    this.#waiting.push({ socket, serve })
    if (this.#waiting.length === 1) this.#serving.soon()
  }

  #serve(): void {
    for (const { socket, serve } of this.#waiting.splice(0, servedAtOnce)) {
      if (socket.destroyed) continue
      socket.off('error', destroyFailed)
      serve()
    }
    if (this.#waiting.length > 0) this.#serving.soon()
  }

  #handshakesTurn(): void {
    this.#handshakes.turn()
    if (!this.#handshakes.isEmpty) return
    clearInterval(this.#handshakesTimer)
    this.#handshakesTimer = undefined
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const path = (request.url ?? '').split('?')[0]
    if (path !== connectPath) return refuseUpgrade(socket, '404 Not Found')
    this.#webSockets.handleUpgrade(request, socket, head, (link) => this.#connected(link, socket))
  }

  #connected(link: Link, socket: Socket): void {
    this.#timer ??= setInterval(() => this.#tick(), pingEveryMs)
    link.number = this.#nextConnection
    link.sockets = this
    link.socket = socket
    this.#nextConnection += 1
    this.#connections.set(link.number, link)
    this.#isNew(link)
    link.binaryType = 'nodebuffer'
    link.on('message', onMessage).on('ping', onHeard).on('pong', onHeard).on('error', onError).on('close', onClose)
    this.#events.connected(link.number)
    this.#events.read()
  }

  #isNew(link: Link): void {
    if (link.onRead !== undefined) return
    this.#newcomers.add(link)
    link.onRead = ({ length }) => this.#newcomers.sent(link, length)
    link.socket?.on('data', link.onRead)
  }

  #isKnown(link: Link): void {
    if (link.onRead === undefined) return
    this.#newcomers.delete(link)
    link.socket?.off('data', link.onRead)
    link.onRead = undefined
  }

  #tick(): void {
    this.#newcomers.tick()
    this.#ping()
  }

  /** Pings each connection once a heartbeat: some of them at a time, since 10,000 at once would keep everybody else waiting. */
  #ping(): void {
    const { size } = this.#connections
    this.#pingsDue = Math.min(size, this.#pingsDue + (size * pingEveryMs) / this.#options.heartbeatMs)
    while (this.#pingsDue >= 1) {
      const next = this.#pinging.next()
      if (next.done === true) {
        this.#pinging = this.#connections.values()
        continue
      }
      this.#pingsDue -= 1
      const link = next.value
      if (link.readyState === WebSocket.OPEN) link.ping(undefined, undefined, ignoreSendError)
    }
  }
}

function destroyFailed(this: Socket): void {
  this.destroy()
}

/** A socket that fails says so by its close; what was written into it is sent again on the next connection. */
function ignoreSendError(): void {}

/** Node no longer looks after a socket that it has handed over: a reset would end the process, and a client that stays would hold `stop`. */
function refuseUpgrade(socket: Socket, status: string): void {
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}
