/** Compares the id at a place with another, given as its two halves: below zero when it is less. */
export interface IdColumn {
  compareId(place: number, high: number, low: number): number
}

/** A full block is split in two. */
const blockPlaces = 512

/**
 * Places in the order of their ids, which are chosen by clients: sorted blocks rather than a hash table, so that no choice of ids makes
 * a look-up slow (I10). Rising ids, as most are, go to the end.
 */
export class IdOrder {
  readonly #ids: IdColumn
  readonly #blocks: number[][]
  #last: number
  /** Where the id of the last `find` is, or belongs. */
  #block = 0
  #at = 0

  constructor(ids: IdColumn, place: number) {
    this.#ids = ids
    this.#blocks = [[place]]
    this.#last = place
  }

  /** The place with this id, -1 when there is none. */
  find(high: number, low: number): number {
    const ids = this.#ids
    const blocks = this.#blocks
    const toLast = ids.compareId(this.#last, high, low)
    if (toLast < 0) {
      this.#block = blocks.length - 1
      this.#at = (blocks[this.#block] as number[]).length
      return -1
    }
    let from = 0
    let to = blocks.length
    // The last block whose first id is not above it.
    while (to - from > 1) {
      const middle = (from + to) >>> 1
      if (ids.compareId((blocks[middle] as number[])[0] as number, high, low) <= 0) from = middle
      else to = middle
    }
    this.#block = from
    return this.#findIn(blocks[from] as number[], high, low)
  }

  #findIn(block: readonly number[], high: number, low: number): number {
    let from = 0
    let to = block.length
    while (from < to) {
      const middle = (from + to) >>> 1
      const place = block[middle] as number
      const order = this.#ids.compareId(place, high, low)
      if (order === 0) return place
      if (order < 0) from = middle + 1
      else to = middle
    }
    this.#at = from
    return -1
  }

  /** Adds the place of the id that was not found just now. */
  add(place: number): void {
    const blocks = this.#blocks
    const block = blocks[this.#block] as number[]
    const isLast = this.#block === blocks.length - 1 && this.#at === block.length
    if (isLast) {
      this.#last = place
      if (block.length < blockPlaces) block.push(place)
      else blocks.push([place])
      return
    }
    block.splice(this.#at, 0, place)
    if (block.length > blockPlaces) blocks.splice(this.#block + 1, 0, block.splice(blockPlaces >> 1))
  }

  /** The places, the least id first. */
  *places(): Generator<number, void, void> {
    for (const block of this.#blocks) yield* block
  }
}
