import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { LmdbJournal } from '../../src/storage/journal.ts'
import { StorageError } from '../../src/storage/storage-error.ts'
import { startChild } from './child-process.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'posthaste-journal-'))
})

afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

const lastAcknowledged = (lines: readonly string[]): number =>
  Math.max(0, ...lines.filter((line) => line.startsWith('ack ')).map((line) => Number(line.slice(4))))

const positionsOf = (journal: LmdbJournal): number[] => [...journal.read(1)].map(({ position }) => position)

/** The system calls of one acknowledgement, as strace saw them end, told by what they do to the journal's file. */
function callsByAcknowledgement(trace: string): string[][] {
  const calls: string[][] = [[]]
  const unfinished = new Map<string, string>()
  for (const line of trace.split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    if (/^write\(1<[^>]*>+, "ack /.test(rest)) {
      calls.push([])
      continue
    }
    if (rest.includes('<unfinished ...>')) unfinished.set(thread, rest)
    const begun = /^<\.\.\. \w+ resumed>/.test(rest) ? (unfinished.get(thread) ?? '') : rest
    if (rest.includes('<unfinished ...>') || begun.startsWith('openat') || !begun.includes('data.mdb>')) continue
    if (!/ = \d+$/.test(rest)) throw new Error(`A call failed: ${line}`)
    const [, name = '', descriptor = ''] = /^(\w+)\((\d+)</.exec(begun) ?? []
    calls.at(-1)?.push(`${name} ${descriptor}`)
  }
  return calls
}

describe('LmdbJournal and the disk', () => {
  it('[I1] acknowledges an append only after the pages are synced and the root is written through', async () => {
    const tracePath = join(root, 'trace')
    const calls = 'trace=openat,write,writev,pwrite64,pwritev,fdatasync,fsync,msync'
    const child = startChild('append', [join(root, 'journal'), '6', '9000'], ['strace', '-f', '-y', '-e', calls, '-o', tracePath])
    await child.ended
    expect(lastAcknowledged(child.lines)).toBe(6)
    const trace = readFileSync(tracePath, 'utf8')
    const [, throughDescriptor] = /data\.mdb", O_WRONLY\|O_DSYNC\|O_CLOEXEC\) = (\d+)/.exec(trace) ?? []
    const acknowledgements = callsByAcknowledgement(trace).slice(0, 6)
    expect(acknowledgements).toHaveLength(6)
    for (const acknowledgement of acknowledgements) {
      const [rootWrite, sync, pages] = acknowledgement.reverse()
      expect(rootWrite).toBe(`pwrite64 ${throughDescriptor}`)
      expect(sync).toMatch(/^fdatasync \d+$/)
      expect(pages).toMatch(/^(writev|pwritev|pwrite64) \d+$/)
      expect(pages).not.toBe(rootWrite)
    }
  })

  it('[I12] has every acknowledged record, and no gap, after its process was killed while it appended', async () => {
    const directory = join(root, 'journal')
    let acknowledged = 0
    for (let round = 1; round <= 4; round++) {
      const child = startChild('append', [directory, '1000000', '2000', String(round)])
      await child.line((line) => lastAcknowledged([line]) >= acknowledged + 50 * round)
      await child.kill()
      acknowledged = lastAcknowledged(child.lines)
      const journal = LmdbJournal.open(directory)
      const positions = positionsOf(journal)
      expect(journal.lastPosition).toBeGreaterThanOrEqual(acknowledged)
      expect(positions).toEqual(Array.from({ length: journal.lastPosition }, (_, index) => index + 1))
      acknowledged = journal.lastPosition
      await journal.close()
    }
  })

  it.each([
    ['ENOSPC', 'pwrite64,pwritev,writev', '12+', 'disk-full'],
    ['EIO', 'fdatasync', '12+', 'journal-failed'],
    ['EIO', 'fdatasync', '12', 'journal-failed'],
    ['EIO', 'pwrite64', '12+', 'journal-failed'],
  ])('[I12] rejects an append when the disk says %s to %s (%s), and every later one', async (error, calls, when, code) => {
    const directory = join(root, 'journal')
    // strace counts per thread: with one in the pool, a single failure is followed by a disk that works.
    const inject = ['-e', `trace=${calls}`, '-e', `inject=${calls}:error=${error}:when=${when}`]
    const child = startChild(
      'append',
      [directory, '1000', '9000', '2'],
      ['env', 'UV_THREADPOOL_SIZE=1', 'strace', '-f', '-o', '/dev/null', ...inject],
    )
    await child.ended
    expect(child.lines.filter((line) => !line.startsWith('ack '))).toEqual([`rejected ${code}`, `then ${code}`, 'closed'])
    const journal = LmdbJournal.open(directory)
    expect(positionsOf(journal)).toEqual(Array.from({ length: journal.lastPosition }, (_, index) => index + 1))
    expect(journal.lastPosition).toBeGreaterThanOrEqual(lastAcknowledged(child.lines))
    await journal.close()
  })

  it.each([
    ['nothing', 0, ''],
    ['zeros, less than a page', 3_072, ''],
    ['the first root alone', 4_096, 'first'],
    ['the second root alone', 8_192, 'second'],
  ])('[I12] opens after a power loss while its file was being made, which left %s', async (_what, size, kept) => {
    const directory = join(root, 'journal')
    await LmdbJournal.open(directory).close()
    const path = join(directory, 'data.mdb')
    const whole = readFileSync(path)
    expect(whole).toHaveLength(8_192)
    const left = Buffer.alloc(size)
    if (kept === 'first') whole.copy(left, 0, 0, 4_096)
    if (kept === 'second') whole.copy(left, 4_096, 4_096)
    writeFileSync(path, left)
    // In a process of its own: LMDB crashes on some of these.
    const child = startChild('append', [directory, '3', '100'])
    await child.ended
    expect(lastAcknowledged(child.lines)).toBe(3)
  })

  it('[I12] leaves a file alone that has more than its roots, whatever they are', async () => {
    const directory = join(root, 'journal')
    mkdirSync(directory)
    const content = Buffer.alloc(12_288, 1)
    writeFileSync(join(directory, 'data.mdb'), content)
    await startChild('append', [directory, '3', '100']).ended
    expect(readFileSync(join(directory, 'data.mdb')).equals(content)).toBe(true)
  })

  it('rejects appends with disk-full on a disk that fills up, and keeps what it acknowledged', async () => {
    const disk = join(root, 'disk')
    mkdirSync(disk)
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk]).status).toBe(0)
    try {
      const child = startChild('append', [join(disk, 'journal'), '1000', '30000', '2'])
      await child.ended
      expect(child.lines.filter((line) => !line.startsWith('ack '))).toEqual(['rejected disk-full', 'then disk-full', 'closed'])
      const journal = LmdbJournal.open(join(disk, 'journal'))
      expect(journal.lastPosition).toBeGreaterThanOrEqual(lastAcknowledged(child.lines))
      expect(lastAcknowledged(child.lines)).toBeGreaterThan(20)
      await journal.close()
    } finally {
      spawnSync('umount', [disk])
    }
  })

  it('says that a directory is read-only, and which', () => {
    const disk = join(root, 'disk')
    mkdirSync(disk)
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'ro', 'tmpfs', disk]).status).toBe(0)
    try {
      for (const path of [disk, join(disk, 'below')]) {
        let error: unknown
        try {
          LmdbJournal.open(path)
        } catch (cause) {
          error = cause
        }
        expect(error).toBeInstanceOf(StorageError)
        expect(error).toMatchObject({ code: 'directory-read-only', message: expect.stringContaining(path) })
      }
    } finally {
      spawnSync('umount', [disk])
    }
  })

  it('lets nobody else read its files', async () => {
    const directory = join(root, 'shard-0', 'journal')
    const journal = LmdbJournal.open(directory)
    const modes = [join(root, 'shard-0'), directory, join(directory, 'data.mdb')].map((path) =>
      (statSync(path).mode & 0o777).toString(8),
    )
    expect(modes).toEqual(['700', '700', '600'])
    await journal.close()
  })

  it('[I10] does not grow while it is trimmed as it is filled', async () => {
    const journal = LmdbJournal.open(join(root, 'journal'))
    const sizes: number[] = []
    for (let round = 0; round < 12; round++) {
      const appends: Promise<void>[] = []
      for (let index = 0; index < 300; index++) {
        appends.push(journal.append(journal.lastPosition + 1, new Uint8Array(1_000 + ((index * 7_919) % 14_000))))
        if (appends.length % 3 === 0) await Promise.all(appends)
      }
      await Promise.all(appends)
      await journal.trim(journal.lastPosition - 10)
      sizes.push(statSync(join(root, 'journal', 'data.mdb')).size)
    }
    await journal.close()
    expect(sizes.at(-1)).toBeLessThan(1.5 * (sizes[1] ?? 0))
  })

  it('[I10] trims along with what is appended, and by itself only when nothing is', async () => {
    const journal = LmdbJournal.open(join(root, 'journal'))
    const append = (): Promise<void> => journal.append(journal.lastPosition + 1, Uint8Array.of(1))
    await Promise.all(Array.from({ length: 200 }, append))
    vi.useFakeTimers({ toFake: ['setTimeout'] })
    try {
      let isTrimmed = false
      const trimmed = journal.trim(64).then(() => {
        isTrimmed = true
      })
      await append()
      expect(positionsOf(journal)[0]).toBe(33)
      expect(isTrimmed).toBe(false)
      await append()
      await trimmed
      expect(positionsOf(journal)[0]).toBe(65)
      const rest = journal.trim(190)
      await append()
      vi.advanceTimersByTime(20)
      await append()
      expect(positionsOf(journal)[0]).toBe(129)
      vi.advanceTimersByTime(20)
      vi.advanceTimersByTime(20)
      await rest
      expect(positionsOf(journal)[0]).toBe(191)
      const unfinished = expect(journal.trim(200)).rejects.toThrow('is closed')
      await journal.close()
      await unfinished
    } finally {
      vi.useRealTimers()
    }
  })
})
