/** What goes between the server and a process that holds sockets: pieces of a stream, many in one write. */

/** What a piece says of a connection. */
export const kinds = {
  connected: 1,
  message: 2,
  heard: 3,
  closed: 4,
  /** The number of the code (2 bytes), then why. */
  refused: 5,
  /** How many bytes the connection has not taken (4 bytes). */
  untaken: 6,
  /** All pieces of this batch have been done: its number stands in the place of the connection's. */
  done: 7,
  write: 8,
  /** Writes what the last `write` held. */
  writeAgain: 9,
  /** The name of the code. */
  close: 10,
  /** The end of a batch, with its number in the place of the connection's. */
  batch: 11,
  /** Reads nothing more of the connection. */
  pause: 12,
  resume: 13,
  /** A connection that was handed over is gone, whether or not it became a WebSocket. It has no number. */
  gone: 14,
} as const

/** One of them. */
export type Kind = (typeof kinds)[keyof typeof kinds]

/** Kind (1 byte), connection (6), length of what follows (4). */
const headerBytes = 11
const batchBytes = 65_536
const nothing = new Uint8Array(0)

/** Where pieces are written to. */
export interface PipeSocket {
  readonly writableLength: number
  write(bytes: Uint8Array): unknown
}

/** Gathers pieces, and writes them at once. */
export class PipeWriter {
  readonly #socket: PipeSocket
  #memory = Buffer.allocUnsafeSlow(batchBytes)
  #length = 0

  constructor(socket: PipeSocket) {
    this.#socket = socket
  }

  get isEmpty(): boolean {
    return this.#length === 0
  }

  /** @param payload copied */
  add(kind: Kind, connection: number, payload: Uint8Array = nothing): void {
    const { length } = payload
    if (this.#length + headerBytes + length > this.#memory.length) this.flush()
    if (headerBytes + length > this.#memory.length) this.#memory = Buffer.allocUnsafeSlow(headerBytes + length)
    const memory = this.#memory
    const at = this.#length
    memory[at] = kind
    memory.writeUIntLE(connection, at + 1, 6)
    memory.writeUInt32LE(length, at + 7)
    if (length > 0) memory.set(payload, at + headerBytes)
    this.#length = at + headerBytes + length
  }

  flush(): void {
    if (this.#length === 0) return
    this.#socket.write(this.#memory.subarray(0, this.#length))
    // Mostly it has passed all on already, and the memory serves again.
    if (this.#socket.writableLength > 0 || this.#memory.length > batchBytes) this.#memory = Buffer.allocUnsafeSlow(batchBytes)
    this.#length = 0
  }
}

/** Takes pieces out of a stream. */
export class PipeReader {
  readonly #take: (kind: Kind, connection: number, payload: Buffer) => void
  #parts: Buffer[] = []
  #bytes = 0
  /** How many bytes there must be before the next piece is whole. */
  #needed = headerBytes

  /** @param take gets each piece; the payload lies in what was pushed */
  constructor(take: (kind: Kind, connection: number, payload: Buffer) => void) {
    this.#take = take
  }

  push(chunk: Buffer): void {
    this.#parts.push(chunk)
    this.#bytes += chunk.length
    if (this.#bytes < this.#needed) return
    const bytes = this.#parts.length === 1 ? chunk : Buffer.concat(this.#parts, this.#bytes)
    let at = 0
    this.#needed = headerBytes
    while (bytes.length - at >= headerBytes) {
      const end = at + headerBytes + bytes.readUInt32LE(at + 7)
      if (end > bytes.length) {
        this.#needed = end - at
        break
      }
      this.#take(bytes[at] as Kind, bytes.readUIntLE(at + 1, 6), bytes.subarray(at + headerBytes, end))
      at = end
    }
    this.#parts = at === bytes.length ? [] : [bytes.subarray(at)]
    this.#bytes = bytes.length - at
  }
}
