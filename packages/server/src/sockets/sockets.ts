import { readFileSync } from 'node:fs'
import type { Server } from 'node:net'
import type { CodeName } from '@posthaste/protocol'

/** What sockets tell whoever serves them. Connections are numbered from 2 on, and no number comes twice. */
export interface SocketEvents {
  connected(connection: number): void
  /** @param bytes whoever keeps them keeps more than them */
  message(connection: number, bytes: Uint8Array): void
  /** It sent what is no message. */
  refused(connection: number, code: CodeName, text: string): void
  /** It sent a WebSocket ping or pong. */
  heard(connection: number): void
  /** All that came in one turn of the event loop was told. */
  read(): void
  closed(connection: number): void
}

/** The WebSockets of all clients, in this process or in others. */
export interface Sockets {
  /** How many connections there are. */
  readonly size: number
  /** How many were accepted so far. */
  readonly accepted: number
  /** Listens. @returns the port; rejects with a system error when it can't */
  listen(port: number, host: string): Promise<number>
  /** Writes a message. The bytes are lent, as by `HostEdge.write`. */
  write(connection: number, bytes: Uint8Array): void
  /** Closes with WebSocket code 4000 + the code's number, after what was written. */
  close(connection: number, code: CodeName): void
  /** Bytes written that the connection has not taken yet. */
  bufferedBytes(connection: number): number
  /** Reads nothing more of a connection, or goes on. What has been read already may still come. */
  setPaused(connection: number, isPaused: boolean): void
  /** Takes no new connections. */
  stopListening(): void
  /** Cuts what is left. Resolves once nothing is. */
  end(): Promise<void>
}

/** How sockets are served. */
export interface SocketOptions {
  /** The largest message, in bytes. */
  readonly messageBytesMax: number
  /** How often each connection is pinged, in ms. */
  readonly heartbeatMs: number
}

/**
 * Connections that may wait to be accepted; the system may allow fewer (`net.core.somaxconn`). Whoever finds no room knocks again after a
 * second, then after two more, then four: with Node's own 511, a crowd that comes back at once is kept away for longer than serving it takes.
 */
const backlog = 65_535
/** How long a connection gets to answer a close before it is cut, in ms. */
export const closeMs = 2_000
/** The number of the first connection: commands of nobody's are tagged with lower ones. */
export const firstConnection = 2

/** Files that a process keeps for itself: its journal's, its tables', what the HTTP API and processes need. */
const keptFiles = 256

/** How many connections this process takes, so that whoever opens many leaves it enough files; without end where no limit is known. */
export function connectionsMax(): number {
  let limits: string
  try {
    limits = readFileSync('/proc/self/limits', 'utf8')
  } catch {
    return Number.POSITIVE_INFINITY
  }
  const files = Number(/^Max open files\s+(\d+)/m.exec(limits)?.[1] ?? Number.POSITIVE_INFINITY)
  return Math.max(1, files - keptFiles)
}

/** Has a server listen. @returns the port; rejects with a system error when it can't */
export async function listenOn(server: Server, port: number, host: string): Promise<number> {
  server.maxConnections = connectionsMax()
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen({ port, host, backlog }, () => {
      server.off('error', reject)
      resolve()
    })
  })
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : port
}
