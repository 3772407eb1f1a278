import { execFileSync, spawnSync } from 'node:child_process'
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { FileJournal } from '../../src/storage/journal.ts'
import { encodeHead, FrameMaker } from '../../src/storage/segment.ts'
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

const positionsOf = (journal: FileJournal): number[] => [...journal.read(1)].map(({ position }) => position)

/** Appends so many records, each in a frame of its own. */
async function fill(journal: FileJournal, count: number, bytesOf: (index: number) => number): Promise<void> {
  for (let index = 0; index < count; index++) await journal.append(journal.lastPosition + 1, new Uint8Array(bytesOf(index)))
}

const names = (directory: string): string[] => readdirSync(directory).sort()

/** The system calls on the journal's files of a run of `append` with one append at a time, up to each acknowledgement. */
async function callsByAcknowledgement(args: readonly string[]): Promise<string[][]> {
  const tracePath = join(root, 'trace')
  const traced = 'trace=openat,rename,write,writev,pwrite64,pwritev,fdatasync,fsync,msync'
  const child = startChild('append', [join(root, 'journal'), ...args], ['strace', '-f', '-y', '-e', traced, '-o', tracePath])
  await child.ended
  const calls: string[][] = [[]]
  const unfinished = new Map<string, string>()
  for (const line of readFileSync(tracePath, 'utf8').split('\n')) {
    const [, thread = '', rest = ''] = /^(\d+)\s+(.*)$/.exec(line) ?? []
    if (/^write\(1<[^>]*>+, "ack /.test(rest)) calls.push([])
    if (rest.includes('<unfinished ...>')) unfinished.set(thread, rest)
    const begun = /^<\.\.\. \w+ resumed>/.test(rest) ? (unfinished.get(thread) ?? '') : rest
    if (rest.includes('<unfinished ...>') || !begun.includes(join(root, 'journal'))) continue
    const [, name = ''] = /^(\w+)\(/.exec(begun) ?? []
    const [path = ''] = /journal(\/[\w.-]+)?[">]/.exec(begun) ?? []
    const through = name === 'openat' && begun.includes('O_DSYNC') ? ' O_DSYNC' : ''
    if (/ = \d+/.test(rest)) calls.at(-1)?.push(`${name} ${path.slice(0, -1)}${through}`)
  }
  return calls.slice(0, -1)
}

describe('FileJournal and the disk', () => {
  it('[I1] acknowledges an append only after a write that ends on disk, in a file whose name is on disk', async () => {
    const [first, ...others] = await callsByAcknowledgement(['6', '9000'])
    const begin = ['openat journal/spare-000000000001 O_DSYNC', 'pwrite64 journal/spare-000000000001']
    const named = ['rename journal/spare-000000000001', 'openat journal', 'fsync journal']
    expect(first?.slice(-6)).toEqual([...begin, ...named, 'pwrite64 journal/000000000001.journal'])
    expect(others).toEqual(Array.from({ length: 5 }, () => ['pwrite64 journal/000000000001.journal']))
  })

  it('[I1] flushes after each write where a write does not end on disk', async () => {
    const [first, ...others] = await callsByAcknowledgement(['3', '9000', '1', 'flush'])
    const begin = ['pwrite64 journal/spare-000000000001', 'fdatasync journal/spare-000000000001']
    const named = ['rename journal/spare-000000000001', 'openat journal', 'fsync journal']
    const write = ['pwrite64 journal/000000000001.journal', 'fdatasync journal/000000000001.journal']
    expect(first?.slice(-7)).toEqual([...begin, ...named, ...write])
    expect(others).toEqual([write, write])
  })

  it('[I1] writes the last frame once more when it is opened again, since a failed write looks like one on disk', async () => {
    await callsByAcknowledgement(['3', '9000'])
    const [first] = await callsByAcknowledgement(['1', '100'])
    const path = 'journal/000000000001.journal'
    expect(first?.filter((call) => call.endsWith(path))).toEqual([
      `openat ${path}`,
      `openat ${path}`,
      `pwrite64 ${path}`,
      `fdatasync ${path}`,
    ])
  })

  it('[I12] has every acknowledged record, and no gap, after its process was killed while it appended', async () => {
    const directory = join(root, 'journal')
    let acknowledged = 0
    for (let round = 1; round <= 4; round++) {
      const child = startChild('append', [directory, '1000000', '2000', String(round)])
      await child.line((line) => lastAcknowledged([line]) >= acknowledged + 50 * round)
      await child.kill()
      acknowledged = lastAcknowledged(child.lines)
      const journal = FileJournal.open(directory)
      const positions = positionsOf(journal)
      expect(journal.lastPosition).toBeGreaterThanOrEqual(acknowledged)
      expect(positions).toEqual(Array.from({ length: journal.lastPosition }, (_, index) => index + 1))
      acknowledged = journal.lastPosition
      await journal.close()
    }
  })

  it.each([
    ['ENOSPC', 'pwrite64', '12+', 'disk-full'],
    ['EIO', 'pwrite64', '12+', 'journal-failed'],
    ['EIO', 'pwrite64', '12', 'journal-failed'],
    ['EIO', 'rename', '1', 'journal-failed'],
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
    const journal = FileJournal.open(directory)
    expect(positionsOf(journal)).toEqual(Array.from({ length: journal.lastPosition }, (_, index) => index + 1))
    expect(journal.lastPosition).toBeGreaterThanOrEqual(lastAcknowledged(child.lines))
    await journal.close()
  })

  it('[I12] takes a write that has not ended after 30 seconds for failed, and what waits behind it', async () => {
    const directory = join(root, 'journal')
    const fifo = join(directory, 'spare-000000000001')
    mkdirSync(directory)
    // Opening it ends when somebody reads it.
    execFileSync('mkfifo', [fifo])
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const journal = FileJournal.open(directory)
      let settled = 0
      const appends = [1, 2].map((position) => journal.append(position, new Uint8Array(9)))
      for (const append of appends) append.then(undefined, () => (settled += 1))
      await vi.advanceTimersByTimeAsync(29_000)
      expect(settled).toBe(0)
      await vi.advanceTimersByTimeAsync(1_000)
      const text = `${directory}: no answer from the disk in 30 s`
      for (const append of [...appends, journal.append(3, new Uint8Array(9))]) await expect(append).rejects.toThrow(text)
      await journal.close()
    } finally {
      vi.useRealTimers()
      closeSync(openSync(fifo, constants.O_RDONLY | constants.O_NONBLOCK))
    }
  })

  it('[I12] counts those seconds for each write anew, and none while there is none', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
    try {
      const journal = FileJournal.open(join(root, 'journal'))
      for (let position = 1; position <= 3; position++) {
        const append = journal.append(position, new Uint8Array(9))
        vi.advanceTimersByTime(20_000)
        await append
        vi.advanceTimersByTime(position * 1_000)
      }
      expect(positionsOf(journal)).toEqual([1, 2, 3])
      await journal.close()
    } finally {
      vi.useRealTimers()
    }
  })

  it('rejects appends with disk-full on a disk that fills up, and keeps what it acknowledged', async () => {
    const disk = join(root, 'disk')
    mkdirSync(disk)
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3m', 'tmpfs', disk]).status).toBe(0)
    try {
      const child = startChild('append', [join(disk, 'journal'), '1000', '30000', '2'])
      await child.ended
      expect(child.lines.filter((line) => !line.startsWith('ack '))).toEqual(['rejected disk-full', 'then disk-full', 'closed'])
      const journal = FileJournal.open(join(disk, 'journal'))
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
          FileJournal.open(path)
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
    const journal = FileJournal.open(directory)
    await journal.append(1, Uint8Array.of(1))
    const modes = [join(root, 'shard-0'), directory, join(directory, '000000000001.journal')].map((path) =>
      (statSync(path).mode & 0o777).toString(8),
    )
    expect(modes).toEqual(['700', '700', '600'])
    await journal.close()
  })

  it('[I10] does not grow while it is trimmed as it is filled: full segments are written again', async () => {
    const directory = join(root, 'journal')
    const journal = FileJournal.open(directory, { segmentBytes: 100_000 })
    const files: number[] = []
    for (let round = 0; round < 12; round++) {
      await fill(journal, 300, (index) => 1_000 + ((index * 7_919) % 14_000))
      await journal.trim(journal.lastPosition - 10)
      files.push(names(directory).length)
    }
    await journal.close()
    // Eight spares, and what the last ten records lie in.
    expect(Math.max(...files)).toBeLessThanOrEqual(11)
    expect(names(directory).filter((name) => name.startsWith('spare-'))).toHaveLength(8)
  })

  it('[I10] trims by a write of its own when nothing is appended, and removes what was not full', async () => {
    const directory = join(root, 'journal')
    for (let from = 0; from < 6; from += 2) {
      const journal = FileJournal.open(directory)
      await fill(journal, 2, () => 100)
      await journal.close()
    }
    const journal = FileJournal.open(directory)
    await journal.trim(4)
    expect(names(directory)).toEqual(['000000000003.journal', '000000000004.journal'])
    await journal.trim(6)
    expect(names(directory)).toEqual(['000000000004.journal'])
    await journal.close()
  })

  it('closes when the files of a trim under way have gone', async () => {
    const directory = join(root, 'journal')
    const journal = FileJournal.open(directory, { segmentBytes: 1_000 })
    await fill(journal, 20, () => 900)
    const trimmed = journal.trim(19)
    await journal.close()
    expect(names(directory).filter((name) => name.endsWith('.journal'))).toHaveLength(2)
    await trimmed
  })

  it('keeps the files that somebody reads', async () => {
    const directory = join(root, 'journal')
    const journal = FileJournal.open(directory, { segmentBytes: 1_000 })
    await fill(journal, 20, () => 900)
    const reading = journal.read(1)[Symbol.iterator]()
    expect(reading.next().value).toMatchObject({ position: 1 })
    await journal.trim(10)
    await fill(journal, 10, () => 900)
    const rest: number[] = []
    for (let next = reading.next(); next.done !== true; next = reading.next()) rest.push(next.value.position)
    expect(rest).toEqual(Array.from({ length: 19 }, (_, index) => index + 2))
    await journal.trim(12)
    expect(names(directory)).not.toContain('000000000001.journal')
    await journal.close()
  })

  it('says that its files are of an earlier version, and leaves them alone', () => {
    const directory = join(root, 'journal')
    mkdirSync(directory)
    writeFileSync(join(directory, 'data.mdb'), 'LMDB')
    expect(() => FileJournal.open(directory)).toThrow(/earlier version \(data\.mdb\)/)
    expect(names(directory)).toEqual(['data.mdb'])
  })
})

describe('FileJournal and what a crash leaves', () => {
  /**
   * Two full segments of frames of one, one and two records, and a third one of two frames: one record (at 512) and two (from 1,024 to 2,472).
   */
  const make = async (): Promise<string[]> => {
    const directory = join(root, 'journal')
    const journal = FileJournal.open(directory, { segmentBytes: 3_000 })
    for (const sizes of [[400], [400, 700, 700], [400], [400, 700, 700], [400, 700, 700]])
      await Promise.all(sizes.map((size) => journal.append(journal.lastPosition + 1, new Uint8Array(size).fill(size % 251))))
    await journal.close()
    expect(names(directory)).toEqual(['000000000001.journal', '000000000002.journal', '000000000003.journal'])
    return names(directory).map((name) => join(directory, name))
  }

  const flip = (path: string, at: number): void => {
    const content = readFileSync(path)
    content[at] = (content[at] ?? 0) ^ 1
    writeFileSync(path, content)
  }

  it('[I12] drops a last frame of which anything is missing, whatever it is, and all of it', async () => {
    const [, , last = ''] = await make()
    const whole = readFileSync(last)
    expect(whole).toHaveLength(2_560)
    for (const sector of [1_024, 1_536, 2_048]) {
      const cut = whole.subarray(0, sector)
      const empty = Buffer.concat([cut, Buffer.alloc(whole.length - sector)])
      const missing = Buffer.concat([cut, Buffer.alloc(512), whole.subarray(sector + 512)])
      const changed = Buffer.from(whole)
      changed[sector + 20] = (changed[sector + 20] ?? 0) ^ 1
      for (const left of [cut, empty, missing, changed]) {
        writeFileSync(last, left)
        const journal = FileJournal.open(join(root, 'journal'))
        expect(journal.lastPosition).toBe(9)
        expect(positionsOf(journal)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
        await journal.close()
      }
    }
  })

  it('[I12] goes on behind a frame that was cut short, in a segment of its own', async () => {
    const [, , last = ''] = await make()
    flip(last, 1_100)
    const journal = FileJournal.open(join(root, 'journal'))
    await fill(journal, 3, () => 400)
    await journal.close()
    const again = FileJournal.open(join(root, 'journal'))
    expect(positionsOf(again)).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12])
    await again.close()
  })

  it.each([
    ['the first sector of the last segment', 2, 8, 'its first sector'],
    ['the first sector of another segment', 0, 20, 'its first sector'],
    ['a frame of another segment, when it is read', 0, 700, 'from record 1 on'],
    ['the last frame of another segment, when it is read', 1, 2_100, 'from record 7 on'],
  ])('[I12] tells damage to %s', async (_what, segment, at, text) => {
    const path = (await make())[segment] ?? ''
    flip(path, at)
    expect(() => positionsOf(FileJournal.open(join(root, 'journal')))).toThrow(`${path} is damaged: `)
    expect(() => positionsOf(FileJournal.open(join(root, 'journal')))).toThrow(text)
  })

  it('[I12] tells damage to a frame of the last segment that whole ones follow', async () => {
    const directory = join(root, 'journal')
    const journal = FileJournal.open(directory)
    await fill(journal, 9, () => 3_000)
    await journal.close()
    flip(join(directory, '000000000001.journal'), 512 + 3_072 + 100)
    expect(() => FileJournal.open(directory)).toThrow(/is damaged: what it holds from record \d on/)
  })

  it('[I12] tells that a segment is missing, unless all of it was trimmed', async () => {
    const [first = '', second = ''] = await make()
    rmSync(first)
    expect(() => positionsOf(FileJournal.open(join(root, 'journal')))).toThrow('from record 1 on')
    const journal = FileJournal.open(join(root, 'journal'))
    await journal.trim(8)
    await journal.close()
    expect(names(join(root, 'journal'))).not.toContain(second)
    const again = FileJournal.open(join(root, 'journal'))
    expect(positionsOf(again)).toEqual([9, 10, 11])
    await again.close()
  })

  it('[I12] tells that a segment is in the place of a later one', async () => {
    const [first = '', , last = ''] = await make()
    writeFileSync(last, readFileSync(first))
    expect(() => FileJournal.open(join(root, 'journal'))).toThrow(`${last} is damaged: its first sector`)
  })

  it('[I12] gives each file a number of its own, also where a crash left a spare that was about to become a segment', async () => {
    const [, , last = ''] = await make()
    writeFileSync(join(root, 'journal', 'spare-000000000009'), readFileSync(last))
    const journal = FileJournal.open(join(root, 'journal'), { segmentBytes: 1_000 })
    await fill(journal, 2, () => 900)
    await journal.close()
    expect(names(join(root, 'journal')).slice(3)).toEqual(['000000000010.journal', '000000000011.journal'])
  })

  it('[I12] takes nothing for a frame that lay in a spare before, nor what somebody sent to look like one', async () => {
    const directory = join(root, 'journal')
    mkdirSync(directory)
    const head = { mark: 7, seed: 9, after: 0, trimmed: 0 }
    const frame = new FrameMaker().make([{ position: 1_000, bytes: new Uint8Array(100) }], 0, head)
    writeFileSync(join(directory, 'spare-1'), Buffer.concat([encodeHead(head), ...Array.from({ length: 20 }, () => frame)]))
    const journal = FileJournal.open(directory)
    await fill(journal, 2, () => 100)
    await journal.close()
    expect(names(directory)).toEqual(['000000000002.journal'])
    const again = FileJournal.open(directory)
    expect(again.lastPosition).toBe(2)
    expect(positionsOf(again)).toEqual([1, 2])
    await again.close()
  })
})
