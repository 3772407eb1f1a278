import type { SocketEvents, Transport, TransportSocket } from '../ports.ts'

/** The largest message that a client must take (PROTOCOL, section 1). */
const messageBytesMax = 2 * 1_024 * 1_024
const abnormalClose = 1_006

/** The package `ws`, which is loaded at the first connection: what Node gets under the name `#webSocket`. */
export const webSocketTransport: Transport = (url, events) => new NodeSocket(url, events)

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
