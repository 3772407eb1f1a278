import { decodeUtf8 } from './utf8.ts'

/** How many strings are remembered, a power of two, and how many bytes the longest of them has. */
const slots = 1_024
const bytesMax = 48

/** Strings that were decoded lately, each with its bytes. They are ASCII, so that a unit is a byte. */
const remembered: (string | undefined)[] = new Array<string | undefined>(slots).fill(undefined)

/**
 * The string in `bytes[from, to)`; `undefined` when it is not well-formed UTF-8. For names, which come again and again: one that is
 * remembered is compared with the bytes, which costs a fraction of making it anew, and is the same object for whoever looks it up.
 */
export function decodeName(bytes: Uint8Array, from: number, to: number): string | undefined {
  const length = to - from
  if (length === 0 || length > bytesMax) return decodeUtf8(bytes, from, to)
  // Names differ in their last characters, if anywhere; two that fall into one slot only displace each other.
  let hash = length
  for (let at = Math.max(from, to - 4); at < to; at++) hash = Math.imul(hash, 33) + (bytes[at] as number)
  const slot = (hash ^ (hash >>> 10)) & (slots - 1)
  const known = remembered[slot]
  if (known !== undefined && known.length === length && isSame(known, bytes, from)) return known
  const text = decodeUtf8(bytes, from, to)
  // As many units as bytes: it is ASCII.
  if (text?.length === length) remembered[slot] = text
  return text
}

function isSame(text: string, bytes: Uint8Array, from: number): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) !== bytes[from + at]) return false
  return true
}

/** The string with a character for each of so many bytes. Sixteen, which a hash has, are taken at once: each message has one. */
export function octetsOf(view: DataView, from: number, length: number): string {
  if (length !== 16) return String.fromCharCode(...new Uint8Array(view.buffer, view.byteOffset + from, length))
  return String.fromCharCode(
    view.getUint8(from),
    view.getUint8(from + 1),
    view.getUint8(from + 2),
    view.getUint8(from + 3),
    view.getUint8(from + 4),
    view.getUint8(from + 5),
    view.getUint8(from + 6),
    view.getUint8(from + 7),
    view.getUint8(from + 8),
    view.getUint8(from + 9),
    view.getUint8(from + 10),
    view.getUint8(from + 11),
    view.getUint8(from + 12),
    view.getUint8(from + 13),
    view.getUint8(from + 14),
    view.getUint8(from + 15),
  )
}
