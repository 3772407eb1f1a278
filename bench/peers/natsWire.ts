/**
 * A publisher and a subscriber of NATS JetStream, in its text protocol. A confirmation is the stream's answer to a publication; the receiver is a
 * durable push consumer that acknowledges each message.
 */
import { TcpClient, Waiting } from './tcpClient.ts'
import { type Arrivals, numberIn, type Wire } from './wire.ts'

/** How JetStream is reached, and used. */
export interface NatsWireSettings {
  readonly protocol: 'nats'
  readonly port: number
  /** Whether messages carry an id by which the stream finds duplicates, and acknowledgements are themselves confirmed. */
  readonly isExact: boolean
}

const numberDigits = 10

/** A pair of NATS clients. */
export class NatsWire implements Wire {
  readonly #settings: NatsWireSettings
  readonly #number: number
  readonly #arrivals: Arrivals
  readonly #template: Buffer
  readonly #bodyBytes: number
  #publisher: NatsClient | undefined

  constructor(settings: NatsWireSettings, number: number, body: Uint8Array, arrivals: Arrivals) {
    this.#settings = settings
    this.#number = number
    this.#arrivals = arrivals
    this.#bodyBytes = body.length
    const header = settings.isExact ? `NATS/1.0\r\nNats-Msg-Id:${number}-${'0'.repeat(numberDigits)}\r\n\r\n` : ''
    const sizes = settings.isExact ? `${header.length} ${header.length + body.length}` : body.length
    const head = `${settings.isExact ? 'HPUB' : 'PUB'} to.${number} confirmed.${number} ${sizes}\r\n${header}`
    this.#template = Buffer.concat([Buffer.from(head), body, Buffer.from('\r\n')])
  }

  async connect(): Promise<void> {
    const { port } = this.#settings
    await this.#connectReceiver()
    this.#publisher = await NatsClient.connect(port, {
      message: (_reply, payload) => {
        // An answer begins with {"stream": or {"error": … and a message that it takes for a duplicate was lost to the receiver.
        if (payload[2] !== 0x73 || payload.includes('"duplicate"')) throw new Error(`not published: ${payload.toString()}`)
        this.#arrivals.confirmed(1)
      },
      end: () => this.#arrivals.end(),
    })
    await this.#publisher.subscribe(`confirmed.${this.#number}`)
  }

  send(first: number, count: number): void {
    const { length } = this.#template
    const bytes = Buffer.allocUnsafe(length * count)
    for (let index = 0; index < count; index++) {
      const at = index * length
      const bodyAt = at + length - 2 - this.#bodyBytes
      bytes.set(this.#template, at)
      if (this.#settings.isExact)
        bytes.write(String(first + index).padStart(numberDigits, '0'), bodyAt - 4 - numberDigits, 'latin1')
      bytes.writeUInt32BE(first + index, bodyAt)
    }
    this.#publisher?.send(bytes)
    this.#publisher?.flush()
  }

  async #connectReceiver(): Promise<void> {
    const { port, isExact } = this.#settings
    const number = this.#number
    const acknowledgement = isExact ? ` acknowledged.${number} 0\r\n\r\n` : ' 0\r\n\r\n'
    const receiver = await NatsClient.connect(port, {
      message: (reply, payload) => {
        // The confirmation of an acknowledgement is empty.
        if (payload.length === 0) return
        this.#arrivals.arrived(numberIn(payload), payload.length)
        receiver.send(`PUB ${reply}${acknowledgement}`)
      },
      end: () => {},
    })
    const stream = `TO-${number}`
    await receiver.ask(`$JS.API.STREAM.CREATE.${stream}`, {
      name: stream,
      subjects: [`to.${number}`],
      storage: 'file',
      retention: 'limits',
      max_consumers: -1,
      num_replicas: 1,
    })
    await receiver.subscribe(`delivered.${number}`)
    if (isExact) await receiver.subscribe(`acknowledged.${number}`)
    const name = `RECEIVER-${number}`
    await receiver.ask(`$JS.API.CONSUMER.DURABLE.CREATE.${stream}.${name}`, {
      stream_name: stream,
      config: {
        durable_name: name,
        deliver_subject: `delivered.${number}`,
        deliver_policy: 'all',
        ack_policy: 'explicit',
        replay_policy: 'instant',
      },
    })
  }
}

interface NatsArrivals {
  message(reply: string, payload: Buffer): void
  end(): void
}

/** One connection; its subscription with the number 1 is for the answers to what it asks. */
class NatsClient {
  readonly #arrivals: NatsArrivals
  readonly #answers = new Waiting<string>()
  #tcp: TcpClient | undefined
  #subscriptions = 1

  private constructor(arrivals: NatsArrivals) {
    this.#arrivals = arrivals
  }

  static async connect(port: number, arrivals: NatsArrivals): Promise<NatsClient> {
    const client = new NatsClient(arrivals)
    client.#tcp = await TcpClient.connect(
      port,
      (bytes, at) => client.#take(bytes, at),
      () => arrivals.end(),
    )
    client.send('CONNECT {"verbose":false,"pedantic":false,"headers":true,"protocol":1,"lang":"bench","version":"1"}\r\n')
    await client.#roundTrip()
    return client
  }

  /** Subscribes; resolves once the server knows. */
  async subscribe(subject: string): Promise<void> {
    this.#subscriptions += 1
    this.send(`SUB ${subject} ${this.#subscriptions}\r\n`)
    await this.#roundTrip()
  }

  /** Asks JetStream for something. @throws Error with its answer when it refuses */
  async ask(subject: string, request: unknown): Promise<void> {
    const inbox = `answer.${Math.random().toString(36).slice(2)}`
    const body = JSON.stringify(request)
    this.send(`SUB ${inbox} 1\r\nPUB ${subject} ${inbox} ${body.length}\r\n${body}\r\nUNSUB 1 1\r\n`)
    this.flush()
    const answer = await this.#answers.next()
    if (answer.includes('"error"')) throw new Error(answer)
  }

  send(bytes: Uint8Array | string): void {
    this.#tcp?.send(bytes)
  }

  flush(): void {
    this.#tcp?.flush()
  }

  async #roundTrip(): Promise<void> {
    this.send('PING\r\n')
    this.flush()
    await this.#answers.next()
  }

  #take(bytes: Buffer, at: number): number | undefined {
    const lineEnd = bytes.indexOf(10, at)
    if (lineEnd < 0) return undefined
    const words = bytes.toString('latin1', at, lineEnd - 1).split(' ')
    const next = lineEnd + 1
    switch (words[0]) {
      case 'MSG':
      case 'HMSG':
        return this.#takeMessage(bytes, next, words)
      case 'PING':
        this.send('PONG\r\n')
        return next
      case 'PONG':
        this.#answers.answer('PONG')
        return next
      case 'INFO':
      case '+OK':
        return next
      default:
        throw new Error(`unexpected: ${words.join(' ')}`)
    }
  }

  /** MSG subject subscription [reply] bytes, HMSG subject subscription [reply] headerBytes bytes. */
  #takeMessage(bytes: Buffer, at: number, words: readonly string[]): number | undefined {
    const hasHeader = words[0] === 'HMSG'
    const headerBytes = hasHeader ? Number(words.at(-2)) : 0
    const to = at + Number(words.at(-1))
    if (to + 2 > bytes.length) return undefined
    const payload = bytes.subarray(at + headerBytes, to)
    if (words[2] === '1') this.#answers.answer(payload.toString())
    else this.#arrivals.message(words.length > (hasHeader ? 5 : 4) ? (words[3] ?? '') : '', payload)
    return to + 2
  }
}
