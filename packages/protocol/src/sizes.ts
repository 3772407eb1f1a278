import { utf8Length } from './utf8.ts'

/** How many bytes a `Writer` takes for a value, without writing it. */

/** @param value a whole number from 0 to 2^53 - 1 */
export function uintSize(value: number): number {
  if (value < 0x80) return 1
  if (value < 0x100) return 2
  if (value < 0x10000) return 3
  return value < 0x1_0000_0000 ? 5 : 9
}

/** @param value an unsigned 64-bit integer */
export function u64Size(value: bigint): number {
  return value > 0xffff_ffffn ? 9 : uintSize(Number(value))
}

/** @param text without lone surrogates */
export function strSize(text: string): number {
  const length = utf8Length(text)
  return length + (length < 32 ? 1 : headerSize(length))
}

/** @param bytes how many the binary has */
export function binSize(bytes: number): number {
  return bytes + headerSize(bytes)
}

function headerSize(length: number): number {
  if (length < 0x100) return 2
  return length < 0x10000 ? 3 : 5
}
