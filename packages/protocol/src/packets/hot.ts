/** The shapes as a server uses them, whose hot path does without the fields; clients have no use for these. */
import { limits } from '../limits.ts'
import { fail, type Reader } from '../reader.ts'
import { address, type AnyShape, kind, packet, type PacketOf, type ValuesOf } from '../schema.ts'
import type { Writer } from '../writer.ts'
import { ack, clientShapes, send } from './client.ts'
import { mark, result, serverShapes } from './server.ts'

/** The packets from the client, for who reads them. */
export const clientShapesToRead: readonly AnyShape[] = replaced(clientShapes, [
  packet(send.number, send.kind, send.fields, { read: readSend }),
  packet(ack.number, ack.kind, ack.fields, { read: readAck }),
])

/** The packets to the client, for who writes them. */
export const serverShapesToWrite: readonly AnyShape[] = replaced(serverShapes, [
  packet(result.number, result.kind, result.fields, { write: writeResult }),
  packet(mark.number, mark.kind, mark.fields, { write: writeMark }),
])

function replaced(shapes: readonly AnyShape[], hot: readonly AnyShape[]): readonly AnyShape[] {
  return shapes.map((shape) => hot.find(({ number }) => number === shape.number) ?? shape)
}

function readSend(reader: Reader): PacketOf<typeof send> {
  return {
    kind: 'send',
    ref: reader.uint('send.ref', 0xffff_ffff),
    toKind: kind.read(reader, 'send.toKind'),
    to: address.read(reader, 'send.to'),
    id: reader.u64('send.id'),
    type: reader.uint('send.type', limits.typeMax),
    priority: reader.uint('send.priority', limits.priorityMax),
    deadlineMs: reader.uint('send.deadlineMs', limits.numberMax),
    receipts: reader.bool('send.receipts'),
    body: reader.bin('send.body', limits.bodyBytes),
  }
}

function readAck(reader: Reader): PacketOf<typeof ack> {
  return {
    kind: 'ack',
    log: reader.uint('ack.log', limits.numberMax),
    lane: reader.uint('ack.lane', limits.priorityMax),
    upTo: reader.uint('ack.upTo', limits.numberMax),
    notStored: readRanges(reader),
  }
}

/** Few messages have any, but one has room for 100,000. */
function readRanges(reader: Reader): PacketOf<typeof ack>['notStored'] {
  const length = reader.array('ack.notStored', limits.ranges)
  const found: { from: number; to: number }[] = []
  while (found.length < length) {
    if (reader.array('ack.notStored', limits.numberMax) !== 2)
      fail('malformed-packet', 'ack.notStored', '2 elements are expected')
    const from = reader.uint('ack.notStored.from', limits.numberMax)
    found.push({ from, to: reader.uint('ack.notStored.to', limits.numberMax) })
  }
  return found
}

function writeResult(writer: Writer, { ref, status, destination, count, timeMs }: ValuesOf<typeof result.fields>): void {
  writer.uint(ref)
  writer.uint(status)
  writer.uint(destination)
  writer.uint(count)
  writer.uint(timeMs)
}

function writeMark(writer: Writer, { destination, lane, delivered, read }: ValuesOf<typeof mark.fields>): void {
  writer.uint(destination)
  writer.uint(lane)
  writer.uint(delivered)
  writer.uint(read)
}
