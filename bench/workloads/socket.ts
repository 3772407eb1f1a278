/**
 * A WebSocket for load generators (RFC 6455), as lean as can be: thousands of them in a process share one buffer for what they read,
 * and mask with a key of zeros, which changes nothing.
 */
import { randomBytes } from 'node:crypto'
import { connect, type Socket } from 'node:net'
import { encodeClientMessage } from '@posthaste/protocol'
import { type Arrivals, readAll } from '../wire.ts'

const shared = Buffer.allocUnsafe(262_144)
const nothing = Buffer.alloc(0)
const endOfHeaders = '\r\n\r\n'
const opcodes = { binary: 0x2, close: 0x8, ping: 0x9, pong: 0xa } as const

/** Who connects, and with what. */
export interface Hello {
  readonly port: number
  readonly token: string
  readonly device: Uint8Array
  /** Larger than in any HELLO of the device before. */
  readonly session: number
  readonly epoch?: number
  readonly cursors?: readonly { readonly log: number; readonly lane: number; readonly seq: number }[]
}

/** A device's random id. */
export function newDevice(): Uint8Array {
  return randomBytes(16)
}

/** A session with its WELCOME. */
export class LeanSession {
  /** The identity of its user, which is that of the user's log. */
  identity = 0
  /** The server's epoch. */
  epoch = 0
  readonly #socket: Socket
  readonly #arrivals: Arrivals
  readonly #hello: Uint8Array
  readonly #fail: (error: Error) => void
  #rest: Buffer = nothing
  #isOpen = false
  #isClosing = false

  private constructor(hello: Hello, arrivals: Arrivals, ready: () => void, fail: (error: Error) => void) {
    const { port, token, device, session, epoch = 0, cursors = [] } = hello
    const all = cursors.map((cursor) => ({ ...cursor, notStored: [] }))
    this.#hello = encodeClientMessage([
      { kind: 'hello', versionMin: 1, versionMax: 1, token, device, session, agent: 'bench', epoch, cursors: all },
    ])
    this.#arrivals = {
      ...arrivals,
      welcome: (identity, epoch) => {
        this.identity = identity
        this.epoch = epoch
        ready()
      },
      error: (text) => fail(new Error(`the server ends a connection: ${text}`)),
    }
    this.#fail = fail
    const onread = { buffer: shared, callback: (count: number) => this.#read(count) }
    this.#socket = connect({ port, host: '127.0.0.1', noDelay: true, onread })
    this.#socket.on('error', fail)
    this.#socket.on('close', () => {
      if (!this.#isClosing) fail(new Error('the server closed a connection'))
    })
    this.#socket.on('connect', () => this.#upgrade(port))
  }

  /** Connects and says HELLO; resolves at WELCOME. @param arrivals what takes what comes, also what comes with WELCOME */
  static open(hello: Hello, arrivals: Arrivals): Promise<LeanSession> {
    return new Promise((resolve, reject) => {
      let isLive = false
      const fail = (error: Error): void => {
        // Nobody waits for it any more: a session that ends by itself ends the load generator.
        if (isLive) throw error
        session.cut()
        reject(error)
      }
      const ready = (): void => {
        isLive = true
        resolve(session)
      }
      const session: LeanSession = new LeanSession(hello, arrivals, ready, fail)
    })
  }

  /** Sends a message. */
  send(bytes: Uint8Array): void {
    this.#write(opcodes.binary, bytes)
  }

  /** Cuts the connection without a word. */
  cut(): void {
    this.#isClosing = true
    this.#socket.destroy()
  }

  #upgrade(port: number): void {
    const lines = [
      'GET /v1/connect HTTP/1.1',
      `Host: 127.0.0.1:${port}`,
      'Connection: Upgrade',
      'Upgrade: websocket',
      'Sec-WebSocket-Version: 13',
      `Sec-WebSocket-Key: ${randomBytes(16).toString('base64')}`,
    ]
    this.#socket.write(`${lines.join('\r\n')}${endOfHeaders}`)
  }

  #read(count: number): boolean {
    let bytes = shared.subarray(0, count)
    if (this.#rest.length > 0) bytes = Buffer.concat([this.#rest, bytes])
    let at = 0
    if (!this.#isOpen) {
      const end = bytes.indexOf(endOfHeaders)
      if (end >= 0) at = this.#opened(bytes, end)
    }
    if (this.#isOpen) at = this.#frames(bytes, at)
    // A copy: the next one who reads overwrites it.
    this.#rest = at === bytes.length ? nothing : Buffer.from(bytes.subarray(at))
    return true
  }

  #opened(bytes: Buffer, end: number): number {
    const status = bytes.toString('latin1', 0, 12)
    if (status !== 'HTTP/1.1 101') this.#fail(new Error(`no upgrade but ${status}`))
    this.#isOpen = true
    this.send(this.#hello)
    return end + endOfHeaders.length
  }

  /** Handles whole frames. @returns where the first one begins that is not whole yet */
  #frames(bytes: Buffer, from: number): number {
    let at = from
    while (bytes.length - at >= 2) {
      let length = (bytes[at + 1] ?? 0) & 0x7f
      let header = 2
      if (length === 126) header = 4
      else if (length === 127) header = 10
      if (bytes.length - at < header) break
      if (header === 4) length = bytes.readUInt16BE(at + 2)
      else if (header === 10) length = Number(bytes.readBigUInt64BE(at + 2))
      if (bytes.length - at < header + length) break
      this.#frame((bytes[at] ?? 0) & 0x0f, bytes.subarray(at + header, at + header + length))
      at += header + length
    }
    return at
  }

  #frame(opcode: number, payload: Buffer): void {
    if (opcode === opcodes.binary) readAll(payload, this.#arrivals)
    else if (opcode === opcodes.ping) this.#write(opcodes.pong, payload)
    else if (opcode !== opcodes.close) this.#fail(new Error(`an unexpected frame: ${opcode}`))
  }

  #write(opcode: number, payload: Uint8Array): void {
    const { length } = payload
    const header = length < 126 ? 6 : length < 65_536 ? 8 : 14
    const frame = Buffer.allocUnsafe(header + length)
    frame[0] = 0x80 | opcode
    if (header === 6) frame[1] = 0x80 | length
    else if (header === 8) {
      frame[1] = 0x80 | 126
      frame.writeUInt16BE(length, 2)
    } else {
      frame[1] = 0x80 | 127
      frame.writeBigUInt64BE(BigInt(length), 2)
    }
    frame.writeUInt32BE(0, header - 4)
    frame.set(payload, header)
    this.#socket.write(frame)
  }
}
