/** A lean client: raw packets on a WebSocket, decoded only as far as a load generator needs. Server packets by number: PROTOCOL.md, section 3. */
import { randomBytes } from 'node:crypto'
import {
  decodeServerMessage,
  encodeClientMessage,
  encodeServerMessage,
  limits,
  Reader,
  type ServerPacketOf,
  Writer,
  writeClientPacket,
} from '@posthaste/protocol'
import { WebSocket } from 'ws'

const welcomeNumber = 32
const errorNumber = 33
const resultNumber = 35
const deliverNumber = 37
const skipNumber = 38
const markNumber = 40
const countsNumber = 42
const deliverFields = 13

/** What a lean client does with what comes. Anything else that comes is an error. */
export interface Arrivals {
  result(ref: number, status: number, destination: number): void
  deliver(log: number, lane: number, seq: number, id: bigint, body: Uint8Array): void
  mark(destination: number, delivered: number): void
  /** `connect` takes WELCOME itself. */
  welcome?(identity: number, epoch: number): void
  /** The server ends the connection, for this reason. */
  error?(text: string): void
  counts?(destination: number, id: bigint, delivered: number): void
  skip?(log: number, lane: number, from: number, to: number): void
  /** A whole message has been handled. */
  end(): void
}

/** A connection with its WELCOME. */
export interface Connection {
  readonly socket: WebSocket
  readonly welcome: ServerPacketOf<'welcome'>
  /** Sends an encoded message. */
  send(bytes: Uint8Array): void
}

/** Connects and says HELLO. @param arrivals what takes everything after WELCOME, also what comes in one message with it; without it nothing is read */
export function connect(url: string, token: string, arrivals?: Arrivals): Promise<Connection> {
  const socket = new WebSocket(url, { perMessageDeflate: false, skipUTF8Validation: true })
  const hello = encodeClientMessage([
    {
      kind: 'hello',
      versionMin: 1,
      versionMax: 1,
      token,
      device: randomBytes(16),
      session: 1,
      agent: 'bench',
      epoch: 0,
      cursors: [],
    },
  ])
  return new Promise((resolve, reject) => {
    socket.once('error', reject)
    socket.on('close', (code) => reject(new Error(`the server closed a connection: ${code}`)))
    socket.once('open', () => socket.send(hello))
    socket.once('message', (first: Buffer) => {
      const [welcome, ...rest] = decodeServerMessage(first)
      if (welcome?.kind !== 'welcome') return reject(new Error(`no WELCOME but ${JSON.stringify(welcome)}`))
      resolve({ socket, welcome, send: (bytes) => socket.send(bytes) })
      if (arrivals === undefined) return
      socket.on('message', (bytes: Buffer) => readAll(bytes, arrivals))
      if (rest.length > 0) readAll(encodeServerMessage(rest), arrivals)
    })
  })
}

/** For clients that get nothing. */
export const noArrivals: Arrivals = {
  result: unexpected,
  deliver: unexpected,
  mark: unexpected,
  end: () => {},
}

function unexpected(): never {
  throw new Error('a packet that this client did not expect')
}

/** Reads the packets of a message. @throws Error at one that nobody takes */
export function readAll(bytes: Uint8Array, arrivals: Arrivals): void {
  const reader = new Reader(bytes)
  while (!reader.isDone) {
    const fields = reader.array('packet', 32) - 1
    const number = reader.uint('number', limits.numberMax)
    if (number === deliverNumber && fields === deliverFields) readDeliver(reader, arrivals)
    else if (number === resultNumber) {
      const ref = uint(reader)
      const status = uint(reader)
      const destination = uint(reader)
      skip(reader, fields - 3)
      arrivals.result(ref, status, destination)
    } else if (number === markNumber) {
      const destination = uint(reader)
      skip(reader, 1)
      const delivered = uint(reader)
      skip(reader, fields - 3)
      arrivals.mark(destination, delivered)
    } else if (!readRare(reader, number, arrivals))
      throw new Error(`an unexpected packet: ${JSON.stringify(decodeServerMessage(bytes).map(({ kind }) => kind))}`)
  }
  arrivals.end()
}

/** Packets that only some clients take. @returns whether this was one of them */
function readRare(reader: Reader, number: number, arrivals: Arrivals): boolean {
  if (number === welcomeNumber && arrivals.welcome !== undefined) {
    skip(reader, 1)
    const epoch = uint(reader)
    const identity = uint(reader)
    reader.str('user', limits.addressBytes)
    skip(reader, 5)
    for (let groups = reader.array('groups', limits.numberMax); groups > 0; groups--) {
      reader.array('group', 3)
      skip(reader, 1)
      reader.str('group', limits.addressBytes)
      skip(reader, 1)
    }
    arrivals.welcome(identity, epoch)
    return true
  }
  if (number === errorNumber && arrivals.error !== undefined) {
    skip(reader, 2)
    arrivals.error(reader.str('text', limits.bodyBytes))
    return true
  }
  if (number === countsNumber && arrivals.counts !== undefined) {
    const destination = uint(reader)
    const id = reader.u64('id')
    const delivered = uint(reader)
    skip(reader, 2)
    arrivals.counts(destination, id, delivered)
    return true
  }
  if (number !== skipNumber || arrivals.skip === undefined) return false
  const [log, lane, from, to] = [uint(reader), uint(reader), uint(reader), uint(reader)]
  skip(reader, 1)
  arrivals.skip(log, lane, from, to)
  return true
}

function readDeliver(reader: Reader, arrivals: Arrivals): void {
  const log = uint(reader)
  const lane = uint(reader)
  const seq = uint(reader)
  skip(reader, 1)
  reader.str('senderName', limits.addressBytes)
  skip(reader, 1)
  const id = reader.u64('id')
  skip(reader, 3)
  reader.bool('receipts')
  if (!reader.nil()) throw new Error('an echo')
  arrivals.deliver(log, lane, seq, id, reader.bin('body', limits.bodyBytes))
}

function uint(reader: Reader): number {
  return reader.uint('number', limits.numberMax)
}

function skip(reader: Reader, fields: number): void {
  for (let field = 0; field < fields; field++) uint(reader)
}

/** Where a SEND's ref begins (after the headers of array, number and integer), and how long such an integer is. */
const refOffset = 3
const bodyHeader = 2

/** How messages are sent beside their address and size. */
export interface SendKind {
  readonly toKind?: 0 | 1
  readonly priority?: number
}

/** SENDs to one address, encoded once: only ref, id and the body's first 4 bytes, its stamp, differ from message to message. */
export class SendTemplate {
  readonly #template: Buffer
  readonly #idOffset: number
  readonly #bodyOffset: number

  /** @param to of at most 31 bytes @param bodyBytes 32 to 255 */
  constructor(to: string, bodyBytes: number, deadlineMs: number, { toKind = 0, priority = 8 }: SendKind = {}) {
    const rest = { type: 0, priority, deadlineMs, receipts: true, body: randomBytes(bodyBytes) }
    this.#template = Buffer.from(encodeClientMessage([{ kind: 'send', ref: 0xffff_ffff, toKind, to, id: limits.idMax, ...rest }]))
    this.#idOffset = refOffset + 4 + 1 + 1 + Buffer.byteLength(to) + 1
    this.#bodyOffset = this.#template.length - bodyBytes
    if (this.#template[this.#idOffset - 1] !== 0xcf || this.#template[this.#bodyOffset - bodyHeader] !== 0xc4)
      throw new Error('SEND is not laid out as expected')
  }

  /** A message of `count` SENDs, the first one with this ref and id; each body's stamp is its ref. */
  message(firstRef: number, firstId: bigint, count: number): Buffer {
    const bytes = Buffer.allocUnsafe(this.length * count)
    for (let index = 0; index < count; index++)
      this.write(bytes, index * this.length, firstRef + index, firstId + BigInt(index), firstRef + index)
    return bytes
  }

  /** How many bytes a SEND has. */
  get length(): number {
    return this.#template.length
  }

  /** Writes a SEND. @param stamp the first 4 bytes of its body */
  write(into: Buffer, at: number, ref: number, id: bigint, stamp: number): void {
    into.set(this.#template, at)
    into.writeUInt32BE(ref, at + refOffset)
    into.writeBigUInt64BE(id, at + this.#idOffset)
    into.writeUInt32BE(stamp, at + this.#bodyOffset)
  }
}

/** The first 4 bytes of a body. */
export function stampOf(body: Uint8Array): number {
  return new DataView(body.buffer, body.byteOffset, 4).getUint32(0)
}

const acks = new Writer()

/** ACK of everything up to this seq, as bytes that the next call overwrites. */
export function ackOf(log: number, lane: number, upTo: number): Uint8Array {
  writeClientPacket(acks, { kind: 'ack', log, lane, upTo, notStored: [] })
  return acks.lend()
}
