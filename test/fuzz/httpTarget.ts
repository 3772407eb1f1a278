import { adminKey, awkwardNames, newSystem, type System } from '../../packages/server/test/http/system.ts'
import { Choices } from './choices.ts'
import { type Stopwatch, type Target, Violation } from './target.ts'

const names = ['alice', 'bob', 'team', 'nobody', '.', '..', '', 'x'.repeat(129), '%', '%ff', '%00', ...awkwardNames] as const
const numbers = [0, 1, -1, 0.5, 15, 16, 256, 257, 2_592_000, 2_592_001, 2 ** 32, 2 ** 53, 1e308] as const
const ids = ['0', '1', '18446744073709551615', '18446744073709551616', '-1', '1e3', '٣', ''] as const
const fields = [
  'name',
  'from',
  'to',
  'id',
  'body',
  'bodyBase64',
  'type',
  'priority',
  'expirySeconds',
  'receipts',
  'roles',
  'user',
  'group',
]
const strange = [
  null,
  true,
  [],
  {},
  '',
  [[]],
  { user: 'bob', group: 'team' },
  { __proto__: null },
  '\ud800',
  'A'.repeat(100_000),
] as const

interface Request {
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  readonly url: string
  readonly headers: Readonly<Record<string, string>>
  readonly payload: Buffer
}

/**
 * The HTTP API over operations in memory: requests that are right but for a few parts. Each is answered, none with a failure of the
 * server's; who is refused is told why in a problem document.
 */
export const httpTarget = (stopwatch: Stopwatch): Target => {
  let system: Promise<System> | undefined
  return {
    name: 'http',
    genomeBytesMax: 128,
    batchInputs: 16,
    isWatched: (url) => /\/packages\/server\/src\/(http|auth)\//.test(url),
    async run(genome) {
      system ??= newSystem()
      const { app, operations } = await system
      await operations.reset()
      const choices = new Choices(genome)
      const count = 1 + choices.below(4)
      for (let request = 0; request < count; request++) await check(stopwatch, app, requestOf(choices))
      return count
    },
    describe(genome) {
      const choices = new Choices(genome)
      const requests = Array.from({ length: 1 + choices.below(4) }, () => requestOf(choices))
      return requests.map(({ payload, ...rest }) => JSON.stringify({ ...rest, payload: payload.toString('latin1') })).join('\n')
    },
  }
}

async function check(stopwatch: Stopwatch, app: System['app'], request: Request): Promise<void> {
  const answer = await stopwatch.timeAll(`${request.method} ${request.url.slice(0, 200)}`, () => app.inject({ ...request }))
  const { statusCode, payload, headers } = answer
  if (statusCode >= 500) throw new Violation(`${statusCode} ${payload}`)
  if (statusCode < 400) return
  if (!String(headers['content-type']).startsWith('application/problem+json')) throw new Violation(`no problem: ${payload}`)
  const problem: unknown = JSON.parse(payload)
  const isTold = typeof problem === 'object' && problem !== null && 'code' in problem && 'status' in problem
  if (!isTold || problem.status !== statusCode) throw new Violation(`a problem without a code: ${payload}`)
}

function requestOf(choices: Choices): Request {
  const { method, url, body } = choices.pick(routes)(choices)
  const mutated = choices.oneIn(2) ? body : twist(body, choices)
  let payload = Buffer.from(JSON.stringify(mutated) ?? '')
  if (choices.oneIn(8)) payload = payload.subarray(0, choices.below(payload.length + 1))
  if (choices.oneIn(8) && payload.length > 0) payload[choices.below(payload.length)] = choices.byte()
  if (choices.oneIn(64)) payload = Buffer.from('['.repeat(50_000))
  const headers = {
    authorization: choices.oneIn(16)
      ? choices.pick(['', 'Bearer', 'Bearer x', `bearer ${adminKey}`, 'Basic eA=='])
      : `Bearer ${adminKey}`,
    'content-type': choices.oneIn(16) ? choices.pick(['', 'text/plain', 'application/json; charset=utf-16']) : 'application/json',
    ...(choices.oneIn(8) ? { accept: choices.pick(['text/html', '*/*', ',', 'application/json;q=x']) } : {}),
  }
  return { method: choices.oneIn(16) ? choices.pick(['GET', 'POST', 'PUT', 'DELETE'] as const) : method, url, headers, payload }
}

type Draft = { readonly method: Request['method']; readonly url: string; readonly body?: Record<string, unknown> }

const segment = (choices: Choices): string => {
  const name = choices.oneIn(2) ? choices.pick(['alice', 'bob', 'team'] as const) : choices.pick(names)
  return choices.oneIn(8) ? name.replaceAll(/[\r\n ]/g, '') : encodeURIComponent(name)
}
const page = (choices: Choices): string =>
  choices.oneIn(2) ? '' : `?limit=${choices.pick([...numbers, 'x', ''])}&after=${segment(choices)}`

const routes: readonly ((choices: Choices) => Draft)[] = [
  (choices) => ({ method: 'POST', url: '/v1/messages', body: message(choices) }),
  (choices) => ({ method: 'POST', url: '/v1/messages', body: message(choices) }),
  (choices) => {
    const [from, kind, to] = [segment(choices), choices.pick(['user', 'group', 'users', '']), segment(choices)]
    return { method: 'GET', url: `/v1/messages/${from}/${kind}/${to}/${encodeURIComponent(choices.pick(ids))}` }
  },
  (choices) => ({ method: 'POST', url: '/v1/users', body: { name: choices.pick(names) } }),
  (choices) => ({ method: choices.pick(['GET', 'DELETE'] as const), url: `/v1/users/${segment(choices)}` }),
  (choices) => ({
    method: 'POST',
    url: `/v1/users/${segment(choices)}/tokens`,
    body: { expiresInSeconds: choices.pick(numbers) },
  }),
  (choices) => ({
    method: 'POST',
    url: `/v1/users/${segment(choices)}/revoke`,
    body: choices.oneIn(2) ? {} : { validAfter: choices.pick([...numbers, '2026-01-01T00:00:00Z', 'x']) },
  }),
  (choices) => {
    const after = choices.pick(['', `&after=${choices.pick(numbers)}`, `&after=${segment(choices)}`])
    const query = choices.oneIn(2) ? '' : `?limit=${choices.pick([...numbers, 'x', ''])}${after}`
    return { method: 'GET', url: `/v1/users/${segment(choices)}/${choices.pick(['blocks', 'groups'] as const)}${query}` }
  },
  (choices) => ({ method: 'GET', url: `/v1/${choices.pick(['users', 'groups'] as const)}${page(choices)}` }),
  (choices) => ({
    method: choices.pick(['PUT', 'DELETE'] as const),
    url: `/v1/users/${segment(choices)}/blocks/${segment(choices)}`,
  }),
  (choices) => ({ method: 'POST', url: '/v1/groups', body: { name: choices.pick(names) } }),
  (choices) => ({ method: choices.pick(['GET', 'DELETE'] as const), url: `/v1/groups/${segment(choices)}` }),
  (choices) => ({ method: 'GET', url: `/v1/groups/${segment(choices)}/members${page(choices)}` }),
  (choices) => {
    const url = `/v1/groups/${segment(choices)}/members/${segment(choices)}`
    return {
      method: choices.pick(['PUT', 'DELETE'] as const),
      url,
      body: { roles: choices.pick([['send'], [], ['send', 'send'], 7, ['x']]) },
    }
  },
  (choices) => ({ method: 'GET', url: `/v1/errors/${segment(choices)}` }),
  (choices) => ({
    method: 'GET',
    url: choices.pick(['/v1/health', '/v1/openapi.json', '/', '//', '/v1//users', '/v1/%', '/v1/users/%zz']),
  }),
]

function message(choices: Choices): Record<string, unknown> {
  const to = choices.oneIn(4)
    ? choices.pick(strange)
    : choices.pick([{ user: 'bob' }, { group: 'team' }, { user: choices.pick(names) }])
  const text = choices.pick(['body', 'body', 'bodyBase64'] as const)
  const rest = choices.oneIn(2)
    ? {}
    : { type: choices.pick(numbers), priority: choices.pick(numbers), expirySeconds: choices.pick(numbers) }
  return {
    from: choices.pick(['alice', 'bob', ...names]),
    to,
    id: choices.pick(ids),
    [text]: choices.pick(['aGVsbG8=', '!', 'ü']),
    ...rest,
  }
}

/** A body of which a field is left out, another one, or too much. */
function twist(body: Record<string, unknown> | undefined, choices: Choices): unknown {
  if (choices.oneIn(8)) return choices.pick(strange)
  const twisted: Record<string, unknown> = { ...body }
  const field = choices.oneIn(4) ? choices.pick(fields) : choices.pick(['name', ...Object.keys(twisted)])
  if (choices.oneIn(4)) delete twisted[field]
  else twisted[field] = choices.pick([...strange, ...numbers, ...ids, ...names])
  return twisted
}
