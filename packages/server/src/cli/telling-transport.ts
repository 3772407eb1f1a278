import type { SocketEvents, Transport, TransportSocket } from '@posthaste/client'
import { WebSocket } from 'ws'

/** The largest message that a client must take (PROTOCOL, section 1). */
const messageBytesMax = 2 * 1_024 * 1_024
/** A peer that is gone does not answer a close; the socket must not outlive it for long. */
const closeMs = 5_000

/** Opens WebSockets as the SDK does in Node, and remembers why the last one failed: what the SDK is told, as in browsers, is only that it did. */
export class TellingTransport {
  #cause: string | undefined

  /** Why the last connection failed, in the system's words; `undefined` when that is not known, and while it works. */
  get cause(): string | undefined {
    return this.#cause
  }

  readonly open: Transport = (url, events) => {
    this.#cause = undefined
    return this.#socketOf(new WebSocket(url, { perMessageDeflate: false, maxPayload: messageBytesMax }), events)
  }

  #socketOf(socket: WebSocket, events: SocketEvents): TransportSocket {
    let isClosing = false
    socket.on('open', () => events.opened())
    socket.on('message', (data: Buffer, isBinary: boolean) => events.message(isBinary ? data : null))
    socket.on('error', (error) => {
      // What the SDK has given up itself has another reason than that.
      if (!isClosing) this.#cause = causeOf(error)
    })
    socket.on('close', (closeCode) => events.closed(closeCode))
    return {
      get bufferedBytes() {
        return socket.bufferedAmount
      },
      send(bytes) {
        if (socket.readyState === WebSocket.OPEN) socket.send(bytes)
      },
      close(closeCode) {
        isClosing = true
        socket.close(closeCode)
        const timer = setTimeout(() => socket.terminate(), closeMs)
        timer.unref()
        socket.once('close', () => clearTimeout(timer))
      },
    }
  }
}

/** An error's text, for whoever typed the URL. */
export function causeOf(error: Error & { readonly code?: string }): string {
  // Of a name with several addresses, the first that was tried.
  if (error instanceof AggregateError && error.errors[0] instanceof Error) return causeOf(error.errors[0])
  return error.code === 'EPROTO' ? 'no TLS is spoken there' : error.message
}
