import type { SocketEvents, Transport, TransportSocket } from '../ports.ts'

/** The runtime's own `WebSocket`: what a bundle for browsers gets under the name `#webSocket`. Nothing is touched at import. */
export const webSocketTransport: Transport = (url, events) => new BrowserSocket(url, events)

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
