import { spawnSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { openDataDirectory } from '../../src/storage/directory.ts'
import { type Child, startChild } from './child-process.ts'

let root: string

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'posthaste-directory-'))
})

afterEach(() => {
  rmSync(root, { recursive: true, force: true })
})

function hold(directory: string, ...instantPath: string[]): Child {
  return startChild('hold', [directory, ...instantPath])
}

const isVerdict = (line: string): boolean => line.startsWith('won') || line.startsWith('lost')

describe('openDataDirectory', () => {
  it('makes the directory for its owner only, and says where shards are', async () => {
    const directory = await openDataDirectory(join(root, 'a', 'data'))
    expect((statSync(directory.path).mode & 0o777).toString(8)).toBe('700')
    expect(directory.shard(3)).toEqual({
      journal: join(root, 'a', 'data', 'shard-3', 'journal'),
      tables: join(root, 'a', 'data', 'shard-3', 'tables'),
    })
    expect(directory.freeBytes()).toBeGreaterThan(0)
    await directory.close()
  })

  it.each([
    ['MANIFEST-000001', ''],
    ['CURRENT', ''],
    ['CURRENT', 'MANIFEST-000009\n'],
  ])('[I12] opens after a power loss in its first moments, which left %s as %j', async (name, content) => {
    const path = join(root, 'data')
    mkdirSync(join(path, 'lock'), { recursive: true })
    writeFileSync(join(path, 'lock', 'CURRENT'), 'MANIFEST-000001\n')
    writeFileSync(join(path, 'lock', name), content)
    const directory = await openDataDirectory(path)
    await expect(openDataDirectory(path)).rejects.toMatchObject({ code: 'directory-in-use' })
    await directory.close()
  })

  it('lets exactly one of ten processes win that start at the same instant', async () => {
    const instantPath = join(root, 'instant')
    const racers = Array.from({ length: 10 }, () => hold(join(root, 'data'), instantPath))
    await Promise.all(racers.map((racer) => racer.line((line) => line === 'ready')))
    writeFileSync(`${instantPath}.new`, String(Date.now() + 100))
    renameSync(`${instantPath}.new`, instantPath)
    const verdicts = await Promise.all(racers.map((racer) => racer.line(isVerdict)))
    const [winner, ...others] = verdicts.filter((verdict) => verdict.startsWith('won'))
    expect(others).toEqual([])
    const losers = verdicts.filter((verdict) => verdict.startsWith('lost'))
    expect(losers).toHaveLength(9)
    for (const loser of losers) expect(loser).toMatch(`is in use by process ${winner?.slice(4)} since 20`)
  })

  it('says who holds it, refuses this very process too, and frees it when the holder is killed', async () => {
    const path = join(root, 'data')
    const holder = hold(path)
    await holder.line((line) => line.startsWith('won'))
    await expect(openDataDirectory(path)).rejects.toMatchObject({
      code: 'directory-in-use',
      message: expect.stringMatching(new RegExp(`data is in use by process ${holder.process.pid} since 20.*Z`)),
    })
    await holder.kill()
    const directory = await openDataDirectory(path)
    await expect(openDataDirectory(path)).rejects.toMatchObject({
      code: 'directory-in-use',
      message: expect.stringContaining(String(process.pid)),
    })
    await directory.close()
    await (await openDataDirectory(path)).close()
  })

  it('does not believe a note whose process number belongs to another process by now', async () => {
    const path = join(root, 'data')
    const holder = hold(path)
    await holder.line((line) => line.startsWith('won'))
    writeFileSync(
      join(path, 'holder.json'),
      JSON.stringify({ pid: process.pid, since: '2020-01-01T00:00:00.000Z', startTicks: '1' }),
    )
    await expect(openDataDirectory(path)).rejects.toMatchObject({ message: expect.stringContaining('in use by another process') })
  })

  it('[I12] leaves alone what another process of the same number, in another container, is about to say of itself', async () => {
    const path = join(root, 'data')
    mkdirSync(path)
    const others = join(path, `holder.json.${process.pid}`)
    writeFileSync(others, 'of another')
    const directory = await openDataDirectory(path)
    await expect(openDataDirectory(path)).rejects.toMatchObject({ code: 'directory-in-use' })
    await directory.close()
    expect(readFileSync(others, 'utf8')).toBe('of another')
    expect(readdirSync(path).sort()).toEqual(['holder.json', `holder.json.${process.pid}`, 'lock'])
  })

  it('[I12] keeps its lock though this process asks again, by this name or another one', async () => {
    const path = join(root, 'data')
    const directory = await openDataDirectory(path)
    symlinkSync(path, join(root, 'link'))
    for (const name of [path, join(root, 'link')])
      await expect(openDataDirectory(name)).rejects.toMatchObject({
        code: 'directory-in-use',
        message: expect.stringContaining(`in use by process ${process.pid}`),
      })
    expect(await hold(path).line(isVerdict)).toMatch(/^lost/)
    await directory.close()
    expect(await hold(path).line(isVerdict)).toMatch(/^won/)
  })

  it('[I12] does not keep the lock when it can not say who holds it', async () => {
    const path = join(root, 'data')
    mkdirSync(join(path, 'holder.json'), { recursive: true })
    await expect(openDataDirectory(path)).rejects.toMatchObject({ code: 'journal-failed' })
    expect(readdirSync(path).sort()).toEqual(['holder.json', 'lock'])
    rmSync(join(path, 'holder.json'), { recursive: true })
    await (await openDataDirectory(path)).close()
  })

  it('says that a file is no directory', async () => {
    const path = join(root, 'file')
    writeFileSync(path, '')
    await expect(openDataDirectory(path)).rejects.toMatchObject({
      code: 'directory-read-only',
      message: expect.stringContaining(`${path} is not a directory`),
    })
  })

  it('says that a directory is read-only or full', async () => {
    const disk = join(root, 'disk')
    mkdirSync(disk)
    for (const [options, code] of [
      ['ro', 'directory-read-only'],
      ['size=4k', 'disk-full'],
    ] as const) {
      expect(spawnSync('mount', ['-t', 'tmpfs', '-o', options, 'tmpfs', disk]).status).toBe(0)
      try {
        await expect(openDataDirectory(join(disk, 'data'))).rejects.toMatchObject({
          code,
          message: expect.stringContaining(disk),
        })
      } finally {
        spawnSync('umount', [disk])
      }
    }
  })
})
