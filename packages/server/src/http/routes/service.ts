import { errorPage, helpOf } from '../help.ts'
import { openApiDocument } from '../openapi.ts'
import { problem } from '../problem.ts'
import type { Call, Route, Services } from '../route.ts'
import { objectSchema } from '../schemas.ts'

/** What anybody may ask: how the server is, what a code means, and which routes there are. */
export function serviceRoutes(services: Services, others: readonly Route[]): readonly Route[] {
  const openapi: Route = {
    method: 'GET',
    path: '/v1/openapi.json',
    operation: 'getOpenApi',
    summary: 'Get this document (OpenAPI 3.1)',
    isPublic: true,
    answers: { 200: { description: 'The document.' } },
    problems: [],
    handle: () => ({ status: 200, body: document }),
  }
  const routes = [healthRoute(services), errorRoute, openapi]
  const document = openApiDocument([...others, ...routes], services.version)
  return routes
}

const count = (description: string) => ({ type: 'integer', description })
const healthSchema = objectSchema({
  isHealthy: { type: 'boolean' },
  version: { type: 'string' },
  epoch: count('Grows when the server is restored from a backup.'),
  shards: count('Parts that the logs are spread over.'),
  sessions: count('Connections of clients now.'),
  uptimeSeconds: count('How long it has run.'),
  journalRecords: count('Records in the journals that no checkpoint covers yet.'),
  freeBytes: {
    type: 'number',
    description: "Free on the disk of the server's data directory, less what its next checkpoints take.",
  },
})

function healthRoute({ operations }: Services): Route {
  return {
    method: 'GET',
    path: '/v1/health',
    operation: 'getHealth',
    summary: 'Ask how the server is',
    isPublic: true,
    answers: {
      200: { description: 'The server works.', schema: healthSchema },
      503: { description: 'The server accepts nothing at the moment.', schema: healthSchema },
    },
    problems: [],
    handle() {
      const body = operations.health()
      return { status: body.isHealthy ? 200 : 503, body }
    },
  }
}

const htmlHeaders = {
  'content-type': 'text/html; charset=utf-8',
  'content-security-policy': "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'",
  vary: 'accept',
}

/** Named, and not with a weight of 0 (RFC 9110, section 12.5.1). */
const wantsHtml = /text\/html(?!\s*;\s*q=0(\.0*)?\s*(,|$))/i

const errorRoute: Route = {
  method: 'GET',
  path: '/v1/errors/:code',
  operation: 'explainCode',
  summary: 'Ask what a code means and what to do about it',
  isPublic: true,
  params: { code: { type: 'string' } },
  answers: {
    200: {
      description: 'The help page: JSON, or HTML for browsers.',
      hasHtml: true,
      schema: objectSchema({
        code: { type: 'string' },
        number: { type: ['integer', 'null'], description: 'Its number on the wire, where it has one.' },
        retryable: { type: 'boolean' },
        text: { type: 'string', description: 'What it means.' },
        advice: { type: 'string', description: 'What to do about it.' },
      }),
    },
  },
  problems: ['not-found'],
  handle({ params, accept }: Call<'code'>) {
    const page = wantsHtml.test(accept) ? errorPage(params.code) : undefined
    if (page !== undefined) return { status: 200, body: page, headers: htmlHeaders }
    const help = helpOf(params.code)
    if (help === undefined) return problem('not-found', `There is no code '${params.code}'.`, 'code')
    return { status: 200, body: help, headers: { vary: 'accept' } }
  },
}
