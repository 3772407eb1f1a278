import { limits } from './limits.ts'
import { type ClientPacket, clientShapes } from './packets/client.ts'
import { type ServerPacket, serverShapes } from './packets/server.ts'
import { fail, Reader } from './reader.ts'
import { type AnyShape, type PacketOf, readFields, writePacket } from './schema.ts'
import { Writer } from './writer.ts'

const clientByNumber = byNumber(clientShapes)
const clientByKind = byKind(clientShapes)
const serverByNumber = byNumber(serverShapes)
const serverByKind = byKind(serverShapes)

/**
 * All packets of one WebSocket message from a client. Binary fields are views into `bytes`.
 * @throws ProtocolError when any part of the message breaks the protocol; nothing of it may be acted upon then
 */
export function decodeClientMessage(bytes: Uint8Array): ClientPacket[] {
  return decode(bytes, clientByNumber) as ClientPacket[]
}

/** All packets of one WebSocket message from a server. @throws ProtocolError as above */
export function decodeServerMessage(bytes: Uint8Array): ServerPacket[] {
  return decode(bytes, serverByNumber) as ServerPacket[]
}

/** Appends a packet of the client to a message. @throws RangeError when a number or string can't be encoded */
export function writeClientPacket(writer: Writer, packet: ClientPacket): void {
  writeAny(writer, clientByKind, packet)
}

/** Appends a packet of the server to a message. @throws RangeError when a number or string can't be encoded */
export function writeServerPacket(writer: Writer, packet: ServerPacket): void {
  writeAny(writer, serverByKind, packet)
}

/** One message of these packets: 1 to 4,096 of them. @throws RangeError when a number or string can't be encoded */
export function encodeClientMessage(packets: readonly ClientPacket[]): Uint8Array {
  const writer = new Writer()
  for (const packet of packets) writeClientPacket(writer, packet)
  return writer.take()
}

/** One message of these packets: 1 to 4,096 of them. @throws RangeError when a number or string can't be encoded */
export function encodeServerMessage(packets: readonly ServerPacket[]): Uint8Array {
  const writer = new Writer()
  for (const packet of packets) writeServerPacket(writer, packet)
  return writer.take()
}

function writeAny(writer: Writer, shapes: ReadonlyMap<string, AnyShape>, packet: ClientPacket | ServerPacket): void {
  const shape = shapes.get(packet.kind)
  if (shape === undefined) throw new RangeError(`no packet '${packet.kind}' in this direction`)
  writePacket(writer, shape, packet as unknown as PacketOf<AnyShape>)
}

function decode(bytes: Uint8Array, shapes: ReadonlyMap<number, AnyShape>): unknown[] {
  const reader = new Reader(bytes)
  const packets: unknown[] = []
  if (reader.isDone) fail('malformed-packet', '', 'an empty message')
  while (!reader.isDone) {
    if (packets.length === limits.packetsPerMessage)
      fail('too-big', '', `at most ${limits.packetsPerMessage} packets in a message`)
    const elements = reader.array('packet', 32)
    if (elements === 0) fail('malformed-packet', 'packet', 'an empty array')
    const number = reader.uint('packet number', limits.numberMax)
    const shape = shapes.get(number) ?? fail('unknown-packet', '', `no packet ${number} in this direction`)
    packets.push(readFields(reader, shape, elements))
  }
  return packets
}

function byNumber(shapes: readonly AnyShape[]): ReadonlyMap<number, AnyShape> {
  return new Map(shapes.map((shape) => [shape.number, shape]))
}

function byKind(shapes: readonly AnyShape[]): ReadonlyMap<string, AnyShape> {
  return new Map(shapes.map((shape) => [shape.kind, shape]))
}
