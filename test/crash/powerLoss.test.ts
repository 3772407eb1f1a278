import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { randomOf } from '../process/place.ts'
import { runImages } from './imagesRun.ts'
import { Disk, Loss } from './powerLoss.ts'
import type { DiskCall } from './recording.ts'

let directory: string
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'posthaste-loss-'))
})
afterEach(() => rmSync(directory, { recursive: true }))

const path = 'file'
const sector = 512
const at = (startedAt: number, endedAt = startedAt) => ({ startedAt, endedAt })
const write = (letter: string, place: number, sectors: number, isSynchronous = false) =>
  ({ kind: 'write', path, at: place * sector, bytes: Buffer.alloc(sectors * sector, letter), isSynchronous }) as const

const create: DiskCall = { kind: 'create', path, ...at(1) }
const flushNames: DiskCall = { kind: 'flush', path: '', ...at(2) }

/** What 300 power losses at this moment leave of the file: one letter a sector, `-` for zeros; `none` for no file. */
function leftovers(calls: readonly DiskCall[], moment: number): Set<string> {
  const disk = new Disk({ calls, told: [], end: moment })
  disk.advance(moment)
  const random = randomOf(1)
  const found = new Set<string>()
  for (let image = 0; image < 300; image++) {
    const place = join(directory, String(image))
    disk.writeImage(place, new Loss(random))
    const bytes = existsSync(join(place, path)) ? readFileSync(join(place, path), 'latin1') : undefined
    const letters = bytes === undefined ? 'none' : bytes.replace(/(.)\1{511}/gs, '$1').replaceAll('\0', '-')
    found.add(letters)
  }
  return found
}

describe('the model of a disk that loses power', () => {
  it('may lose, keep or tear what was not flushed', () => {
    const calls = [create, flushNames, { ...write('a', 0, 2), ...at(3) }]
    expect(leftovers(calls, 4)).toEqual(new Set(['', 'a', '-a', 'aa']))
  })

  it('keeps what a flush covers, and only that', () => {
    const flush: DiskCall = { kind: 'flush', path, ...at(4) }
    const calls = [create, flushNames, { ...write('a', 0, 1), ...at(3) }, flush, { ...write('b', 1, 1), ...at(5) }]
    expect(leftovers(calls, 6)).toEqual(new Set(['a', 'ab']))
    expect(leftovers(calls, 3)).toEqual(new Set(['', 'a']))
  })

  it('promises nothing for a flush that has not ended, or a write that ended after it began', () => {
    const flush: DiskCall = { kind: 'flush', path, ...at(4, 8) }
    const calls = [create, flushNames, { ...write('a', 0, 1), ...at(3, 5) }, flush]
    expect(leftovers(calls, 7)).toEqual(new Set(['', 'a']))
    expect(leftovers(calls, 9)).toEqual(new Set(['', 'a']))
  })

  it('keeps a synchronous write once it has ended, and nothing else with it', () => {
    const calls = [create, flushNames, { ...write('a', 0, 1), ...at(3) }, { ...write('b', 1, 1, true), ...at(4, 6) }]
    expect(leftovers(calls, 5)).toEqual(new Set(['', 'a', '-b', 'ab']))
    expect(leftovers(calls, 6)).toEqual(new Set(['-b', 'ab']))
  })

  it('reorders writes of different places, never of one', () => {
    const flush: DiskCall = { kind: 'flush', path, ...at(5) }
    const calls = [create, flushNames, { ...write('a', 0, 1), ...at(3) }, { ...write('b', 0, 1), ...at(4) }, flush]
    expect(leftovers(calls, 4)).toEqual(new Set(['', 'a', 'b']))
    expect(leftovers(calls, 5)).toEqual(new Set(['b']))
  })

  it('keeps changes of names in order', () => {
    const made: DiskCall = { kind: 'create', path: 'new', ...at(1) }
    const written: DiskCall = { ...write('a', 0, 1), path: 'new', ...at(2) }
    const flushed: DiskCall = { kind: 'flush', path: 'new', ...at(3) }
    const renamed: DiskCall = { kind: 'rename', path: 'new', to: path, ...at(4) }
    const calls = [made, written, flushed, renamed, { ...flushNames, ...at(5) }]
    expect(leftovers(calls, 4)).toEqual(new Set(['none', 'a']))
    expect(leftovers(calls, 5)).toEqual(new Set(['a']))
  })
})

describe('a data directory after a power loss', () => {
  it('[I1] [I2] [I3] [I4] [I6] [I12] opens, and has all that was told, whatever was not flushed', {
    timeout: 300_000,
  }, async () => {
    const total = await runImages({ images: 200, seed: 1, messages: 120, processes: 2, isUnflushed: false })
    expect(total.faults.slice(0, 3)).toEqual([])
    expect(total).toMatchObject({ images: 200, died: 0 })
    expect(total.lossy).toBeGreaterThan(50)
    expect(total.told).toBeGreaterThan(10_000)
  })

  it('shows it when the journal is not flushed: the check can fail', { timeout: 300_000 }, async () => {
    const total = await runImages({ images: 60, seed: 1, messages: 40, processes: 1, isUnflushed: true })
    // LMDB may not survive what can't be, and takes the process with it.
    expect(total.faults.length + total.died).toBeGreaterThan(0)
  })
})
