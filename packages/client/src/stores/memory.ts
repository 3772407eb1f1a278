/** A store that lasts as long as its object: for tests, and for devices that shall leave nothing behind. */
import type { ClientStore, StoreRow } from '../store.ts'
import { compareBytes, OrderedStore, ownBytes, type OwnBytes, type OwnWrite, type StoreEngine } from './ordered.ts'

/** Makes a store in memory. What it holds ends with the object, and so do the guarantees that rest on it. */
export function memoryStore(): ClientStore {
  return new OrderedStore(new MemoryEngine())
}

/** Rows in memory, until `close`. */
export class MemoryEngine implements StoreEngine {
  /** Sorted by key. */
  #rows: (readonly [key: OwnBytes, value: OwnBytes])[] = []

  async open(): Promise<void> {}

  async write(writes: readonly OwnWrite[]): Promise<void> {
    for (const [key, value] of writes) {
      const index = this.#lowerBound(key)
      const stored = this.#rows[index]
      const replaced = stored !== undefined && compareBytes(stored[0], key) === 0 ? 1 : 0
      if (value === null) this.#rows.splice(index, replaced)
      else this.#rows.splice(index, replaced, [key, value])
    }
  }

  async get(key: OwnBytes): Promise<Uint8Array | undefined> {
    const stored = this.#rows[this.#lowerBound(key)]
    return stored !== undefined && compareBytes(stored[0], key) === 0 ? ownBytes(stored[1]) : undefined
  }

  async scan(from: OwnBytes, to: OwnBytes, limit: number): Promise<StoreRow[]> {
    const start = this.#lowerBound(from)
    const end = Math.min(this.#lowerBound(to), start + limit)
    return this.#rows.slice(start, end).map(([key, value]) => [ownBytes(key), ownBytes(value)])
  }

  async close(): Promise<void> {
    this.#rows = []
  }

  /** Index of the first row whose key is not below `key`. */
  #lowerBound(key: OwnBytes): number {
    let low = 0
    let high = this.#rows.length
    while (low < high) {
      const middle = (low + high) >>> 1
      const row = this.#rows[middle]
      if (row !== undefined && compareBytes(row[0], key) < 0) low = middle + 1
      else high = middle
    }
    return low
  }
}
