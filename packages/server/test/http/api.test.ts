import { readdirSync, readFileSync } from 'node:fs'
import { PassThrough } from 'node:stream'
import { codes } from '@posthaste/protocol'
import { beforeEach, describe, expect, it } from 'vitest'
import { createHttpApi, errorPage } from '../../src/http/index.ts'
import { adminKey, newSystem } from './system.ts'

const system = await newSystem()
beforeEach(() => system.operations.reset())

const guarded = [
  ['POST', '/v1/users'],
  ['GET', '/v1/users/alice'],
  ['DELETE', '/v1/users/alice'],
  ['POST', '/v1/users/alice/tokens'],
  ['POST', '/v1/users/alice/revoke'],
  ['PUT', '/v1/users/alice/blocks/bob'],
  ['DELETE', '/v1/users/alice/blocks/bob'],
  ['POST', '/v1/groups'],
  ['GET', '/v1/groups/team'],
  ['DELETE', '/v1/groups/team'],
  ['GET', '/v1/groups/team/members'],
  ['PUT', '/v1/groups/team/members/bob'],
  ['DELETE', '/v1/groups/team/members/bob'],
  ['POST', '/v1/messages'],
  ['GET', '/v1/messages/alice/user/bob/1'],
  ['GET', '/v1/nothing'],
] as const

describe('the admin key', () => {
  it.each(guarded)('is needed for %s %s [I9]', async (method, url) => {
    for (const authorization of [
      '',
      adminKey,
      'Bearer',
      'Bearer ',
      `Bearer ${adminKey}x`,
      `Bearer ${adminKey.slice(1)}`,
      `Basic ${adminKey}`,
    ]) {
      const answer = await system.call(method, url, method === 'GET' ? undefined : {}, { authorization })
      expect(answer.status).toBe(401)
      expect(answer.body).toMatchObject({ code: 'not-authorized', type: '/v1/errors/not-authorized', retryable: false })
      expect(answer.headers).toMatchObject({ 'www-authenticate': expect.stringContaining('Bearer') })
    }
    expect((await system.call(method, url, undefined, { authorization: `bearer ${adminKey}` })).status).not.toBe(401)
  })

  it.each(['/v1/health', '/v1/errors/conflict', '/v1/openapi.json'])('is not needed for GET %s', async (url) => {
    expect((await system.call('GET', url, undefined, { authorization: '' })).status).toBe(200)
  })

  it('is needed for what is added to the API, unless that says otherwise [I9]', async () => {
    const more = await newSystem()
    more.app.get('/metrics', () => 'numbers')
    more.app.get('/console', { config: { isPublic: true } }, () => 'page')
    expect((await more.call('GET', '/metrics', undefined, { authorization: '' })).status).toBe(401)
    expect((await more.call('GET', '/metrics')).text).toBe('numbers')
    expect((await more.call('GET', '/console', undefined, { authorization: '' })).text).toBe('page')
  })

  it('must not be empty', async () => {
    const { operations, auth } = system
    const logger = system.app.log
    expect(() => createHttpApi({ operations, auth, adminKey: '', logger, version: '1' })).toThrow(RangeError)
  })

  it('and the tokens made are in no log line', async () => {
    let lines = ''
    const logged = await newSystem({}, (line) => {
      lines += line
    })
    const { body } = await logged.call('POST', '/v1/users/alice/tokens')
    await logged.call('GET', '/v1/nothing')
    expect(lines).toContain('/v1/users/alice/tokens')
    expect(lines).not.toContain(adminKey)
    expect(lines).not.toContain(Reflect.get(Object(body), 'token'))
  })
})

describe('problems', () => {
  it('are problem details with the code, the field and a help page', async () => {
    const { status, headers, body } = await system.call('GET', '/v1/users/nobody')
    expect(status).toBe(404)
    expect(headers['content-type']).toContain('application/problem+json')
    expect(body).toEqual({
      type: '/v1/errors/not-found',
      title: 'There is no such thing.',
      status: 404,
      detail: "There is no user 'nobody'.",
      code: 'not-found',
      field: 'name',
      retryable: false,
    })
  })

  it.each([
    ['busy', 503, '1'],
    ['disk-full', 507, '30'],
    ['too-many-keys', 429, '60'],
    ['shutting-down', 503, '5'],
    ['internal', 500, '1'],
    ['too-slow', 500, '1'],
  ] as const)('say when to try again: %s', async (code, status, retryAfter) => {
    system.operations.refusal = code
    const answer = await system.call('POST', '/v1/users', { name: 'carol' })
    expect(answer).toMatchObject({ status, body: { code, retryable: true }, headers: { 'retry-after': retryAfter } })
  })

  it('say nothing of what failed inside, which the log does', async () => {
    let lines = ''
    const logged = await newSystem({}, (line) => {
      lines += line
    })
    logged.operations.createUser = () => Promise.reject(new Error('row 7 is broken'))
    const { status, body, text } = await logged.call('POST', '/v1/users', { name: 'carol' })
    expect(status).toBe(500)
    expect(body).toMatchObject({ code: 'internal', retryable: true })
    expect(text).not.toContain('row 7')
    expect(lines).toContain('row 7 is broken')
  })

  it.each([
    ['a route that does not exist', 'GET', '/v1/nothing', 404, 'not-found', 'GET /v1/nothing'],
    ['a path that is not UTF-8', 'GET', '/v1/users/%ff', 400, 'invalid-argument', '%ff'],
    ['a path that is much too long', 'GET', `/v1/users/${'x'.repeat(5_000)}`, 400, 'invalid-argument', 'max param length'],
    ['a query that is not known', 'GET', '/v1/users/alice?x=1', 400, 'invalid-argument', "no query parameter 'x'"],
  ] as const)('answer %s', async (_what, method, url, status, code, text) => {
    const { status: answered, headers, body } = await system.call(method, url)
    expect(answered).toBe(status)
    expect(headers['content-type']).toContain('application/problem+json')
    expect(body).toMatchObject({ code, status, detail: expect.stringContaining(text) })
  })

  it.each([
    ['PUT', '/v1/users', 'POST, GET, HEAD'],
    ['POST', '/v1/users/alice', 'GET, HEAD, DELETE'],
    ['GET', '/v1/messages', 'POST'],
    ['DELETE', '/v1/health', 'GET, HEAD'],
  ] as const)('answer %s %s, which the path does not have, with what it has', async (method, url, allow) => {
    const body = method === 'GET' ? undefined : 'no JSON'
    const answer = await system.call(method, url, body, { 'content-type': 'text/plain' })
    expect(answer).toMatchObject({ status: 405, headers: { allow }, body: { code: 'method-not-allowed', status: 405 } })
    expect(answer.body).toMatchObject({ detail: expect.stringContaining(`no ${method} here, only ${allow}.`) })
    expect(answer.headers['content-type']).toContain('application/problem+json')
    const isPublic = url === '/v1/health'
    expect((await system.call(method, url, body, { authorization: '' })).status).toBe(isPublic ? 405 : 401)
  })

  it('answer HEAD where there is GET', async () => {
    expect(await system.app.inject({ method: 'HEAD', url: '/v1/health' })).toMatchObject({ statusCode: 200, payload: '' })
  })

  it('end a connection on which no request comes', async () => {
    const late = new PassThrough()
    const text = new Promise<string>((resolve) => late.once('data', (bytes) => resolve(String(bytes))))
    system.app.server.emit('clientError', Object.assign(new Error('late'), { code: 'ERR_HTTP_REQUEST_TIMEOUT' }), late)
    const [head = '', body = ''] = (await text).split('\r\n\r\n')
    expect(head).toMatch(/^HTTP\/1.1 408 Request Timeout\r\n(.*\r\n)*connection: close$/)
    expect(head).toContain('content-type: application/problem+json\r\n')
    expect(JSON.parse(body)).toMatchObject({ status: 408, code: 'invalid-argument', detail: 'The request did not come in time.' })
  })
})

describe('bodies', () => {
  it.each<[string, unknown, string]>([
    ['no body', undefined, 'name is missing'],
    ['an empty body', '', 'name is missing'],
    ['a text', '"carol"', 'body of JSON is needed'],
    ['an array', '[]', 'body of JSON is needed'],
    ['null', 'null', 'name is missing'],
    ['half an object', '{"name":', 'not well-formed JSON'],
    ['bytes that are not UTF-8', Buffer.from([0x7b, 0x22, 0x6e, 0xff, 0x22, 0x3a, 0x31, 0x7d]), 'not well-formed JSON'],
    ['an unknown field', { name: 'carol', nick: 'c' }, "no field 'nick'"],
    ['a field that is called __proto__', '{"name":"carol","__proto__":{"x":1}}', '__proto__'],
    ['nesting without end', '['.repeat(200_000), 'not well-formed JSON'],
  ])('refuse %s', async (_what, body, detail) => {
    const answer = await system.call('POST', '/v1/users', body)
    expect(answer.status).toBe(400)
    expect(answer.body).toMatchObject({ code: 'invalid-argument', detail: expect.stringContaining(detail) })
    expect(system.operations.users.size).toBe(2)
  })

  it('refuse what is not JSON', async () => {
    const answer = await system.call('POST', '/v1/users', 'name=carol', { 'content-type': 'application/x-www-form-urlencoded' })
    expect(answer).toMatchObject({ status: 415, body: { code: 'unsupported-media-type' } })
  })

  it('refuse more than 2 MiB [I10]', async () => {
    const answer = await system.call('POST', '/v1/users', { name: 'x'.repeat(2 * 1024 * 1024) })
    expect(answer).toMatchObject({ status: 413, body: { code: 'too-large' } })
  })

  it('are refused where none is expected, unless they are empty', async () => {
    const put = (body: unknown) => system.call('PUT', '/v1/users/alice/blocks/bob', body)
    expect((await put({})).status).toBe(204)
    expect((await put('')).status).toBe(204)
    expect((await put({ x: 1 })).status).toBe(400)
  })
})

describe('GET /v1/health', () => {
  it('tells how the server is', async () => {
    const { status, body } = await system.call('GET', '/v1/health')
    expect(status).toBe(200)
    expect(body).toEqual(system.operations.health())
  })

  it('is 503 when the server is not healthy', async () => {
    system.operations.isHealthy = false
    expect(await system.call('GET', '/v1/health')).toMatchObject({ status: 503, body: { isHealthy: false } })
  })
})

describe('GET /v1/errors/:code', () => {
  it.each(codes.map(({ name }) => name))('explains %s', async (name) => {
    const { status, body } = await system.call('GET', `/v1/errors/${name}`)
    expect(status).toBe(200)
    expect(body).toMatchObject({ code: name, text: expect.stringMatching(/\.$/), advice: expect.stringMatching(/\.$/) })
    expect(errorPage(name)).toContain(`<h1>${name}</h1>`)
  })

  it('explains every code that the SDK gives', () => {
    const directory = new URL('../../../client/src/', import.meta.url)
    const sources = readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((path) => path.endsWith('.ts'))
    const given = sources.flatMap((path) => [...readFileSync(new URL(path, directory), 'utf8').matchAll(/\bcode: '([a-z-]+)'/g)])
    const names = [...new Set(given.map(([, name = '']) => name))]
    expect(names).toContain('store-full')
    expect(names.filter((name) => errorPage(name) === undefined)).toEqual([])
  })

  it('gives browsers a page, without anything that runs or is loaded', async () => {
    const accept = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'
    const { headers, text } = await system.call('GET', '/v1/errors/conflict', undefined, { accept, authorization: '' })
    expect(headers).toMatchObject({ 'content-type': 'text/html; charset=utf-8', vary: 'accept' })
    expect(headers['content-security-policy']).toContain("default-src 'none'")
    expect(text).toBe(errorPage('conflict'))
    expect(text).not.toMatch(/<script|src=|href=/)
  })

  it.each([
    ['TEXT/HTML', true],
    ['text/html;q=0.1', true],
    ['text/html; q=0, application/json', false],
    ['text/html;q=0.0', false],
    ['*/*', false],
  ])('gives a page to who wants one: %s', async (accept, isPage) => {
    const { headers } = await system.call('GET', '/v1/errors/conflict', undefined, { accept })
    expect(String(headers['content-type']).startsWith('text/html')).toBe(isPage)
  })

  it('answers 404 to what is no code', async () => {
    for (const name of ['nothing', '__proto__', 'constructor', '%3Cscript%3E']) {
      const { status, body } = await system.call('GET', `/v1/errors/${name}`, undefined, { accept: 'text/html' })
      expect(status).toBe(404)
      expect(body).toMatchObject({ code: 'not-found', field: 'code' })
    }
    expect(errorPage('nothing')).toBeUndefined()
  })
})
