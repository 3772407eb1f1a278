import type { CodeName } from './codes.ts'
import { ProtocolError } from './error.ts'
import { decodeName, octetsOf } from './strings.ts'

const illFormed = 'the string is not well-formed UTF-8'

/**
 * Reads the subset of MessagePack that Posthaste uses, strictly: no floats, maps, extensions or negative integers; lengths are
 * checked against what is there and against the field's limit before anything is allocated. Integers may come in any width
 * (libraries differ) and are normalised: ids to `bigint`, all others to `number`. There is no recursion: depth is the schema's.
 */
export class Reader {
  #bytes: Uint8Array
  /** From where the bytes begin to the end of their buffer. */
  #view: DataView
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset)
  }

  /** Reads other bytes from now on. A reader for many short values, which often lie in the same place, costs less than one for each. */
  begin(bytes: Uint8Array): this {
    if (bytes.buffer !== this.#view.buffer || bytes.byteOffset !== this.#view.byteOffset)
      this.#view = new DataView(bytes.buffer, bytes.byteOffset)
    this.#bytes = bytes
    this.#at = 0
    return this
  }

  /** Whether all bytes were read. */
  get isDone(): boolean {
    return this.#at >= this.#bytes.length
  }

  /** Where the next value begins, in bytes from the start. */
  get offset(): number {
    return this.#at
  }

  /** The number of elements that follow. @param max the largest number allowed */
  array(field: string, max: number): number {
    const first = this.#next(field)
    let length: number
    if (first >= 0x90 && first <= 0x9f) length = first & 0x0f
    else if (first === 0xdc) length = this.#fixed(field, 2)
    else if (first === 0xdd) length = this.#fixed(field, 4)
    else return fail('malformed-packet', field, 'an array was expected')
    if (length > max) return fail('too-big', field, `at most ${max} elements are allowed`)
    return length
  }

  /** A whole number. @param max the largest value allowed, at most 2^53 - 1 */
  uint(field: string, max: number): number {
    const first = this.#next(field)
    let value: number
    if (first < 0x80) value = first
    else if (first === 0xcc) value = this.#fixed(field, 1)
    else if (first === 0xcd) value = this.#fixed(field, 2)
    else if (first === 0xce) value = this.#fixed(field, 4)
    else if (first === 0xcf || first === 0xd3) value = this.#fixed(field, 4) * 0x1_0000_0000 + this.#fixed(field, 4)
    else value = this.#signed(field, first)
    if (value > max) return fail('out-of-range', field, `0 to ${max} is allowed`)
    return value
  }

  /** A whole number from 0 to 2^64 - 1. */
  u64(field: string): bigint {
    const first = this.#bytes[this.#at] ?? 0
    if (first !== 0xcf && first !== 0xd3) return BigInt(this.uint(field, 0xffff_ffff))
    const at = this.#at + 1
    if (at + 8 > this.#bytes.length) return fail('malformed-packet', field, 'the message ends too early')
    this.#at = at + 8
    if (first === 0xd3 && this.#view.getUint8(at) >= 0x80) return fail('out-of-range', field, 'a negative integer')
    return this.#view.getBigUint64(at)
  }

  bool(field: string): boolean {
    const first = this.#next(field)
    if (first !== 0xc2 && first !== 0xc3) return fail('malformed-packet', field, 'a boolean was expected')
    return first === 0xc3
  }

  /** Whether the next value is nil, which is then passed. */
  nil(): boolean {
    if (this.#bytes[this.#at] !== 0xc0) return false
    this.#at += 1
    return true
  }

  /** @param max the largest number of bytes allowed */
  str(field: string, max: number): string {
    const length = this.#strLength(field)
    const from = this.#span(field, length, max)
    return decodeName(this.#view, from, length) ?? fail('malformed-packet', field, illFormed)
  }

  /** A short binary as a string with a character for each byte, U+0000 to U+00FF. @param max the largest number of bytes allowed */
  octets(field: string, max: number): string {
    const length = this.#binLength(field)
    const from = this.#span(field, length, max)
    return octetsOf(this.#view, from, length)
  }

  /** A view into the message, not a copy. @param max the largest number of bytes allowed */
  bin(field: string, max: number): Uint8Array {
    const length = this.#binLength(field)
    const from = this.#span(field, length, max)
    // Not `subarray`: of a Buffer that makes another Buffer, which costs more.
    return new Uint8Array(this.#bytes.buffer, this.#bytes.byteOffset + from, length)
  }

  /** Non-negative values in MessagePack's signed forms, which some libraries write. */
  #signed(field: string, first: number): number {
    if (first >= 0xe0) return fail('out-of-range', field, 'a negative integer')
    if (first < 0xd0 || first > 0xd2) return fail('malformed-packet', field, 'an unsigned integer was expected')
    const width = 1 << (first - 0xd0)
    const value = this.#fixed(field, width)
    if (value >= 2 ** (width * 8 - 1)) return fail('out-of-range', field, 'a negative integer')
    return value
  }

  #strLength(field: string): number {
    const first = this.#next(field)
    if (first >= 0xa0 && first <= 0xbf) return first & 0x1f
    if (first >= 0xd9 && first <= 0xdb) return this.#fixed(field, 1 << (first - 0xd9))
    return fail('malformed-packet', field, 'a string was expected')
  }

  #binLength(field: string): number {
    const first = this.#next(field)
    if (first < 0xc4 || first > 0xc6) return fail('malformed-packet', field, 'binary was expected')
    return this.#fixed(field, 1 << (first - 0xc4))
  }

  #next(field: string): number {
    const value = this.#bytes[this.#at]
    if (value === undefined) return fail('malformed-packet', field, 'the message ends too early')
    this.#at += 1
    return value
  }

  #fixed(field: string, width: number): number {
    const at = this.#at
    if (at + width > this.#bytes.length) return fail('malformed-packet', field, 'the message ends too early')
    this.#at = at + width
    if (width === 1) return this.#view.getUint8(at)
    return width === 2 ? this.#view.getUint16(at) : this.#view.getUint32(at)
  }

  #span(field: string, length: number, max: number): number {
    if (length > max) return fail('too-big', field, `at most ${max} bytes are allowed`)
    const from = this.#at
    if (from + length > this.#bytes.length) return fail('malformed-packet', field, 'the message ends too early')
    this.#at = from + length
    return from
  }
}

/** Throws a ProtocolError; typed so that it can stand where a value is expected. */
export function fail(code: CodeName, field: string, text: string): never {
  throw new ProtocolError(code, field, text)
}
