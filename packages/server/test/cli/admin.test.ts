import { mkdtempSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { runCommandLine } from '../../src/cli/dispatch.ts'
import { fakeIo } from './fake-io.ts'

interface Reply {
  readonly status: number
  readonly body?: unknown
}

let server: Server
let url = ''
let requests: { line: string; key: string | undefined; body: string }[] = []
let reply: (line: string) => Reply = () => ({ status: 204 })

beforeAll(async () => {
  server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk) => chunks.push(chunk))
    request.on('end', () => {
      const line = `${request.method} ${request.url}`
      requests.push({ line, key: request.headers.authorization, body: Buffer.concat(chunks).toString() })
      const { status, body } = reply(line)
      response.writeHead(status, { 'content-type': 'application/json' })
      response.end(body === undefined ? '' : JSON.stringify(body))
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterAll(() => new Promise((resolve) => server.close(resolve)))
beforeEach(() => {
  requests = []
  reply = () => ({ status: 204 })
})

async function run(argv: string[]) {
  const io = fakeIo({ env: { POSTHASTE_ADMIN_URL: url, POSTHASTE_ADMIN_KEY: 'sesame' } })
  const code = await runCommandLine(argv, io)
  return { code, printed: io.printed(), told: io.told() }
}

describe('commands of the HTTP API', () => {
  it.each([
    [['user', 'create', 'bob'], 'POST /v1/users', '{"name":"bob"}'],
    [['user', 'show', 'a/b ?'], 'GET /v1/users/a%2Fb%20%3F', ''],
    [['user', 'delete', 'bob'], 'DELETE /v1/users/bob', ''],
    [['user', 'revoke', 'bob'], 'POST /v1/users/bob/revoke', '{}'],
    [['user', 'block', 'bob', 'Zoë'], 'PUT /v1/users/bob/blocks/Zo%C3%AB', ''],
    [['user', 'unblock', 'bob', 'eve'], 'DELETE /v1/users/bob/blocks/eve', ''],
    [['group', 'create', 'team'], 'POST /v1/groups', '{"name":"team"}'],
    [['group', 'show', 'team'], 'GET /v1/groups/team', ''],
    [['group', 'delete', 'team'], 'DELETE /v1/groups/team', ''],
    [['group', 'add', 'team', 'bob'], 'PUT /v1/groups/team/members/bob', '{"roles":["send","receive"]}'],
    [['group', 'add', 'team', 'bob', '--roles', 'admin'], 'PUT /v1/groups/team/members/bob', '{"roles":["admin"]}'],
    [['group', 'remove', 'team', 'bob'], 'DELETE /v1/groups/team/members/bob', ''],
    [
      ['status', '--from', 'al', '--to', 'group:t/m', '--id', '18446744073709551615'],
      'GET /v1/messages/al/group/t%2Fm/18446744073709551615',
      '',
    ],
  ])('%j is %s', async (argv, line, body) => {
    const { code, told } = await run(argv)
    expect([code, told]).toEqual([0, ''])
    expect(requests).toEqual([{ line, key: 'Bearer sesame', body }])
  })

  it.each([
    [['user', 'list'], '/users', { name: 'bob', isOnline: true, lastSeen: null, waiting: 2 }, 'bob  online  waiting 2'],
    [
      ['user', 'list'],
      '/users',
      { name: 'bob', isOnline: false, lastSeen: '2026-01-01T00:00:00.000Z', waiting: 0 },
      'bob  last seen 2026-01-01T00:00:00.000Z  waiting 0',
    ],
    [
      ['user', 'list'],
      '/users',
      { name: 'a\u001bb', isOnline: false, lastSeen: null, waiting: 0 },
      'a\\u001bb  never seen  waiting 0',
    ],
    [['user', 'blocks', 'al'], '/users/al/blocks', { user: 'eve' }, 'eve'],
    [['user', 'groups', 'al'], '/users/al/groups', { group: 'team', roles: ['send', 'admin'] }, 'team  send,admin'],
    [['group', 'list'], '/groups', { name: 'team', identity: 1, members: 3 }, 'team  members 3'],
    [['group', 'members', 'team'], '/groups/team/members', { user: 'bob', roles: ['receive'] }, 'bob  receive'],
  ])('%j goes through all pages of %s', async (argv, path, item, line) => {
    reply = (asked) => ({
      status: 200,
      body: asked.includes('after=') ? { items: [item], next: null } : { items: [], next: 'x/y' },
    })
    const { code, printed, told } = await run(argv)
    expect([code, printed, told]).toEqual([0, `${line}\n`, ''])
    expect(requests.map((request) => request.line)).toEqual([`GET /v1${path}?limit=256`, `GET /v1${path}?limit=256&after=x%2Fy`])
    const json = await run([...argv, '--json'])
    expect(JSON.parse(json.printed)).toEqual(item)
  })

  it.each([
    ['user', 'list', 'bob'],
    ['group', 'list', 'team'],
    ['user', 'blocks'],
    ['user', 'groups', 'a', 'b'],
  ])('%s %s %s is no such command line', async (...argv) => {
    expect((await run(argv.filter((word) => word !== undefined))).code).toBe(2)
    expect(requests).toEqual([])
  })

  it.each(['two\nlines', 'schlüssel'])('does not repeat a key that no header can carry: %j', async (key) => {
    const io = fakeIo({ env: { POSTHASTE_ADMIN_URL: url, POSTHASTE_ADMIN_KEY: key } })
    expect(await runCommandLine(['user', 'show', 'bob'], io)).toBe(2)
    expect(io.told()).toContain('The admin key is not one line of printable ASCII')
    expect(io.told()).not.toContain(key.slice(0, 3))
  })

  it.each([
    [401, { code: 'unauthorized', detail: 'Wrong key' }, 5],
    [404, { code: 'not-found', detail: 'There is no user bob' }, 6],
    [409, { code: 'already-exists', detail: 'There is one' }, 7],
    [400, { code: 'invalid-argument', detail: 'name is too long' }, 2],
    [503, { code: 'busy', detail: 'No room' }, 4],
    [507, { code: 'disk-full', detail: 'Full' }, 24],
    [502, undefined, 1],
  ])('an answer of %d %j exits with %d', async (status, body, code) => {
    reply = () => ({ status, body })
    const result = await run(['user', 'show', 'bob'])
    expect(result.code).toBe(code)
    expect(result.told).toContain(body?.detail ?? 'status 502')
  })

  it('say whether a user is new', async () => {
    reply = () => ({ status: 201, body: { name: 'bob' } })
    expect((await run(['user', 'create', 'bob'])).printed).toBe('Created bob.\n')
    expect((await run(['user', 'create', 'bob', '--json'])).printed).toBe('{"name":"bob","isNew":true}\n')
    reply = () => ({ status: 200, body: { name: 'bob' } })
    expect((await run(['user', 'create', 'bob'])).printed).toBe('bob exists already.\n')
    expect((await run(['user', 'create', 'bob', '--json'])).printed).toBe('{"name":"bob","isNew":false}\n')
  })

  it('print what the server says with --json, on one line', async () => {
    reply = () => ({ status: 200, body: { name: 'bob', identity: 7 } })
    expect((await run(['user', 'show', 'bob', '--json'])).printed).toBe('{"name":"bob","identity":7}\n')
  })

  it.each([
    [['user', 'delete', 'bob'], { user: 'bob', done: 'delete' }],
    [['user', 'block', 'bob', 'eve'], { user: 'bob', done: 'block', other: 'eve' }],
    [['user', 'unblock', 'bob', 'eve'], { user: 'bob', done: 'unblock', other: 'eve' }],
    [['group', 'delete', 'team'], { group: 'team', done: 'delete' }],
    [
      ['group', 'add', 'team', 'bob', '--roles', 'send,admin'],
      { group: 'team', done: 'add', user: 'bob', roles: ['send', 'admin'] },
    ],
    [['group', 'remove', 'team', 'bob'], { group: 'team', done: 'remove', user: 'bob' }],
  ])('print what was asked for with --json, where there is no answer: %j', async (argv, result) => {
    expect(JSON.parse((await run([...argv, '--json'])).printed)).toEqual(result)
  })

  it('print it for people as a table, with each time once', async () => {
    reply = () => ({ status: 200, body: { name: 'bob', isOnline: false, lastSeen: null, lastSeenMs: null, devices: 2 } })
    expect((await run(['user', 'show', 'bob'])).printed).toBe('name      bob\nisOnline  false\nlastSeen  -\ndevices   2\n')
  })

  it('read all pages of members', async () => {
    reply = (line) =>
      line.includes('after=b')
        ? { status: 200, body: { items: [{ user: 'c', roles: ['admin'] }], next: null } }
        : {
            status: 200,
            body: {
              items: [
                { user: 'a', roles: ['send'] },
                { user: 'b', roles: [] },
              ],
              next: 'b',
            },
          }
    expect((await run(['group', 'members', 'team', '--json'])).printed).toBe(
      '{"user":"a","roles":["send"]}\n{"user":"b","roles":[]}\n{"user":"c","roles":["admin"]}\n',
    )
    expect(requests.map(({ line }) => line)).toEqual([
      'GET /v1/groups/team/members?limit=256',
      'GET /v1/groups/team/members?limit=256&after=b',
    ])
  })

  it('ask for health without a key, and exit with 1 when it is bad', async () => {
    reply = () => ({ status: 200, body: { isHealthy: true, sessions: 3 } })
    expect(await run(['status'])).toMatchObject({ code: 0, printed: 'isHealthy  true\nsessions   3\n' })
    expect(requests).toEqual([{ line: 'GET /v1/health', key: undefined, body: '' }])
    reply = () => ({ status: 503, body: { isHealthy: false } })
    expect((await run(['status'])).code).toBe(1)
  })

  it('say where they looked when there is no server', async () => {
    const io = fakeIo({ env: { POSTHASTE_ADMIN_URL: 'http://127.0.0.1:1', POSTHASTE_ADMIN_KEY: 'x' } })
    expect(await runCommandLine(['user', 'show', 'bob'], io)).toBe(4)
    expect(io.told()).toContain('http://127.0.0.1:1')
    expect(io.told()).toContain('posthaste dev')
  })

  it('take what was typed before any variable, and of the variables the key itself', async () => {
    const path = join(mkdtempSync(join(tmpdir(), 'posthaste-key-')), 'key')
    writeFileSync(path, 'the key of the file', { mode: 0o600 })
    const both = { POSTHASTE_ADMIN_KEY: 'the key of the variable', POSTHASTE_ADMIN_KEY_FILE: path }
    const { POSTHASTE_ADMIN_KEY_FILE: _file, ...keyAlone } = both
    const { POSTHASTE_ADMIN_KEY: _key, ...fileAlone } = both
    for (const [flags, env, key] of [
      [['--admin-key-file', path], keyAlone, 'file'],
      [['--admin-key', 'the key of the flag'], both, 'flag'],
      [[], both, 'variable'],
      [[], fileAlone, 'file'],
    ] as const) {
      requests = []
      const io = fakeIo({ env: { POSTHASTE_ADMIN_URL: url, ...env } })
      expect(await runCommandLine(['user', 'delete', 'bob', ...flags], io)).toBe(0)
      expect(requests).toMatchObject([{ key: `Bearer the key of the ${key}` }])
    }
    requests = []
    const { code, told } = await run(['user', 'show', 'bob', '--admin-key', 'one', '--admin-key-file', path])
    expect([code, told, requests]).toEqual([2, expect.stringContaining('exclude each other'), []])
  })

  it('need a key', async () => {
    const io = fakeIo({ env: { POSTHASTE_ADMIN_URL: url } })
    expect(await runCommandLine(['user', 'show', 'bob'], io)).toBe(26)
    expect(io.told()).toContain('admin-key')
    expect(requests).toEqual([])
  })
})
