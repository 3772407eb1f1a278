/**
 * Slices carry rows to the thread that writes them: plain bytes in one buffer, which changes hands without a copy.
 * A row is: key length (u16), value length (u32, all ones for a deletion), key, value; little-endian.
 */

/** The length of a row's head in bytes. */
const HEAD_BYTES = 6

/** Stands for "delete this key" in place of a value's length. */
const DELETED = 0xffff_ffff

/** A slice is handed over once it holds this much; one larger row makes a larger slice. */
export const SLICE_BYTES = 256 * 1024

/** Gathers rows into slices. */
export class SliceWriter {
  #bytes: Uint8Array<ArrayBuffer> = new Uint8Array(0)
  #view = new DataView(this.#bytes.buffer)
  #length = 0

  /** Whether the row fits into the slice at hand; if not, `take` first. */
  hasRoomFor(key: Uint8Array, value: Uint8Array | undefined): boolean {
    return this.#length === 0 || this.#length + HEAD_BYTES + key.length + (value?.length ?? 0) <= this.#bytes.length
  }

  /** Copies a row; `undefined` deletes the key. */
  add(key: Uint8Array, value: Uint8Array | undefined): void {
    const rowBytes = HEAD_BYTES + key.length + (value?.length ?? 0)
    if (this.#length === 0) this.#allocate(Math.max(SLICE_BYTES, rowBytes))
    this.#view.setUint16(this.#length, key.length, true)
    this.#view.setUint32(this.#length + 2, value === undefined ? DELETED : value.length, true)
    this.#bytes.set(key, this.#length + HEAD_BYTES)
    if (value !== undefined) this.#bytes.set(value, this.#length + HEAD_BYTES + key.length)
    this.#length += rowBytes
  }

  /** What was gathered, and begins anew; undefined when there is nothing. */
  take(): Uint8Array<ArrayBuffer> | undefined {
    if (this.#length === 0) return undefined
    const slice = this.#bytes.subarray(0, this.#length)
    this.#length = 0
    return slice
  }

  #allocate(size: number): void {
    this.#bytes = new Uint8Array(size)
    this.#view = new DataView(this.#bytes.buffer)
  }
}

/** The rows of a slice in order, as views of it; a deletion has no value. */
export function* readSlice(slice: Uint8Array): Generator<readonly [key: Uint8Array, value: Uint8Array | undefined]> {
  const view = new DataView(slice.buffer, slice.byteOffset, slice.byteLength)
  for (let position = 0; position < slice.length; ) {
    const keyEnd = position + HEAD_BYTES + view.getUint16(position, true)
    const valueLength = view.getUint32(position + 2, true)
    const key = slice.subarray(position + HEAD_BYTES, keyEnd)
    if (valueLength === DELETED) yield [key, undefined]
    else yield [key, slice.subarray(keyEnd, keyEnd + valueLength)]
    position = valueLength === DELETED ? keyEnd : keyEnd + valueLength
  }
}
