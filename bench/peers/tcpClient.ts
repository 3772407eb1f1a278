/** A lean TCP client on loopback: what comes is taken packet by packet, what goes out gathers until it is flushed. */
import { connect, type Socket } from 'node:net'

/**
 * Takes one packet of what came.
 * @returns where the next one begins; undefined when it has not all come yet
 */
export type TakePacket = (bytes: Buffer, at: number) => number | undefined

/** One connection. That the server closes it ends the process: no load goes on without it. */
export class TcpClient {
  readonly #socket: Socket
  readonly #take: TakePacket
  readonly #end: () => void
  #rest: Buffer = Buffer.alloc(0)
  #out: (Uint8Array | string)[] = []

  private constructor(socket: Socket, take: TakePacket, end: () => void) {
    this.#socket = socket
    this.#take = take
    this.#end = end
    socket.setNoDelay(true)
    socket.on('data', (chunk: Buffer) => this.#receive(chunk))
    socket.on('close', () => {
      throw new Error('the server closed a connection')
    })
  }

  /** @param end is called when all that came at once has been taken; what it sends is flushed */
  static async connect(port: number, take: TakePacket, end: () => void): Promise<TcpClient> {
    const socket = connect(port, '127.0.0.1')
    await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
    return new TcpClient(socket, take, end)
  }

  /** Adds bytes; text must be ASCII. */
  send(bytes: Uint8Array | string): void {
    this.#out.push(bytes)
  }

  /** Writes what has gathered, at once. */
  flush(): void {
    const out = this.#out
    if (out.length === 0) return
    this.#out = []
    if (out.length === 1) this.#socket.write(out[0] ?? '')
    else this.#socket.write(Buffer.concat(out.map((part) => (typeof part === 'string' ? Buffer.from(part, 'latin1') : part))))
  }

  #receive(chunk: Buffer): void {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk])
    let at = 0
    while (at < bytes.length) {
      const next = this.#take(bytes, at)
      if (next === undefined) break
      at = next
    }
    this.#rest = bytes.subarray(at)
    this.#end()
    this.flush()
  }
}

/** Answers in the order in which they are waited for, while a connection is set up. */
export class Waiting<T> {
  readonly #resolves: ((answer: T) => void)[] = []

  next(): Promise<T> {
    return new Promise((resolve) => this.#resolves.push(resolve))
  }

  /** @throws Error when nobody waits: something came that the load does not expect */
  answer(answer: T): void {
    const resolve = this.#resolves.shift()
    if (resolve === undefined) throw new Error(`an unexpected answer: ${String(answer)}`)
    resolve(answer)
  }
}
