/**
 * Strict UTF-8 (RFC 3629): what is not well-formed is refused, never replaced. Written out because the pure rooms have no
 * TextDecoder, and because a general one may turn ill-formed bytes into U+FFFD.
 */

/** How many bytes a string takes as UTF-8; -1 when it holds a lone surrogate and so has no UTF-8 form. */
export function utf8Length(text: string): number {
  let bytes = 0
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    if (unit < 0x80) bytes += 1
    else if (unit < 0x800) bytes += 2
    else if (unit < 0xd800 || unit > 0xdfff) bytes += 3
    else {
      const low = text.charCodeAt(at + 1)
      if (unit > 0xdbff || !(low >= 0xdc00 && low <= 0xdfff)) return -1
      bytes += 4
      at += 1
    }
  }
  return bytes
}

/** Writes a string without lone surrogates into `target` at `at`, which must have room; returns where it ends. */
export function writeUtf8(text: string, target: Uint8Array, at: number): number {
  let end = at
  for (let index = 0; index < text.length; index++) {
    const point = text.codePointAt(index) as number
    if (point < 0x80) target[end++] = point
    else if (point < 0x800) {
      target[end++] = 0xc0 | (point >> 6)
      target[end++] = 0x80 | (point & 0x3f)
    } else if (point < 0x10000) {
      target[end++] = 0xe0 | (point >> 12)
      target[end++] = 0x80 | ((point >> 6) & 0x3f)
      target[end++] = 0x80 | (point & 0x3f)
    } else {
      target[end++] = 0xf0 | (point >> 18)
      target[end++] = 0x80 | ((point >> 12) & 0x3f)
      target[end++] = 0x80 | ((point >> 6) & 0x3f)
      target[end++] = 0x80 | (point & 0x3f)
      index += 1
    }
  }
  return end
}

/** The UTF-8 bytes of a string; `undefined` when it holds a lone surrogate. */
export function encodeUtf8(text: string): Uint8Array | undefined {
  const length = utf8Length(text)
  if (length < 0) return undefined
  const bytes = new Uint8Array(length)
  writeUtf8(text, bytes, 0)
  return bytes
}

/** How many UTF-16 units are turned into a string at once: as arguments of one call, so not too many. */
const unitsAtOnce = 1_024

/** The string in `bytes[from, to)`; `undefined` when it is not well-formed UTF-8. */
export function decodeUtf8(bytes: Uint8Array, from: number, to: number): string | undefined {
  let at = from
  while (at < to && (bytes[at] as number) < 0x80) at += 1
  // Not built up one by one: engines keep such a string as a chain of its parts, at 30 times the memory.
  if (at === to && to - from <= unitsAtOnce) return stringOf(new Uint8Array(bytes.buffer, bytes.byteOffset + from, to - from))
  return decodeUnits(bytes, from, to)
}

function decodeUnits(bytes: Uint8Array, from: number, to: number): string | undefined {
  let text = ''
  let units: number[] = []
  let at = from
  while (at < to) {
    const first = bytes[at] as number
    const length = first < 0x80 ? 1 : first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2
    const point = length === 1 ? first : at + length <= to ? pointAt(bytes, at, first, length) : -1
    if (point < 0) return undefined
    if (point < 0x10000) units.push(point)
    else units.push(0xd800 + ((point - 0x10000) >> 10), 0xdc00 + ((point - 0x10000) & 0x3ff))
    at += length
    if (units.length < unitsAtOnce) continue
    text += stringOf(units)
    units = []
  }
  return text + stringOf(units)
}

function stringOf(units: ArrayLike<number>): string {
  return Reflect.apply(String.fromCharCode, undefined, units)
}

/** The smallest code point that a sequence of that many bytes may encode: shorter forms only (no overlong ones). */
const smallest = [0, 0, 0x80, 0x800, 0x10000]

function pointAt(bytes: Uint8Array, at: number, first: number, length: number): number {
  if (first < 0xc2 || first > 0xf4) return -1
  let point = first & (0x7f >> length)
  for (let index = 1; index < length; index++) {
    const next = bytes[at + index] as number
    if ((next & 0xc0) !== 0x80) return -1
    point = (point << 6) | (next & 0x3f)
  }
  const isSurrogate = point >= 0xd800 && point <= 0xdfff
  return point < (smallest[length] as number) || isSurrogate || point > 0x10ffff ? -1 : point
}
