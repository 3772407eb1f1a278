import type { SocketEvents, Transport, TransportSocket } from './ports.ts'

/** The largest message that a client must take (PROTOCOL, section 1). */
const messageBytesMax = 2 * 1_024 * 1_024
const abnormalClose = 1_006

/**
 * WebSockets of the runtime: the global `WebSocket` in browsers, the package `ws` in Node, which is loaded at the first connection.
 * Nothing is touched at import.
 */
export const webSocketTransport: Transport = (url, events) => {
  const isNode = typeof process === 'object' && typeof process.versions?.node === 'string'
  return isNode || typeof WebSocket === 'undefined' ? new NodeSocket(url, events) : new BrowserSocket(url, events)
}

class BrowserSocket implements TransportSocket {
  readonly #socket: WebSocket

  constructor(url: string, events: SocketEvents) {
    this.#socket = new WebSocket(url)
    this.#socket.binaryType = 'arraybuffer'
    this.#socket.onopen = () => events.opened()
    this.#socket.onmessage = ({ data }: MessageEvent<unknown>) =>
      events.message(data instanceof ArrayBuffer ? new Uint8Array(data) : null)
    this.#socket.onclose = ({ code }) => events.closed(code)
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount
  }

  send(bytes: Uint8Array): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(bytes as Uint8Array<ArrayBuffer>)
  }

  close(closeCode: number): void {
    this.#socket.close(closeCode)
  }
}

type NodeWebSocket = import('ws').WebSocket

class NodeSocket implements TransportSocket {
  #socket: NodeWebSocket | undefined
  #isClosed = false

  constructor(url: string, events: SocketEvents) {
    this.#open(url, events).catch(() => this.#end(events, abnormalClose))
  }

  get bufferedBytes(): number {
    return this.#socket?.bufferedAmount ?? 0
  }

  send(bytes: Uint8Array): void {
    if (this.#socket?.readyState === 1) this.#socket.send(bytes)
  }

  close(closeCode: number): void {
    this.#isClosed = true
    const socket = this.#socket
    socket?.close(closeCode)
    // A peer that is gone does not answer the close; the socket must not outlive it for long.
    const timer = setTimeout(() => socket?.terminate(), 5_000)
    timer.unref()
    socket?.once('close', () => clearTimeout(timer))
  }

  async #open(url: string, events: SocketEvents): Promise<void> {
    const { WebSocket: NodeWebSocket } = await import('ws')
    if (this.#isClosed) return
    const socket = new NodeWebSocket(url, { perMessageDeflate: false, maxPayload: messageBytesMax })
    this.#socket = socket
    socket.on('open', () => events.opened())
    socket.on('message', (data: Buffer, isBinary: boolean) => events.message(isBinary ? data : null))
    socket.on('close', (code) => this.#end(events, code))
    // `close` follows, and says all that is needed.
    socket.on('error', () => {})
  }

  #end(events: SocketEvents, closeCode: number): void {
    events.closed(closeCode)
  }
}

/** The URL of the WebSocket: `http` becomes `ws`, and where there is no path, it is `/v1/connect`. @throws TypeError for what is no URL */
export function connectUrl(url: string): string {
  const parsed = new URL(url)
  parsed.protocol = parsed.protocol === 'https:' || parsed.protocol === 'wss:' ? 'wss:' : 'ws:'
  if (parsed.pathname === '/') parsed.pathname = '/v1/connect'
  return parsed.href
}
