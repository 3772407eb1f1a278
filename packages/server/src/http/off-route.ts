import { type IncomingMessage, STATUS_CODES, type ServerResponse } from 'node:http'
import type { Duplex } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { type Answer, invalidArgument, problem } from './problem.ts'
import type { Route } from './route.ts'

/** What is answered, as problem details too, to what never comes to a route. */

/** The answer to what is no HTTP request, one with more in its head than a server takes, or one that does not come: the connection ends with it. */
export function answerToClientError({ code }: Error & { code?: string }, socket: Duplex): void {
  if (code === 'ECONNRESET' || !socket.writable) return void socket.destroy()
  const { status, headers, text } = written(problemOf(code))
  const head = [
    `HTTP/1.1 ${status} ${STATUS_CODES[status]}`,
    ...Object.entries(headers).map(([name, value]) => `${name}: ${value}`),
  ]
  // Whoever keeps its own side open holds nothing of this one.
  socket.once('finish', () => socket.destroy())
  socket.end(`${head.join('\r\n')}\r\n\r\n${text}`)
}

function problemOf(code: string | undefined): Answer {
  if (code === 'HPE_HEADER_OVERFLOW') return refusal(431, 'The headers are too large.')
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return refusal(408, 'The request did not come in time.')
  return invalidArgument('That is no HTTP request.')
}

/** The answer to a request that expects something else than to be told to go on. */
export function answerToExpectation(_request: IncomingMessage, response: ServerResponse): void {
  const { status, headers, text } = written(refusal(417, "Of all that 'Expect' may name there is only 100-continue here."))
  response.writeHead(status, headers).end(text)
}

/** Answers the methods that the paths of these routes do not have, and says which they have. */
export function refuseOtherMethods(app: FastifyInstance, routes: readonly Route[]): void {
  const methodsOf = new Map<string, { readonly methods: string[]; readonly isPublic: boolean }>()
  for (const { path, method, isPublic = false } of routes) {
    const known = methodsOf.get(path) ?? { methods: [], isPublic }
    methodsOf.set(path, known)
    // Fastify answers HEAD wherever there is GET.
    known.methods.push(...(method === 'GET' ? ['GET', 'HEAD'] : [method]))
  }
  for (const [path, { methods, isPublic }] of methodsOf) {
    const allow = methods.join(', ')
    app.route({
      method: app.supportedMethods.filter((method) => !methods.includes(method)),
      url: path,
      config: { isPublic },
      // Before a body is read, of whatever kind it is.
      onRequest: async ({ method }, reply) => {
        const { status, body, headers } = problem('method-not-allowed', `There is no ${method} here, only ${allow}.`)
        return reply
          .code(status)
          .headers({ ...headers, allow })
          .send(body)
      },
      handler: () => {},
    })
  }
}

/** Of a request that is not valid in a way that has a status of its own. */
function refusal(status: number, detail: string): Answer {
  const answer = invalidArgument(detail)
  return { ...answer, status, body: { ...(answer.body as object), status } }
}

function written({ status, body, headers }: Answer): { status: number; headers: Record<string, string>; text: string } {
  const text = JSON.stringify(body)
  const length = String(Buffer.byteLength(text))
  return { status, headers: { ...headers, 'content-length': length, connection: 'close' }, text }
}
