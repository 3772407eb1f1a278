import { beforeAll, describe, expect, it } from 'vitest'
import { newSystem, type System } from './system.ts'

interface Operation {
  readonly operationId: string
  readonly summary: string
  readonly parameters: readonly { readonly name: string; readonly in: string }[]
  readonly responses: Readonly<Record<string, { readonly description: string }>>
  readonly security?: readonly unknown[]
}
interface Document {
  readonly openapi: string
  readonly info: { readonly version: string }
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>
}

let system: System
let document: Document
beforeAll(async () => {
  system = await newSystem()
  document = (await system.call('GET', '/v1/openapi.json')).body as Document
})

const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) => Object.entries(methods).map((entry) => [path, ...entry] as const))

describe('GET /v1/openapi.json', () => {
  it('is an OpenAPI 3.1 document of this version', () => {
    expect(document.openapi).toBe('3.1.0')
    expect(document.info.version).toBe('1.2.3')
  })

  it('lists every route, each under a name of its own', () => {
    const ids = operations().map(([, , { operationId }]) => operationId)
    expect(new Set(ids).size).toBe(ids.length)
    expect(
      operations()
        .map(([path, method]) => `${method.toUpperCase()} ${path}`)
        .sort(),
    ).toEqual([
      'DELETE /v1/groups/{name}',
      'DELETE /v1/groups/{name}/members/{user}',
      'DELETE /v1/users/{name}',
      'DELETE /v1/users/{name}/blocks/{other}',
      'GET /v1/errors/{code}',
      'GET /v1/groups',
      'GET /v1/groups/{name}',
      'GET /v1/groups/{name}/members',
      'GET /v1/health',
      'GET /v1/messages/{from}/{kind}/{to}/{id}',
      'GET /v1/openapi.json',
      'GET /v1/users',
      'GET /v1/users/{name}',
      'GET /v1/users/{name}/blocks',
      'GET /v1/users/{name}/groups',
      'POST /v1/groups',
      'POST /v1/messages',
      'POST /v1/users',
      'POST /v1/users/{name}/revoke',
      'POST /v1/users/{name}/tokens',
      'PUT /v1/groups/{name}/members/{user}',
      'PUT /v1/users/{name}/blocks/{other}',
    ])
  })

  it('describes every parameter of every path, and no other', () => {
    for (const [path, , { parameters }] of operations()) {
      const named = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name)
      expect(parameters.filter((parameter) => parameter.in === 'path').map(({ name }) => name)).toEqual(named)
    }
  })

  it('says of exactly those routes that need no key that they need none [I9]', async () => {
    for (const [path, method, { security }] of operations()) {
      const url = path.replaceAll(/\{\w+\}/g, 'x')
      const { status } = await system.call(method.toUpperCase() as 'GET', url, undefined, { authorization: '' })
      expect([path, method, status !== 401]).toEqual([path, method, security?.length === 0])
    }
  })

  it('points to nothing that is not in it', () => {
    const text = JSON.stringify(document)
    const targets = [...text.matchAll(/"\$ref":"#\/([^"]+)"/g)].map(([, pointer = '']) => pointer)
    expect(targets.length).toBeGreaterThan(0)
    for (const pointer of new Set(targets)) {
      const target = pointer.split('/').reduce<unknown>((value, name) => Reflect.get(Object(value), name), document)
      expect(target).toBeDefined()
    }
  })
})
