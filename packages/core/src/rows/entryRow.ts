import { binSize, fail, limits, type Reader, strSize, u64Size, uintSize, Writer } from '@posthaste/protocol'
import type { Row } from './generation.ts'
import type { RowCodec } from './table.ts'

const noBytes: Uint8Array = new Uint8Array(0)
/** For the bytes of entries. */
const packets = new Writer(16_384)

/** One stored message. Its bytes are the DELIVER packet that every device gets; none in a stub. */
export class EntryRow implements Row {
  generation = 0
  isOnDisk = false
  place = 0
  sender = 0
  device = ''
  id = 0n
  count = 0
  timeMs = 0
  deadlineMs = 0
  isEcho = false
  receipts = false
  isStored = false
  isClosed = false
  /** In a user's log: its key says that it is a hole. So whoever stores any other entry need not look its key up. */
  isHole = false
  /** Groups: how many of the `members` have stored and read it. */
  delivered = 0
  read = 0
  members = 0
  /** How many bytes there are, also while they are yet to be made. */
  size = 0
  /** What only the bytes say: not stored beside them. */
  log = 0
  lane = 0
  seq = 0
  senderName = ''
  type = 0
  echoTo: { readonly toKind: 0 | 1; readonly to: string } | null = null
  #bytes = noBytes
  /** Where the body lies of which the bytes are yet to be made. Not a view of it: of a million, that is what the garbage collector would have to move. */
  #buffer: ArrayBufferLike | null = null
  #bodyAt = 0
  #bodyBytes = 0

  get bytes(): Uint8Array {
    if (this.#buffer !== null) this.make(new Uint8Array(this.#buffer, this.#bodyAt, this.#bodyBytes))
    return this.#bytes
  }

  set bytes(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#buffer = null
    this.size = bytes.length
  }

  /** Makes the bytes, when the rest of the row is there. */
  make(body: Uint8Array): void {
    writeDeliver(packets, this, body)
    // They leave memory together, at a checkpoint.
    this.bytes = packets.takeView()
  }

  /** The same, but the bytes are made when somebody asks for them. The body must stay as it is, and is kept in memory until then. */
  makeLate(body: Uint8Array): void {
    this.#buffer = body.buffer
    this.#bodyAt = body.byteOffset
    this.#bodyBytes = body.length
    this.size = deliverSize(this, body.length)
  }
}

/** The DELIVER packet, written out because every message passes here. */
function writeDeliver(writer: Writer, row: EntryRow, body: Uint8Array): void {
  writer.array(14)
  writer.uint(37)
  writer.uint(row.log)
  writer.uint(row.lane)
  writer.uint(row.seq)
  writer.uint(row.sender)
  writer.str(row.senderName)
  writer.uint(row.count)
  writer.u64(row.id)
  writer.uint(row.type)
  writer.uint(row.timeMs)
  writer.uint(row.deadlineMs)
  writer.bool(row.receipts)
  if (row.echoTo === null) writer.nil()
  else {
    writer.array(2)
    writer.uint(row.echoTo.toKind)
    writer.str(row.echoTo.to)
  }
  writer.bin(body)
}

/** How many bytes `writeDeliver` writes. */
function deliverSize(row: EntryRow, bodyBytes: number): number {
  const { log, lane, seq, senderName, type, echoTo } = row
  const numbers = uintSize(log) + uintSize(lane) + uintSize(seq) + uintSize(row.sender) + uintSize(row.count) + uintSize(type)
  const times = uintSize(row.timeMs) + uintSize(row.deadlineMs)
  const echo = echoTo === null ? 1 : 1 + uintSize(echoTo.toKind) + strSize(echoTo.to)
  // And the header, the packet's number, and whether there are receipts.
  return 3 + numbers + times + u64Size(row.id) + strSize(senderName) + echo + binSize(bodyBytes)
}

const fields = 15
const entryBytesMax = 2_097_152
/** The entry that was looked at last. */
const looked = new EntryRow()

/** The codec of entries: written out, because a message that waits for its device is read twice and deleted. */
export const entryCodec: RowCodec<EntryRow> = {
  write: writeEntry,
  read: (reader, name) => readEntry(reader, name, new EntryRow()),
  look: (reader, name) => readEntry(reader, name, looked),
  keep: (row) => {
    row.bytes = row.bytes.slice()
  },
}

function writeEntry(writer: Writer, row: EntryRow): void {
  writer.array(fields)
  writer.uint(row.sender)
  writer.str(row.device)
  writer.u64(row.id)
  writer.uint(row.count)
  writer.uint(row.timeMs)
  writer.uint(row.deadlineMs)
  writer.bool(row.isEcho)
  writer.bool(row.receipts)
  writer.bool(row.isStored)
  writer.bool(row.isClosed)
  writer.bool(row.isHole)
  writer.uint(row.delivered)
  writer.uint(row.read)
  writer.uint(row.members)
  writer.bin(row.bytes)
}

function readEntry(reader: Reader, name: string, row: EntryRow): EntryRow {
  if (reader.array(name, fields) !== fields) fail('malformed-packet', name, `${fields} elements are expected`)
  row.isOnDisk = true
  row.sender = reader.uint(name, limits.numberMax)
  row.device = reader.str(name, 32)
  row.id = reader.u64(name)
  row.count = reader.uint(name, limits.numberMax)
  row.timeMs = reader.uint(name, limits.numberMax)
  row.deadlineMs = reader.uint(name, limits.numberMax)
  row.isEcho = reader.bool(name)
  row.receipts = reader.bool(name)
  row.isStored = reader.bool(name)
  row.isClosed = reader.bool(name)
  row.isHole = reader.bool(name)
  row.delivered = reader.uint(name, limits.numberMax)
  row.read = reader.uint(name, limits.numberMax)
  row.members = reader.uint(name, limits.numberMax)
  row.bytes = reader.bin(name, entryBytesMax)
  return row
}
