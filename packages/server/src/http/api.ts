import {
  type FastifyBaseLogger,
  type FastifyError,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
} from 'fastify'
import type { TokenVerifier } from '../auth/index.ts'
import type { Operations } from '../operations.ts'
import { adminKeyCheck } from './admin-key.ts'
import { type Answer, invalidArgument, problem } from './problem.ts'
import type { Members, Route, Services } from './route.ts'
import { answerToClientError, answerToExpectation, refuseOtherMethods } from './off-route.ts'
import { groupRoutes } from './routes/groups.ts'
import { messageRoutes } from './routes/messages.ts'
import { serviceRoutes } from './routes/service.ts'
import { userRoutes } from './routes/users.ts'
import { objectSchema } from './schemas.ts'
import { answerToInvalid, validatorOptions } from './validation.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether the route needs no admin key. Every other one does, also those that are added from outside. */
    isPublic?: boolean
  }
}

/** What the HTTP API is made of. */
export interface HttpApiOptions {
  readonly operations: Operations
  readonly auth: TokenVerifier
  /** What `Authorization: Bearer …` must carry; not empty. */
  readonly adminKey: string
  readonly logger: FastifyBaseLogger
  /** The version of the server. */
  readonly version: string
  /** The clock, in ms since the epoch; the machine's by default. */
  readonly now?: () => number
}

/** Room for a body of 1 MiB as base64 or as text with some escapes. */
const requestBytesMax = 2 * 1024 * 1024
/** A name of 128 bytes takes at most 384 characters; longer ones shall be told so by the check of names. */
const segmentLengthMax = 4_096
const requestTimeoutMs = 60_000
/** How long a connection may take to say what it wants, how long it stays open without a request, and how often the first is looked at. */
const headersTimeoutMs = 10_000
const keepAliveMs = 30_000
const checkEveryMs = 2_000
/** Without a limit, whoever opens many and says nothing would take the files that the journal needs. */
const connectionsMax = 128

/**
 * The HTTP API as a Fastify instance that is not listening yet. Whatever is added to it needs the admin key too,
 * unless its route's `config` says `isPublic`.
 *
 * @throws RangeError when the admin key is empty
 */
export function createHttpApi({ operations, auth, adminKey, logger, version, now = Date.now }: HttpApiOptions): FastifyInstance {
  const app: FastifyInstance = fastify({
    loggerInstance: logger,
    logController: new LogController({ disableRequestLogging: true }),
    bodyLimit: requestBytesMax,
    http: { requireHostHeader: false, headersTimeout: headersTimeoutMs, connectionsCheckingInterval: checkEveryMs },
    requestTimeout: requestTimeoutMs,
    keepAliveTimeout: keepAliveMs,
    return503OnClosing: false,
    clientErrorHandler: answerToClientError,
    routerOptions: { maxParamLength: segmentLengthMax },
    ajv: { customOptions: validatorOptions },
    frameworkErrors: (error, _request, reply) => void write(reply as unknown as FastifyReply, answerToError(error)),
  })
  app.server.maxConnections = connectionsMax
  app.server.on('checkExpectation', answerToExpectation)
  addHooks(app, adminKeyCheck(adminKey))
  takeJson(app)
  app.setErrorHandler((error: FastifyError, request, reply) => {
    const answer = answerToError(error, request)
    if (answer.status >= 500) request.log.error({ err: error, method: request.method, url: request.url }, 'a request failed')
    return write(reply, answer)
  })
  app.setNotFoundHandler(({ method, url }, reply) => {
    const [path] = url.split('?')
    return write(reply, problem('not-found', `There is no route ${method} ${path}. All are listed in /v1/openapi.json.`))
  })
  const services: Services = { operations, auth, version, now }
  const others = [...userRoutes(services), ...groupRoutes(services), ...messageRoutes(services)]
  const routes = [...others, ...serviceRoutes(services, others)]
  for (const route of routes) addRoute(app, route)
  refuseOtherMethods(app, routes)
  return app
}

/** What holds for every request: its answer's headers, that it names a host, that it has the key. */
function addHooks(app: FastifyInstance, isAdmin: (authorization: string | undefined) => boolean): void {
  let isClosing = false
  app.addHook('preClose', async () => {
    isClosing = true
  })
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' })
    // A route may have an answer of its own for this status.
    if (isClosing) return write(reply.serializer(JSON.stringify).header('connection', 'close'), problem('shutting-down'))
    const hasNoHost = request.raw.httpVersion === '1.1' && request.headers.host === undefined
    if (hasNoHost) return write(reply, invalidArgument("The header 'Host' is missing."))
    if (request.routeOptions.config.isPublic === true || isAdmin(request.headers.authorization)) return
    return write(reply, problem('not-authorized', "Send 'Authorization: Bearer KEY' with the admin key of the server."))
  })
  app.addHook('onResponse', async ({ method, url, log }, { statusCode, elapsedTime }) => {
    log.debug({ method, url, status: statusCode, latencyMs: elapsedTime }, 'answered')
  })
}

/** Takes JSON and nothing else, and of that only well-formed UTF-8. An empty body is none. */
function takeJson(app: FastifyInstance): void {
  app.removeAllContentTypeParsers()
  const decoder = new TextDecoder('utf-8', { fatal: true })
  app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (_request, bytes, done) => {
    if (bytes.length === 0) return done(null, undefined)
    try {
      const value: unknown = JSON.parse(typeof bytes === 'string' ? bytes : decoder.decode(bytes))
      done(null, value)
    } catch {
      done(new InvalidJson('The body is not well-formed JSON in UTF-8.'))
    }
  })
}

/** A body that can't be parsed. */
class InvalidJson extends Error {
  readonly statusCode = 400
}

function addRoute(app: FastifyInstance, route: Route): void {
  const { method, path, isPublic = false, params = {}, query = {}, body, answers } = route
  const response = Object.fromEntries(
    Object.entries(answers).flatMap(([status, { schema }]) => (schema === undefined ? [] : [[status, schema]])),
  )
  const bodySchema = method === 'GET' ? {} : { body: body ?? objectSchema({}) }
  app.route<{ Params: Record<string, string>; Querystring: Record<string, unknown> }>({
    method,
    url: path,
    config: { isPublic },
    schema: { params: objectSchema(params), querystring: objectSchema(query, []), ...bodySchema, response },
    preValidation: async (request) => {
      request.body ??= {}
      readNumbers(request.query, query)
    },
    handler: async (request, reply) => {
      const { params, body, query, headers } = request
      return write(reply, await route.handle({ params, body, query, accept: headers.accept ?? '' }))
    },
  })
}

/** Makes numbers of those query parameters that are ones: there, everything comes as text. */
function readNumbers(query: Record<string, unknown>, schemas: Members): void {
  for (const [name, { type }] of Object.entries(schemas)) {
    const text = query[name]
    if (type === 'integer' && typeof text === 'string' && /^\d{1,16}$/.test(text)) query[name] = Number(text)
  }
}

function write(reply: FastifyReply, { status, body, headers = {} }: Answer): FastifyReply {
  return reply.code(status).headers(headers).send(body)
}

/** What to answer when something else than a handler has judged: the schema, the framework, or a failure. */
function answerToError(error: FastifyError, request?: FastifyRequest): Answer {
  const { validation, validationContext = 'body', statusCode = 500 } = error
  if (validation !== undefined && request !== undefined) {
    return answerToInvalid(validation, validationContext, partOf(request, validationContext))
  }
  if (statusCode === 413) return problem('too-large', `A request may have ${requestBytesMax} bytes.`)
  if (statusCode === 415) return problem('unsupported-media-type', "Send JSON, with 'Content-Type: application/json'.")
  if (statusCode >= 400 && statusCode < 500) return invalidArgument(error.message)
  return problem('internal', 'The server failed to answer. Its log says why.')
}

function partOf({ body, params, query }: FastifyRequest, context: string): unknown {
  if (context === 'params') return params
  return context === 'querystring' ? query : body
}
