import { sortPlaces } from './changes.ts'
import { type IdColumn, IdOrder } from './idOrder.ts'
import { halvesOf, KeyRecords } from './keyRecords.ts'
import type { KeyRow } from './rows.ts'

/** Keys per chunk, a power of two. */
const chunkKeys = 1_024
const chunkBits = 10

/** The keys that were written in one generation, in the order in which they came, and per first part of the key in the order of ids. */
export class KeySegment implements IdColumn {
  readonly #chunks: KeyRecords[] = []
  readonly #orders = new Map<number, IdOrder>()
  readonly #outers: number[] = []
  #length = 0
  /** Keys of one sender come together. */
  #lastOuter = -1
  #lastOrder: IdOrder | undefined

  /** How many keys it has. */
  get length(): number {
    return this.#length
  }

  get(outer: number, id: bigint): KeyRow | undefined {
    const place = this.#find(this.#orderOf(outer), id)
    return place < 0 ? undefined : this.#chunkOf(place).rowOf(place & (chunkKeys - 1))
  }

  /** Adds a key, or replaces the one of that id. */
  put(outer: number, id: bigint, key: KeyRow): void {
    const order = this.#orderOf(outer)
    const found = this.#find(order, id)
    const place = found < 0 ? this.#add() : found
    this.#chunkOf(place).put(place & (chunkKeys - 1), id, key)
    if (found < 0) this.#arrange(outer, order, place)
  }

  /** Changes the verdict of a key that is in this segment; false when it is not. */
  setVerdict(outer: number, id: bigint, verdict: number): boolean {
    const place = this.#find(this.#orderOf(outer), id)
    if (place >= 0) this.#chunkOf(place).setVerdict(place & (chunkKeys - 1), verdict)
    return place >= 0
  }

  /** The first parts of the keys, sorted. A generator: about `size` of them a step. */
  *sortedOuters(size: number): Generator<void, readonly number[], void> {
    const outers = this.#outers
    const places = Uint32Array.from(outers.keys())
    yield* sortPlaces(places, (left, right) => (outers[left] as number) - (outers[right] as number), size)
    return Array.from(places, (place) => outers[place] as number)
  }

  /** The places of the keys with this first part, one of `sortedOuters`, by id. */
  placesOf(outer: number): Iterable<number> {
    return (this.#orderOf(outer) as IdOrder).places()
  }

  /** Copies the record at a place to others. */
  copy(place: number, to: KeyRecords, at: number): void {
    to.copy(at, this.#chunkOf(place), place & (chunkKeys - 1))
  }

  compareId(place: number, high: number, low: number): number {
    return this.#chunkOf(place).compareId(place & (chunkKeys - 1), high, low)
  }

  #find(order: IdOrder | undefined, id: bigint): number {
    if (order === undefined) return -1
    const { high, low } = halvesOf(id)
    return order.find(high, low)
  }

  #add(): number {
    const place = this.#length
    this.#length += 1
    if (place % chunkKeys === 0) this.#chunks.push(new KeyRecords(chunkKeys))
    return place
  }

  /** Puts a new place where it belongs among those of its first part. */
  #arrange(outer: number, order: IdOrder | undefined, place: number): void {
    if (order !== undefined) return order.add(place)
    this.#lastOrder = new IdOrder(this, place)
    this.#orders.set(outer, this.#lastOrder)
    this.#outers.push(outer)
  }

  #chunkOf(place: number): KeyRecords {
    return this.#chunks[place >>> chunkBits] as KeyRecords
  }

  #orderOf(outer: number): IdOrder | undefined {
    if (outer !== this.#lastOuter) {
      this.#lastOuter = outer
      this.#lastOrder = this.#orders.get(outer)
    }
    return this.#lastOrder
  }
}
