import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Journal, Position } from '../../src/ports.ts'

/** One journal's storage, opened as often as a test wants; each `open` finds what was flushed before. */
export interface JournalStorage {
  open(): Promise<Journal>
  remove(): Promise<void>
}

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const positionsOf = (journal: Journal, from: Position): Position[] => [...journal.read(from)].map(({ position }) => position)

/** What every journal does. `make` gives new, empty storage. */
export function journalConformance(name: string, make: () => Promise<JournalStorage>): void {
  describe(`${name} is a journal`, () => {
    let storage: JournalStorage
    let journal: Journal

    beforeEach(async () => {
      storage = await make()
      journal = await storage.open()
    })

    afterEach(async () => {
      await journal.close()
      await storage.remove()
    })

    const append = async (from: Position, to: Position): Promise<void> => {
      const appends: Promise<void>[] = []
      for (let position = from; position <= to; position++) appends.push(journal.append(position, bytesOf(`record ${position}`)))
      await Promise.all(appends)
    }

    const reopen = async (): Promise<void> => {
      await journal.close()
      journal = await storage.open()
    }

    it('begins at 0 with nothing to read', () => {
      expect(journal.lastPosition).toBe(0)
      expect([...journal.read(1)]).toEqual([])
    })

    it('[I12] reads what it stored, in order, from any position on', async () => {
      await append(1, 300)
      expect([...journal.read(1)].map(({ bytes }) => textOf(bytes))).toEqual(
        Array.from({ length: 300 }, (_, index) => `record ${index + 1}`),
      )
      expect(positionsOf(journal, 299)).toEqual([299, 300])
      expect(positionsOf(journal, 301)).toEqual([])
    })

    it('[I12] finds everything again when it is opened again', async () => {
      await append(1, 20)
      await reopen()
      expect(journal.lastPosition).toBe(20)
      expect(positionsOf(journal, 1)).toHaveLength(20)
      await append(21, 21)
      expect(positionsOf(journal, 20)).toEqual([20, 21])
    })

    it('resolves overlapping appends in call order, and stores them so', async () => {
      const resolved: Position[] = []
      const appends = [1, 2, 3, 4, 5].map((position) =>
        journal.append(position, bytesOf('x')).then(() => resolved.push(position)),
      )
      expect(journal.lastPosition).toBe(5)
      await Promise.all(appends)
      expect(resolved).toEqual([1, 2, 3, 4, 5])
      expect(positionsOf(journal, 1)).toEqual([1, 2, 3, 4, 5])
    })

    it('takes a gap, and never a position at or below the last', async () => {
      await append(1, 2)
      await journal.append(1_000, bytesOf('after a restore'))
      expect(journal.lastPosition).toBe(1_000)
      for (const position of [1_000, 3, 0, -1, 1_001.5, Number.NaN, 2 ** 53]) {
        await expect(journal.append(position, bytesOf('x'))).rejects.toThrow(RangeError)
      }
      expect(positionsOf(journal, 1)).toEqual([1, 2, 1_000])
    })

    it('keeps positions that need more than 32 bits in order', async () => {
      await journal.append(2 ** 32 - 1, bytesOf('a'))
      await journal.append(2 ** 32, bytesOf('b'))
      await journal.append(2 ** 53 - 2, bytesOf('c'))
      await reopen()
      expect(journal.lastPosition).toBe(2 ** 53 - 2)
      expect(positionsOf(journal, 2 ** 32)).toEqual([2 ** 32, 2 ** 53 - 2])
    })

    it('stores empty and large records as they are', async () => {
      const large = Uint8Array.from({ length: 3_000_000 }, (_, index) => (index * 7) % 251)
      await Promise.all([journal.append(1, new Uint8Array(0)), journal.append(2, large), journal.append(3, new Uint8Array([0]))])
      const [first, second, third] = [...journal.read(1)]
      expect(first?.bytes).toHaveLength(0)
      expect(second !== undefined && Buffer.from(second.bytes).equals(large)).toBe(true)
      expect([...(third?.bytes ?? [])]).toEqual([0])
    })

    it('gives bytes that stay as they are, and that the caller may change', async () => {
      await append(1, 3)
      const read = [...journal.read(1)]
      read[0]?.bytes.fill(0)
      await append(4, 50)
      expect([...journal.read(1)].map(({ bytes }) => textOf(bytes)).slice(0, 3)).toEqual(['record 1', 'record 2', 'record 3'])
      expect(read[2] === undefined ? '' : textOf(read[2].bytes)).toBe('record 3')
    })

    it('reads a snapshot of the time of the call, whatever is appended and trimmed meanwhile', async () => {
      await append(1, 5)
      const snapshot = journal.read(1)
      await append(6, 8)
      await journal.trim(3)
      expect([...snapshot].map(({ position }) => position)).toEqual([1, 2, 3, 4, 5])
      expect(positionsOf(journal, 1)).toEqual([4, 5, 6, 7, 8])
    })

    it('trims up to and including a position, over any number of records', async () => {
      await append(1, 1_000)
      await journal.trim(998)
      expect(positionsOf(journal, 1)).toEqual([999, 1_000])
      await journal.trim(5)
      expect(positionsOf(journal, 1)).toEqual([999, 1_000])
    })

    it('does not lower the last position by trimming, nor by being opened again', async () => {
      await append(1, 7)
      await journal.trim(1_000_000)
      expect(journal.lastPosition).toBe(7)
      await reopen()
      expect(journal.lastPosition).toBe(7)
      expect(positionsOf(journal, 1)).toEqual([])
      await append(8, 8)
      expect(positionsOf(journal, 1)).toEqual([8])
    })

    it('trims while it appends, twice at a time', async () => {
      await append(1, 600)
      await Promise.all([journal.trim(500), append(601, 620), journal.trim(300)])
      expect(positionsOf(journal, 1)).toEqual(Array.from({ length: 120 }, (_, index) => 501 + index))
    })

    it('says how many bytes are free', () => {
      expect(journal.freeBytes()).toBeGreaterThan(0)
    })

    it('refuses appends once it is closed', async () => {
      await journal.close()
      await expect(journal.append(1, bytesOf('late'))).rejects.toThrow()
    })
  })
}
