import { decodeUtf8, encodeUtf8, Reader, type schema, Writer } from '@posthaste/protocol'
import { compareBytes as compare } from '../memory/compare-bytes.ts'
import type { Generations, InnerKey, Row, Slot, TableEnd } from './generation.ts'

/** How the second part of a table's keys is stored so that byte order is its order: 8 bytes for numbers and ids, UTF-8 for names. */
export type KeyForm = 'number' | 'u64' | 'name'

/**
 * One table of typed rows: objects in memory over bytes on disk. Reads are synchronous; changed rows stay in memory until a
 * checkpoint has written them. Rows must be touched before they are changed.
 */
export class Table<R extends Row, K extends InnerKey> implements TableEnd {
  readonly #generations: Generations
  readonly #number: number
  readonly #form: KeyForm
  readonly #codec: schema.Field<R>
  readonly #rows = new Map<number, Map<K, R | null>>()

  /** @param number the table's first key byte, 1 to 250 */
  constructor(generations: Generations, number: number, form: KeyForm, codec: schema.Field<R>) {
    this.#generations = generations
    this.#number = number
    this.#form = form
    this.#codec = codec
  }

  get(outer: number, inner: K): R | undefined {
    const held = this.#rows.get(outer)?.get(inner)
    if (held !== undefined) return held ?? undefined
    const bytes = this.#generations.tables.get(this.keyBytes(outer, inner))
    return bytes === undefined ? undefined : this.#load(outer, inner, bytes)
  }

  /** Adds a row, or replaces the one of that key. The key must be new, or have been looked up in the same record. */
  put(outer: number, inner: K, row: R): R {
    const held = this.#rows.get(outer)?.get(inner)
    const old = held === null ? this.#tombstones.get(tombstoneKey(outer, inner)) : held?.slot
    if (held === null) this.#tombstones.delete(tombstoneKey(outer, inner))
    if (held !== undefined) row.isOnDisk = true
    this.#set(outer, inner, row)
    if (old !== null && old !== undefined && this.#generations.isOpen(old)) {
      old.row = row
      row.slot = old
    } else this.#generations.touch(this, outer, inner, row)
    return row
  }

  /** Must be called before a row is changed. */
  touch(outer: number, inner: K, row: R): void {
    this.#generations.touch(this, outer, inner, row)
  }

  delete(outer: number, inner: K): void {
    const row = this.get(outer, inner)
    if (row === undefined) return
    const slot = this.#generations.touch(this, outer, inner, row)
    slot.row = null
    if (slot.isOnDisk) {
      this.#set(outer, inner, null)
      this.#tombstones.set(tombstoneKey(outer, inner), slot)
    } else this.#drop(outer, inner)
  }

  /**
   * Rows of `outer` whose inner keys lie in [from, to), in order, at most `limit`: memory over disk. For reading only: what is to be
   * changed must come from `get`.
   */
  scan(outer: number, from: K, to: K | undefined, limit: number): [K, R][] {
    const fromBytes = this.keyBytes(outer, from)
    const toBytes = to === undefined ? prefixEnd(this.#number, outer) : this.keyBytes(outer, to)
    const held = this.#heldKeys(outer, fromBytes, toBytes)
    const found: [K, R][] = []
    let at = 0
    let next = fromBytes
    for (;;) {
      const pageRows = Math.min(limit - found.length + 1, pageRowsMax)
      const page = this.#generations.tables.scan(next, toBytes, pageRows)
      for (const [key, bytes] of page) {
        for (; at < held.length && compare(held[at]?.[0] ?? key, key) < 0; at++) this.#take(found, outer, held[at]?.[1])
        const isHeld = at < held.length && compare(held[at]?.[0] ?? key, key) === 0
        if (isHeld) this.#take(found, outer, held[at++]?.[1])
        else found.push([this.#innerOf(key), this.decode(bytes)])
        if (found.length >= limit) return found.slice(0, limit)
        next = after(key)
      }
      if (page.length < pageRows) break
    }
    for (; at < held.length && found.length < limit; at++) this.#take(found, outer, held[at]?.[1])
    return found
  }

  /** The first key parts in [from, to) that may have rows, in order. */
  outers(from: number, to: number): number[] {
    const found = new Set<number>()
    // order: sorted below.
    for (const outer of this.#rows.keys()) if (outer >= from && outer < to) found.add(outer)
    this.#storedOuters(from, to, found)
    // order: sorted right here.
    return [...found].sort((left, right) => left - right)
  }

  #storedOuters(from: number, to: number, found: Set<number>): void {
    let next = prefixEnd(this.#number, from - 1)
    const end = prefixEnd(this.#number, to - 1)
    for (;;) {
      const first = this.#generations.tables.scan(next, end, 1)[0]
      if (first === undefined) return
      const view = new DataView(first[0].buffer, first[0].byteOffset, first[0].byteLength)
      const outer = view.getUint32(1) * 0x1_0000_0000 + view.getUint32(5)
      found.add(outer)
      next = prefixEnd(this.#number, outer)
    }
  }

  keyBytes(outer: number, inner: InnerKey): Uint8Array {
    const name = typeof inner === 'string' ? (encodeUtf8(inner) ?? new Uint8Array(0)) : null
    const key = new Uint8Array(9 + (name === null ? 8 : name.length))
    key[0] = this.#number
    const view = new DataView(key.buffer)
    setNumber(view, 1, outer)
    if (name !== null) key.set(name, 9)
    else if (typeof inner === 'bigint') view.setBigUint64(9, inner)
    else setNumber(view, 9, inner as number)
    return key
  }

  encode(row: Row): Uint8Array {
    this.#codec.write(rowWriter, row as R)
    return rowWriter.take()
  }

  decode(bytes: Uint8Array): R {
    return this.#codec.read(new Reader(bytes), 'row')
  }

  release(slot: Slot): void {
    const { outer, row } = slot
    const inner = slot.inner as K
    const held = this.#rows.get(outer)?.get(inner)
    if (row === null) {
      if (held !== null || this.#tombstones.get(tombstoneKey(outer, inner)) !== slot) return
      this.#drop(outer, inner)
      this.#tombstones.delete(tombstoneKey(outer, inner))
      return
    }
    row.isOnDisk = true
    if (row.slot === slot) {
      row.slot = null
      if (held === row) this.#drop(outer, inner)
    }
  }

  forget(outer: number, inner: InnerKey, row: Row): void {
    if (this.#rows.get(outer)?.get(inner as K) === row) this.#drop(outer, inner as K)
  }

  /** The slots of deletions that have not reached the disk yet; their keys are null in `#rows`. */
  readonly #tombstones = new Map<string, Slot>()

  #take(found: [K, R][], outer: number, inner: K | undefined): void {
    if (inner === undefined) return
    const row = this.#rows.get(outer)?.get(inner)
    if (row !== undefined && row !== null) found.push([inner, row])
  }

  #heldKeys(outer: number, from: Uint8Array, to: Uint8Array): [Uint8Array, K][] {
    const keys: [Uint8Array, K][] = []
    // order: sorted by key bytes right below.
    for (const inner of (this.#rows.get(outer) ?? new Map<K, R | null>()).keys()) {
      const key = this.keyBytes(outer, inner)
      if (compare(key, from) >= 0 && compare(key, to) < 0) keys.push([key, inner])
    }
    return keys.sort((left, right) => compare(left[0], right[0]))
  }

  #innerOf(key: Uint8Array): K {
    if (this.#form === 'name') return (decodeUtf8(key, 9, key.length) ?? '') as K
    const view = new DataView(key.buffer, key.byteOffset, key.byteLength)
    if (this.#form === 'u64') return view.getBigUint64(9) as K
    return (view.getUint32(9) * 0x1_0000_0000 + view.getUint32(13)) as K
  }

  #load(outer: number, inner: K, bytes: Uint8Array): R {
    const row = this.decode(bytes)
    row.slot = null
    row.isOnDisk = true
    this.#set(outer, inner, row)
    this.#generations.loaded(this, outer, inner, row)
    return row
  }

  #set(outer: number, inner: K, row: R | null): void {
    const rows = this.#rows.get(outer)
    if (rows !== undefined) rows.set(inner, row)
    else this.#rows.set(outer, new Map([[inner, row]]))
  }

  #drop(outer: number, inner: K): void {
    const rows = this.#rows.get(outer)
    if (rows === undefined) return
    rows.delete(inner)
    if (rows.size === 0) this.#rows.delete(outer)
  }
}

/** How many rows a scan reads from the tables at once. */
const pageRowsMax = 1_024

const rowWriter = new Writer(65_536)

function tombstoneKey(outer: number, inner: InnerKey): string {
  return `${outer}/${inner}`
}

function setNumber(view: DataView, at: number, value: number): void {
  view.setUint32(at, Math.floor(value / 0x1_0000_0000))
  view.setUint32(at + 4, value % 0x1_0000_0000)
}

function after(key: Uint8Array): Uint8Array {
  const next = new Uint8Array(key.length + 1)
  next.set(key)
  return next
}

function prefixEnd(number: number, outer: number): Uint8Array {
  const key = new Uint8Array(9)
  key[0] = number
  setNumber(new DataView(key.buffer), 1, outer + 1)
  return key
}
