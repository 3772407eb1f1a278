import { existsSync, readFileSync } from 'node:fs'
import { resolve } from 'node:path'
import { type LimitSettings, limitRanges, parseLimits } from '../limits.ts'
import type { AllServerOptions, AuthOptions } from '../options.ts'
import type { Command, CommandContext } from './command.ts'
import type { FlagSpec } from './flag-spec.ts'
import { CliError, usageError } from './exit-codes.ts'
import type { FlagValues } from './flags.ts'
import { dataFlag, type Home, homeOf, makeHome, makingOf, readKeyFile, secretAt, writeAddresses } from './home.ts'
import { parseChoice, parseInteger, parsePort } from './options.ts'
import { runServer, urlHost } from './server-run.ts'

const logLevels = ['silent', 'error', 'warn', 'info', 'debug'] as const

const flags = {
  port: {
    kind: 'text',
    placeholder: 'PORT',
    text: 'Where clients connect; 0 picks a free one.',
    env: 'POSTHASTE_PORT',
    fallback: '7400',
  },
  'admin-port': {
    kind: 'text',
    placeholder: 'PORT',
    text: 'The HTTP API; 0 picks a free one.',
    env: 'POSTHASTE_ADMIN_PORT',
    fallback: '7401',
  },
  host: { kind: 'text', placeholder: 'ADDRESS', text: 'The address for clients.', env: 'POSTHASTE_HOST', fallback: '0.0.0.0' },
  'admin-host': {
    kind: 'text',
    placeholder: 'ADDRESS',
    text: 'The address of the HTTP API.',
    env: 'POSTHASTE_ADMIN_HOST',
    fallback: '127.0.0.1',
  },
  ...dataFlag,
  'secret-file': {
    kind: 'text',
    placeholder: 'FILE[,FILE]',
    text: 'Secrets for tokens: the first signs, all verify (default: secret in the state directory, made if missing).',
    env: 'POSTHASTE_SECRET_FILE',
  },
  jwks: { kind: 'text', placeholder: 'FILE', text: 'Public keys for tokens (JSON Web Key Set).', env: 'POSTHASTE_JWKS' },
  audience: { kind: 'text', placeholder: 'NAME', text: 'The audience (aud) that tokens must have.', env: 'POSTHASTE_AUDIENCE' },
  'admin-key-file': {
    kind: 'text',
    placeholder: 'FILE',
    text: "The HTTP API's key (default: admin-key in the state directory, made if missing).",
    env: 'POSTHASTE_ADMIN_KEY_FILE',
  },
  'log-level': {
    kind: 'text',
    placeholder: 'LEVEL',
    text: `One of ${logLevels.join(', ')}.`,
    env: 'POSTHASTE_LOG_LEVEL',
    fallback: 'info',
  },
  limits: {
    kind: 'text',
    placeholder: 'NAME=N[,NAME=N]',
    text: `Limits to set, which stay set: ${Object.keys(limitRanges).join(', ')}.`,
    env: 'POSTHASTE_LIMITS',
  },
  shards: {
    kind: 'text',
    placeholder: 'N',
    text: 'Shards, 1 to 64; fixed when the data directory is made.',
    env: 'POSTHASTE_SHARDS',
    fallback: '1',
  },
  gateways: {
    kind: 'text',
    placeholder: 'N',
    text: 'Processes that hold the connections of clients, 0 to 64; 0: the server does. For machines with more processors than two.',
    env: 'POSTHASTE_GATEWAYS',
    fallback: '0',
  },
  restored: { kind: 'switch', text: 'Begin a new epoch: once, after the data directory was restored from a backup.' },
  epoch: {
    kind: 'text',
    placeholder: 'N',
    text: 'With --restored: an epoch that there never was, 2 to 8191. Needed where this backup, or a later one, was restored before.',
  },
} as const satisfies Record<string, FlagSpec>

/** `posthaste serve`: a server, configured by flags or the environment. */
export const serve: Command = {
  name: 'serve',
  summary: 'run a server',
  usage: ['serve [--data DIR]'],
  flags,
  details: [
    'SIGTERM or SIGINT (Ctrl-C) drains, saves and stops it; the second one ends it at once, which loses nothing that was acknowledged.',
  ],
  run: runServe,
}

async function runServe(context: CommandContext): Promise<number> {
  const { flags: values, words, output, io } = context
  if (words.length > 0) throw usageError(`serve takes no '${words[0]}'`)
  const home = homeOf(values, io.directory)
  const numbers = {
    port: values.parsed('port', parsePort) ?? 7400,
    adminPort: values.parsed('admin-port', parsePort) ?? 7401,
    shards: values.parsed('shards', (text, field) => parseInteger(text, field, { min: 1, max: 64 })) ?? 1,
    gateways: values.parsed('gateways', (text, field) => parseInteger(text, field, { min: 0, max: 64 })) ?? 0,
    logLevel: values.parsed('log-level', (text, field) => parseChoice(text, field, logLevels)) ?? 'info',
    epochMin: epochOf(values),
    limits: values.parsed('limits', limitsOf) ?? {},
  }
  makeHome(home)
  const options: AllServerOptions = {
    ...numbers,
    dataDirectory: home.data,
    host: values.required('host'),
    adminHost: values.required('admin-host'),
    auth: authOf(values, home, io.directory),
    adminKey: adminKeyOf(values, home, io.directory),
    isRestored: values.isOn('restored'),
  }
  return runServer(options, context, async ({ port, adminPort }) => {
    const url = `ws://${urlHost(options.host)}:${port}`
    const adminUrl = `http://${urlHost(options.adminHost)}:${adminPort}`
    writeAddresses(home, { url, adminUrl, audience: options.auth.audience })
    await output.result(
      { event: 'listening', url, adminUrl, data: home.path },
      `Clients: ${url}   HTTP API: ${adminUrl}   State: ${home.path}`,
    )
  })
}

function epochOf(values: FlagValues): number {
  const epoch = values.parsed('epoch', (text, field) => parseInteger(text, field, { min: 2, max: 8_191 }))
  if (epoch !== undefined && !values.isOn('restored')) throw usageError('--epoch is for --restored')
  return epoch ?? 0
}

function limitsOf(text: string, field: string): LimitSettings {
  const limits = parseLimits(text)
  if (typeof limits === 'string') throw usageError(`${field}: ${limits}`)
  const names = text.split(',').map((part) => part.replace(/=.*/, '').trim())
  const repeated = names.find((name, at) => names.indexOf(name) < at)
  if (repeated !== undefined) throw usageError(`${field}: ${repeated} is given more than once`)
  return limits
}

function authOf(values: FlagValues, home: Home, directory: string): AuthOptions {
  const jwksFile = values.text('jwks')
  const files = values
    .text('secret-file')
    ?.split(',')
    .map((file) => resolve(directory, file))
  // Public keys alone are enough; without any way to verify, a secret is made.
  const paths = files ?? (jwksFile === undefined ? [home.secret] : [])
  return {
    secrets: paths.map((path) => (files === undefined ? secretAt(path) : existing(path, 'secret', secretAt))),
    jwks: jwksFile === undefined ? undefined : readJwks(resolve(directory, jwksFile)),
    audience: values.text('audience'),
  }
}

function adminKeyOf(values: FlagValues, home: Home, directory: string): string {
  const given = values.text('admin-key-file')
  if (given !== undefined) return existing(resolve(directory, given), 'admin key', (path) => readKeyFile(path, 'admin key'))
  if (!existsSync(home.adminKey)) secretAt(home.adminKey)
  return readKeyFile(home.adminKey, 'admin key')
}

/** Only what is the state directory's own is made where it is missing: a name that was given may be mistaken. */
function existing<T>(path: string, what: string, read: (path: string) => T): T {
  if (existsSync(path)) return read(path)
  throw new CliError('secret-unsafe', `There is no ${what} in ${path}`, `Make one with: ${makingOf(path)}`)
}

function readJwks(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error)
    throw new CliError('secret-unsafe', `--jwks ${path} can't be read as JSON: ${reason}`, undefined, error)
  }
}
