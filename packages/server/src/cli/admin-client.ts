import { resolve } from 'node:path'
import type { FlagSpec } from './flag-spec.ts'
import { CliError, usageError } from './exit-codes.ts'
import type { FlagValues } from './flags.ts'
import { dataFlag, homeOf, isKey, readAddresses, readKeyFile } from './home.ts'
import { parseUrl } from './options.ts'

const requestTimeoutMs = 30_000

/** The flags of every command that calls the HTTP API. */
export const adminFlags = {
  ...dataFlag,
  'admin-url': {
    kind: 'text',
    placeholder: 'URL',
    text: 'The HTTP API (default: that of the server started here, else http://127.0.0.1:7401).',
    env: 'POSTHASTE_ADMIN_URL',
  },
  'admin-key': {
    kind: 'text',
    placeholder: 'KEY',
    text: 'Its key. Better: the file or the variable.',
    env: 'POSTHASTE_ADMIN_KEY',
  },
  'admin-key-file': {
    kind: 'text',
    placeholder: 'FILE',
    text: 'A file with the key (default: admin-key in the state directory).',
    env: 'POSTHASTE_ADMIN_KEY_FILE',
  },
} as const satisfies Record<string, FlagSpec>

/** An answer of the HTTP API. */
export interface Answer {
  readonly status: number
  /** Parsed JSON, `undefined` for an empty answer. */
  readonly value: unknown
}

/** Calls the HTTP API with the admin key. */
export class AdminClient {
  readonly #url: string
  readonly #key: () => string

  /** The key is asked for at the first call that needs one. */
  constructor(url: string, key: () => string) {
    this.#url = url
    this.#key = key
  }

  /**
   * Calls a route. `path` starts with a slash and is below `/v1`.
   * @throws CliError with the problem's own code, or `unreachable`
   */
  async call(method: 'GET' | 'POST' | 'PUT' | 'DELETE', path: string, body?: unknown): Promise<Answer> {
    const response = await this.#fetch(method, path, body)
    const text = await response.text()
    const value = parseJson(text)
    if (response.ok || (path === '/health' && isObject(value) && !('code' in value))) return { status: response.status, value }
    throw problemOf(response.status, value, this.#url)
  }

  async #fetch(method: string, path: string, body: unknown): Promise<Response> {
    const headers: Record<string, string> = { accept: 'application/json' }
    if (path !== '/health') headers.authorization = `Bearer ${this.#key()}`
    if (body !== undefined) headers['content-type'] = 'application/json'
    try {
      return await fetch(`${this.#url}/v1${path}`, {
        method,
        headers,
        signal: AbortSignal.timeout(requestTimeoutMs),
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      })
    } catch (error) {
      const reason = error instanceof Error && error.cause instanceof Error ? error.cause.message : String(error)
      const hint = 'Is the server running? Start one with `posthaste dev`, or name it with --admin-url.'
      throw new CliError('unreachable', `The HTTP API at ${this.#url} can't be reached: ${reason}`, hint, error)
    }
  }
}

/** A client for the server that the flags, the environment or the state directory name. */
export function adminClientOf(flags: FlagValues, directory: string): AdminClient {
  const home = homeOf(flags, directory)
  const url =
    flags.parsed('admin-url', (text, field) => parseUrl(text, field, ['http:', 'https:'])) ?? readAddresses(home).adminUrl
  if (flags.isTyped('admin-key') && flags.isTyped('admin-key-file'))
    throw usageError('--admin-key and --admin-key-file exclude each other')
  const file = resolve(directory, flags.text('admin-key-file') ?? home.adminKey)
  // What was typed goes before every variable, also that of the other flag.
  const key = () => (flags.isTyped('admin-key-file') ? undefined : givenKey(flags)) ?? readKeyFile(file, 'admin key')
  return new AdminClient(url, key)
}

function givenKey(flags: FlagValues): string | undefined {
  const key = flags.text('admin-key')
  // It is not repeated: error messages go to logs.
  if (key !== undefined && !isKey(key)) throw new CliError('usage', 'The admin key is not one line of printable ASCII characters')
  return key
}

/** A path segment. `.` and `..` are no addresses, so encoding is all it takes. */
export function segment(name: string): string {
  return encodeURIComponent(name)
}

/** The property of a JSON object, `undefined` where there is none. */
export function property(value: unknown, name: string): unknown {
  return isObject(value) ? value[name] : undefined
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function parseJson(text: string): unknown {
  try {
    return text === '' ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Problem details (RFC 9457), as an error with the exit code of its `code`. */
function problemOf(status: number, value: unknown, url: string): CliError {
  const detail = property(value, 'detail') ?? property(value, 'title')
  const message = typeof detail === 'string' ? detail : `The HTTP API at ${url} answered with status ${status}`
  const code = property(value, 'code')
  if (status === 401) {
    return new CliError('not-authorized', message, 'The admin key is not that of this server. Name it with --admin-key-file.')
  }
  return new CliError(typeof code === 'string' ? code : 'failed', message)
}
