import type { UserInfo } from '../../operations.ts'
import { type Answer, problem, writeRefusals } from '../problem.ts'
import type { Call, JsonSchema, Route, Services } from '../route.ts'
import {
  afterName,
  maybeTimeOf,
  maybeTimeSchemas,
  nameSchema,
  objectSchema,
  pageBody,
  pageQuery,
  pageSchema,
  rolesOf,
  rolesSchema,
  timeOf,
  timeSchemas,
} from '../schemas.ts'
import { instantMs } from '../validation.ts'

const ttlSecondsDefault = 3_600
const ttlSecondsMax = 31_536_000
/** How far ahead of the server's clock a revocation may lie: further, and it would refuse tokens that nobody has made yet. */
const aheadMsMax = 60_000

const name = nameSchema('The user.')
const userSchema: JsonSchema = objectSchema({
  name,
  identity: { type: 'integer', description: 'Stands for this user for ever; never used again, not after deletion either.' },
  isOnline: { type: 'boolean', description: 'Whether a device is connected.' },
  ...maybeTimeSchemas('lastSeen', 'When a device was last connected; null for never.'),
  devices: { type: 'integer' },
  waiting: { type: 'integer', description: 'Messages that no device has stored yet.' },
})

function userBody(user: UserInfo): object {
  return { ...user, ...maybeTimeOf('lastSeen', user.lastSeenMs) }
}

const ttlSeconds = {
  type: 'integer',
  minimum: 1,
  maximum: ttlSecondsMax,
  default: ttlSecondsDefault,
  description: 'How long it is valid.',
}
const validAfter = {
  description:
    'Tokens made until this time are revoked: ISO 8601 with a zone, or ms since the epoch; at most a minute ahead. Now by default.',
  anyOf: [
    { type: 'string', format: 'instant' },
    { type: 'integer', minimum: 0 },
  ],
}

/** The answer about a user that does not exist. */
export function noUser(user: string, field: string): Answer {
  return problem('not-found', `There is no user '${user}'.`, field)
}

/** Users, their tokens and their blocks. */
export function userRoutes(services: Services): readonly Route[] {
  return [...lifeRoutes(services), ...tokenRoutes(services), ...listRoutes(services), ...blockRoutes(services)]
}

function lifeRoutes({ operations }: Services): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/users',
      operation: 'createUser',
      summary: 'Create a user, or find the one of that name',
      body: objectSchema({ name }),
      answers: {
        200: { description: 'The user was there before.', schema: userSchema },
        201: { description: 'The user was created.', schema: userSchema },
      },
      problems: [...writeRefusals],
      async handle({ body }: Call<never, { name: string }>) {
        const outcome = await operations.createUser(body.name)
        if (!outcome.isOk) return problem(outcome.code)
        const { user, isNew } = outcome.value
        const headers = { location: `/v1/users/${encodeURIComponent(user.name)}` }
        return isNew ? { status: 201, body: userBody(user), headers } : { status: 200, body: userBody(user) }
      },
    },
    {
      method: 'GET',
      path: '/v1/users/:name',
      operation: 'getUser',
      summary: 'Get a user',
      params: { name },
      answers: { 200: { description: 'The user.', schema: userSchema } },
      problems: ['not-found'],
      handle({ params }: Call<'name'>) {
        const user = operations.user(params.name)
        return user === undefined ? noUser(params.name, 'name') : { status: 200, body: userBody(user) }
      },
    },
    {
      method: 'DELETE',
      path: '/v1/users/:name',
      operation: 'deleteUser',
      summary: 'Delete a user: sessions end, what waits for the user ends `removed`, older tokens never re-create it',
      params: { name },
      answers: { 204: { description: 'The user is deleted.' } },
      problems: ['not-found'],
      async handle({ params }: Call<'name'>) {
        const outcome = await operations.deleteUser(params.name)
        if (outcome.isOk) return { status: 204 }
        return outcome.code === 'not-found' ? noUser(params.name, 'name') : problem(outcome.code)
      },
    },
  ]
}

function tokenRoutes({ operations, auth, now }: Services): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/users/:name/tokens',
      operation: 'createToken',
      summary: 'Make a token for a user',
      params: { name },
      body: objectSchema({ ttlSeconds }, []),
      answers: {
        201: {
          description: 'The token.',
          schema: objectSchema({ token: { type: 'string' }, ...timeSchemas('expiresAt', 'When it ends.') }),
        },
      },
      problems: ['not-found', 'no-secret'],
      async handle({ params, body }: Call<'name', { ttlSeconds: number }>) {
        if (!auth.canMakeTokens) return problem('no-secret')
        if (operations.user(params.name) === undefined) return noUser(params.name, 'name')
        const issuedAtMs = now()
        const token = await auth.makeToken(params.name, { ttlSeconds: body.ttlSeconds, issuedAtMs })
        return { status: 201, body: { token, ...timeOf('expiresAt', issuedAtMs + body.ttlSeconds * 1_000) } }
      },
    },
    {
      method: 'POST',
      path: '/v1/users/:name/revoke',
      operation: 'revokeTokens',
      summary: 'Revoke the tokens of a user that were made until a time, and end their sessions',
      params: { name },
      body: objectSchema({ validAfter }, []),
      answers: {
        200: {
          description: 'They are revoked.',
          schema: objectSchema(
            timeSchemas('validAfter', 'Tokens made until then are refused; later than asked for, if it was so before.'),
          ),
        },
      },
      problems: ['not-found'],
      async handle({ params, body }: Call<'name', { validAfter?: string | number }>) {
        const { validAfter: given = now() } = body
        const validAfterMs = typeof given === 'number' ? given : (instantMs(given) ?? now())
        if (validAfterMs > now() + aheadMsMax) return problem('invalid-argument', 'validAfter lies in the future.', 'validAfter')
        const outcome = await operations.revokeTokens(params.name, validAfterMs)
        if (outcome.isOk) return { status: 200, body: timeOf('validAfter', outcome.value) }
        return outcome.code === 'not-found' ? noUser(params.name, 'name') : problem(outcome.code)
      },
    },
  ]
}

function listRoutes({ operations }: Services): readonly Route[] {
  const afterIdentity = {
    type: 'integer',
    minimum: 0,
    maximum: Number.MAX_SAFE_INTEGER,
    description: '`next` of the page before.',
  }
  return [
    {
      method: 'GET',
      path: '/v1/users',
      operation: 'listUsers',
      summary: 'List the users, in byte order of their names, page by page',
      description: 'Deleted users are looked at and left out: a page may have fewer than `limit`, or none, and not be the last.',
      query: pageQuery(afterName),
      answers: { 200: { description: 'A page.', schema: pageSchema(userSchema) } },
      problems: [],
      handle({ query }: Call<never, unknown, { after?: string; limit: number }>) {
        return { status: 200, body: pageBody(operations.userPage(query.after ?? '', query.limit), userBody) }
      },
    },
    {
      method: 'GET',
      path: '/v1/users/:name/groups',
      operation: 'listGroupsOfUser',
      summary: 'List the groups of a user, with its rights there, in the order of their identities, page by page',
      params: { name },
      query: pageQuery(afterIdentity),
      answers: {
        200: { description: 'A page.', schema: pageSchema(objectSchema({ group: nameSchema('A group.'), roles: rolesSchema })) },
      },
      problems: ['not-found'],
      handle({ params, query }: Call<'name', unknown, { after?: number; limit: number }>) {
        const page = operations.membershipPage(params.name, query.after ?? 0, query.limit)
        if (!page.isOk) return noUser(params.name, 'name')
        return { status: 200, body: pageBody(page.value, ({ group, roles }) => ({ group, roles: rolesOf(roles) })) }
      },
    },
    {
      method: 'GET',
      path: '/v1/users/:name/blocks',
      operation: 'listBlocks',
      summary: 'List whom a user has blocked, in the order of their identities, page by page',
      description:
        'Of those who have sent to the user `limit` are looked at for a page: it may have fewer, or none, and not be the last.',
      params: { name },
      query: pageQuery(afterIdentity),
      answers: { 200: { description: 'A page.', schema: pageSchema(objectSchema({ user: nameSchema('Who is blocked.') })) } },
      problems: ['not-found'],
      handle({ params, query }: Call<'name', unknown, { after?: number; limit: number }>) {
        const page = operations.blockPage(params.name, query.after ?? 0, query.limit)
        return page.isOk ? { status: 200, body: pageBody(page.value, (user) => ({ user })) } : noUser(params.name, 'name')
      },
    },
  ]
}

function blockRoutes({ operations }: Services): readonly Route[] {
  const route = (method: 'PUT' | 'DELETE', isBlocked: boolean) => ({
    method,
    path: '/v1/users/:name/blocks/:other',
    params: { name, other: nameSchema('The user who is blocked.') },
    async handle({ params }: Call<'name' | 'other'>): Promise<Answer> {
      if (isBlocked && params.name === params.other) return problem('invalid-argument', 'A user does not block itself.', 'other')
      const outcome = await operations.setBlock(params.name, params.other, isBlocked)
      if (outcome.isOk) return { status: 204 }
      if (outcome.code !== 'not-found') return problem(outcome.code)
      return operations.user(params.name) === undefined ? noUser(params.name, 'name') : noUser(params.other, 'other')
    },
  })
  return [
    {
      ...route('PUT', true),
      operation: 'blockUser',
      summary: 'Block another user: what that user sends from now on is answered with `blocked`',
      answers: { 204: { description: 'The other user is blocked.' } },
      problems: ['not-found', ...writeRefusals],
    },
    {
      ...route('DELETE', false),
      operation: 'unblockUser',
      summary: 'Lift a block',
      answers: { 204: { description: 'The other user is not blocked.' } },
      problems: ['not-found'],
    },
  ]
}
