import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { PassThrough } from 'node:stream'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { runCommandLine } from '../../src/cli/dispatch.ts'
import { type FakeIo, fakeIo } from './fake-io.ts'

/** Commands beside a server, all in this process. */

let directory: string
let server: { readonly io: FakeIo; readonly ended: Promise<number> }

function start(argv: readonly string[], options: Parameters<typeof fakeIo>[0] = {}) {
  const io = fakeIo({ directory, ...options, env: { NO_COLOR: '1' } })
  return { io, ended: runCommandLine(argv, io) }
}

async function run(...argv: string[]) {
  const { io, ended } = start(argv)
  const code = await ended
  return { code, printed: io.printed(), told: io.told() }
}

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'posthaste-running-'))
  const ports = ['--port', '0', '--admin-port', '0', '--log-level', 'silent']
  server = start(['serve', '--json', '--limits', 'bodyBytes=70000,inboxEntries=1000', ...ports])
  await vi.waitFor(() => expect(server.io.printed()).toContain('"event":"listening"'), { timeout: 20_000 })
  for (const name of ['alice', 'bob']) expect((await run('user', 'create', name)).code).toBe(0)
})
afterAll(async () => {
  server.io.signal('SIGTERM')
  expect(await server.ended).toBe(0)
  rmSync(directory, { recursive: true })
})

const away = ['--as', 'alice', '--to', 'bob', '--url', 'ws://127.0.0.1:1', '--timeout', '1s']

describe('send', () => {
  it('says of what it has left in the outbox that it goes out, and of real time that nothing is kept', async () => {
    const stored = await run('send', ...away, '--id', '7', 'hi')
    expect([stored.code, stored.printed]).toEqual([9, ''])
    expect(stored.told).toContain(
      'Still open: id 7, outbox.\nposthaste: Not everything was answered in the time given. What is in',
    )
    const realtime = await run('send', ...away, '--realtime', 'hi')
    expect([realtime.code, realtime.told]).toEqual([9, expect.stringContaining('the next run sends none of it')])
  })

  it.each([
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const)('names with --json what is open at %s', async (signal, code) => {
    const { io, ended } = start(['send', '--as', 'alice', '--to', 'bob', '--wait', 'delivered', '--json'], {
      input: 'one\ntwo\n',
    })
    await expect.poll(io.told).toContain('Waiting until bob has received it.')
    io.signal(signal)
    expect(await ended).toBe(code)
    const lines = io.printed().trimEnd().split('\n')
    expect(lines.map((line) => JSON.parse(line))).toMatchObject([
      { line: 1, status: 'sent', isOpen: true },
      { line: 2, status: 'sent', isOpen: true },
    ])
  })

  it('ends as soon as a line of its report can not be written', async () => {
    const io = fakeIo({ directory, env: {} })
    // It goes on for ever.
    const stdin = Object.assign(new PassThrough(), { isTTY: false })
    stdin.write('a line\n')
    io.stdout.write = ((_line: string, done: (error: Error) => void) => done(new Error('EPIPE'))) as never
    expect(await runCommandLine(['send', '--as', 'alice', '--to', 'bob', '--json'], { ...io, stdin })).toBe(141)
    expect([stdin.destroyed, io.told()]).toEqual([true, ''])
  })
})

describe('listen', () => {
  it('ends after its count without a word of what else came', async () => {
    const consoleError = vi.spyOn(console, 'error').mockImplementation(() => {})
    for (const priority of ['0', '15']) {
      const sent = await run('send', '--as', 'bob', '--to', 'alice', '--priority', priority, 'hi')
      expect(sent).toMatchObject({ code: 0, printed: expect.stringMatching(/^sent \d+\n$/) })
    }
    expect(await run('listen', '--as', 'alice', '--raw', '--count', '1')).toEqual({ code: 0, printed: 'hi\n', told: '' })
    const { io, ended } = start(['listen', '--as', 'alice', '--json'])
    await expect.poll(io.printed).toContain('"text":"hi"')
    io.signal('SIGTERM')
    expect([await ended, io.told(), consoleError.mock.calls]).toEqual([0, '', []])
    consoleError.mockRestore()
  })
})
