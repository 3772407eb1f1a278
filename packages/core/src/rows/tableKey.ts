import { limits, writeUtf8 } from '@posthaste/protocol'
import type { InnerKey } from './generation.ts'

/** The longest key: one byte, a number, a name or a page token with a byte behind it. */
const bytes = new Uint8Array(10 + limits.pageBytes)
const view = new DataView(bytes.buffer)
/** The keys of all tables but those of names are as long. */
const numberKey = bytes.subarray(0, 17)

/**
 * The key of a row so that byte order is its order: the table's number, 8 bytes, and 8 bytes for a number or an id, UTF-8 for a name. Lent: the
 * next key takes its place.
 */
export function composeKey(table: number, outer: number, inner: InnerKey): Uint8Array {
  bytes[0] = table
  setNumber(view, 1, outer)
  if (typeof inner === 'string') return bytes.subarray(0, writeUtf8(inner, bytes, 9))
  if (typeof inner === 'bigint') view.setBigUint64(9, inner)
  else setNumber(view, 9, inner)
  return numberKey
}

/** Where the keys of a table end that have this first part. */
export function prefixEnd(table: number, outer: number): Uint8Array {
  const key = new Uint8Array(9)
  key[0] = table
  setNumber(new DataView(key.buffer), 1, outer + 1)
  return key
}

function setNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x1_0000_0000))
  view.setUint32(at + 4, value % 0x1_0000_0000)
}
