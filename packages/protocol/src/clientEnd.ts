/** What a client does with packets: it writes those of the client, and reads those of the server. */
import { messageReader, packetWriter } from './messages.ts'
import { type ClientPacket, clientShapes } from './packets/client.ts'
import { type ServerPacket, serverShapes } from './packets/server.ts'
import { Writer } from './writer.ts'

/** Appends a packet of the client to a message. @throws RangeError when a number or string can't be encoded */
export const writeClientPacket: (writer: Writer, packet: ClientPacket) => void = packetWriter(clientShapes)

/**
 * All packets of one WebSocket message from a server. Binary fields are views into `bytes`.
 * @throws ProtocolError when any part of the message breaks the protocol; nothing of it may be acted upon then
 */
export const decodeServerMessage = messageReader(serverShapes) as (bytes: Uint8Array) => ServerPacket[]

/** One message of these packets: 1 to 4,096 of them. @throws RangeError when a number or string can't be encoded */
export function encodeClientMessage(packets: readonly ClientPacket[]): Uint8Array {
  const writer = new Writer()
  for (const packet of packets) writeClientPacket(writer, packet)
  return writer.take()
}
