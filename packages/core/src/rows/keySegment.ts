import type { Writer } from '@posthaste/protocol'
import { Merge } from './changes.ts'
import { type IdColumn, IdOrder } from './idOrder.ts'
import { hashBytes, type KeyRow } from './rows.ts'

/** Keys per chunk, a power of two. */
const chunkKeys = 1_024
const chunkBits = 10

const scratchId = new BigUint64Array(1)
const scratchWords = new Uint32Array(scratchId.buffer)
/** The first byte of a number's is its lowest, 1, or its highest, 0. */
const isLittleEndian = new Uint8Array(new Uint16Array([1]).buffer)[0] as number
const lowWord = 1 - isLittleEndian
const highWord = 1 - lowWord

/** The columns of some keys: numbers side by side, so that a million keys are a few hundred objects to the garbage collector. */
class KeyChunk {
  readonly ids = new BigUint64Array(chunkKeys)
  readonly words = new Uint32Array(this.ids.buffer)
  readonly hashes = new Uint8Array(chunkKeys * hashBytes)
  readonly verdicts = new Uint16Array(chunkKeys)
  readonly lanes = new Uint8Array(chunkKeys)
  readonly receipts = new Uint8Array(chunkKeys)
  readonly seqs = new Float64Array(chunkKeys)
  readonly counts = new Float64Array(chunkKeys)
  readonly timesMs = new Float64Array(chunkKeys)
  readonly deadlinesMs = new Float64Array(chunkKeys)
}

/** A key in a segment, as a row: it is read where it stands. */
class HeldKey implements KeyRow {
  readonly #chunk: KeyChunk
  readonly #at: number

  constructor(chunk: KeyChunk, at: number) {
    this.#chunk = chunk
    this.#at = at
  }

  get hash(): string {
    const from = this.#at * hashBytes
    return String.fromCharCode(...this.#chunk.hashes.subarray(from, from + hashBytes))
  }

  get verdict(): number {
    return this.#chunk.verdicts[this.#at] as number
  }

  get lane(): number {
    return this.#chunk.lanes[this.#at] as number
  }

  get receipts(): boolean {
    return this.#chunk.receipts[this.#at] === 1
  }

  get seq(): number {
    return this.#chunk.seqs[this.#at] as number
  }

  get count(): number {
    return this.#chunk.counts[this.#at] as number
  }

  get timeMs(): number {
    return this.#chunk.timesMs[this.#at] as number
  }

  get deadlineMs(): number {
    return this.#chunk.deadlinesMs[this.#at] as number
  }
}

/** The keys that were written in one generation, in the order in which they came, and per first part of the key in the order of ids. */
export class KeySegment implements IdColumn {
  readonly #chunks: KeyChunk[] = []
  readonly #orders = new Map<number, IdOrder>()
  readonly #outers: number[] = []
  #length = 0
  /** Keys of one sender come together. */
  #lastOuter = -1
  #lastOrder: IdOrder | undefined

  get(outer: number, id: bigint): KeyRow | undefined {
    const place = this.#find(this.#orderOf(outer), id)
    return place < 0 ? undefined : new HeldKey(this.#chunkOf(place), place & (chunkKeys - 1))
  }

  /** Adds a key, or replaces the one of that id. */
  put(outer: number, id: bigint, key: KeyRow): void {
    const order = this.#orderOf(outer)
    const found = this.#find(order, id)
    this.#write(found < 0 ? this.#add(outer, id, order) : found, key)
  }

  /** Changes the verdict of a key that is in this segment; false when it is not. */
  setVerdict(outer: number, id: bigint, verdict: number): boolean {
    const place = this.#find(this.#orderOf(outer), id)
    if (place >= 0) this.#chunkOf(place).verdicts[place & (chunkKeys - 1)] = verdict
    return place >= 0
  }

  /** The first parts of the keys, sorted. A generator: about `size` of them a step. */
  *sortedOuters(size: number): Generator<void, Iterable<number>, void> {
    const outers = this.#outers
    const compare = (left: number, right: number): number => (outers[left] as number) - (outers[right] as number)
    const runs: Uint32Array[] = []
    for (let from = 0; from < outers.length; from += size) {
      const length = Math.min(size, outers.length - from)
      runs.push(Uint32Array.from({ length }, (_, at) => from + at).sort(compare))
      yield
    }
    return merged(outers, new Merge(runs, compare))
  }

  /** The places of the keys with this first part, one of `sortedOuters`, by id. */
  placesOf(outer: number): Iterable<number> {
    return (this.#orderOf(outer) as IdOrder).places()
  }

  idOf(place: number): bigint {
    return this.#chunkOf(place).ids[place & (chunkKeys - 1)] as bigint
  }

  /** Encodes the row at a place, as its table's codec would. */
  encode(place: number, writer: Writer): void {
    const chunk = this.#chunkOf(place)
    const at = place & (chunkKeys - 1)
    writer.array(8)
    writer.binOf(chunk.hashes, at * hashBytes, hashBytes)
    writer.uint(chunk.verdicts[at] as number)
    writer.uint(chunk.lanes[at] as number)
    writer.uint(chunk.seqs[at] as number)
    writer.uint(chunk.counts[at] as number)
    writer.uint(chunk.timesMs[at] as number)
    writer.uint(chunk.deadlinesMs[at] as number)
    writer.bool(chunk.receipts[at] === 1)
  }

  compareId(place: number, high: number, low: number): number {
    const { words } = this.#chunkOf(place)
    const at = (place & (chunkKeys - 1)) * 2
    const byHigh = (words[at + highWord] as number) - high
    return byHigh !== 0 ? byHigh : (words[at + lowWord] as number) - low
  }

  #find(order: IdOrder | undefined, id: bigint): number {
    if (order === undefined) return -1
    scratchId[0] = id
    return order.find(scratchWords[highWord] as number, scratchWords[lowWord] as number)
  }

  #add(outer: number, id: bigint, order: IdOrder | undefined): number {
    const place = this.#length
    this.#length += 1
    if (place % chunkKeys === 0) this.#chunks.push(new KeyChunk())
    this.#chunkOf(place).ids[place & (chunkKeys - 1)] = id
    if (order !== undefined) order.add(place)
    else {
      this.#lastOrder = new IdOrder(this, place)
      this.#orders.set(outer, this.#lastOrder)
      this.#outers.push(outer)
    }
    return place
  }

  #write(place: number, key: KeyRow): void {
    const chunk = this.#chunkOf(place)
    const at = place & (chunkKeys - 1)
    const { hash } = key
    const from = at * hashBytes
    for (let index = 0; index < hashBytes; index++) chunk.hashes[from + index] = hash.charCodeAt(index)
    chunk.verdicts[at] = key.verdict
    chunk.lanes[at] = key.lane
    chunk.receipts[at] = key.receipts ? 1 : 0
    chunk.seqs[at] = key.seq
    chunk.counts[at] = key.count
    chunk.timesMs[at] = key.timeMs
    chunk.deadlinesMs[at] = key.deadlineMs
  }

  #chunkOf(place: number): KeyChunk {
    return this.#chunks[place >>> chunkBits] as KeyChunk
  }

  #orderOf(outer: number): IdOrder | undefined {
    if (outer !== this.#lastOuter) {
      this.#lastOuter = outer
      this.#lastOrder = this.#orders.get(outer)
    }
    return this.#lastOrder
  }
}

function* merged(outers: readonly number[], merge: Merge): Generator<number, void, void> {
  for (let at = merge.next(); at >= 0; at = merge.next()) yield outers[at] as number
}
