import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, realpath, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { nodeStore } from '../../src/stores/node.ts'
import { crashKeys, crashValue } from './crash-rows.ts'

const childPath = fileURLToPath(new URL('node-process.ts', import.meta.url))
const killsAtLeast = 6

let parent = ''
let directory = ''
const children: ChildProcess[] = []

beforeEach(async () => {
  parent = await realpath(await mkdtemp(join(tmpdir(), 'posthaste-crash-')))
  directory = join(parent, 'store')
})

afterEach(async () => {
  for (const child of children.splice(0)) {
    if (child.exitCode !== null || child.signalCode !== null) continue
    child.kill('SIGKILL')
    await once(child, 'exit')
  }
  await rm(parent, { recursive: true })
})

/** Starts a process over the store, under strace where its arguments are given; `lines` grows with what it tells. */
function startChild(what: string, strace?: string[]): { child: ChildProcess; lines: unknown[]; ended: Promise<void> } {
  const node = [process.execPath, '--import', 'tsx', childPath, what, directory]
  const [command = '', ...rest] = strace === undefined ? node : ['strace', '-f', ...strace, ...node]
  // One thread for all I/O: strace counts the calls of each thread apart.
  const child = spawn(command, rest, { stdio: ['pipe', 'pipe', 'inherit'], env: { ...process.env, UV_THREADPOOL_SIZE: '1' } })
  children.push(child)
  const lines: unknown[] = []
  const reader = createInterface({ input: child.stdout })
  reader.on('line', (line) => {
    // A killed process may leave half a line: it told nothing then.
    if (child.signalCode === null || line.endsWith('"') || /^\d+$/.test(line)) lines.push(JSON.parse(line))
  })
  return { child, lines, ended: once(reader, 'close').then(() => {}) }
}

describe('a node store whose process is killed', () => {
  test('[I12] holds every acknowledged commit, and every commit whole', async () => {
    for (let kill = 0; kill < killsAtLeast; kill++) {
      const { child, lines, ended } = startChild('until-killed')
      await expect.poll(() => lines.length, { timeout: 20_000, interval: 5 }).toBeGreaterThan(1)
      await wait(Math.random() * 150)
      child.kill('SIGKILL')
      await ended
      const acknowledged = lines.filter((line) => typeof line === 'number')
      expect(acknowledged.length).toBeGreaterThan(0)
      await expectWhole(acknowledged)
    }
  })
})

async function expectWhole(acknowledged: number[]): Promise<void> {
  const store = nodeStore(directory)
  await store.open()
  try {
    const found = async (commit: number): Promise<number> => {
      const values = await Promise.all(crashKeys(commit).map((key) => store.get(key)))
      const present = values.filter((value) => value !== undefined)
      for (const value of present) expect(Buffer.compare(value, crashValue(commit)), `bytes of commit ${commit}`).toBe(0)
      return present.length
    }
    for (const commit of acknowledged) expect(await found(commit), `rows of acknowledged commit ${commit}`).toBe(3)
    const last = Math.max(...acknowledged)
    for (let commit = last; commit < last + 8; commit++) expect([0, 3], `rows of commit ${commit}`).toContain(await found(commit))
  } finally {
    await store.close()
  }
}

describe('a node store and other processes', () => {
  test('gives the error store-locked while another process holds it, and opens after that one was killed', async () => {
    const { child, lines } = startChild('hold')
    await expect.poll(() => lines, { timeout: 20_000, interval: 5 }).toEqual(['open'])
    const store = nodeStore(directory)
    await expect(store.open()).rejects.toMatchObject({ code: 'store-locked', message: expect.stringContaining(directory) })
    child.kill('SIGKILL')
    await once(child, 'exit')
    await store.open()
    await store.close()
  })
})

describe('a node store under strace', () => {
  test('[I12] flushes its log between any two acknowledgements', async () => {
    const trace = join(parent, 'trace')
    const { lines, ended } = startChild('five', ['-e', 'trace=fdatasync,fsync,write', '-o', trace])
    await ended
    expect(lines).toEqual(['open', 0, 1, 2, 3, 4, expect.any(Array)])
    const events = (await readFile(trace, 'utf8')).split('\n').flatMap((line) => {
      if (/(fdatasync|fsync).*= 0$/.test(line)) return ['flush']
      return /write\(1, "\d\\n"/.test(line) ? ['acknowledgement'] : []
    })
    const acknowledgements = events.flatMap((event, index) => (event === 'acknowledgement' ? [index] : []))
    expect(acknowledgements).toHaveLength(5)
    for (const index of acknowledgements) expect(events[index - 1], `before event ${index} of ${events}`).toBe('flush')
  })

  const faults = [
    { call: 'write', error: 'ENOSPC', code: 'store-full', retryable: true },
    { call: 'fdatasync', error: 'ENOSPC', code: 'store-full', retryable: true },
    { call: 'write', error: 'EIO', code: 'store-failed', retryable: false },
    { call: 'fdatasync', error: 'EIO', code: 'store-failed', retryable: false },
  ]
  // The log of a fresh store; only what the third commit does to it fails.
  const inject = (call: string, error: string): string[] => {
    const only = ['-P', join(directory, '000003.log'), '-e', `trace=${call}`]
    return [...only, '-e', `inject=${call}:error=${error}:when=3`, '-o', '/dev/null']
  }
  for (const { call, error, code, retryable } of faults) {
    test(`applies nothing of a commit whose ${call} fails with ${error} (${code}), and goes on`, async () => {
      const { lines, ended } = startChild('fail-then-commit', inject(call, error))
      await ended
      const before = ['kept=1', 'replaced=2']
      const after = ['kept=1', 'later=4', 'replaced=2']
      expect(lines).toEqual(['open', { code, retryable }, before, [before, after], after])
    })

    test(`applies nothing of it either when the store is closed next (${call}, ${error})`, async () => {
      const { lines, ended } = startChild('fail-then-close', inject(call, error))
      await ended
      const before = ['kept=1', 'replaced=2']
      expect(lines).toEqual(['open', { code, retryable }, before, before])
    })
  }
})
