import { Reader, Writer } from '@posthaste/protocol'
import type { KeyBatch, TableRow } from '../ports.ts'
import { hashBytes, type KeyRow, keyGraceMs } from './rows.ts'
import { composeKey } from './tableKey.ts'

/** The first key byte of the table of keys, which the background sweep reads. */
export const keyTableNumber = 5

/** A record in bytes, in words of 4 bytes and in numbers of 8: its id, its hash, what is small, a word that is free, and four numbers. */
const recordBytes = 64
const recordWords = recordBytes / 4
const recordNumbers = recordBytes / 8
const hashAt = 8
const smallAt = 6
const numbersAt = 4
/** What is small, in bits: the verdict below, then the lane, then whether receipts are wanted. */
const laneShift = 16
const receiptsShift = 24
const verdictMax = 0xffff

const scratchId = new BigUint64Array(1)
const scratchWords = new Uint32Array(scratchId.buffer)
/** The first word of a number is its lower one, 1, or its higher one, 0. */
const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] as number
const lowWord = 1 - isLittleEndian
const highWord = 1 - lowWord

/** An id as two halves. They are lent: the next id takes their place. */
export function halvesOf(id: bigint): { readonly high: number; readonly low: number } {
  scratchId[0] = id
  return { high: scratchWords[highWord] as number, low: scratchWords[lowWord] as number }
}

/** Some keys side by side in one buffer, so that a million of them are a few hundred objects to the garbage collector. */
export class KeyRecords {
  readonly buffer: ArrayBuffer
  readonly #bytes: Uint8Array
  readonly #words: Uint32Array
  readonly #ids: BigUint64Array
  readonly #numbers: Float64Array

  /** Records in this buffer, or a new one for so many. */
  constructor(records: ArrayBuffer | number) {
    this.buffer = typeof records === 'number' ? new ArrayBuffer(records * recordBytes) : records
    this.#bytes = new Uint8Array(this.buffer)
    this.#words = new Uint32Array(this.buffer)
    this.#ids = new BigUint64Array(this.buffer)
    this.#numbers = new Float64Array(this.buffer)
  }

  put(at: number, id: bigint, key: KeyRow): void {
    this.#ids[at * recordNumbers] = id
    const { hash } = key
    const from = at * recordBytes + hashAt
    for (let index = 0; index < hashBytes; index++) this.#bytes[from + index] = hash.charCodeAt(index)
    this.#words[at * recordWords + smallAt] = key.verdict | (key.lane << laneShift) | ((key.receipts ? 1 : 0) << receiptsShift)
    const numbers = at * recordNumbers + numbersAt
    this.#numbers[numbers] = key.seq
    this.#numbers[numbers + 1] = key.count
    this.#numbers[numbers + 2] = key.timeMs
    this.#numbers[numbers + 3] = key.deadlineMs
  }

  setVerdict(at: number, verdict: number): void {
    const small = at * recordWords + smallAt
    this.#words[small] = ((this.#words[small] as number) & ~verdictMax) | verdict
  }

  /** Copies a record from elsewhere. */
  copy(at: number, from: KeyRecords, fromAt: number): void {
    const words = from.#words
    let source = fromAt * recordWords
    for (let word = at * recordWords; word < (at + 1) * recordWords; word++) this.#words[word] = words[source++] as number
  }

  idOf(at: number): bigint {
    return this.#ids[at * recordNumbers] as bigint
  }

  /** Compares the id of a record with another, given as its two halves: below zero when it is less. */
  compareId(at: number, high: number, low: number): number {
    const word = at * recordWords
    const byHigh = (this.#words[word + highWord] as number) - high
    return byHigh !== 0 ? byHigh : (this.#words[word + lowWord] as number) - low
  }

  /** A key as a row, which is read where it stands. */
  rowOf(at: number): KeyRow {
    return new HeldKey(this, at)
  }

  hashOf(at: number): string {
    const from = at * recordBytes + hashAt
    return String.fromCharCode(...this.#bytes.subarray(from, from + hashBytes))
  }

  verdictOf(at: number): number {
    return (this.#words[at * recordWords + smallAt] as number) & verdictMax
  }

  laneOf(at: number): number {
    return ((this.#words[at * recordWords + smallAt] as number) >>> laneShift) & 0xff
  }

  receiptsOf(at: number): boolean {
    return (this.#words[at * recordWords + smallAt] as number) >>> receiptsShift === 1
  }

  /** @param which of seq, count, time and deadline */
  numberOf(at: number, which: 0 | 1 | 2 | 3): number {
    return this.#numbers[at * recordNumbers + numbersAt + which] as number
  }

  /** Encodes a row as its table's codec would. */
  encode(at: number, writer: Writer): void {
    writer.array(8)
    writer.binOf(this.#bytes, at * recordBytes + hashAt, hashBytes)
    writer.uint(this.verdictOf(at))
    writer.uint(this.laneOf(at))
    for (const which of [0, 1, 2, 3] as const) writer.uint(this.numberOf(at, which))
    writer.bool(this.receiptsOf(at))
  }
}

class HeldKey implements KeyRow {
  readonly #records: KeyRecords
  readonly #at: number

  constructor(records: KeyRecords, at: number) {
    this.#records = records
    this.#at = at
  }

  get hash(): string {
    return this.#records.hashOf(this.#at)
  }

  get verdict(): number {
    return this.#records.verdictOf(this.#at)
  }

  get lane(): number {
    return this.#records.laneOf(this.#at)
  }

  get receipts(): boolean {
    return this.#records.receiptsOf(this.#at)
  }

  get seq(): number {
    return this.#records.numberOf(this.#at, 0)
  }

  get count(): number {
    return this.#records.numberOf(this.#at, 1)
  }

  get timeMs(): number {
    return this.#records.numberOf(this.#at, 2)
  }

  get deadlineMs(): number {
    return this.#records.numberOf(this.#at, 3)
  }
}

/** The rows of a batch, in its order. They are lent: each takes the place of the one before. */
export function* keyRowsOf({
  count,
  records,
  outers,
}: KeyBatch): Generator<readonly [key: Uint8Array, value: Uint8Array], void, void> {
  const keys = new KeyRecords(records)
  const writer = new Writer(256)
  for (let at = 0; at < count; at++) {
    keys.encode(at, writer)
    yield [composeKey(keyTableNumber, outers[at] as number, keys.idOf(at)), writer.lend()]
  }
}

/** The first and the last key of a batch. */
export function keyBoundsOf({ count, records, outers }: KeyBatch): readonly [first: Uint8Array, last: Uint8Array] {
  const keys = new KeyRecords(records)
  const keyAt = (at: number): Uint8Array => composeKey(keyTableNumber, outers[at] as number, keys.idOf(at)).slice()
  return [keyAt(0), keyAt(count - 1)]
}

const sweptReader = new Reader(new Uint8Array(0))

/** The first and the last bound of the table of keys. */
export const keyBounds: readonly [Uint8Array, Uint8Array] = [
  new Uint8Array([keyTableNumber]),
  new Uint8Array([keyTableNumber + 1]),
]

/** What a sweep finds in a page of at most `rows` rows of the table of keys. The rows may be lent. */
export function sweptIn(
  page: Iterable<TableRow>,
  clockMs: number,
  rows: number,
): { readonly past: Uint8Array[]; readonly next: Uint8Array | null } {
  const past: Uint8Array[] = []
  let last: Uint8Array | undefined
  let looked = 0
  for (const [key, value] of page) {
    looked += 1
    last = key
    if (deadlineOf(value) + keyGraceMs <= clockMs) past.push(key)
  }
  return { past, next: last === undefined || looked < rows ? null : Uint8Array.of(...last, 0) }
}

/** The deadline in the row of a key, whose hash is passed over. */
function deadlineOf(row: Uint8Array): number {
  const reader = sweptReader.begin(row)
  reader.array('key', 8)
  reader.bin('key.hash', hashBytes)
  // The verdict, the lane, the seq, the count and the time.
  for (let passed = 0; passed < 5; passed++) reader.uint('key', Number.MAX_SAFE_INTEGER)
  return reader.uint('key.deadlineMs', Number.MAX_SAFE_INTEGER)
}
