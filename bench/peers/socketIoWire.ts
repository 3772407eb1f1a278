/**
 * Two users of the app in `socketIoServer.ts`, in the protocols of Socket.IO 5 over Engine.IO 4 over WebSocket (RFC 6455). A confirmation is the
 * acknowledgement of `send`; the receiver acknowledges each message that asks for it.
 */
import { randomBytes } from 'node:crypto'
import { TcpClient, Waiting } from './tcpClient.ts'
import type { Arrivals, Wire } from './wire.ts'

/** How the app is reached. */
export interface SocketIoWireSettings {
  readonly protocol: 'socket.io'
  readonly port: number
}

const numberDigits = 10
/** The number in a body, which is text here: in hexadecimal. */
const stampDigits = 8

/** A pair of Socket.IO clients. */
export class SocketIoWire implements Wire {
  readonly #port: number
  readonly #receiverName: string
  readonly #arrivals: Arrivals
  readonly #template: Buffer
  readonly #bodyBytes: number
  #sender: SocketIoClient | undefined

  constructor({ port }: SocketIoWireSettings, number: number, body: Uint8Array, arrivals: Arrivals) {
    this.#port = port
    this.#receiverName = `receiver-${number}`
    this.#arrivals = arrivals
    this.#bodyBytes = body.length
    const text = Buffer.from(body).toString('base64').slice(0, body.length)
    this.#template = frameOf(`42${'0'.repeat(numberDigits)}["send","${this.#receiverName}","${text}"]`)
  }

  async connect(): Promise<void> {
    const receiver = await SocketIoClient.connect(this.#port, this.#receiverName, {
      packet: (bytes, at, to) => {
        if (bytes[at + 1] !== 0x32) throw new Error(`unexpected: ${bytes.toString('latin1', at, to)}`)
        const array = bytes.indexOf(0x5b, at)
        const from = array + '["message","'.length
        const number = Number.parseInt(bytes.toString('latin1', from, from + stampDigits), 16)
        this.#arrivals.arrived(number, bytes.indexOf(0x22, from) - from)
        if (array > at + 2) receiver.send(frameOf(`43${bytes.toString('latin1', at + 2, array)}[]`))
      },
      end: () => {},
    })
    this.#sender = await SocketIoClient.connect(this.#port, `sender-of-${this.#receiverName}`, {
      packet: (bytes, at, to) => {
        if (bytes[at + 1] !== 0x33) throw new Error(`unexpected: ${bytes.toString('latin1', at, to)}`)
        this.#arrivals.confirmed(1)
      },
      end: () => this.#arrivals.end(),
    })
  }

  send(first: number, count: number): void {
    const { length } = this.#template
    const bytes = Buffer.allocUnsafe(length * count)
    for (let index = 0; index < count; index++) {
      const at = index * length
      bytes.set(this.#template, at)
      bytes.write(String(first + index).padStart(numberDigits, '0'), at + frameHeaderBytes + 2, 'latin1')
      const stamp = (first + index).toString(16).padStart(stampDigits, '0')
      bytes.write(stamp, at + length - 2 - this.#bodyBytes, 'latin1')
    }
    this.#sender?.send(bytes)
    this.#sender?.flush()
  }
}

interface SocketIoArrivals {
  /** An event or an acknowledgement: a text that begins with 42 or 43. */
  packet(bytes: Buffer, at: number, to: number): void
  end(): void
}

/** One connection. */
class SocketIoClient {
  readonly #arrivals: SocketIoArrivals
  readonly #answers = new Waiting<string>()
  #tcp: TcpClient | undefined
  #isUpgraded = false

  private constructor(arrivals: SocketIoArrivals) {
    this.#arrivals = arrivals
  }

  static async connect(port: number, user: string, arrivals: SocketIoArrivals): Promise<SocketIoClient> {
    const client = new SocketIoClient(arrivals)
    client.#tcp = await TcpClient.connect(
      port,
      (bytes, at) => client.#take(bytes, at),
      () => arrivals.end(),
    )
    const headers = `Host: 127.0.0.1:${port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13`
    const key = randomBytes(16).toString('base64')
    client.send(`GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n${headers}\r\nSec-WebSocket-Key: ${key}\r\n\r\n`)
    client.flush()
    await client.#answers.next()
    client.send(frameOf(`40${JSON.stringify({ user })}`))
    client.flush()
    await client.#answers.next()
    return client
  }

  send(bytes: Uint8Array | string): void {
    this.#tcp?.send(bytes)
  }

  flush(): void {
    this.#tcp?.flush()
  }

  #take(bytes: Buffer, at: number): number | undefined {
    if (!this.#isUpgraded) return this.#takeUpgrade(bytes, at)
    const length = bytes[at + 1] ?? 127
    const from = at + (length === 126 ? 4 : 2)
    if (length === 127 || from > bytes.length) return undefined
    const to = from + (length === 126 ? bytes.readUInt16BE(at + 2) : length)
    if (to > bytes.length) return undefined
    this.#takeText(bytes, from, to)
    return to
  }

  /** Engine.IO: 0 open, 2 ping, 4 message; of Socket.IO: 40 connected, 42 event, 43 acknowledgement. */
  #takeText(bytes: Buffer, at: number, to: number): void {
    const isMessage = bytes[at] === 0x34
    if (isMessage && (bytes[at + 1] === 0x32 || bytes[at + 1] === 0x33)) this.#arrivals.packet(bytes, at, to)
    else if (bytes[at] === 0x30 || (isMessage && bytes[at + 1] === 0x30)) this.#answers.answer('connected')
    else if (bytes[at] === 0x32) this.send(frameOf('3'))
    else throw new Error(`unexpected: ${bytes.toString('latin1', at, to)}`)
  }

  #takeUpgrade(bytes: Buffer, at: number): number | undefined {
    const end = bytes.indexOf('\r\n\r\n', at)
    if (end < 0) return undefined
    const status = bytes.toString('latin1', at, bytes.indexOf(10, at))
    if (!status.startsWith('HTTP/1.1 101')) throw new Error(status)
    this.#isUpgraded = true
    return end + 4
  }
}

/** The header of a frame of 126 to 65,535 bytes from a client. */
const frameHeaderBytes = 8

/** A text frame, masked as a client must, with a mask that changes nothing. */
function frameOf(text: string): Buffer {
  const isShort = text.length < 126
  const header = Buffer.alloc(isShort ? 6 : frameHeaderBytes)
  header[0] = 0x81
  header[1] = 0x80 | (isShort ? text.length : 126)
  if (!isShort) header.writeUInt16BE(text.length, 2)
  return Buffer.concat([header, Buffer.from(text, 'latin1')])
}
