import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Writable } from 'node:stream'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Output } from '../../src/cli/output.ts'
import { execSink, fileSink, jsonOf, lineSink, rawSink } from '../../src/cli/sinks.ts'
import { fakeIo } from './fake-io.ts'
import { messageOf } from './received.ts'

let directory = ''
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'posthaste-sinks-'))
})
afterEach(() => rmSync(directory, { recursive: true, force: true }))

describe('a message as JSON', () => {
  it('has its id as a decimal string and its body as text', () => {
    expect(jsonOf(messageOf({ id: 18_446_744_073_709_551_615n }))).toEqual({
      key: '7-3-42',
      from: { user: 'alice' },
      to: { user: 'bob' },
      id: '18446744073709551615',
      type: 5,
      priority: 8,
      time: '2023-11-14T22:13:20.123Z',
      timeMs: 1_700_000_000_123,
      redelivered: false,
      text: 'hello',
    })
  })

  it('has a body that is no text in base64, every byte of it', () => {
    const body = Uint8Array.from({ length: 256 }, (_, at) => at)
    const json = jsonOf(messageOf({ body }))
    expect(json).not.toHaveProperty('text')
    expect(Buffer.from(String(json.base64), 'base64')).toEqual(Buffer.from(body))
  })

  it('keeps a byte order mark, and an empty body', () => {
    expect(jsonOf(messageOf({ text: '\ufeffa' })).text).toBe('\ufeffa')
    expect(jsonOf(messageOf({ text: '' })).text).toBe('')
  })
})

describe('lines', () => {
  it('are JSON with --json, one a message, whatever the body holds', async () => {
    const io = fakeIo()
    const sink = lineSink(new Output(io, true))
    await sink(messageOf({ text: 'a\nb' }))
    await sink(messageOf({ redelivered: true }))
    const lines = io.printed().split('\n')
    expect(lines.length).toBe(3)
    expect(JSON.parse(lines[0] ?? '')).toMatchObject({ text: 'a\nb', redelivered: false })
    expect(JSON.parse(lines[1] ?? '')).toMatchObject({ redelivered: true })
  })

  it('are safe for a terminal without --json', async () => {
    const io = fakeIo()
    const sink = lineSink(new Output(io, false))
    await sink(messageOf({ text: 'x\u001b[2J\ny', from: { user: 'al\u009bice' }, to: { group: 'team' } }))
    await sink(messageOf({ body: Uint8Array.of(0xff) }))
    expect(io.printed()).toBe('22:13:20 al\\u009bice in team: x\\u001b[2J\\u000ay\n22:13:20 alice: <1 byte, type 5>\n')
  })

  it('tell the size and the type of what is no text', async () => {
    const io = fakeIo()
    const sink = lineSink(new Output(io, false))
    await sink(messageOf({ body: new Uint8Array(65_536), type: 0 }))
    await sink(messageOf({ text: 'half text\u0000half not' }))
    await sink(messageOf({ text: 'half text\u009b2Jhalf not', type: 0 }))
    const bodies = io
      .printed()
      .trimEnd()
      .split('\n')
      .map((line) => line.slice('22:13:20 alice: '.length))
    expect(bodies).toEqual(['<65,536 bytes>', '<18 bytes, type 5>', '<21 bytes>'])
  })

  it('hold 1,000 characters of a text on a terminal, and all of it elsewhere', async () => {
    const long = `${'é'.repeat(998)}😀😀`
    for (const [isTerminal, text, shown] of [
      [true, 'é'.repeat(1_000), 'é'.repeat(1_000)],
      [true, `a${long}`, `a${'é'.repeat(998)}… (2,005 bytes)`],
      [true, `${long}`, `${'é'.repeat(998)}😀… (2,004 bytes)`],
      [false, long.repeat(10), long.repeat(10)],
    ] as const) {
      const io = fakeIo({ isTerminal, env: { NO_COLOR: '1' } })
      await lineSink(new Output(io, false))(messageOf({ text }))
      expect(io.printed()).toBe(`22:13:20 alice: ${shown}\n`)
    }
  })

  it('are JSON without what a terminal would obey, that parses to the same', async () => {
    const io = fakeIo()
    const text = `${Array.from({ length: 0xa1 }, (_, code) => String.fromCharCode(code)).join('')}\u2028\u202e\\`
    await lineSink(new Output(io, true))(messageOf({ text }))
    expect(io.printed().trimEnd()).toMatch(/^[^\p{Cc}\u2028\u202e]*$/u)
    expect(JSON.parse(io.printed())).toMatchObject({ text })
  })

  it('have colour on a terminal alone, and not with NO_COLOR', async () => {
    const prints = async (env: Record<string, string>, isTerminal: boolean) => {
      const io = fakeIo({ env, isTerminal })
      await lineSink(new Output(io, false))(messageOf({}))
      return io.printed().includes('\u001b[')
    }
    expect(await prints({}, true)).toBe(true)
    expect(await prints({ NO_COLOR: '1' }, true)).toBe(false)
    expect(await prints({ TERM: 'dumb' }, true)).toBe(false)
    expect(await prints({}, false)).toBe(false)
  })

  it('are the bare body with --raw', async () => {
    const io = fakeIo()
    await rawSink(new Output(io, false))(messageOf({ text: 'a\u001bb' }))
    expect(io.printed()).toBe('a\u001bb\n')
  })

  it('are with --raw what is safe for a terminal, on one', async () => {
    const io = fakeIo({ isTerminal: true })
    const sink = rawSink(new Output(io, false))
    await sink(messageOf({ text: 'a\u001bb\nc' }))
    await sink(messageOf({ body: Uint8Array.of(0), type: 0 }))
    expect(io.printed()).toBe('a\\u001bb\nc\n<1 byte>\n')
  })

  it('[I1] are not acknowledged before they are written', async () => {
    let finish = () => {}
    const stdout = new Writable({
      write(_chunk, _encoding, done) {
        finish = done
      },
    })
    let isWritten = false
    const writing = lineSink(new Output({ ...fakeIo(), stdout }, true))(messageOf({})).then(() => (isWritten = true))
    await new Promise((resolve) => setImmediate(resolve))
    expect(isWritten).toBe(false)
    finish()
    await writing
  })

  it('[I1] fail when nobody reads them', async () => {
    const stdout = new Writable({ write: (_chunk, _encoding, done) => done(new Error('write EPIPE')) })
    stdout.on('error', () => {})
    await expect(lineSink(new Output({ ...fakeIo(), stdout }, true))(messageOf({}))).rejects.toMatchObject({
      code: 'output-closed',
    })
  })
})

describe('files', () => {
  it('[I2] hold the bytes under the key, and a repeat replaces itself', async () => {
    const io = fakeIo()
    const sink = fileSink(join(directory, 'new', 'out'), new Output(io, false))
    const body = Uint8Array.of(0, 255, 10)
    await sink(messageOf({ body }))
    await sink(messageOf({ body, redelivered: true }))
    const path = join(directory, 'new', 'out', '7-3-42')
    expect(readdirSync(join(directory, 'new', 'out'))).toEqual(['7-3-42'])
    expect([...readFileSync(path)]).toEqual([0, 255, 10])
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(io.printed()).toBe(`${path}\n${path}\n`)
  })

  it('print what they are with --json, without the body', async () => {
    const io = fakeIo()
    await fileSink(directory, new Output(io, true))(messageOf({}))
    const line = JSON.parse(io.printed())
    expect(line).toMatchObject({ key: '7-3-42', id: '42', file: join(directory, '7-3-42'), bytes: 5 })
    expect(line).not.toHaveProperty('text')
  })

  it('leave nothing of what a kill interrupted, and touch nothing else', () => {
    writeFileSync(join(directory, '.posthaste-7-3-41.part'), 'half')
    for (const other of ['.keep', '.download.part']) writeFileSync(join(directory, other), '')
    fileSink(directory, new Output(fakeIo(), false))
    expect(readdirSync(directory)).toEqual(['.download.part', '.keep'])
  })

  it('[I1] are not acknowledged when they cannot be written', async () => {
    const sink = fileSink(join(directory, 'gone'), new Output(fakeIo(), false))
    rmSync(join(directory, 'gone'), { recursive: true })
    await expect(sink(messageOf({}))).rejects.toThrow('ENOENT')
  })
})

describe('commands', () => {
  const env = { PATH: process.env.PATH }
  const plain = new Output(fakeIo(), false)

  it('get the body on their input and the rest in their environment', async () => {
    const out = join(directory, 'out')
    const names = ['FROM', 'TO', 'ID', 'KEY', 'TYPE', 'PRIORITY', 'TIME', 'REDELIVERED'].map((name) => `"$POSTHASTE_${name}"`)
    const body = Buffer.alloc(200_000, 'é')
    await execSink(
      `printf '%s\\n' ${names.join(' ')} > ${out}; cat >> ${out}`,
      env,
      plain,
    )(messageOf({ body, to: { group: 'a:b' } }))
    const [head, tail] = [readFileSync(out).subarray(0, -body.length).toString(), readFileSync(out).subarray(-body.length)]
    expect(head).toBe('alice\ngroup:a:b\n42\n7-3-42\n5\n8\n2023-11-14T22:13:20.123Z\nfalse\n')
    expect(tail.equals(body)).toBe(true)
  })

  it('are no way in for what a message holds', async () => {
    const out = join(directory, 'out')
    const user = `$(touch ${join(directory, 'pwned')})\`touch ${join(directory, 'pwned')}\``
    await execSink(`echo "$POSTHASTE_FROM" > ${out}`, env, plain)(messageOf({ from: { user } }))
    expect(readdirSync(directory)).toEqual(['out'])
  })

  it('run in a process group of their own, which Ctrl-C in a terminal does not reach', async () => {
    const out = join(directory, 'out')
    await execSink(`echo $$ $(cut -d' ' -f5 /proc/$$/stat) > ${out}`, env, plain)(messageOf({}))
    const [pid, group] = readFileSync(out, 'utf8').trim().split(' ')
    expect(group).toBe(pid)
  })

  it('[I1] acknowledge with exit code 0 alone', async () => {
    await expect(execSink('exit 0', env, plain)(messageOf({ body: Buffer.alloc(1_000_000) }))).resolves.toBeUndefined()
    await expect(execSink('exit 3', env, plain)(messageOf({}))).rejects.toThrow('--exec ended with exit code 3')
    await expect(execSink('kill -9 $$', env, plain)(messageOf({}))).rejects.toThrow('--exec ended with SIGKILL')
    await expect(execSink('/no/such/program', env, plain)(messageOf({}))).rejects.toThrow('exit code 127')
  })
})
