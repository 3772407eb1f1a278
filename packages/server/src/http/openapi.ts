import { httpStatusOf } from './problem.ts'
import type { JsonSchema, Route } from './route.ts'
import { problemSchema } from './schemas.ts'

const problemContent = { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } }

/** The OpenAPI 3.1 document of routes, made of the schemas that check their requests and write their answers. */
export function openApiDocument(routes: readonly Route[], version: string): JsonSchema {
  const paths: Record<string, Record<string, JsonSchema>> = {}
  for (const route of routes) {
    const path = route.path.replaceAll(/:(\w+)/g, '{$1}')
    paths[path] = { ...paths[path], [route.method.toLowerCase()]: operationOf(route) }
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Posthaste HTTP API',
      version,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
      description:
        'Errors are problem details (RFC 9457). Ids are decimal strings. Times are ISO 8601, with the ms since the epoch beside them.',
    },
    paths,
    components: {
      schemas: { Problem: problemSchema },
      securitySchemes: { adminKey: { type: 'http', scheme: 'bearer', description: 'The admin key of the server.' } },
    },
    security: [{ adminKey: [] }],
  }
}

function operationOf(route: Route): JsonSchema {
  const { operation, summary, description, body, isPublic = false } = route
  const isBodyRequired = Array.isArray(body?.required) && body.required.length > 0
  return {
    operationId: operation,
    summary,
    ...(description === undefined ? {} : { description }),
    ...(isPublic ? { security: [] } : {}),
    parameters: parametersOf(route),
    ...(body === undefined
      ? {}
      : { requestBody: { required: isBodyRequired, content: { 'application/json': { schema: body } } } }),
    responses: responsesOf(route),
  }
}

function parametersOf({ params = {}, query = {} }: Route): readonly JsonSchema[] {
  return [
    ...Object.entries(params).map(([name, schema]) => ({ name, in: 'path', required: true, schema })),
    ...Object.entries(query).map(([name, schema]) => ({ name, in: 'query', required: false, schema })),
  ]
}

function responsesOf({ answers, problems, isPublic = false, body, params, query }: Route): JsonSchema {
  const responses: Record<string, JsonSchema> = {}
  const takesArguments = body !== undefined || params !== undefined || query !== undefined
  const codes = [
    ...(takesArguments ? ['invalid-argument' as const] : []),
    ...(isPublic ? [] : ['not-authorized' as const]),
    ...problems,
  ]
  for (const status of new Set(codes.map(httpStatusOf))) {
    const named = codes.filter((code) => httpStatusOf(code) === status).map((code) => `\`${code}\``)
    responses[status] = { description: `A problem: ${named.join(', ')}.`, content: problemContent }
  }
  for (const [status, { description, schema, hasHtml = false }] of Object.entries(answers)) {
    const html = hasHtml ? { 'text/html': { schema: { type: 'string' } } } : {}
    const content = schema === undefined ? {} : { content: { 'application/json': { schema }, ...html } }
    responses[status] = { description, ...content }
  }
  responses.default = { description: 'A problem that any route may answer with.', content: problemContent }
  return responses
}
