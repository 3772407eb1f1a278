import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { jsonLines, Playground, programPath } from './program.ts'

let ground: Playground
beforeEach(() => {
  ground = new Playground()
})
afterEach(() => ground.end())

const modeOf = (path: string) => statSync(path).mode & 0o777

describe('posthaste dev', () => {
  it('prints two lines that work as they are printed, in two other terminals', async () => {
    const server = await ground.dev()
    const next = jsonLines(server.stdout()).find(({ event }) => event === 'next')
    expect(next).toMatchObject({
      listen: 'npx posthaste listen --as bob',
      send: 'npx posthaste send --as alice --to bob "hello"',
    })
    const here = (line: unknown) => String(line).replace('npx posthaste', `'${process.execPath}' '${programPath}'`)
    const listener = ground.shell(`exec ${here(next?.listen)}`)
    const sent = await ground.shell(here(next?.send)).ended
    expect([sent.code, sent.stdout]).toEqual([0, expect.stringMatching(/^sent \d+\n$/)])
    await listener.until(/alice: hello\n/)
    listener.child.kill('SIGINT')
    expect((await listener.ended).code).toBe(0)
  })

  it('keeps its secrets for its owner', async () => {
    await ground.dev()
    expect(modeOf(ground.path('.posthaste'))).toBe(0o700)
    expect(modeOf(ground.path('.posthaste/data'))).toBe(0o700)
    expect(modeOf(ground.path('.posthaste/secret'))).toBe(0o600)
    expect(modeOf(ground.path('.posthaste/admin-key'))).toBe(0o600)
  })

  it('has its people and its key ready for the other commands', async () => {
    await ground.dev()
    const shown = await Promise.all(['alice', 'bob', 'carol'].map((name) => ground.run(['user', 'show', name, '--json'])))
    expect(shown.map(({ code }) => code)).toEqual([0, 0, 6])
    expect(JSON.parse(shown[1]?.stdout ?? '')).toMatchObject({ name: 'bob' })
    expect((await ground.run(['status'])).code).toBe(0)
  })

  it('names the port that is in use', async () => {
    const blocker = createServer()
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
    const port = String((blocker.address() as AddressInfo).port)
    try {
      const clients = await ground.run(['dev', '--port', port, '--admin-port', '0'])
      expect([clients.code, clients.stderr]).toEqual([21, expect.stringContaining(`Port ${port} on 127.0.0.1 is in use`)])
      expect(clients.stderr).toContain('--port')
      const admin = await ground.run(['dev', '--port', '0', '--admin-port', port])
      expect([admin.code, admin.stderr]).toEqual([21, expect.stringContaining(`Port ${port}`)])
      expect(admin.stderr).toContain('--admin-port')
    } finally {
      await new Promise((resolve) => blocker.close(resolve))
    }
  })

  it('names the process that holds the data directory', async () => {
    const server = await ground.dev()
    const second = await ground.run(['dev', '--port', '0', '--admin-port', '0'])
    expect([second.code, second.stderr]).toEqual([22, expect.stringContaining(`process ${server.child.pid}`)])
  })
})

describe('the program that npm links', () => {
  it('is there before anything is built, and runs what is built', async () => {
    const path = fileURLToPath(new URL('../../packages/server/bin/posthaste.js', import.meta.url))
    expect(modeOf(path) & 0o111).toBe(0o111)
    const { code, stdout } = await ground.shell(`'${path}' --version`).ended
    expect([code, stdout]).toEqual([0, expect.stringMatching(/^\d+\.\d+\.\d+\n$/)])
  })
})

describe('posthaste serve', () => {
  const serve = ['serve', '--port', '0', '--admin-port', '0', '--host', '127.0.0.1', '--log-level', 'error']

  it.each(['SIGTERM', 'SIGINT'] as const)('stops in good order at %s, and starts again with what it had', async (signal) => {
    const first = ground.start([...serve, '--json'], { input: null })
    await first.until('"event":"listening"')
    const secret = readFileSync(ground.path('.posthaste/secret'), 'utf8')
    first.child.kill(signal)
    expect((await first.ended).code).toBe(0)
    const second = ground.start([...serve, '--json'], { input: null })
    await second.until('"event":"listening"')
    expect(readFileSync(ground.path('.posthaste/secret'), 'utf8')).toBe(secret)
  })

  it('says what is wrong with a directory that can hold no state', async () => {
    writeFileSync(ground.path('file'), '')
    mkdirSync(ground.path('state'))
    writeFileSync(ground.path('state/data'), '')
    for (const [directory, text] of [
      ['file', `${ground.path('file')} is not a directory`],
      ['file/below', `${ground.path('file')} is not a directory`],
      ['state', `${ground.path('state/data')} is not a directory`],
      // Nobody can write there, not even root.
      ...(process.platform === 'linux' ? [['/proc', "/proc can't be written to"]] : []),
    ] as const) {
      const { code, stderr } = await ground.run([...serve, '--data', String(directory)])
      expect([code, stderr], directory).toEqual([23, expect.stringContaining(String(text))])
    }
  })

  it('names the port and the address that it may not listen on', async () => {
    const both = await ground.run(['serve', '--port', '47801', '--admin-port', '47801', '--host', '127.0.0.1', '--json'])
    expect([both.code, jsonLines(both.stderr).at(-1)]).toMatchObject([
      21,
      { error: 'port-in-use', message: 'Port 47801 on 127.0.0.1 is in use', hint: expect.stringContaining('--admin-port') },
    ])
    // A documentation address (RFC 5737), which no machine has.
    const away = await ground.run(['serve', '--port', '0', '--admin-port', '0', '--host', '192.0.2.1', '--log-level', 'error'])
    expect([away.code, away.stderr]).toEqual([21, expect.stringMatching(/Port 0 on 192\.0\.2\.1 can't be listened on.*--host/s)])
  })

  it('takes the environment for flags that are not given', async () => {
    const env = { POSTHASTE_PORT: '0', POSTHASTE_ADMIN_PORT: '0', POSTHASTE_HOST: '127.0.0.1', POSTHASTE_DATA: 'elsewhere' }
    const server = ground.start(['serve', '--json'], { input: null, env })
    await server.until('"event":"listening"')
    expect(jsonLines(server.stdout()).find(({ event }) => event === 'listening')).toMatchObject({
      data: ground.path('elsewhere'),
    })
  })

  it('leaves the audience that it asks for to the commands beside it', async () => {
    const server = ground.start([...serve, '--audience', 'shop', '--json'], { input: null })
    await server.until('"event":"listening"')
    const sent = await ground.run(['send', '--as', 'alice', '--to', 'alice', 'hello', '--timeout', '20'])
    expect([sent.code, sent.stdout]).toEqual([0, expect.stringMatching(/^sent \d+\n$/)])
    const { stdout: token } = await ground.run(['token', 'alice'])
    expect(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())).toMatchObject({ aud: 'shop' })
    const other = await ground.run(['token', 'alice', '--audience', 'other'])
    const refused = await ground.run(['send', '--token', other.stdout.trim(), '--to', 'alice', 'hello', '--store', 'elsewhere'])
    expect([refused.code, refused.stderr]).toEqual([5, expect.stringContaining('its aud is wrong')])
  })

  it('refuses key files that others can read, and key sets that are none', async () => {
    const secret = await ground.run([...serve, '--secret-file', programPath])
    expect([secret.code, secret.stderr]).toEqual([26, expect.stringContaining('chmod 600')])
    const keys = await ground.run([...serve, '--jwks', programPath])
    expect([keys.code, keys.stderr]).toEqual([26, expect.stringContaining('--jwks')])
    writeFileSync(ground.path('none.json'), '{"keys":[]}')
    const none = await ground.run([...serve, '--jwks', 'none.json'])
    expect([none.code, none.stderr]).toEqual([26, expect.stringContaining('no public key')])
  })

  it('refuses another number of shards than its data has', async () => {
    const server = ground.start([...serve, '--json'], { input: null })
    await server.until('"event":"listening"')
    server.child.kill('SIGTERM')
    await server.ended
    const other = await ground.run([...serve, '--shards', '2'])
    expect([other.code, other.stderr]).toEqual([2, expect.stringContaining('start with --shards 1')])
  })
})
