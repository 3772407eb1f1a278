/**
 * A producer and a consumer of a Redis stream, in RESP2. A confirmation is the answer to XADD; the consumer reads through a group and
 * acknowledges each entry with XACK.
 */
import { TcpClient, Waiting } from './tcpClient.ts'
import { type Arrivals, numberIn, type Wire } from './wire.ts'

/** How Redis is reached. */
export interface RedisWireSettings {
  readonly protocol: 'redis'
  readonly port: number
}

/** How many entries a consumer takes at once. */
const readCount = 100

/** A pair of Redis clients. */
export class RedisWire implements Wire {
  readonly #port: number
  readonly #stream: string
  readonly #arrivals: Arrivals
  readonly #template: Buffer
  readonly #bodyBytes: number
  #producer: TcpClient | undefined

  constructor({ port }: RedisWireSettings, number: number, body: Uint8Array, arrivals: Arrivals) {
    this.#port = port
    this.#stream = `to:${number}`
    this.#arrivals = arrivals
    this.#bodyBytes = body.length
    this.#template = commandOf('XADD', this.#stream, '*', 'b', body)
  }

  async connect(): Promise<void> {
    await this.#connectConsumer()
    this.#producer = await TcpClient.connect(
      this.#port,
      takeReply((reply) => {
        if (!(reply instanceof Uint8Array)) throw new Error(`unexpected: ${JSON.stringify(reply)}`)
        this.#arrivals.confirmed(1)
      }),
      () => this.#arrivals.end(),
    )
  }

  send(first: number, count: number): void {
    const { length } = this.#template
    const bytes = Buffer.allocUnsafe(length * count)
    for (let index = 0; index < count; index++) {
      bytes.set(this.#template, index * length)
      bytes.writeUInt32BE(first + index, (index + 1) * length - 2 - this.#bodyBytes)
    }
    this.#producer?.send(bytes)
    this.#producer?.flush()
  }

  async #connectConsumer(): Promise<void> {
    const created = new Waiting<Reply>()
    const read = commandOf(
      ...['XREADGROUP', 'GROUP', 'receivers', 'receiver', 'COUNT', String(readCount), 'BLOCK', '0', 'STREAMS', this.#stream, '>'],
    )
    const consumer = await TcpClient.connect(
      this.#port,
      takeReply((reply) => {
        if (Array.isArray(reply)) {
          consumer.send(commandOf('XACK', this.#stream, 'receivers', ...this.#arrive(reply)))
          consumer.send(read)
        } else if (typeof reply !== 'number') created.answer(reply)
      }),
      () => {},
    )
    consumer.send(commandOf('XGROUP', 'CREATE', this.#stream, 'receivers', '0', 'MKSTREAM'))
    consumer.flush()
    await created.next()
    consumer.send(read)
    consumer.flush()
  }

  /** What XREADGROUP answered: streams, each its name and its entries, each its id and its fields. @returns the ids */
  #arrive(reply: Reply): Uint8Array[] {
    const ids: Uint8Array[] = []
    for (const [, entries] of reply as [Uint8Array, [Uint8Array, [Uint8Array, Uint8Array]][]][])
      for (const [id, [, body]] of entries) {
        this.#arrivals.arrived(numberIn(body), body.length)
        ids.push(id)
      }
    return ids
  }
}

type Reply = Uint8Array | string | number | Reply[]

function commandOf(...words: readonly (string | Uint8Array)[]): Buffer {
  const parts = words.flatMap((word) => [Buffer.from(`$${word.length}\r\n`), Buffer.from(word), Buffer.from('\r\n')])
  return Buffer.concat([Buffer.from(`*${words.length}\r\n`), ...parts])
}

/** Takes one reply at a time. */
function takeReply(arrive: (reply: Reply) => void): (bytes: Buffer, at: number) => number | undefined {
  return (bytes, at) => {
    const reader = new ReplyReader(bytes, at)
    const reply = reader.read()
    if (reply === undefined) return undefined
    arrive(reply)
    return reader.at
  }
}

/** Reads RESP2 (redis.io, "Redis serialization protocol specification"). */
class ReplyReader {
  readonly #bytes: Buffer
  at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.at = at
  }

  /** The next reply; undefined when it has not all come. @throws Error for an error */
  read(): Reply | undefined {
    const kind = this.#bytes[this.at]
    const lineEnd = this.#bytes.indexOf(10, this.at)
    if (lineEnd < 0) return undefined
    const line = this.#bytes.toString('latin1', this.at + 1, lineEnd - 1)
    this.at = lineEnd + 1
    switch (kind) {
      case 0x24: // $
        return this.#readBulk(Number(line))
      case 0x2a: // *
        return this.#readArray(Number(line))
      case 0x3a: // :
        return Number(line)
      case 0x2b: // +
        return line
      default:
        throw new Error(`Redis says: ${line}`)
    }
  }

  #readBulk(length: number): Uint8Array | undefined {
    const from = this.at
    this.at = from + length + 2
    return this.at <= this.#bytes.length ? this.#bytes.subarray(from, from + length) : undefined
  }

  #readArray(length: number): Reply[] | undefined {
    const replies: Reply[] = []
    for (let index = 0; index < length; index++) {
      const reply = this.read()
      if (reply === undefined) return undefined
      replies.push(reply)
    }
    return replies
  }
}
