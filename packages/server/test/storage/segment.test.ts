import { hash } from 'node:crypto'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { JournalRecord } from '@posthaste/core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { encodeHead, FrameMaker, SegmentReader, sectorBytes } from '../../src/storage/segment.ts'

const head = { mark: 7, seed: 9, after: 0, trimmed: 0 }

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'posthaste-segment-'))
})
afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

const recordOf = (position: number, length: number): JournalRecord => ({ position, bytes: Buffer.alloc(length, position) })

/** Compared as such: one by one, the bytes of large records take seconds. */
const digestOf = ({ position, bytes }: JournalRecord) => ({ position, bytes: hash('sha256', bytes) })

/** What a reader finds of these frames in a file. */
function readBack(frames: readonly Buffer[]) {
  const path = join(root, 'segment')
  writeFileSync(path, Buffer.concat([encodeHead(head), ...frames]))
  const reader = new SegmentReader(path)
  try {
    return [...reader.frames()].map(({ records, trimmed }) => ({
      trimmed,
      records: records.map(digestOf),
    }))
  } finally {
    reader.close()
  }
}

describe('FrameMaker', () => {
  it('[I12] makes what a reader reads: any number of records of any size, at any position', () => {
    const maker = new FrameMaker()
    const all = [
      [recordOf(1, 0)],
      [],
      [recordOf(2, 3_000_000), recordOf(3, 1)],
      [recordOf(2 ** 32 + 5, 511), recordOf(2 ** 53 - 1, 40_000)],
    ]
    const trimmed = [0, 1, 2 ** 33 + 1, 2 ** 53 - 1]
    const frames = all.map((records, index) => Buffer.from(maker.make(records, trimmed[index] ?? 0, head)))
    expect(frames.map(({ length }) => length % sectorBytes)).toEqual([0, 0, 0, 0])
    expect(readBack(frames)).toEqual(all.map((records, index) => ({ records: records.map(digestOf), trimmed: trimmed[index] })))
  })

  it('leaves nothing of one frame in the next', () => {
    const maker = new FrameMaker()
    maker.make([recordOf(255, 5_000)], 0, head)
    const frame = maker.make([recordOf(256, 300)], 0, head)
    expect(frame).toEqual(new FrameMaker().make([recordOf(256, 300)], 0, head))
    expect(frame.subarray(-100)).toEqual(Buffer.alloc(100))
  })
})
