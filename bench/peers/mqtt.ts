/** A lean MQTT 3.1.1 client: as much of the protocol as a load generator needs. Section numbers are those of the OASIS standard. */
import { TcpClient, Waiting } from './tcpClient.ts'

/** Quality of service: at least once, exactly once. */
export type Qos = 1 | 2

/** What a client does with what comes. */
export interface MqttArrivals {
  /** An application message; `packet` is 0 unless it must be answered. */
  publish(packet: number, payload: Uint8Array): void
  /** PUBACK, PUBREC, PUBREL, PUBCOMP, by their type. */
  answer(type: number, packet: number): void
  /** All that came at once has been handled. */
  end(): void
}

/** Control packet types (2.2.1). */
export const types = { puback: 4, pubrec: 5, pubrel: 6, pubcomp: 7 } as const

const connack = 2
/** User name and password follow (3.1.2.8, 3.1.2.9). */
const loginFlags = 0xc0
const publish = 3
const suback = 9

/** One connection of one client. What is to be sent gathers until `flush`. */
export class MqttClient {
  readonly #arrivals: MqttArrivals
  readonly #answers = new Waiting<number>()
  #tcp: TcpClient | undefined

  private constructor(arrivals: MqttArrivals) {
    this.#arrivals = arrivals
  }

  /**
   * Connects with a persistent session (3.1.2.4).
   * @param user where the broker wants one; its password is anything
   */
  static async connect(port: number, name: string, user: string | undefined, arrivals: MqttArrivals): Promise<MqttClient> {
    const client = new MqttClient(arrivals)
    client.#tcp = await TcpClient.connect(
      port,
      (bytes, at) => client.#take(bytes, at),
      () => arrivals.end(),
    )
    const [flags, login] = user === undefined ? [0, []] : [loginFlags, [textOf(user), textOf('any')]]
    await client.#ask(0x10, Buffer.concat([textOf('MQTT'), Buffer.from([4, flags, 0, 0]), textOf(name), ...login]), connack)
    return client
  }

  async subscribe(topic: string, qos: Qos): Promise<void> {
    await this.#ask(0x82, Buffer.concat([Buffer.from([0, 1]), textOf(topic), Buffer.from([qos])]), suback)
  }

  /** Adds bytes that are encoded already. */
  send(bytes: Uint8Array): void {
    this.#tcp?.send(bytes)
  }

  /** Adds PUBACK, PUBREC, PUBREL or PUBCOMP. */
  answer(type: number, packet: number): void {
    this.send(Uint8Array.of((type << 4) | (type === types.pubrel ? 2 : 0), 2, packet >> 8, packet & 0xff))
  }

  /** Writes what has gathered, at once. */
  flush(): void {
    this.#tcp?.flush()
  }

  async #ask(first: number, body: Buffer, expected: number): Promise<void> {
    this.send(packetOf(first, body))
    this.flush()
    const came = await this.#answers.next()
    if (came !== expected) throw new Error(`packet ${came} came instead of ${expected}`)
  }

  #take(bytes: Buffer, at: number): number | undefined {
    const body = bodyOf(bytes, at)
    if (body === undefined) return undefined
    const first = bytes[at] ?? 0
    const type = first >> 4
    if (type === publish) {
      const rest = body.from + 2 + bytes.readUInt16BE(body.from)
      const hasNumber = (first & 6) !== 0
      const payload = bytes.subarray(hasNumber ? rest + 2 : rest, body.to)
      this.#arrivals.publish(hasNumber ? bytes.readUInt16BE(rest) : 0, payload)
    } else if (type >= types.puback && type <= types.pubcomp) this.#arrivals.answer(type, bytes.readUInt16BE(body.from))
    else {
      if (type === connack && bytes[body.from + 1] !== 0) throw new Error(`refused with code ${bytes[body.from + 1]}`)
      this.#answers.answer(type)
    }
    return body.to
  }
}

/** Publications on one topic: encoded once; packet number and the payload's first 4 bytes differ. */
export class PublishTemplate {
  readonly #template: Buffer
  readonly #packetOffset: number

  constructor(topic: string, qos: Qos, payload: Uint8Array) {
    const head = Buffer.concat([textOf(topic), Buffer.alloc(2)])
    this.#template = packetOf(0x30 | (qos << 1), Buffer.concat([head, payload]))
    this.#packetOffset = this.#template.length - payload.length - 2
  }

  /** The messages with these numbers, one after the other. A packet's own number is the message's, modulo what fits (2.3.1). */
  messages(first: number, count: number): Buffer {
    const length = this.#template.length
    const bytes = Buffer.allocUnsafe(length * count)
    for (let index = 0; index < count; index++) {
      const at = index * length
      bytes.set(this.#template, at)
      bytes.writeUInt16BE(((first + index - 1) % 65_535) + 1, at + this.#packetOffset)
      bytes.writeUInt32BE(first + index, at + this.#packetOffset + 2)
    }
    return bytes
  }
}

function textOf(text: string): Buffer {
  const bytes = Buffer.from(text)
  return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length & 0xff]), bytes])
}

function packetOf(first: number, body: Buffer): Buffer {
  const length: number[] = []
  for (let rest = body.length; ; rest >>= 7) {
    length.push(rest < 0x80 ? rest : (rest & 0x7f) | 0x80)
    if (rest < 0x80) break
  }
  return Buffer.concat([Buffer.from([first, ...length]), body])
}

/** Where the body of the packet at `at` lies (2.2.3); undefined when it is not all there. */
function bodyOf(bytes: Buffer, at: number): { readonly from: number; readonly to: number } | undefined {
  let length = 0
  for (let from = at + 1, shift = 0; from < bytes.length; from++, shift += 7) {
    const byte = bytes[from] ?? 0
    length |= (byte & 0x7f) << shift
    if (byte >= 0x80) continue
    const to = from + 1 + length
    return to <= bytes.length ? { from: from + 1, to } : undefined
  }
  return undefined
}
