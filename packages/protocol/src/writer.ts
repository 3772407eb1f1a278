import { utf8Length, writeUtf8 } from './utf8.ts'

const noBytes = new Uint8Array(0)
const noView = new DataView(noBytes.buffer)
/** The size of the smallest buffer after one was released. */
const releasedBytesMin = 256

/**
 * Writes the subset of MessagePack that Posthaste uses: nil, booleans, unsigned integers in their shortest form, UTF-8 strings,
 * binary and arrays. One buffer that grows; `take` hands out a copy, `takeView` a part of the buffer itself.
 */
export class Writer {
  #bytes = noBytes
  #view = noView
  /** Where what is being written begins. */
  #start = 0
  #at = 0
  #size: number

  /** @param bytes the size of a buffer, made at the first use; it doubles as needed */
  constructor(bytes = 256) {
    this.#size = bytes
  }

  /** Bytes written since the start or the last `take`. */
  get length(): number {
    return this.#at - this.#start
  }

  nil(): void {
    this.#room(1)
    this.#bytes[this.#at++] = 0xc0
  }

  bool(value: boolean): void {
    this.#room(1)
    this.#bytes[this.#at++] = value ? 0xc3 : 0xc2
  }

  /** @param value a whole number from 0 to 2^53 - 1 @throws RangeError for any other */
  uint(value: number): void {
    this.#room(9)
    const bytes = this.#bytes
    if (value >>> 0 !== value) {
      if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`not a whole number of at most 2^53 - 1: ${value}`)
      this.#wide(Math.floor(value / 0x1_0000_0000), value % 0x1_0000_0000)
    } else if (value < 0x80) bytes[this.#at++] = value
    else if (value < 0x100) {
      bytes[this.#at++] = 0xcc
      bytes[this.#at++] = value
    } else if (value < 0x10000) {
      bytes[this.#at] = 0xcd
      this.#view.setUint16(this.#at + 1, value)
      this.#at += 3
    } else {
      bytes[this.#at] = 0xce
      this.#view.setUint32(this.#at + 1, value)
      this.#at += 5
    }
  }

  /** @param value an unsigned 64-bit integer @throws RangeError for any other */
  u64(value: bigint): void {
    if (BigInt.asUintN(64, value) !== value) throw new RangeError(`not an unsigned 64-bit integer: ${value}`)
    this.#room(9)
    this.#view.setBigUint64(this.#at + 1, value)
    if (this.#view.getUint32(this.#at + 1) === 0) return this.uint(this.#view.getUint32(this.#at + 5))
    this.#bytes[this.#at] = 0xcf
    this.#at += 9
  }

  /** @throws RangeError for a string with a lone surrogate, which has no UTF-8 form */
  str(text: string): void {
    if (this.#units(text, 0xd9, 0x7f)) return
    const length = utf8Length(text)
    if (length < 0) throw new RangeError('a string with a lone surrogate')
    this.#room(length + 5)
    if (length < 32) this.#bytes[this.#at++] = 0xa0 | length
    else this.#header(0xd9, length)
    this.#at = writeUtf8(text, this.#bytes, this.#at)
  }

  /** A short binary that lies within a larger one. @param length at most 255 */
  binOf(bytes: Uint8Array, from: number, length: number): void {
    this.#room(length + 2)
    this.#header(0xc4, length)
    for (let at = from; at < from + length; at++) this.#bytes[this.#at++] = bytes[at] as number
  }

  /** A binary that is at hand as a string with a character for each byte, U+0000 to U+00FF. @param text at most 255 of them @throws RangeError for any other */
  octets(text: string): void {
    if (!this.#units(text, 0xc4, 0xff)) throw new RangeError('not at most 255 octets')
  }

  bin(value: Uint8Array): void {
    this.#room(value.length + 5)
    this.#header(0xc4, value.length)
    this.#bytes.set(value, this.#at)
    this.#at += value.length
  }

  /** Begins an array of that many elements, which the caller writes next. */
  array(length: number): void {
    this.#room(5)
    if (length < 16) this.#bytes[this.#at++] = 0x90 | length
    else if (length < 0x10000) {
      this.#bytes[this.#at] = 0xdc
      this.#view.setUint16(this.#at + 1, length)
      this.#at += 3
    } else {
      this.#bytes[this.#at] = 0xdd
      this.#view.setUint32(this.#at + 1, length)
      this.#at += 5
    }
  }

  /** Appends bytes that are MessagePack already. */
  raw(bytes: Uint8Array): void {
    this.#room(bytes.length)
    this.#bytes.set(bytes, this.#at)
    this.#at += bytes.length
  }

  /** Forgets what was written after the first `length` bytes. */
  cut(length: number): void {
    if (length < this.#at - this.#start) this.#at = this.#start + length
  }

  /** What was written, as a copy of its own; the writer is empty afterwards. */
  take(): Uint8Array {
    const taken = this.#bytes.slice(this.#start, this.#at)
    this.#at = this.#start
    return taken
  }

  /** What was written, as the buffer itself; the writer is empty afterwards, and makes a new one at its next use, twice as large. */
  release(): Uint8Array {
    const released = this.#bytes.subarray(this.#start, this.#at)
    this.#bytes = noBytes
    this.#view = noView
    this.#start = 0
    this.#at = 0
    this.#size = Math.max(releasedBytesMin, 2 * released.length)
    return released
  }

  /** What was written, without a copy, until something else is written: over it. The writer is empty afterwards. */
  lend(): Uint8Array {
    const lent = this.#bytes.subarray(this.#start, this.#at)
    this.#at = this.#start
    return lent
  }

  /**
   * What was written, without a copy; the writer is empty afterwards and goes on behind it. For what lives for a short time, or for about as
   * long as what is taken before and after: whoever keeps the view keeps the whole buffer. More than 1 KiB is copied: it keeps no others, nor they it.
   */
  takeView(): Uint8Array {
    if (this.length > 1_024) return this.take()
    const taken = this.#bytes.subarray(this.#start, this.#at)
    this.#start = this.#at
    return taken
  }

  /**
   * Writes a short string of units up to `max` in one pass, as a header with its length and a byte for each: nearly all strings, as ASCII.
   * False, with nothing written, for any other.
   */
  #units(text: string, header: number, max: number): boolean {
    const length = text.length
    if (length > 255) return false
    this.#room(length + 2)
    const bytes = this.#bytes
    let at = this.#at
    if (length < 32 && max < 0xff) bytes[at++] = 0xa0 | length
    else {
      bytes[at++] = header
      bytes[at++] = length
    }
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index)
      if (unit > max) return false
      bytes[at++] = unit
    }
    this.#at = at
    return true
  }

  #wide(high: number, low: number): void {
    this.#bytes[this.#at] = 0xcf
    this.#view.setUint32(this.#at + 1, high)
    this.#view.setUint32(this.#at + 5, low)
    this.#at += 9
  }

  /** The 8-, 16- and 32-bit length headers of str (0xd9) and bin (0xc4) follow each other. */
  #header(first: number, length: number): void {
    const width = length < 0x100 ? 0 : length < 0x10000 ? 1 : 2
    this.#bytes[this.#at] = first + width
    if (width === 0) this.#bytes[this.#at + 1] = length
    else if (width === 1) this.#view.setUint16(this.#at + 1, length)
    else this.#view.setUint32(this.#at + 1, length)
    this.#at += 1 + (1 << width)
  }

  #room(bytes: number): void {
    if (this.#at + bytes > this.#bytes.length) this.#grow(bytes)
  }

  #grow(bytes: number): void {
    const length = this.#at - this.#start
    const grown = new Uint8Array(Math.max(this.#size, 2 * (length + bytes)))
    grown.set(this.#bytes.subarray(this.#start, this.#at))
    this.#bytes = grown
    this.#view = new DataView(grown.buffer)
    this.#start = 0
    this.#at = length
  }
}
