import { helpOf, helpPath, type ProblemCode } from './help.ts'

/** An answer to a request, as a value. */
export interface Answer {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

/** Problem details (RFC 9457), with the members that Posthaste adds. */
export interface ProblemBody {
  /** The path of the help page of the code. */
  readonly type: string
  readonly title: string
  readonly status: number
  readonly detail: string
  /** Stable; the one thing to decide by. */
  readonly code: ProblemCode
  /** The argument at fault, where there is one; members of objects after a dot. */
  readonly field?: string
  /** Whether the same call may succeed later. */
  readonly retryable: boolean
}

/** The HTTP status of a code. What is not listed is no answer to any request: the server has failed. */
const statuses: Readonly<Partial<Record<ProblemCode, number>>> = {
  'invalid-argument': 400,
  'not-authorized': 401,
  blocked: 403,
  'not-member': 403,
  'not-allowed': 403,
  'not-found': 404,
  'invalid-destination': 404,
  'method-not-allowed': 405,
  'already-exists': 409,
  conflict: 409,
  'inbox-full': 409,
  'too-many': 409,
  'too-large': 413,
  'too-big': 413,
  'unsupported-media-type': 415,
  invalid: 422,
  'too-many-keys': 429,
  internal: 500,
  'no-secret': 501,
  busy: 503,
  'shutting-down': 503,
  'disk-full': 507,
}

/** When to try again, in seconds. A key's room and a disk's do not come back within a moment. */
const retryAfterSeconds: Readonly<Partial<Record<ProblemCode, number>>> = {
  'disk-full': 30,
  'too-many-keys': 60,
  'shutting-down': 5,
}

/** What any write may be refused with for a while: nothing more is journaled at the moment. */
export const writeRefusals = ['busy', 'disk-full'] as const satisfies readonly ProblemCode[]

/** The HTTP status that a code is answered with. */
export function httpStatusOf(code: ProblemCode): number {
  return statuses[code] ?? 500
}

/**
 * The answer that says what went wrong.
 * @param detail one or two sentences about this very request
 * @param field the argument at fault
 */
export function problem(code: ProblemCode, detail?: string, field?: string): Answer {
  const help = helpOf(code)
  const status = httpStatusOf(code)
  const retryable = help?.retryable ?? false
  const title = help?.text ?? code
  const body: ProblemBody = {
    type: helpPath(code),
    title,
    status,
    detail: detail ?? title,
    code,
    ...(field === undefined ? {} : { field }),
    retryable,
  }
  const headers: Record<string, string> = { 'content-type': 'application/problem+json' }
  if (retryable) headers['retry-after'] = String(retryAfterSeconds[code] ?? 1)
  if (status === 401) headers['www-authenticate'] = 'Bearer realm="posthaste"'
  return { status, body, headers }
}

/** The answer to what can't be taken as it is. */
export function invalidArgument(detail: string, field?: string): Answer {
  return problem('invalid-argument', detail, field)
}
