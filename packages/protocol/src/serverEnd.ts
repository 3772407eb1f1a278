/** What a server does with packets: it reads those of the client, and writes those of the server. */
import { messageReader, packetWriter } from './messages.ts'
import type { ClientPacket } from './packets/client.ts'
import { clientShapesToRead, serverShapesToWrite } from './packets/hot.ts'
import type { ServerPacket } from './packets/server.ts'
import { Writer } from './writer.ts'

/**
 * All packets of one WebSocket message from a client. Binary fields are views into `bytes`.
 * @throws ProtocolError when any part of the message breaks the protocol; nothing of it may be acted upon then
 */
export const decodeClientMessage = messageReader(clientShapesToRead) as (bytes: Uint8Array) => ClientPacket[]

/** Appends a packet of the server to a message. @throws RangeError when a number or string can't be encoded */
export const writeServerPacket: (writer: Writer, packet: ServerPacket) => void = packetWriter(serverShapesToWrite)

/** One message of these packets: 1 to 4,096 of them. @throws RangeError when a number or string can't be encoded */
export function encodeServerMessage(packets: readonly ServerPacket[]): Uint8Array {
  const writer = new Writer()
  for (const packet of packets) writeServerPacket(writer, packet)
  return writer.take()
}
