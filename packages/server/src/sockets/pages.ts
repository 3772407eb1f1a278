import type { IncomingMessage, ServerResponse } from 'node:http'
import { errorPage } from '../http/index.ts'

/** The few pages of the client listener: what it is, and the help page of each code. */
export function answerPage(request: IncomingMessage, response: ServerResponse): void {
  const path = decodeURIComponentOr((request.url ?? '/').split('?')[0] ?? '/')
  const help = /^\/(?:errors|help)\/([\w-]+)$/.exec(path)?.[1]
  const page =
    path === '/'
      ? 'Posthaste is running. Clients connect by WebSocket to /v1/connect.\n'
      : help === undefined
        ? undefined
        : errorPage(help)
  // One request of a connection, which is then over: who takes long with the next one need not be looked after.
  response.shouldKeepAlive = false
  if (request.method !== 'GET' || page === undefined) {
    response
      .writeHead(page === undefined ? 404 : 405, { 'content-type': 'text/plain; charset=utf-8' })
      .end('There is nothing here.\n')
    return
  }
  const type = page.startsWith('<') ? 'text/html; charset=utf-8' : 'text/plain; charset=utf-8'
  response.writeHead(200, { 'content-type': type, 'x-content-type-options': 'nosniff' }).end(page)
}

function decodeURIComponentOr(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return text
  }
}
