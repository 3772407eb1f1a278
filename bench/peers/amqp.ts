/** A lean AMQP 0-9-1 client: as much of the protocol as a load generator needs. Names are those of the specification of 2008. */
import { TcpClient, Waiting } from './tcpClient.ts'

/** What a client does with what comes. */
export interface AmqpArrivals {
  /** basic.ack of a publication; `isMultiple` when it stands for all up to it. */
  ack(tag: number, isMultiple: boolean): void
  /** A delivered message. */
  deliver(tag: number, body: Uint8Array): void
  /** All that came at once has been handled. */
  end(): void
}

/** Types of frames. */
const frames = { method: 1, header: 2, body: 3, heartbeat: 8 } as const
const frameEnd = 0xce
const frameHeaderBytes = 7

/** Methods as class × 65536 + method. */
const methods = {
  start: methodOf(10, 10),
  startOk: methodOf(10, 11),
  tune: methodOf(10, 30),
  tuneOk: methodOf(10, 31),
  open: methodOf(10, 40),
  channelOpen: methodOf(20, 10),
  queueDeclare: methodOf(50, 10),
  qos: methodOf(60, 10),
  consume: methodOf(60, 20),
  publish: methodOf(60, 40),
  deliver: methodOf(60, 60),
  ack: methodOf(60, 80),
  nack: methodOf(60, 120),
  confirmSelect: methodOf(85, 10),
  close: methodOf(10, 50),
  channelClose: methodOf(20, 40),
} as const

const refusals: ReadonlySet<number> = new Set([methods.nack, methods.close, methods.channelClose])
/** The bit of the property `delivery-mode` in a header, and its value for what is to survive. */
const deliveryModeFlag = 1 << 12
const persistent = 2

/** One connection with one channel. What is to be sent gathers until `flush`. */
export class AmqpClient {
  readonly #arrivals: AmqpArrivals
  readonly #answers = new Waiting<number>()
  #tcp: TcpClient | undefined
  #deliveryTag = 0

  private constructor(arrivals: AmqpArrivals) {
    this.#arrivals = arrivals
  }

  /** Connects as the guest whom a new server knows, and opens a channel. */
  static async connect(port: number, arrivals: AmqpArrivals): Promise<AmqpClient> {
    const client = new AmqpClient(arrivals)
    client.#tcp = await TcpClient.connect(
      port,
      (bytes, at) => client.#take(bytes, at),
      () => arrivals.end(),
    )
    client.send(Buffer.from('AMQP\0\0\x09\x01', 'latin1'))
    client.flush()
    await client.#expect(methods.start)
    const login = Buffer.concat([tableOf({}), shortText('PLAIN'), longText('\0guest\0guest'), shortText('en_US')])
    client.send(methodFrame(0, methods.startOk, login))
    client.flush()
    await client.#expect(methods.tune)
    // One channel, frames of 128 KiB, no heartbeats.
    client.send(methodFrame(0, methods.tuneOk, Buffer.from([0, 1, 0, 2, 0, 0, 0, 0])))
    await client.#ask(0, methods.open, Buffer.concat([shortText('/'), shortText(''), Buffer.from([0])]))
    await client.#ask(1, methods.channelOpen, shortText(''))
    return client
  }

  /** Declares a durable queue of this type. */
  async declareQueue(name: string, type: string): Promise<void> {
    const durable = Buffer.from([2])
    await this.#ask(1, methods.queueDeclare, Buffer.concat([none, shortText(name), durable, tableOf({ 'x-queue-type': type })]))
  }

  /** Receives what is in a queue, at most so many messages without an acknowledgement. */
  async consume(queue: string, prefetch: number): Promise<void> {
    await this.#ask(1, methods.qos, Buffer.from([0, 0, 0, 0, prefetch >> 8, prefetch & 0xff, 0]))
    const rest = Buffer.concat([shortText(''), Buffer.from([0]), tableOf({})])
    await this.#ask(1, methods.consume, Buffer.concat([none, shortText(queue), rest]))
  }

  /** Has publications confirmed. */
  async confirmSelect(): Promise<void> {
    await this.#ask(1, methods.confirmSelect, Buffer.from([0]))
  }

  /** Adds bytes that are encoded already. */
  send(bytes: Uint8Array): void {
    this.#tcp?.send(bytes)
  }

  /** Adds the acknowledgement of every delivery up to this one. */
  ackUpTo(tag: number): void {
    const bytes = Buffer.alloc(9, 1)
    bytes.writeBigUInt64BE(BigInt(tag))
    this.send(methodFrame(1, methods.ack, bytes))
  }

  /** Writes what has gathered, at once. */
  flush(): void {
    this.#tcp?.flush()
  }

  /** Asks something whose answer has the next number. */
  async #ask(channel: number, method: number, args: Buffer): Promise<void> {
    this.send(methodFrame(channel, method, args))
    this.flush()
    await this.#expect(method + 1)
  }

  async #expect(method: number): Promise<void> {
    const came = await this.#answers.next()
    if (came !== method) throw new Error(`method ${came} came instead of ${method}`)
  }

  #take(bytes: Buffer, at: number): number | undefined {
    const from = at + frameHeaderBytes
    if (from > bytes.length) return undefined
    const to = from + bytes.readUInt32BE(at + 3)
    if (to + 1 > bytes.length) return undefined
    const type = bytes[at]
    if (type === frames.method) this.#takeMethod(bytes, from, to)
    else if (type === frames.body) this.#arrivals.deliver(this.#deliveryTag, bytes.subarray(from, to))
    return to + 1
  }

  #takeMethod(bytes: Buffer, at: number, to: number): void {
    const method = bytes.readUInt32BE(at)
    if (method === methods.ack) this.#arrivals.ack(tagAt(bytes, at + 4), bytes[at + 12] === 1)
    else if (method === methods.deliver) this.#deliveryTag = tagAt(bytes, at + 4 + 1 + (bytes[at + 4] ?? 0))
    else if (refusals.has(method)) throw new Error(`the server refused: ${bytes.toString('latin1', at + 4, to)}`)
    else this.#answers.answer(method)
  }
}

/** Publications to one queue by the default exchange, to be kept on disk: encoded once; the body's first 4 bytes differ. */
export class AmqpPublication {
  readonly #template: Buffer
  readonly #bodyBytes: number

  constructor(queue: string, body: Uint8Array) {
    const header = Buffer.alloc(15)
    header.writeUInt16BE(60, 0)
    header.writeBigUInt64BE(BigInt(body.length), 4)
    header.writeUInt16BE(deliveryModeFlag, 12)
    header[14] = persistent
    const publish = Buffer.concat([none, shortText(''), shortText(queue), Buffer.from([0])])
    this.#bodyBytes = body.length
    this.#template = Buffer.concat([
      methodFrame(1, methods.publish, publish),
      frameOf(frames.header, 1, header),
      frameOf(frames.body, 1, body),
    ])
  }

  /** The messages with these numbers, one after the other. */
  messages(first: number, count: number): Buffer {
    const { length } = this.#template
    const bytes = Buffer.allocUnsafe(length * count)
    for (let index = 0; index < count; index++) {
      bytes.set(this.#template, index * length)
      bytes.writeUInt32BE(first + index, (index + 1) * length - 1 - this.#bodyBytes)
    }
    return bytes
  }
}

/** The reserved field with which many methods begin. */
const none = Buffer.alloc(2)

function methodOf(classNumber: number, number: number): number {
  return classNumber * 65_536 + number
}

function frameOf(type: number, channel: number, payload: Uint8Array): Buffer {
  const header = Buffer.alloc(frameHeaderBytes)
  header[0] = type
  header.writeUInt16BE(channel, 1)
  header.writeUInt32BE(payload.length, 3)
  return Buffer.concat([header, payload, Buffer.from([frameEnd])])
}

function methodFrame(channel: number, method: number, args: Buffer): Buffer {
  const number = Buffer.alloc(4)
  number.writeUInt32BE(method)
  return frameOf(frames.method, channel, Buffer.concat([number, args]))
}

function shortText(text: string): Buffer {
  return Buffer.concat([Buffer.from([text.length]), Buffer.from(text)])
}

function longText(text: string): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32BE(text.length)
  return Buffer.concat([length, Buffer.from(text)])
}

function tableOf(entries: Readonly<Record<string, string>>): Buffer {
  const pairs = Object.entries(entries).map(([name, value]) =>
    Buffer.concat([shortText(name), Buffer.from('S'), longText(value)]),
  )
  return longText(Buffer.concat(pairs).toString('latin1'))
}

function tagAt(bytes: Buffer, at: number): number {
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4)
}
