import { decodeUtf8 } from './utf8.ts'

/** How many strings are remembered, a power of two, and how many bytes the longest of them has. */
const slots = 1_024
const slotShift = 22
const bytesMax = 48
const wordsMax = bytesMax / 4

/** Strings that were decoded lately. They are ASCII, so that a unit is a byte. */
const remembered: (string | undefined)[] = new Array<string | undefined>(slots).fill(undefined)
/** Their bytes, four in a word: first the last four, then the others from the beginning on. */
const words = new Uint32Array(slots * wordsMax)

/**
 * The string in so many bytes; `undefined` when they are not well-formed UTF-8. For names, which come again and again: one that is
 * remembered is compared with the bytes, which costs a fraction of making it anew, and is the same object for whoever looks it up.
 */
export function decodeName(view: DataView, from: number, length: number): string | undefined {
  if (length === 0 || length > bytesMax) return decodeAnew(view, from, length)
  // Names differ in their last characters, if anywhere; two that fall into one slot only displace each other.
  const last = lastWord(view, from, length)
  const slot = Math.imul(last + length, 0x9e3779b1) >>> slotShift
  const known = remembered[slot]
  if (known !== undefined && known.length === length && isSame(slot * wordsMax, last, view, from, length)) return known
  const text = decodeAnew(view, from, length)
  // As many units as bytes: it is ASCII.
  if (text?.length === length) {
    remembered[slot] = text
    let at = slot * wordsMax
    words[at++] = last
    for (let end = 4; end < length; end += 4) words[at++] = view.getUint32(from + end - 4)
  }
  return text
}

function decodeAnew(view: DataView, from: number, length: number): string | undefined {
  return decodeUtf8(new Uint8Array(view.buffer, view.byteOffset + from, length), 0, length)
}

/** The last four bytes, or as many as there are. */
function lastWord(view: DataView, from: number, length: number): number {
  if (length >= 4) return view.getUint32(from + length - 4)
  let word = 0
  for (let at = from; at < from + length; at++) word = word * 256 + view.getUint8(at)
  return word
}

function isSame(first: number, last: number, view: DataView, from: number, length: number): boolean {
  if (words[first] !== last) return false
  let at = first + 1
  for (let end = 4; end < length; end += 4) if (words[at++] !== view.getUint32(from + end - 4)) return false
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
