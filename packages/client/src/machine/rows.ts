/**
 * The layout of the client's store. A key is one byte for the table, then whole numbers of 8 bytes, big-endian, so that byte order
 * is numeric order. A value is a MessagePack array in the protocol's strict subset.
 *
 * | table | key | value |
 * | --- | --- | --- |
 * | 1 meta | | format, device, session, epoch, user, … |
 * | 2 outbox | order | an outgoing message without its body |
 * | 3 body | order | its body, until it is delivered |
 * | 4 inbox | epoch, log, lane, seq | an entry that no handler has acknowledged |
 * | 5 cursor | log, lane | the last seq passed, and the ranges not stored and not yet confirmed |
 * | 6 read | log, lane, sender | what the app has marked read and the server has not confirmed |
 * | 7 started | epoch, log, lane | up to which seq a handler may have been started |
 * | 8 group | identity | the group's name |
 * | 9 set aside | epoch, log, lane, seq | an entry that its handler could not take |
 * | 64 key | log, sender, id | the deadline of an entry that was stored: the memory of keys |
 * | 65 echo | destination's kind, id, then its name in UTF-8 | the same of what another device of this user sent |
 *
 * All but the last two are read at open; the memory of keys is looked up row by row.
 */
import { encodeUtf8, type Field, limits, Reader, type ValueOf, Writer } from '@posthaste/protocol'
import { bin, bool, kind, list, str, tuple, u64, uint } from '@posthaste/protocol/schema'
import type { Entry, Position } from './events.ts'

/** The first byte of a key. */
export const tables = {
  meta: 1,
  outbox: 2,
  body: 3,
  inbox: 4,
  cursor: 5,
  read: 6,
  started: 7,
  group: 8,
  setAside: 9,
  key: 64,
  echo: 65,
} as const
/** A table's number. */
export type Table = (typeof tables)[keyof typeof tables]

/** The number of this layout; a store of another one is refused. */
export const storeFormat = 1

/** The key of a row. */
export function rowKey(table: Table, ...parts: readonly (number | bigint)[]): Uint8Array {
  const key = new Uint8Array(1 + parts.length * 8)
  const view = new DataView(key.buffer)
  key[0] = table
  let at = 1
  for (const part of parts) {
    if (typeof part === 'bigint') view.setBigUint64(at, part)
    else {
      view.setUint32(at, Math.floor(part / 0x1_0000_0000))
      view.setUint32(at + 4, part % 0x1_0000_0000)
    }
    at += 8
  }
  return key
}

/** The key of the row that remembers what another device of this user sent: by its destination, since one id may be used for several. */
export function echoKey(toKind: number, to: string, id: bigint): Uint8Array {
  return Uint8Array.of(...rowKey(tables.echo, toKind, id), ...(encodeUtf8(to) ?? []))
}

/** The whole number at a place of a key, 0 for the first after the table. */
export function keyPart(key: Uint8Array, place: number): number {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  const at = 1 + place * 8
  return view.getUint32(at) * 0x1_0000_0000 + view.getUint32(at + 4)
}

/** The range of keys of everything that is read at open. */
export const openRange = { from: Uint8Array.of(0), to: Uint8Array.of(tables.key) } as const
/** The range of keys of the memory of keys. */
export const keyRange = { from: Uint8Array.of(tables.key), to: Uint8Array.of(tables.echo + 1) } as const

const number = uint(limits.numberMax)
const name = str(limits.addressBytes)
const ranges = list(tuple({ from: number, to: number }), 0x10000)

const metaFields = tuple({
  format: number,
  device: bin(16, 16),
  session: number,
  epoch: number,
  /** '' until the first WELCOME. */
  user: name,
  /** The last id that was made: ids only rise, whatever the clock does. */
  lastId: u64,
  /** Entries with id 0 from before this server time were received in an older epoch, if ever. */
  skipOnceBeforeMs: number,
  /** Until this server time an entry may come that was stored in an older epoch under another seq. */
  repeatsUntilMs: number,
})
const outboxFields = tuple({
  toKind: kind,
  to: name,
  id: u64,
  type: number,
  priority: uint(limits.priorityMax),
  receipts: bool,
  expirySeconds: number,
  writtenMs: number,
  /** 0 until it is fixed. */
  deadlineMs: number,
  status: number,
  /** Whether it has to be sent (again). */
  isUnanswered: bool,
  destination: number,
  count: number,
  /** Whether MARKs speak for it. */
  isMarked: bool,
  timeMs: number,
  bodyBytes: number,
  /** Of the content, to notice another use of the id when the body is gone. */
  fingerprint: number,
  delivered: number,
  read: number,
  members: number,
})
const entryFields = tuple({
  sender: number,
  count: number,
  senderName: name,
  toKind: kind,
  to: name,
  id: u64,
  type: number,
  timeMs: number,
  deadlineMs: number,
  receipts: bool,
  body: bin(0, limits.bodyBytes),
})
const cursorFields = tuple({ seq: number, notStored: ranges })
const readFields = tuple({ seq: number, count: number })

/** What the store says of its device. */
export type MetaRow = ValueOf<typeof metaFields>
/** An outgoing message without its body. */
export type OutboxRow = ValueOf<typeof outboxFields>
/** An entry without its position, which is in the key. */
export type EntryRow = ValueOf<typeof entryFields>
/** The last seq passed, and the ranges not stored and not yet confirmed. */
export type CursorRow = ValueOf<typeof cursorFields>
/** Up to where the app has marked read. */
export type ReadRow = ValueOf<typeof readFields>

/** How the value of a row is written and read. `read` throws a ProtocolError at bytes of another form. */
export interface RowCodec<T> {
  write(value: T): Uint8Array
  read(bytes: Uint8Array): T
}

function codec<T>(field: Field<T>, table: string): RowCodec<T> {
  return {
    write: (value) => {
      const writer = new Writer()
      field.write(writer, value)
      return writer.take()
    },
    read: (bytes) => field.read(new Reader(bytes), table),
  }
}

/** The row of the table meta. */
export const metaRow = codec(metaFields, 'meta')
/** Rows of the table outbox. */
export const outboxRow = codec(outboxFields, 'outbox')
/** Rows of the tables inbox and set aside. */
export const entryRow = codec<EntryRow>(entryFields, 'entry')
/** Rows of the table cursor. */
export const cursorRow = codec(cursorFields, 'cursor')
/** Rows of the table read. */
export const readRow = codec(readFields, 'read')
/** Rows that are one number: tables started and key. */
export const numberRow = codec(number, 'number')
/** Rows that are one name: table group. */
export const nameRow = codec(name, 'name')

/** Names an entry among all: by where it stands. */
export function entryKey({ epoch, log, lane, seq }: Position): string {
  return `${epoch} ${log} ${lane} ${seq}`
}

/** The entry of a row of the inbox or of what was set aside. The body is a view into the value. */
export function entryOfRow(key: Uint8Array, value: Uint8Array): Entry {
  const position = { epoch: keyPart(key, 0), log: keyPart(key, 1), lane: keyPart(key, 2), seq: keyPart(key, 3) }
  return { position, ...entryRow.read(value) }
}
