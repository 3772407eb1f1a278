/** Entries of which nobody has asked for the bytes yet, and rows that are used again. */
import { describe, expect, it } from 'vitest'
import type { Command } from '../src/index.ts'
import { EntryRow } from '../src/rows/entryRow.ts'
import { Ground } from './ground.ts'

const bodySizes = [0, 1, 200, 255, 256, 900, 65_000]

/** Messages of all sizes to a user and to a group, of a sender whose other device gets echoes. */
function ground(): { readonly made: Ground; readonly sends: readonly Command[] } {
  const made = new Ground()
  made.users('alice', 'bob')
  made.group('team', 'alice', 'bob')
  made.connect('alice', 1)
  made.connect('bob', 1)
  const sends = bodySizes.flatMap((bodyBytes, at) => [
    made.sendOf('alice', 'bob', { id: 2 * at, bodyBytes }),
    made.sendOf('alice', '#team', { id: 2 * at + 1, bodyBytes, receipts: false }),
  ])
  return { made, sends }
}

describe('[I11] an entry that was replayed', () => {
  it('counts with the bytes that it will have, and has those of one that was applied', () => {
    const applied = ground()
    const replayed = ground()
    applied.made.apply(...applied.sends)
    replayed.made.replay(...replayed.sends)
    for (const log of ['bob', 'alice', '#team']) {
      expect(applied.made.seqs(log).length).toBeGreaterThanOrEqual(bodySizes.length)
      for (const seq of applied.made.seqs(log)) {
        const entry = replayed.made.entry(log, seq)
        const { size, bytes } = applied.made.entry(log, seq) ?? {}
        expect(entry?.size).toBe(size)
        expect(entry?.bytes).toEqual(bytes)
        expect(entry?.size).toBe(size)
      }
    }
    expect(replayed.made.rows()).toEqual(applied.made.rows())
  })

  it('is in a checkpoint with its bytes, though nobody has asked for them', () => {
    const applied = ground()
    const replayed = ground()
    applied.made.apply(...applied.sends)
    replayed.made.replay(...replayed.sends)
    expect(replayed.made.rows()).toEqual(applied.made.rows())
  })
})

describe('[I11] the row of an entry that is gone', () => {
  it('has nothing of it when it is used for another one', () => {
    const used = new Ground()
    used.users('alice', 'bob')
    used.connect('bob', 1)
    used.apply(used.sendOf('alice', 'bob', { id: 1, bodyBytes: 300 }))
    const row = used.entry('bob', 1)
    used.ack('bob', 1, 1)
    expect(used.seqs('bob')).toEqual([])
    used.apply(used.sendOf('alice', 'bob', { id: 2, bodyBytes: 3, receipts: false }))
    expect(used.entry('bob', 2)).toBe(row)
    expect(row).toMatchObject({ id: 2n, count: 2, isStored: false, isClosed: false, isHole: false, receipts: false })
    expect(row?.size).toBe(row?.bytes.length)
  })

  it('has nothing of it, whatever it was', () => {
    const [fresh, used] = [ground(), ground()]
    const last = Object.assign(new EntryRow(), {
      generation: 9,
      isOnDisk: true,
      place: 7,
      sender: 99,
      device: 'ff',
      id: 77n,
      count: 5,
    })
    const marks = { isEcho: true, isStored: true, isClosed: true, isHole: true, delivered: 3, read: 2, members: 4, size: 11 }
    used.made.state.spareEntries.push(
      Object.assign(last, marks, { timeMs: 1, deadlineMs: 2, receipts: true, echoTo: { toKind: 1, to: 'x' } }),
    )
    for (const { made, sends } of [fresh, used]) made.apply(...sends.slice(1, 2), ...sends.slice(0, 1))
    expect(used.made.state.spareEntries).toEqual([])
    expect(used.made.rows()).toEqual(fresh.made.rows())
  })

  it('is kept while there are not many of them', () => {
    const made = new Ground()
    made.users('alice', 'bob')
    made.connect('bob', 1)
    const { spareEntries } = made.state
    for (let spare = 0; spare < 16_384; spare++) spareEntries.push(new EntryRow())
    made.apply(made.sendOf('alice', 'bob', { id: 1 }), made.sendOf('alice', 'bob', { id: 2 }))
    made.ack('bob', 1, 2)
    expect(spareEntries).toHaveLength(16_384)
    const other = new EntryRow()
    made.apply(made.sendOf('alice', 'bob', { id: 3 }))
    spareEntries.push(other)
    made.ack('bob', 1, 3)
    expect(spareEntries.at(-1)).toBe(other)
  })

  it('is another one once a checkpoint may have it', () => {
    const made = new Ground()
    made.users('alice', 'bob')
    made.connect('bob', 1)
    made.apply(made.sendOf('alice', 'bob', { id: 1 }))
    const row = made.entry('bob', 1)
    made.state.generations.freeze()
    made.ack('bob', 1, 1)
    made.apply(made.sendOf('alice', 'bob', { id: 2 }))
    expect(made.entry('bob', 2)).not.toBe(row)
  })
})
