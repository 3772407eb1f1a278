import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { LmdbTables } from '../../src/storage/tables.ts'
import { startChild } from './child-process.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'posthaste-tables-'))
})

afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

const generationOf = (lines: readonly string[], word: string): number =>
  lines.filter((line) => line.startsWith(`${word} `)).length

/** The distinct generations of the rows; a whole checkpoint has one. */
function generationsIn(tables: LmdbTables): number[] {
  const rows = tables.scan(Buffer.from('0'), Buffer.from('9'), 1_000_000)
  return [...new Set(rows.map(([, value]) => value[0] ?? -1))]
}

describe('LmdbTables and the disk', () => {
  it('does not show a checkpoint that the other thread has committed before this one has been told', async () => {
    const tables = LmdbTables.open(join(root, 'tables'))
    const key = Buffer.from('key')
    await tables.beginCheckpoint().commit()
    const checkpoint = tables.beginCheckpoint()
    checkpoint.put(key, key)
    // Enough of it that its commit takes longer than the turn of the event loop below.
    for (let row = 0; row < 30_000; row++) checkpoint.put(Buffer.from(`key ${String(row).padStart(5, '0')}`), key)
    let isResolved = false
    const committed = checkpoint.commit().then(() => {
      isResolved = true
    })
    tables.get(key)
    await new Promise<void>((resolve) => {
      setTimeout(() => {
        // The answer can't be received meanwhile.
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 500)
        resolve()
      }, 0)
    })
    // On a machine that stood still meanwhile it may have been told already; then it is to be seen.
    expect([tables.get(key) !== undefined, isResolved]).toEqual([isResolved, isResolved])
    await committed
    expect(tables.get(key)).toEqual(Uint8Array.from(key))
    await tables.close()
  })

  it('[I12] has one whole checkpoint, at least the last acknowledged, after its process was killed in the middle of the next', async () => {
    for (const [word, count] of [
      ['committed', 2],
      ['filled', 3],
      ['filled', 5],
    ] as const) {
      const directory = join(root, `${word}-${count}`)
      const child = startChild('checkpoint', [directory, '20000'])
      await child.line((line) => line === `${word} ${count}`)
      await child.kill()
      const tables = LmdbTables.open(directory)
      const [generation, ...others] = generationsIn(tables)
      expect(others).toEqual([])
      expect(generation).toBeGreaterThanOrEqual(generationOf(child.lines, 'committed'))
      expect(generation).toBeLessThanOrEqual(generationOf(child.lines, 'filled') + 1)
      await tables.close()
    }
  })

  it.each([
    ['ENOSPC', 'pwrite64,pwritev,writev', 'disk-full'],
    ['EIO', 'fdatasync', 'tables-failed'],
  ])('rejects a checkpoint when the disk says %s to %s, and still reads the one before', async (error, calls, code) => {
    const inject = ['-e', `trace=${calls}`, '-e', `inject=${calls}:error=${error}:when=${calls === 'fdatasync' ? 3 : 40}+`]
    const child = startChild('checkpoint', [join(root, 'tables'), '5000'], ['strace', '-f', '-o', '/dev/null', ...inject])
    await child.ended
    const committed = generationOf(child.lines, 'committed')
    expect(committed).toBeGreaterThan(0)
    expect(child.lines.slice(-3)).toEqual([`rejected ${code}`, `row ${committed}`, 'closed'])
  })

  it('rejects a checkpoint with disk-full on a disk that fills up', async () => {
    const disk = join(root, 'disk')
    mkdirSync(disk)
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk]).status).toBe(0)
    try {
      const child = startChild('checkpoint', [join(disk, 'tables'), '50000'])
      await child.ended
      expect(child.lines).toEqual(['filled 1', 'rejected disk-full', 'row none', 'closed'])
    } finally {
      spawnSync('umount', [disk])
    }
  })

  it.each([
    ['nothing', 0, ''],
    ['zeros, less than a page', 3_072, ''],
    ['the first root alone', 4_096, 'first'],
    ['the second root alone', 8_192, 'second'],
  ])('[I12] opens after a power loss while its file was being made, which left %s', async (_what, size, kept) => {
    const directory = join(root, 'tables')
    await LmdbTables.open(directory).close()
    const path = join(directory, 'data.mdb')
    const whole = readFileSync(path)
    expect(whole).toHaveLength(8_192)
    const left = Buffer.alloc(size)
    if (kept === 'first') whole.copy(left, 0, 0, 4_096)
    if (kept === 'second') whole.copy(left, 4_096, 4_096)
    writeFileSync(path, left)
    // In a process of its own: LMDB crashes on some of these.
    const child = startChild('checkpoint', [directory, '10'])
    await child.line((line) => line === 'committed 2')
    await child.kill()
  })

  it('[I12] leaves a file alone that has more than its roots, whatever they are', async () => {
    const directory = join(root, 'tables')
    mkdirSync(directory)
    const content = Buffer.alloc(12_288, 1)
    writeFileSync(join(directory, 'data.mdb'), content)
    await startChild('checkpoint', [directory, '10']).ended
    expect(readFileSync(join(directory, 'data.mdb')).equals(content)).toBe(true)
  })

  it('[I10] reuses the pages of replaced rows, also while reads and sweeps go on', async () => {
    const tables = LmdbTables.open(join(root, 'tables'))
    const sizes: number[] = []
    for (let round = 0; round < 10; round++) {
      const checkpoint = tables.beginCheckpoint()
      for (let row = 0; row < 10_000; row++) {
        checkpoint.put(Buffer.from(String(row).padStart(7, '0')), new Uint8Array(200).fill(round))
        if (row % 1_000 === 0) tables.get(Buffer.from('0000001'))
      }
      await checkpoint.commit()
      await tables.sweepKeys(null, 0, 1_000)
      sizes.push(statSync(join(root, 'tables', 'data.mdb')).size)
    }
    await tables.close()
    expect(sizes.at(-1)).toBeLessThan(1.2 * (sizes[3] ?? 0))
  })
})
