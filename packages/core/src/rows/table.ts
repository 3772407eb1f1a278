import { decodeUtf8, Reader, Writer } from '@posthaste/protocol'
import type * as schema from '@posthaste/protocol/schema'
import type { Checkpoint } from '../ports.ts'
import { Changes, compareKeys } from './changes.ts'
import type { Generations, InnerKey, Row, RowHolder, TableEnd } from './generation.ts'
import { Least } from './least.ts'
import { composeKey, prefixEnd } from './tableKey.ts'

/** How the second part of a table's keys is stored so that byte order is its order: 8 bytes for numbers and ids, UTF-8 for names. */
export type KeyForm = 'number' | 'name'

/** How the rows of a table are written and read. */
export interface RowCodec<R> extends schema.Field<R> {
  /** Copies what a row that was read still has of the bytes that it was read from. Without it, a row has nothing of them. */
  readonly keep?: (row: R) => void
  /** Reads a row that is only looked at: the next one takes its place. Without it, each is a new one. */
  readonly look?: (reader: Reader, name: string) => R
}

/**
 * One table of typed rows: objects in memory over bytes on disk. Reads are synchronous; changed rows stay in memory until a
 * checkpoint has written them. Rows must be touched before they are changed.
 */
export class Table<R extends Row, K extends InnerKey> implements TableEnd, RowHolder {
  readonly number: number
  readonly #generations: Generations
  readonly #form: KeyForm
  readonly #codec: RowCodec<R>
  /** Held rows by key. One with a negative generation is deleted, and hides what the tables hold. */
  readonly #rows = new Map<number, Map<K, R>>()
  #changed = new Changes<R, K>()
  #frozen = new Changes<R, K>()
  /** Frozen rows that have changed before they were written: what they were. */
  readonly #frozenBytes = new Map<R, Uint8Array>()
  /** The part of `#rows` that was asked for last: messages of one sender come together. */
  #lastOuter = -1
  #lastRows: Map<K, R> | undefined

  /** The row that `get` gave last, and its key: what a device sends comes together. Undefined once it was replaced or let go. */
  #gotOuter = -1
  #gotInner: K | undefined
  #got: R | undefined

  /** @param number the table's first key byte, 1 to 250 */
  constructor(generations: Generations, number: number, form: KeyForm, codec: RowCodec<R>) {
    this.#generations = generations
    this.number = number
    this.#form = form
    this.#codec = codec
    generations.register(this)
  }

  get(outer: number, inner: K): R | undefined {
    if (this.#got !== undefined && inner === this.#gotInner && outer === this.#gotOuter) return this.#got
    const row = this.#find(outer, inner)
    if (row !== undefined) {
      this.#gotOuter = outer
      this.#gotInner = inner
      this.#got = row
    }
    return row
  }

  #find(outer: number, inner: K): R | undefined {
    const held = this.#rowsOf(outer)?.get(inner)
    if (held !== undefined) return held.generation < 0 ? undefined : held
    const bytes = this.#generations.tables.get(composeKey(this.number, outer, inner))
    return bytes === undefined ? undefined : this.#load(outer, inner, bytes)
  }

  /**
   * A row that is only read, and only until the next call: it is not held in memory, so that whoever reads on through a long list
   * leaves nothing behind.
   */
  look(outer: number, inner: K): R | undefined {
    const held = this.#rowsOf(outer)?.get(inner)
    if (held !== undefined) return held.generation < 0 ? undefined : held
    const bytes = this.#generations.tables.get(composeKey(this.number, outer, inner))
    if (bytes === undefined) return undefined
    const { look } = this.#codec
    return look === undefined ? this.decode(bytes) : look(rowReader.begin(bytes), 'row')
  }

  /** Adds a row, or replaces the one of that key. The key must be new, or have been looked up in the same record. */
  put(outer: number, inner: K, row: R): R {
    this.#got = undefined
    let rows = this.#rowsOf(outer)
    if (rows === undefined) {
      rows = new Map()
      this.#rows.set(outer, rows)
      this.#lastRows = rows
    } else {
      const held = rows.get(inner)
      if (held !== undefined) this.#supersede(held, row)
    }
    rows.set(inner, row)
    this.touch(outer, inner, row)
    return row
  }

  /** Must be called before a row is changed. */
  touch(outer: number, inner: K, row: R): void {
    const { open } = this.#generations
    if (row.generation === open) return
    if (row.generation !== 0) {
      row.isOnDisk = true
      if (row.generation === open - 2) this.#keepFrozen(row)
    }
    row.generation = open
    this.#changed.add(outer, inner, row)
    this.#generations.changed += 1
  }

  delete(outer: number, inner: K): void {
    if (this.look(outer, inner) !== undefined) this.deleteKnown(outer, inner)
  }

  /**
   * Deletes a row that is known to be there: one that `look` has found is not read again.
   * @returns whether nothing is left of it here, so that its object may be used for another row
   */
  deleteKnown(outer: number, inner: K): boolean {
    const held = this.#rowsOf(outer)?.get(inner)
    // Of what is not held, the tables have a row: something must stand for its deletion, and hide it.
    const row = held ?? this.put(outer, inner, { generation: 0, isOnDisk: true, place: 0 } as R)
    this.touch(outer, inner, row)
    this.#got = undefined
    row.generation = -row.generation
    if (row.isOnDisk) return false
    this.#drop(outer, inner)
    this.#changed.forget(row)
    return true
  }

  /** A frozen row changes before it was written: its bytes, as they were, stay until the checkpoint ends. */
  #keepFrozen(row: R): void {
    this.#codec.write(frozenWriter, row)
    this.#frozenBytes.set(row, frozenWriter.takeView())
  }

  /** Another row takes the key of this one: in its own generation, this one is no longer written. */
  #supersede(held: R, row: R): void {
    const { open } = this.#generations
    row.isOnDisk = true
    if (held.generation === open - 2) this.#keepFrozen(held)
    if (held.generation !== 2 - open) held.generation = 0
  }

  /**
   * Rows of `outer` whose inner keys lie in [from, to), in order, at most `limit`: memory over disk. For reading only: what is to be
   * changed must come from `get`.
   */
  scan(outer: number, from: K, to: K | undefined, limit: number): [K, R][] {
    const fromBytes = this.keyBytes(outer, from)
    const toBytes = to === undefined ? prefixEnd(this.number, outer) : this.keyBytes(outer, to)
    const held = this.#heldKeys(outer, from, to)
    const found: [K, R][] = []
    let next = fromBytes
    for (;;) {
      const pageRows = Math.min(limit - found.length + 1, pageRowsMax)
      const page = this.#generations.tables.scan(next, toBytes, pageRows)
      for (const [key, bytes] of page) {
        const inner = this.#innerOf(key)
        while (found.length < limit && compareKeys(held.first ?? inner, inner) < 0) this.#take(found, outer, held.take())
        if (found.length >= limit) return found
        if (held.first === inner) this.#take(found, outer, held.take())
        else found.push([inner, this.decode(bytes)])
        if (found.length >= limit) return found
        next = after(key)
      }
      if (page.length < pageRows) break
    }
    while (held.first !== undefined && found.length < limit) this.#take(found, outer, held.take())
    return found
  }

  /**
   * The keys whose first parts lie in [from, to), or in the first part of that which has about `limit` of them in the tables. In no order.
   * @returns the keys, and up to which first part they are all there
   */
  keysFrom(from: number, to: number, limit: number): { readonly keys: [number, K][]; readonly to: number } {
    const page = this.#generations.tables.scan(prefixEnd(this.number, from - 1), prefixEnd(this.number, to - 1), limit)
    const last = page[page.length - 1]?.[0]
    // What has the last first part may go on.
    const end = last === undefined || page.length < limit ? to : outerOf(last)
    if (end === from) return this.keysFrom(from, to, 2 * limit)
    const keys: [number, K][] = []
    for (const [key] of page) {
      const [outer, inner] = [outerOf(key), this.#innerOf(key)]
      if (outer < end && this.#rows.get(outer)?.get(inner) === undefined) keys.push([outer, inner])
    }
    // order: none is promised.
    for (const [outer, rows] of this.#rows) {
      if (outer < from || outer >= end) continue
      // order: none is promised.
      for (const [inner, row] of rows) if (row.generation >= 0) keys.push([outer, inner])
    }
    return { keys, to: end }
  }

  keyBytes(outer: number, inner: InnerKey): Uint8Array {
    return composeKey(this.number, outer, inner).slice()
  }

  decode(bytes: Uint8Array): R {
    return this.#codec.read(rowReader.begin(bytes), 'row')
  }

  freeze(): void {
    this.#frozen = this.#changed
    this.#changed = new Changes()
  }

  *write(checkpoint: Checkpoint, rows: number): Generator<void, void, void> {
    const frozen = this.#frozen
    const generation = this.#generations.open - 2
    const order = yield* frozen.sorted(rows, (row) => {
      if (row.generation === -generation) return row.isOnDisk
      return row.generation === generation || this.#frozenBytes.has(row)
    })
    for (let done = 0; done < order.length; ) {
      const place = order[done++] as number
      const row = frozen.rows[place] as R
      const key = composeKey(this.number, frozen.outers[place] as number, frozen.inners[place] as K)
      if (row.generation === -generation) checkpoint.delete(key)
      else if (row.generation === generation) {
        this.#codec.write(rowWriter, row)
        checkpoint.put(key, rowWriter.lend())
        row.generation = generation + 1
      } else checkpoint.put(key, this.#frozenBytes.get(row) as Uint8Array)
      if (done % rows === 0) yield
    }
  }

  *release(rows: number): Generator<void, void, void> {
    const frozen = this.#frozen
    const generation = this.#generations.open - 2
    this.#frozenBytes.clear()
    this.#frozen = new Changes()
    for (let place = 0; place < frozen.length; place++) {
      const row = frozen.rows[place]
      if (row === undefined) continue
      if (row.generation === generation + 1 || row.generation === -generation) {
        if (row.generation > 0) {
          row.generation = 0
          row.isOnDisk = true
        }
        this.forget(frozen.outers[place] as number, frozen.inners[place] as K, row)
      }
      if (place % rows === rows - 1) yield
    }
  }

  forget(outer: number, inner: InnerKey, row: Row): void {
    if (this.#rowsOf(outer)?.get(inner as K) === row) this.#drop(outer, inner as K)
  }

  #take(found: [K, R][], outer: number, inner: K): void {
    const row = this.#rows.get(outer)?.get(inner)
    if (row !== undefined && row.generation >= 0) found.push([inner, row])
  }

  /** The held keys in [from, to). */
  #heldKeys(outer: number, from: K, to: K | undefined): Least<K> {
    const keys: K[] = []
    // order: the least first, below.
    for (const inner of (this.#rows.get(outer) ?? new Map<K, R>()).keys())
      if (compareKeys(inner, from) >= 0 && (to === undefined || compareKeys(inner, to) < 0)) keys.push(inner)
    return new Least(keys)
  }

  #innerOf(key: Uint8Array): K {
    if (this.#form === 'name') return decodeUtf8(key, 9, key.length) as string as K
    const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
    return (view.getUint32(9) * 0x1_0000_0000 + view.getUint32(13)) as K
  }

  #load(outer: number, inner: K, bytes: Uint8Array): R {
    const row = this.decode(bytes)
    this.#codec.keep?.(row)
    const rows = this.#rowsOf(outer)
    if (rows !== undefined) rows.set(inner, row)
    else {
      this.#lastRows = new Map([[inner, row]])
      this.#rows.set(outer, this.#lastRows)
    }
    this.#generations.loaded(this, outer, inner, row)
    return row
  }

  #rowsOf(outer: number): Map<K, R> | undefined {
    if (outer !== this.#lastOuter) {
      this.#lastOuter = outer
      this.#lastRows = this.#rows.get(outer)
    }
    return this.#lastRows
  }

  #drop(outer: number, inner: K): void {
    this.#got = undefined
    const rows = this.#rowsOf(outer) as Map<K, R>
    rows.delete(inner)
    if (rows.size > 0) return
    this.#rows.delete(outer)
    this.#lastRows = undefined
  }
}

/** How many rows a scan reads from the tables at once. */
const pageRowsMax = 1_024

const rowWriter = new Writer(65_536)
/** All that it holds goes at the same time. */
const frozenWriter = new Writer(65_536)
const rowReader = new Reader(new Uint8Array(0))

function outerOf(key: Uint8Array): number {
  const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
  return view.getUint32(1) * 0x1_0000_0000 + view.getUint32(5)
}

function after(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}
