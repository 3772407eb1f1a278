import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TableRow, Tables } from '../../src/ports.ts'
import { Generations } from '../../src/rows/generation.ts'
import { keyBounds, keyTableNumber } from '../../src/rows/keyRecords.ts'
import { KeyTable } from '../../src/rows/keyTable.ts'
import { keyGraceMs } from '../../src/rows/rows.ts'
import { keyOf, plain } from '../keyRows.ts'

/** One table's storage, opened as often as a test wants; each `open` finds what was committed before. */
export interface TablesStorage {
  open(): Promise<Tables>
  remove(): Promise<void>
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array | undefined): string | undefined =>
  bytes === undefined ? undefined : new TextDecoder().decode(bytes)
const textsOf = (rows: readonly TableRow[]): string[] => rows.map(([key, value]) => `${textOf(key)}=${textOf(value)}`)
const numbered = (index: number): string => String(index).padStart(6, '0')

/** What all tables do. `make` gives new, empty storage. */
export function tablesConformance(name: string, make: () => Promise<TablesStorage>): void {
  describe(`${name} are tables`, () => {
    let storage: TablesStorage
    let tables: Tables

    beforeEach(async () => {
      storage = await make()
      tables = await storage.open()
    })

    afterEach(async () => {
      await tables.close()
      await storage.remove()
    })

    /** A null value deletes. */
    const commit = async (rows: Record<string, string | null>): Promise<void> => {
      const checkpoint = tables.beginCheckpoint()
      for (const key of Object.keys(rows).sort()) {
        const value = rows[key]
        if (typeof value === 'string') checkpoint.put(bytesOf(key), bytesOf(value))
        else checkpoint.delete(bytesOf(key))
      }
      await checkpoint.commit()
    }

    const get = (key: string): string | undefined => textOf(tables.get(bytesOf(key)))
    const scan = (from: string, to: string, limit = 1_000): string[] => textsOf(tables.scan(bytesOf(from), bytesOf(to), limit))

    it('begins empty', () => {
      expect(get('a')).toBeUndefined()
      expect(scan('', '\u007f')).toEqual([])
    })

    it('gets what was put, and nothing else', async () => {
      await commit({ 'user:alice': '1', 'user:al': '2', z: '' })
      expect([get('user:alice'), get('user:al'), get('z'), get('user:ali'), get('user:alice2')]).toEqual([
        '1',
        '2',
        '',
        undefined,
        undefined,
      ])
    })

    it('[I12] finds everything again when it is opened again', async () => {
      await commit({ a: '1', b: '2' })
      await tables.close()
      tables = await storage.open()
      expect(scan('a', 'z')).toEqual(['a=1', 'b=2'])
    })

    it('replaces and deletes, and takes the deletion of what is not there', async () => {
      await commit({ a: '1', b: '2', c: '3' })
      await commit({ a: null, b: 'new', nothing: null })
      expect(scan('', 'z')).toEqual(['b=new', 'c=3'])
    })

    it('scans from the first bound to before the second, in byte order, up to the limit', async () => {
      await commit({ a: '1', ab: '2', b: '3', '\u00e9': '4', c: '5' })
      expect(scan('a', 'c')).toEqual(['a=1', 'ab=2', 'b=3'])
      expect(scan('aa', '\u00ea')).toEqual(['ab=2', 'b=3', 'c=5', 'é=4'])
      expect(scan('', 'zz', 2)).toEqual(['a=1', 'ab=2'])
      expect([scan('a', 'a'), scan('c', 'a'), scan('a', 'c', 0)]).toEqual([[], [], []])
    })

    it('orders keys by unsigned bytes, a prefix first, and takes 1 to 512 bytes', async () => {
      const keys = [[0], [0, 0], [0, 255], [127], [128], [255], [255, 255]].map((bytes) => Uint8Array.from(bytes))
      keys.splice(6, 0, new Uint8Array(512).fill(255, 0, 1))
      const checkpoint = tables.beginCheckpoint()
      for (const key of keys) checkpoint.put(key, key)
      await checkpoint.commit()
      const rows = tables.scan(new Uint8Array(0), new Uint8Array(513).fill(255), 100)
      expect(rows.map(([key]) => Buffer.from(key).toString('hex'))).toEqual(keys.map((key) => Buffer.from(key).toString('hex')))
      expect(rows.every(([key, value]) => Buffer.from(key).equals(value))).toBe(true)
    })

    it('refuses keys out of order, empty or too long', () => {
      const checkpoint = tables.beginCheckpoint()
      checkpoint.put(bytesOf('m'), bytesOf('1'))
      expect(() => checkpoint.put(bytesOf('m'), bytesOf('2'))).toThrow(RangeError)
      expect(() => checkpoint.delete(bytesOf('a'))).toThrow(RangeError)
      expect(() => checkpoint.put(new Uint8Array(0), bytesOf('2'))).toThrow(RangeError)
      expect(() => checkpoint.put(new Uint8Array(513).fill(255), bytesOf('2'))).toThrow(RangeError)
    })

    it('shows nothing of a checkpoint before its commit resolves, and all of it after', async () => {
      await commit({ a: 'old', b: 'old' })
      const checkpoint = tables.beginCheckpoint()
      for (let index = 0; index < 5_000; index++) checkpoint.put(bytesOf(numbered(index)), bytesOf('x'.repeat(200)))
      checkpoint.put(bytesOf('a'), bytesOf('new'))
      checkpoint.delete(bytesOf('b'))
      expect([get('a'), get('b'), get(numbered(0))]).toEqual(['old', 'old', undefined])
      let isResolved = false
      const committed = checkpoint.commit().then(() => {
        isResolved = true
      })
      while (!isResolved) {
        expect([get('a'), get('b'), get(numbered(4_999))]).toEqual(['old', 'old', undefined])
        await new Promise((resolve) => setImmediate(resolve))
      }
      await committed
      expect([get('a'), get('b'), get(numbered(4_999))?.length]).toEqual(['new', undefined, 200])
    })

    it('shows a new checkpoint in the same turn in which a row was read before', async () => {
      for (let round = 0; round < 20; round++) {
        expect(get('round')).toBe(round === 0 ? undefined : String(round - 1))
        await commit({ round: String(round) })
        expect(get('round')).toBe(String(round))
      }
    })

    it('does not keep the arrays of a put', async () => {
      const key = bytesOf('key')
      const value = bytesOf('value')
      const checkpoint = tables.beginCheckpoint()
      checkpoint.put(key, value)
      key.fill(255)
      value.fill(255)
      await checkpoint.commit()
      expect(get('key')).toBe('value')
    })

    it('lends what it gets until the next call', async () => {
      await commit({ a: 'first', b: 'second' })
      const lent = tables.get(bytesOf('a'))
      expect([textOf(lent), get('b'), get('a')]).toEqual(['first', 'second', 'first'])
    })

    it('gives rows that stay as they are, and that the caller may change', async () => {
      await commit({ a: 'first', b: 'second' })
      const scanned = tables.scan(bytesOf('a'), bytesOf('z'), 10)
      tables.get(bytesOf('b'))
      tables.scan(bytesOf('b'), bytesOf('z'), 10)
      expect(textsOf(scanned)).toEqual(['a=first', 'b=second'])
      for (const [key, value] of scanned) {
        key.fill(0)
        value.fill(0)
      }
      expect(scan('a', 'z')).toEqual(['a=first', 'b=second'])
    })

    it('[I2] [I12] takes the keys of messages, which may come in batches, and gives them back as they were', async () => {
      const ids = Array.from({ length: 2_500 }, (_, at) => (BigInt(at) * 0x9e37_79b9_7f4a_7c15n) & 0xffff_ffff_ffff_ffffn)
      const outers = [1, 7, 2 ** 33]
      const generations = new Generations(tables)
      const table = new KeyTable(generations)
      for (const [at, id] of ids.entries()) table.put(outers[at % 3] as number, id, keyOf(at, at % 400))
      generations.freeze()
      const checkpoint = tables.beginCheckpoint()
      checkpoint.put(Uint8Array.of(4, 255), bytesOf('before'))
      for (const _ of generations.write(checkpoint, 25));
      // Of the third of these, below its last id.
      const among = Uint8Array.of(5, 0, 0, 0, 2, 0, 0, 0, 0, 0xf0, 0, 0, 0, 0, 0, 0, 0)
      expect(() => checkpoint.put(among, bytesOf('among them'))).toThrow(RangeError)
      checkpoint.put(Uint8Array.of(6), bytesOf('behind'))
      await checkpoint.commit()
      const again = new KeyTable(new Generations(tables))
      for (const [at, id] of ids.entries()) expect(plain(again.get(outers[at % 3] as number, id))).toEqual(keyOf(at, at % 400))
      const rows = tables.scan(Uint8Array.of(4), Uint8Array.of(7), 5_000)
      expect(rows).toHaveLength(ids.length + 2)
      expect([textOf(rows[0]?.[1]), textOf(rows.at(-1)?.[1])]).toEqual(['before', 'behind'])
    })

    it('stores a value larger than a slice', async () => {
      const large = Uint8Array.from({ length: 1_500_000 }, (_, index) => (index * 11) % 253)
      const checkpoint = tables.beginCheckpoint()
      checkpoint.put(bytesOf('a'), bytesOf('small'))
      checkpoint.put(bytesOf('b'), large)
      checkpoint.put(bytesOf('c'), bytesOf('small'))
      await checkpoint.commit()
      expect(Buffer.from(tables.get(bytesOf('b')) ?? []).equals(large)).toBe(true)
      expect([get('a'), get('c')]).toEqual(['small', 'small'])
    })

    it('has one checkpoint at a time, until its commit has resolved', async () => {
      const checkpoint = tables.beginCheckpoint()
      expect(() => tables.beginCheckpoint()).toThrow()
      const committed = checkpoint.commit()
      expect(() => tables.beginCheckpoint()).toThrow()
      await committed
      await tables.beginCheckpoint().commit()
    })

    it('takes nothing for a checkpoint that is committed', async () => {
      const checkpoint = tables.beginCheckpoint()
      await checkpoint.commit()
      expect(() => checkpoint.put(bytesOf('a'), bytesOf('1'))).toThrow()
      await expect(checkpoint.commit()).rejects.toThrow()
    })

    it('sweeps keys past their time, a page at a time, and nothing else', async () => {
      const table = new KeyTable(new Generations(tables))
      for (let number = 0; number < 3_000; number++) table.put(1 + (number % 7), BigInt(number), keyOf(number, 0))
      table.freeze()
      const checkpoint = tables.beginCheckpoint()
      checkpoint.put(new Uint8Array([keyTableNumber - 1]), bytesOf('before'))
      for (const steps = table.write(checkpoint, 100); steps.next().done !== true; );
      checkpoint.put(new Uint8Array([keyTableNumber + 1]), bytesOf('after'))
      await checkpoint.commit()
      // Of every third key the deadline has come a day ago.
      const clockMs = keyOf(999, 0).deadlineMs + keyGraceMs
      const pages: number[] = []
      let next: Uint8Array | null = null
      do {
        const before = tables.scan(...keyBounds, 5_000).length
        next = await tables.sweepKeys(next, clockMs, 700)
        pages.push(before - tables.scan(...keyBounds, 5_000).length)
      } while (next !== null)
      expect([pages.length, pages.reduce((sum, one) => sum + one, 0)]).toEqual([5, 1_000])
      const left = tables.scan(...keyBounds, 5_000).map(([, value]) => table.decode(value).seq)
      expect([left.length, Math.min(...left)]).toEqual([2_000, 1_000])
      expect(tables.scan(new Uint8Array([1]), new Uint8Array([9]), 5_000)).toHaveLength(2_002)
      expect(await tables.sweepKeys(null, 0, 5_000)).toBeNull()
      expect(tables.scan(...keyBounds, 5_000)).toHaveLength(2_000)
    })

    it('[I12] loses an open checkpoint, and nothing else, when it is closed', async () => {
      await commit({ a: 'old' })
      tables.beginCheckpoint().put(bytesOf('a'), bytesOf('new'))
      await tables.close()
      tables = await storage.open()
      expect(get('a')).toBe('old')
      await commit({ a: 'newer' })
      expect(get('a')).toBe('newer')
    })
  })
}
