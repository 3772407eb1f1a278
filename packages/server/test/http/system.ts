import type { FastifyInstance } from 'fastify'
import { pino } from 'pino'
import { TokenVerifier } from '../../src/auth/index.ts'
import { createHttpApi } from '../../src/http/index.ts'
import type { AuthOptions } from '../../src/options.ts'
import { nowMs, secretOf } from '../auth/tokens.ts'
import { MemoryOperations } from './operations.ts'

/** The key of the API under test. */
export const adminKey = 'the key of the API under test'

/** An answer, with its body parsed where it is JSON. */
export interface Answered {
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: unknown
  readonly text: string
}

/** An API over operations in memory, with the users alice and bob and the group team. */
export interface System {
  readonly app: FastifyInstance
  readonly operations: MemoryOperations
  readonly auth: TokenVerifier
  /** Calls a route with the admin key. A body that is no string is sent as JSON. */
  call(
    method: 'GET' | 'POST' | 'PUT' | 'DELETE',
    url: string,
    body?: unknown,
    headers?: Record<string, string>,
  ): Promise<Answered>
}

/** Makes a system; `log` gets its log lines. */
export async function newSystem(auth: Partial<AuthOptions> = {}, log: (line: string) => void = () => {}): Promise<System> {
  const operations = new MemoryOperations()
  await operations.reset()
  const verifier = await TokenVerifier.create(
    { secrets: [secretOf(1)], jwks: undefined, audience: undefined, ...auth },
    () => nowMs,
  )
  const logger = pino({ level: 'debug' }, { write: log })
  const app = createHttpApi({ operations, auth: verifier, adminKey, logger, version: '1.2.3', now: () => nowMs })
  return {
    app,
    operations,
    auth: verifier,
    async call(method, url, body, headers = {}) {
      const json = body === undefined ? {} : { 'content-type': 'application/json' }
      const payload =
        body === undefined ? {} : { payload: typeof body === 'string' || body instanceof Buffer ? body : JSON.stringify(body) }
      const response = await app.inject({
        method,
        url,
        headers: { authorization: `Bearer ${adminKey}`, ...json, ...headers },
        ...payload,
      })
      const isJson = String(response.headers['content-type']).includes('json')
      const parsed: unknown = isJson ? JSON.parse(response.payload) : undefined
      return { status: response.statusCode, headers: response.headers, body: parsed, text: response.payload }
    },
  }
}

/** Names that a path must carry unchanged. */
export const awkwardNames = [
  'a/b',
  '100%',
  'a%2Fb',
  'ü',
  '?x=1',
  'a#b',
  ';',
  'a b',
  'a+b',
  '\u{1f600}',
  'a\\b',
  '%25',
  '€'.repeat(42),
]

/** What is no address, and a word of what is said about it. */
export const badNames: readonly (readonly [string, string])[] = [
  ['a\nb', 'control'],
  ['x'.repeat(129), '129 bytes'],
  ['x'.repeat(4_000), '4000 bytes'],
]
