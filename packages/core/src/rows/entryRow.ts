import { fail, limits, type Reader, type Writer } from '@posthaste/protocol'
import type { Row } from './generation.ts'
import type { RowCodec } from './table.ts'

/** One stored message. Its bytes are the DELIVER packet that every device gets; none in a stub. */
export interface EntryRow extends Row {
  readonly sender: number
  readonly device: string
  readonly id: bigint
  readonly count: number
  readonly timeMs: number
  readonly deadlineMs: number
  readonly isEcho: boolean
  readonly receipts: boolean
  isStored: boolean
  isClosed: boolean
  /** In a user's log: its key says that it is a hole. So whoever stores any other entry need not look its key up. */
  isHole: boolean
  /** Groups: how many of the `members` have stored and read it. */
  delivered: number
  read: number
  readonly members: number
  bytes: Uint8Array
}

const fields = 15
const entryBytesMax = 2_097_152

/** The codec of entries: written out, because a message that waits for its device is read twice and deleted. */
export const entryCodec: RowCodec<EntryRow> = {
  write: writeEntry,
  read: readEntry,
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

function readEntry(reader: Reader, name: string): EntryRow {
  if (reader.array(name, fields) !== fields) fail('malformed-packet', name, `${fields} elements are expected`)
  return {
    generation: 0,
    isOnDisk: true,
    place: 0,
    sender: reader.uint(name, limits.numberMax),
    device: reader.str(name, 32),
    id: reader.u64(name),
    count: reader.uint(name, limits.numberMax),
    timeMs: reader.uint(name, limits.numberMax),
    deadlineMs: reader.uint(name, limits.numberMax),
    isEcho: reader.bool(name),
    receipts: reader.bool(name),
    isStored: reader.bool(name),
    isClosed: reader.bool(name),
    isHole: reader.bool(name),
    delivered: reader.uint(name, limits.numberMax),
    read: reader.uint(name, limits.numberMax),
    members: reader.uint(name, limits.numberMax),
    bytes: reader.bin(name, entryBytesMax),
  }
}
