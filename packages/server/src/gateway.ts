import { hash } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { hashBytes, Host, type HostEdge, type HostLimits, type Verified } from '@posthaste/core'
import { type CodeName, codeNumber } from '@posthaste/protocol'
import { WebSocket, WebSocketServer } from 'ws'
import type { TokenVerifier } from './auth/index.ts'
import type { Engine } from './engine.ts'
import { FrameWriter } from './frames.ts'
import { errorPage } from './http/index.ts'
import type { LimitSettings } from './limits.ts'
import type { Logger } from './logging.ts'

/** The path that clients connect to. */
const connectPath = '/v1/connect'
/** What a message may hold beside a body. */
const overheadBytes = 65_536
const messageBytesMin = 327_680
const tickMs = 100
/**
 * Connections that may wait to be accepted; the system may allow fewer (`net.core.somaxconn`). Whoever finds no room knocks again after a
 * second, then after two more, then four: with Node's own 511, a crowd that comes back at once is kept away for longer than serving it takes.
 */
const backlog = 65_535
/** How long a connection gets to answer a close before it is cut. */
const closeMs = 2_000
/** Bodies up to this size are hashed without memory of their own. */
const hashedBytes = 65_536
/** How long clients wait after the server stops. */
const comeBackMs = 1_000

/** Parts that a gateway is made of. */
export interface GatewayOptions {
  readonly engine: Engine
  readonly auth: TokenVerifier
  readonly logger: Logger
  readonly isRestored: boolean
  /** Limits of the shards to set; the first record sets them. */
  readonly settings: LimitSettings
  readonly limits: Partial<HostLimits>
  /** Called when a journal has failed: nothing may be told to anybody after it. */
  readonly onFailure: (error: unknown) => void
}

/** A WebSocket and what it runs on. */
interface Connection {
  readonly webSocket: WebSocket
  readonly socket: Socket
}

/** The edge around the host: WebSockets, the clock, the journals, tokens. */
export class Gateway implements HostEdge {
  readonly host: Host
  readonly #engine: Engine
  readonly #auth: TokenVerifier
  readonly #logger: Logger
  readonly #onFailure: (error: unknown) => void
  readonly #connections = new Map<number, Connection>()
  /** Who is pinged next. */
  #pinging = this.#connections.values()
  #pingsDue = 0
  readonly #webSockets: WebSocketServer
  readonly #messageBytesMax: number
  readonly #http: Server
  readonly #timers: NodeJS.Timeout[] = []
  #nextConnection = 2
  readonly #settings: LimitSettings
  readonly #frames = new FrameWriter()
  readonly #hashed = Buffer.alloc(6 + hashedBytes)
  #isTurnDue = false
  /** Records that are on their way to the disk. */
  #recordsInFlight = 0

  constructor(options: GatewayOptions) {
    this.#engine = options.engine
    this.#auth = options.auth
    this.#logger = options.logger
    this.#onFailure = options.onFailure
    const shards = options.engine.stores.map(({ shard }) => shard)
    const positions = options.engine.stores.map(({ journal }) => journal.lastPosition)
    this.host = new Host({
      shards,
      positions,
      edge: this,
      nowMs: nowMs(),
      isRestored: options.isRestored,
      limits: options.limits,
    })
    this.#settings = options.settings
    const bodyBytes = options.settings.bodyBytes ?? shards[0]?.state.settings.bodyBytes ?? 0
    this.#messageBytesMax = Math.max(messageBytesMin, bodyBytes + overheadBytes)
    this.#webSockets = new WebSocketServer({
      noServer: true,
      // What is a little too large is read, so that its sender can be told why; anything larger ends with close code 1009.
      maxPayload: 2 * this.#messageBytesMax,
      perMessageDeflate: false,
      skipUTF8Validation: true,
      clientTracking: false,
    })
    this.#http = createServer((request, response) => answerPage(request, response))
    this.#http.on('upgrade', (request, socket: Socket, head) => this.#upgrade(request, socket, head))
    this.#http.headersTimeout = 10_000
    this.#http.requestTimeout = 10_000
  }

  /** Begins to serve: the first record, the listener, the timers. Resolves with the port once it listens. */
  async listen(port: number, host: string): Promise<number> {
    await new Promise<void>((resolve, reject) => {
      this.#http.once('error', reject)
      this.#http.listen({ port, host, backlog }, () => {
        this.#http.off('error', reject)
        resolve()
      })
    })
    this.host.begin()
    this.#applySettings()
    this.#due()
    this.#timers.push(setInterval(() => this.#tick(), tickMs))
    const address = this.#http.address()
    return typeof address === 'object' && address !== null ? address.port : port
  }

  /** Takes no new connections, tells clients when to come back, and waits until all that was accepted is applied. */
  async stop(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#http.close(() => resolve())
    })
    this.host.stop(comeBackMs)
    this.#due()
    while (!this.host.isIdle) await new Promise((resolve) => setTimeout(resolve, 2))
    for (const timer of this.#timers) clearInterval(timer)
    const ended = performance.now()
    while (this.#connections.size > 0 && performance.now() - ended < closeMs)
      await new Promise((resolve) => setTimeout(resolve, 5))
    for (const { webSocket } of this.#connections.values()) webSocket.terminate()
    this.#http.closeAllConnections()
    await closed
  }

  #applySettings(): void {
    if (Object.keys(this.#settings).length === 0) return
    for (const batcher of this.host.batchers)
      batcher.submit({ kind: 'settings', ...batcher.shard.state.settings, ...this.#settings })
  }

  /** Does what is to be done after something was submitted from outside a socket. */
  wake(): void {
    this.#due()
  }

  write(connection: number, bytes: Uint8Array): void {
    const found = this.#connections.get(connection)
    if (found?.webSocket.readyState === WebSocket.OPEN) this.#frames.write(found.socket, bytes)
  }

  close(connection: number, code: CodeName): void {
    const webSocket = this.#connections.get(connection)?.webSocket
    if (webSocket === undefined) return
    this.#logger.debug({ connection, code }, 'Closing a connection')
    webSocket.close(4000 + codeNumber(code), code)
    setTimeout(() => webSocket.terminate(), closeMs).unref()
  }

  bufferedBytes(connection: number): number {
    return this.#connections.get(connection)?.socket.writableLength ?? 0
  }

  append(shard: number, position: number, bytes: Uint8Array): void {
    const store = this.#engine.stores[shard]
    if (store === undefined) return
    store.journalBytes += bytes.length
    this.#recordsInFlight += 1
    store.journal.append(position, bytes).then(
      () => {
        this.#recordsInFlight -= 1
        this.host.flushed(shard, position, nowMs())
        this.#engine.step()
        this.#due(true)
      },
      (error: unknown) => this.#onFailure(error),
    )
  }

  verify(connection: number, token: string): void {
    this.#auth.verify(token).then(
      (verified: Verified) => {
        this.host.verified(connection, verified, nowMs())
        this.#due()
      },
      (error: unknown) => this.#onFailure(error),
    )
  }

  hash(type: number, priority: number, receipts: boolean, body: Uint8Array): string {
    // Hashed before anything else happens, so one buffer serves all but large bodies.
    const content = body.length <= hashedBytes ? this.#hashed.subarray(0, 6 + body.length) : Buffer.allocUnsafe(6 + body.length)
    content.writeUInt32BE(type, 0)
    content[4] = priority
    content[5] = receipts ? 1 : 0
    content.set(body, 6)
    return hash('sha256', content, 'binary').slice(0, hashBytes)
  }

  freeBytes(): number {
    return this.#engine.directory.freeBytes()
  }

  #upgrade(request: IncomingMessage, socket: Socket, head: Buffer): void {
    const path = (request.url ?? '').split('?')[0]
    if (path !== connectPath) return refuseUpgrade(socket, '404 Not Found')
    this.#webSockets.handleUpgrade(request, socket, head, (webSocket) => this.#connected(webSocket, socket))
  }

  #connected(webSocket: WebSocket, socket: Socket): void {
    const connection = this.#nextConnection
    this.#nextConnection += 1
    this.#connections.set(connection, { webSocket, socket })
    webSocket.binaryType = 'nodebuffer'
    webSocket.on('message', (data: Buffer, isBinary: boolean) => {
      if (!isBinary) this.host.refuse(connection, 'malformed-packet', 'messages must be binary')
      else if (data.length > this.#messageBytesMax)
        this.host.refuse(connection, 'too-big', `a message has at most ${this.#messageBytesMax} bytes`)
      else this.host.received(connection, data, nowMs())
      this.#due()
    })
    const heard = (): void => this.host.heard(connection, nowMs())
    webSocket.on('ping', heard).on('pong', heard)
    webSocket.on('error', (error) => this.#logger.debug({ connection, err: error }, 'A connection failed'))
    webSocket.on('close', () => {
      this.#connections.delete(connection)
      this.host.closed(connection, nowMs())
      this.#due()
    })
    this.host.connected(connection, nowMs())
    this.#due()
  }

  /**
   * Has a turn taken once the event loop has read what has come. While a record is being flushed, the turn waits for it: commands and packets
   * gather, so that there are fewer and larger records and fewer writes the more there is to do. `tick` doesn't wait, should the disk be slow.
   */
  #due(isUrgent = false): void {
    if (this.#isTurnDue || (this.#recordsInFlight > 0 && !isUrgent)) return
    this.#isTurnDue = true
    setImmediate(() => {
      this.#isTurnDue = false
      if (this.host.turn(nowMs())) this.#due()
    })
  }

  #tick(): void {
    this.#ping()
    this.host.tick(nowMs())
    this.#engine.step()
    this.#due(true)
  }

  /** Pings each connection once a heartbeat: some of them a tick, since 10,000 at once would keep everybody else waiting. */
  #ping(): void {
    const { size } = this.#connections
    this.#pingsDue = Math.min(size, this.#pingsDue + (size * tickMs) / this.host.limits.heartbeatMs)
    while (this.#pingsDue >= 1) {
      const next = this.#pinging.next()
      if (next.done === true) {
        this.#pinging = this.#connections.values()
        continue
      }
      this.#pingsDue -= 1
      const { webSocket } = next.value
      if (webSocket.readyState === WebSocket.OPEN) webSocket.ping(undefined, undefined, ignoreSendError)
    }
  }
}

/** Server time in ms since the epoch: the wall clock at the start of the process, then monotonic. */
export function nowMs(): number {
  return performance.timeOrigin + performance.now()
}

/** A socket that fails says so by its close; what was written into it is sent again on the next connection. */
function ignoreSendError(): void {}

/** Node no longer looks after a socket that it has handed over: a reset would end the process, and a client that stays would hold `stop`. */
function refuseUpgrade(socket: Socket, status: string): void {
  socket.on('error', () => socket.destroy())
  socket.once('finish', () => socket.destroy())
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`)
}

/** The few pages of the client listener: what it is, and the help page of each code. */
function answerPage(request: IncomingMessage, response: ServerResponse): void {
  const path = decodeURIComponentOr((request.url ?? '/').split('?')[0] ?? '/')
  const help = /^\/(?:errors|help)\/([\w-]+)$/.exec(path)?.[1]
  const page =
    path === '/'
      ? 'Posthaste is running. Clients connect by WebSocket to /v1/connect.\n'
      : help === undefined
        ? undefined
        : errorPage(help)
  if (request.method !== 'GET' || page === undefined) {
    response
      .writeHead(page === undefined ? 404 : 405, { 'content-type': 'text/plain; charset=utf-8' })
      .end('There is nothing here.\n')
    return
  }
  const type = page.startsWith('<') ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8'
  response.writeHead(200, { 'content-type': type, 'x-content-type-options': 'nosniff' }).end(page)
}

function decodeURIComponentOr(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
