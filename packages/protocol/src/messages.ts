/** A WebSocket message is one or more packets. */
import { limits } from './limits.ts'
import { fail, Reader } from './reader.ts'
import { type AnyShape, type PacketOf, readFields, writePacket } from './schema.ts'
import type { Writer } from './writer.ts'

/** What writes packets of these shapes. @throws RangeError when there is none of that kind, or a number or string can't be encoded */
export function packetWriter(shapes: readonly AnyShape[]): (writer: Writer, packet: { readonly kind: string }) => void {
  const byKind = new Map(shapes.map((shape) => [shape.kind, shape]))
  return (writer, packet) => {
    const shape = byKind.get(packet.kind)
    if (shape === undefined) throw new RangeError(`no packet '${packet.kind}' in this direction`)
    writePacket(writer, shape, packet as unknown as PacketOf<AnyShape>)
  }
}

/**
 * What reads messages of packets of these shapes. Binary fields are views into `bytes`.
 * @throws ProtocolError when any part of the message breaks the protocol; nothing of it may be acted upon then
 */
export function messageReader(shapes: readonly AnyShape[]): (bytes: Uint8Array) => unknown[] {
  const byNumber = new Map(shapes.map((shape) => [shape.number, shape]))
  return (bytes) => {
    const reader = new Reader(bytes)
    const packets: unknown[] = []
    if (reader.isDone) fail('malformed-packet', '', 'an empty message')
    while (!reader.isDone) {
      if (packets.length === limits.packetsPerMessage)
        fail('too-big', '', `at most ${limits.packetsPerMessage} packets in a message`)
      const elements = reader.array('packet', 32)
      if (elements === 0) fail('malformed-packet', 'packet', 'an empty array')
      const number = reader.uint('packet number', limits.numberMax)
      const shape = byNumber.get(number) ?? fail('unknown-packet', '', `no packet ${number} in this direction`)
      packets.push(readFields(reader, shape, elements))
    }
    return packets
  }
}
