import { describe, expect, it } from 'vitest'
import { MemoryJournal, MemoryTables } from '../src/memory/index.ts'
import { journalConformance } from './conformance/journal.ts'
import { tablesConformance } from './conformance/tables.ts'

journalConformance('MemoryJournal', () => {
  let journal: MemoryJournal | undefined
  return Promise.resolve({
    open: () => {
      journal = journal === undefined ? new MemoryJournal() : journal.crash()
      return Promise.resolve(journal)
    },
    remove: () => Promise.resolve(),
  })
})

tablesConformance('MemoryTables', () => {
  let tables: MemoryTables | undefined
  return Promise.resolve({
    open: () => {
      tables = tables === undefined ? new MemoryTables() : tables.crash()
      return Promise.resolve(tables)
    },
    remove: () => Promise.resolve(),
  })
})

describe('MemoryJournal with manual flushing', () => {
  const byte = (value: number): Uint8Array => Uint8Array.of(value)
  const read = (journal: MemoryJournal): number[] => [...journal.read(1)].map(({ position }) => position)

  it('acknowledges and yields a record only once it is flushed', async () => {
    const journal = new MemoryJournal({ flushing: 'manual' })
    const resolved: number[] = []
    const appends = [1, 2, 3].map((position) => journal.append(position, byte(position)).then(() => resolved.push(position)))
    await Promise.resolve()
    expect([read(journal), resolved, journal.unflushedCount]).toEqual([[], [], 3])
    journal.flush(2)
    await Promise.all(appends.slice(0, 2))
    expect([read(journal), resolved, journal.unflushedCount]).toEqual([[1, 2], [1, 2], 1])
  })

  it('[I12] takes nothing more for a process that has crashed', async () => {
    const journal = new MemoryJournal()
    journal.crash()
    await expect(journal.trim(1)).rejects.toThrow('crashed')
    const tables = new MemoryTables()
    const checkpoint = tables.beginCheckpoint()
    checkpoint.put(byte(1), byte(1))
    const after = tables.crash()
    await expect(checkpoint.commit()).rejects.toThrow('closed')
    await expect(tables.sweepKeys(null, 0, 1)).rejects.toThrow('closed')
    expect(after.rowCount).toBe(0)
  })

  it('[I12] loses what is unflushed in a crash, and reuses its positions', async () => {
    const journal = new MemoryJournal({ flushing: 'manual' })
    void journal.append(1, byte(1))
    journal.flush()
    void journal.append(2, byte(2))
    const next = journal.crash()
    expect([next.lastPosition, read(next)]).toEqual([1, [1]])
    await expect(journal.append(3, byte(3))).rejects.toThrow('crashed')
  })

  it('[I12] keeps a prefix of what is unflushed when told that it reached the disk', () => {
    const journal = new MemoryJournal({ flushing: 'manual' })
    for (const position of [1, 2, 3]) void journal.append(position, byte(position))
    expect(read(journal.crash(2))).toEqual([1, 2])
  })

  it('stores what the bytes are when it flushes them', () => {
    const journal = new MemoryJournal({ flushing: 'manual' })
    const bytes = byte(1)
    void journal.append(1, bytes)
    bytes[0] = 9
    journal.flush()
    bytes[0] = 10
    expect([...journal.read(1)].map((record) => record.bytes[0])).toEqual([9])
  })

  it('rejects what is unflushed and everything later when the disk fails', async () => {
    const journal = new MemoryJournal({ flushing: 'manual' })
    const append = journal.append(1, byte(1))
    journal.fail(new Error('disk'))
    await expect(append).rejects.toThrow('disk')
    await expect(journal.append(2, byte(2))).rejects.toThrow('disk')
  })

  it('says the free bytes that it was told', () => {
    const journal = new MemoryJournal({ freeBytes: 7 })
    expect(journal.freeBytes()).toBe(7)
    journal.setFreeBytes(0)
    expect(journal.freeBytes()).toBe(0)
  })
})
