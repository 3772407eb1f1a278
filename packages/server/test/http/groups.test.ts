import { beforeEach, describe, expect, it } from 'vitest'
import { awkwardNames, badNames, newSystem } from './system.ts'

const system = await newSystem()
beforeEach(() => system.operations.reset())

describe('POST /v1/groups', () => {
  it('creates a group', async () => {
    const { status, body, headers } = await system.call('POST', '/v1/groups', { name: 'a/b' })
    expect(status).toBe(201)
    expect(headers.location).toBe('/v1/groups/a%2Fb')
    expect(body).toEqual({ name: 'a/b', identity: expect.any(Number), members: 0 })
  })

  it('refuses a name that is taken', async () => {
    const answer = await system.call('POST', '/v1/groups', { name: 'team' })
    expect(answer).toMatchObject({ status: 409, body: { code: 'already-exists', field: 'name' } })
  })

  it.each(badNames)('refuses the name %j', async (name, rule) => {
    const { status, body } = await system.call('POST', '/v1/groups', { name })
    expect(status).toBe(400)
    expect(body).toMatchObject({ field: 'name', detail: expect.stringContaining(rule) })
  })
})

describe('GET and DELETE /v1/groups/:name', () => {
  it('give and delete a group', async () => {
    expect(await system.call('GET', '/v1/groups/team')).toMatchObject({ status: 200, body: { name: 'team', members: 0 } })
    expect(await system.call('DELETE', '/v1/groups/team')).toMatchObject({ status: 204, text: '' })
    for (const method of ['GET', 'DELETE'] as const) {
      expect(await system.call(method, '/v1/groups/team')).toMatchObject({
        status: 404,
        body: { code: 'not-found', field: 'name' },
      })
    }
  })
})

describe('PUT and DELETE /v1/groups/:name/members/:user', () => {
  it.each([
    [['send'], 1],
    [['receive'], 2],
    [['admin'], 4],
    [['receive', 'send'], 3],
    [['send', 'receive', 'admin'], 7],
  ])('give the rights %j', async (roles, bits) => {
    expect(await system.call('PUT', '/v1/groups/team/members/bob', { roles })).toMatchObject({ status: 204, text: '' })
    expect(system.operations.groups.get('team')?.get('bob')).toBe(bits)
  })

  it('remove a member, as often as asked', async () => {
    await system.call('PUT', '/v1/groups/team/members/bob', { roles: ['send'] })
    for (let times = 0; times < 2; times++) {
      expect((await system.call('DELETE', '/v1/groups/team/members/bob')).status).toBe(204)
      expect(system.operations.groups.get('team')?.size).toBe(0)
    }
  })

  it.each<[unknown, string, string]>([
    [[], 'roles', 'fewer than 1'],
    [['send', 'send'], 'roles', 'duplicate'],
    [['send', 'own'], 'roles.1', 'one of: send, receive, admin'],
    ['send', 'roles', 'array'],
    [7, 'roles', 'array'],
    [undefined, 'roles', 'missing'],
  ])('refuse the roles %j', async (roles, field, detail) => {
    const answer = await system.call('PUT', '/v1/groups/team/members/bob', { roles })
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 'invalid-argument', field, detail: expect.stringContaining(detail) },
    })
  })

  it.each([
    ['nothing', 'bob', 'name'],
    ['team', 'nobody', 'user'],
  ])('name the one that does not exist: %s, %s', async (group, user, field) => {
    const answer = await system.call('PUT', `/v1/groups/${group}/members/${user}`, { roles: ['send'] })
    expect(answer).toMatchObject({ status: 404, body: { code: 'not-found', field } })
    expect(await system.call('DELETE', `/v1/groups/${group}/members/${user}`)).toMatchObject({ status: 404, body: { field } })
  })

  it('say when a group is full', async () => {
    system.operations.refusal = 'too-many'
    expect(await system.call('PUT', '/v1/groups/team/members/bob', { roles: ['send'] })).toMatchObject({
      status: 409,
      body: { code: 'too-many' },
    })
  })
})

describe('GET /v1/groups/:name/members', () => {
  /** All names, gathered page by page. */
  async function pagesOf(limit: string): Promise<string[][]> {
    const pages: string[][] = []
    let next: unknown = ''
    while (next !== null && pages.length < 100) {
      const query = new URLSearchParams({ ...(limit === '' ? {} : { limit }), ...(next === '' ? {} : { after: String(next) }) })
      const { status, body } = await system.call('GET', `/v1/groups/team/members?${query}`)
      expect(status).toBe(200)
      const page = Object(body) as { items: { user: string }[]; next: string | null }
      pages.push(page.items.map(({ user }) => user))
      next = page.next
    }
    return pages
  }

  it('gives members with their rights, and no next page after the last', async () => {
    await system.call('PUT', '/v1/groups/team/members/bob', { roles: ['send', 'admin'] })
    const { status, body } = await system.call('GET', '/v1/groups/team/members')
    expect(status).toBe(200)
    expect(body).toEqual({ items: [{ user: 'bob', roles: ['send', 'admin'] }], next: null })
  })

  it.each([
    ['', [13]],
    ['13', [13]],
    ['1', Array.from({ length: 13 }, () => 1)],
    ['5', [5, 5, 3]],
    ['256', [13]],
  ])('goes page by page, each member once: limit %j', async (limit, sizes) => {
    for (const name of awkwardNames) {
      await system.operations.createUser(name)
      await system.operations.setMember('team', name, 3)
    }
    const pages = await pagesOf(limit)
    expect(pages.map(({ length }) => length)).toEqual(sizes)
    expect(new Set(pages.flat())).toEqual(new Set(awkwardNames))
  })

  it('is one empty page for a group without members', async () => {
    expect(await pagesOf('1')).toEqual([[]])
  })

  it.each([
    ['limit=0', 'limit'],
    ['limit=257', 'limit'],
    ['limit=-1', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=x', 'limit'],
    ['limit=', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['after=a%0Ab', 'after'],
    ['after=', 'after'],
    ['before=a', 'before'],
  ])('refuses %s', async (query, field) => {
    const answer = await system.call('GET', `/v1/groups/team/members?${query}`)
    expect(answer).toMatchObject({ status: 400, body: { code: 'invalid-argument', field } })
  })

  it('refuses a group that does not exist', async () => {
    expect(await system.call('GET', '/v1/groups/nothing/members')).toMatchObject({ status: 404, body: { field: 'name' } })
  })
})
