import { type Answer, problem, writeRefusals } from '../problem.ts'
import type { Call, JsonSchema, Route, Services } from '../route.ts'
import {
  afterName,
  nameSchema,
  objectSchema,
  pageBody,
  pageQuery,
  pageSchema,
  type RoleName,
  roleNames,
  rolesOf,
  rolesSchema,
} from '../schemas.ts'
import { noUser } from './users.ts'

const name = nameSchema('The group.')
const groupSchema: JsonSchema = objectSchema({
  name,
  identity: { type: 'integer', description: 'Stands for this group for ever; never used again, not after deletion either.' },
  members: { type: 'integer', description: 'Members with any right.' },
})

/** Rights as bits: 1 send, 2 receive, 4 admin. */
function bitsOf(roles: readonly RoleName[]): number {
  return roles.reduce((bits, role) => bits | (1 << roleNames.indexOf(role)), 0)
}

function noGroup(group: string): Answer {
  return problem('not-found', `There is no group '${group}'.`, 'name')
}

/** Groups and their members. */
export function groupRoutes(services: Services): readonly Route[] {
  return [...lifeRoutes(services), membersRoute(services), ...memberRoutes(services)]
}

function lifeRoutes({ operations }: Services): readonly Route[] {
  return [
    {
      method: 'POST',
      path: '/v1/groups',
      operation: 'createGroup',
      summary: 'Create a group',
      body: objectSchema({ name }),
      answers: { 201: { description: 'The group was created.', schema: groupSchema } },
      problems: ['already-exists', ...writeRefusals],
      async handle({ body }: Call<never, { name: string }>) {
        const outcome = await operations.createGroup(body.name)
        if (outcome.isOk)
          return { status: 201, body: outcome.value, headers: { location: `/v1/groups/${encodeURIComponent(body.name)}` } }
        if (outcome.code !== 'already-exists') return problem(outcome.code)
        return problem(outcome.code, `There is a group '${body.name}' already.`, 'name')
      },
    },
    {
      method: 'GET',
      path: '/v1/groups',
      operation: 'listGroups',
      summary: 'List the groups, in byte order of their names, page by page',
      description: 'Deleted groups are looked at and left out: a page may have fewer than `limit`, or none, and not be the last.',
      query: pageQuery(afterName),
      answers: { 200: { description: 'A page.', schema: pageSchema(groupSchema) } },
      problems: [],
      handle({ query }: Call<never, unknown, { after?: string; limit: number }>) {
        return { status: 200, body: pageBody(operations.groupPage(query.after ?? '', query.limit), (group) => group) }
      },
    },
    {
      method: 'GET',
      path: '/v1/groups/:name',
      operation: 'getGroup',
      summary: 'Get a group',
      params: { name },
      answers: { 200: { description: 'The group.', schema: groupSchema } },
      problems: ['not-found'],
      handle({ params }: Call<'name'>) {
        const group = operations.group(params.name)
        return group === undefined ? noGroup(params.name) : { status: 200, body: group }
      },
    },
    {
      method: 'DELETE',
      path: '/v1/groups/:name',
      operation: 'deleteGroup',
      summary: 'Delete a group: what waits for its members ends `removed`',
      params: { name },
      answers: { 204: { description: 'The group is deleted.' } },
      problems: ['not-found'],
      async handle({ params }: Call<'name'>) {
        const outcome = await operations.deleteGroup(params.name)
        if (outcome.isOk) return { status: 204 }
        return outcome.code === 'not-found' ? noGroup(params.name) : problem(outcome.code)
      },
    },
  ]
}

function membersRoute({ operations }: Services): Route {
  return {
    method: 'GET',
    path: '/v1/groups/:name/members',
    operation: 'listMembers',
    summary: 'List the members of a group, in byte order of their names, page by page',
    params: { name },
    query: pageQuery(afterName),
    answers: {
      200: { description: 'A page.', schema: pageSchema(objectSchema({ user: nameSchema('A member.'), roles: rolesSchema })) },
    },
    problems: ['not-found'],
    handle({ params, query }: Call<'name', unknown, { after?: string; limit: number }>) {
      const page = operations.members(params.name, query.after ?? '', query.limit)
      if (!page.isOk) return page.code === 'not-found' ? noGroup(params.name) : problem(page.code)
      return { status: 200, body: pageBody(page.value, ({ user, roles }) => ({ user, roles: rolesOf(roles) })) }
    },
  }
}

function memberRoutes({ operations }: Services): readonly Route[] {
  const path = '/v1/groups/:name/members/:user'
  const params = { name, user: nameSchema('The member.') }
  const setMember = async (group: string, user: string, roles: number): Promise<Answer> => {
    const outcome = await operations.setMember(group, user, roles)
    if (outcome.isOk) return { status: 204 }
    if (outcome.code === 'invalid-destination') return noUser(user, 'user')
    if (outcome.code !== 'not-found') return problem(outcome.code)
    return operations.group(group) === undefined ? noGroup(group) : noUser(user, 'user')
  }
  return [
    {
      method: 'PUT',
      path,
      operation: 'setMember',
      summary: 'Add a member, or change its rights',
      params,
      body: objectSchema({ roles: rolesSchema }),
      answers: { 204: { description: 'The member has these rights, and no others.' } },
      problems: ['not-found', 'too-many', ...writeRefusals],
      handle({ params, body }: Call<'name' | 'user', { roles: readonly RoleName[] }>) {
        return setMember(params.name, params.user, bitsOf(body.roles))
      },
    },
    {
      method: 'DELETE',
      path,
      operation: 'removeMember',
      summary: 'Remove a member: it keeps what it received, and receives nothing more',
      params,
      answers: { 204: { description: 'The user is not a member.' } },
      problems: ['not-found'],
      handle({ params }: Call<'name' | 'user'>) {
        return setMember(params.name, params.user, 0)
      },
    },
  ]
}
