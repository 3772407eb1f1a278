import { describe, expect, it } from 'vitest'
import { createLogger } from '../../src/logging.ts'
import { hmacToken, now, secretOf } from '../auth/tokens.ts'

const token = hmacToken({ sub: 'alice', iat: now }, secretOf(1))
const adminKey = 'an "admin" key of some length'

function linesOf(log: (logger: ReturnType<typeof createLogger>) => void, level = 'info'): string {
  let lines = ''
  const destination = {
    write(line: string) {
      lines += line
    },
  }
  log(createLogger({ level, hidden: [adminKey, ''], destination }))
  return lines
}

describe('createLogger', () => {
  it('writes one line of JSON with a readable level and time', () => {
    const line = JSON.parse(linesOf((logger) => logger.warn({ port: 7400 }, 'listening')))
    expect(line).toEqual({ level: 'warn', time: expect.stringMatching(/^\d{4}-.*Z$/), port: 7400, msg: 'listening' })
  })

  it('writes nothing below its level', () => {
    expect(linesOf((logger) => logger.info('x'), 'silent')).toBe('')
    expect(linesOf((logger) => logger.debug('x'))).toBe('')
  })

  it.each<[string, object, string]>([
    ['a token by name', { token: 'opaque-token' }, 'opaque-token'],
    ['a token in an object', { hello: { token: 'opaque-token' } }, 'opaque-token'],
    ['a header', { req: { headers: { authorization: 'Basic opaque-token' } } }, 'opaque-token'],
    ['secrets', { auth: { secrets: ['opaque-token'] } }, 'opaque-token'],
    ['a JWT under any name', { whatever: [{ deep: { down: token } }] }, token],
    ['a JWT in an error', { err: new Error(`cannot read ${token}`) }, token],
    ['a bearer key in a text', { text: 'Authorization: Bearer opaque-token' }, 'opaque-token'],
    ['the admin key', { text: `key=${adminKey}` }, 'admin'],
  ])('hides %s', (_what, object, secret) => {
    const lines = linesOf((logger) => logger.info(object, 'message'))
    expect(lines).not.toContain(secret)
    expect(JSON.parse(lines).msg).toBe('message')
  })

  it('hides what a message quotes, in child loggers too', () => {
    expect(linesOf((logger) => logger.child({ session: token }).info(`HELLO with ${token}`))).not.toContain(token)
  })
})
