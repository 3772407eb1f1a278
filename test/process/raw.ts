import { randomBytes } from 'node:crypto'
import {
  type ClientPacket,
  type ClientPacketOf,
  codeByNumber,
  decodeServerMessage,
  encodeClientMessage,
  type ServerPacket,
  type ServerPacketOf,
} from '@posthaste/protocol'
import { WebSocket } from 'ws'
import { until } from './place.ts'

/** How a connection ended: the WebSocket's close code. */
export interface Closing {
  readonly closeCode: number
  /** The name of the code in the server's ERROR, '' when there was none. */
  readonly code: string
  readonly text: string
  readonly retryAfterMs: number
}

/** What HELLO says, where a test wants it otherwise. */
export type HelloFields = Partial<Omit<ClientPacketOf<'hello'>, 'kind' | 'token'>>

/** A client without an SDK: what it sends is what the test says, whether that is allowed or not. */
export class RawClient {
  /** Everything that came and was not taken yet. */
  readonly packets: ServerPacket[] = []
  readonly closed: Promise<Closing>
  readonly device: Uint8Array
  onPacket: (packet: ServerPacket) => void = (packet) => this.packets.push(packet)
  #error: ServerPacketOf<'error'> | undefined
  #closing: Closing | undefined
  readonly #socket: WebSocket

  private constructor(socket: WebSocket, device: Uint8Array) {
    this.#socket = socket
    this.device = device
    socket.on('message', (data: Buffer) => {
      for (const packet of decodeServerMessage(data)) {
        if (packet.kind === 'error') this.#error = packet
        else this.onPacket(packet)
      }
    })
    socket.on('error', () => {})
    this.closed = new Promise((resolve) => {
      socket.on('close', (closeCode) => {
        const { code = 0, text = '', retryAfterMs = 0 } = this.#error ?? {}
        this.#closing = { closeCode, code: code === 0 ? '' : codeByNumber(code).name, text, retryAfterMs }
        resolve(this.#closing)
      })
    })
  }

  /** Connects, and says nothing yet. @throws when nobody listens */
  static async open(url: string, device: Uint8Array = randomBytes(16)): Promise<RawClient> {
    const socket = new WebSocket(`${url}/v1/connect`)
    const client = new RawClient(socket, device)
    await new Promise<void>((resolve, reject) => {
      socket.once('open', resolve)
      socket.once('close', () => reject(new Error(`no connection to ${url}`)))
    })
    return client
  }

  /** Connects and begins a session. @throws when the server refuses it */
  static async join(url: string, token: string, fields: HelloFields = {}): Promise<RawClient> {
    const client = await RawClient.open(url, fields.device ?? randomBytes(16))
    client.hello(token, fields)
    await client.take('welcome')
    return client
  }

  hello(token: string, fields: HelloFields = {}): void {
    const rest = { versionMin: 1, versionMax: 1, session: Date.now(), agent: 'raw', epoch: 0, cursors: [] }
    this.send({ kind: 'hello', token, ...rest, device: this.device, ...fields })
  }

  get isOpen(): boolean {
    return this.#closing === undefined
  }

  send(...packets: readonly ClientPacket[]): void {
    this.sendBytes(encodeClientMessage(packets))
  }

  /** One WebSocket message: binary, or a text. */
  sendBytes(bytes: Uint8Array | string): void {
    this.#socket.send(bytes)
  }

  /** Takes the first packet of this kind, once it is there. @throws when the connection ends before */
  async take<K extends ServerPacket['kind']>(kind: K): Promise<ServerPacketOf<K>> {
    const find = () => this.packets.findIndex((packet) => packet.kind === kind)
    await until(
      () => find() >= 0 || this.#closing !== undefined,
      () => `no ${kind} came`,
    )
    const [packet] = find() < 0 ? [] : this.packets.splice(find(), 1)
    if (packet?.kind !== kind) throw new Error(`closed without ${kind}: ${JSON.stringify(this.#closing)}`)
    return packet as ServerPacketOf<K>
  }

  /** Reads nothing any more. */
  pause(): void {
    this.#socket.pause()
  }

  /** Reads again. */
  resume(): void {
    this.#socket.resume()
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.#socket.terminate()
  }
}

/** A SEND with what most tests don't care for. */
export function sendPacket(
  ref: number,
  fields: Partial<Omit<ClientPacketOf<'send'>, 'kind' | 'ref'>> = {},
): ClientPacketOf<'send'> {
  const rest = { toKind: 0, to: 'bob', id: BigInt(ref), type: 0, priority: 8, receipts: true } as const
  return { kind: 'send', ref, ...rest, deadlineMs: Date.now() + 3_600_000, body: Buffer.from('hello'), ...fields }
}
