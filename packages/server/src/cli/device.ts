import { createHash } from 'node:crypto'
import { join, resolve } from 'node:path'
import { Posthaste } from '@posthaste/client'
import { nodeStore } from '@posthaste/client/node'
import { type CodeName, codeOf } from '@posthaste/protocol'
import type { CommandContext } from './command.ts'
import { CliError, usageError } from './exit-codes.ts'
import type { FlagSpec } from './flag-spec.ts'
import type { FlagValues } from './flags.ts'
import { dataFlag, type Home, homeOf, readAddresses } from './home.ts'
import { parseName, parseUrl } from './options.ts'
import { TellingTransport } from './telling-transport.ts'
import { makeToken } from './token-maker.ts'

/** The flags of the commands that connect as a user's device. */
export const deviceFlags = {
  as: {
    kind: 'text',
    placeholder: 'NAME',
    text: "Connect as this user, with a token made from the state directory's secret.",
    env: 'POSTHASTE_AS',
  },
  token: { kind: 'text', placeholder: 'TOKEN', text: 'Connect with this token.', env: 'POSTHASTE_TOKEN' },
  url: {
    kind: 'text',
    placeholder: 'URL',
    text: 'The server (default: the one started here, else ws://127.0.0.1:7400).',
    env: 'POSTHASTE_URL',
  },
  store: {
    kind: 'text',
    placeholder: 'DIR',
    text: "The device's store, kept between runs (default: one per server, user and command in the state directory).",
    env: 'POSTHASTE_STORE',
  },
  ...dataFlag,
} as const satisfies Record<string, FlagSpec>

const tokenSeconds = 3_600

/** Why the server takes no messages for a while, although there is a connection. */
const refusals = ['busy', 'rate-limited', 'disk-full', 'too-many-keys'] as const satisfies readonly CodeName[]

/** What a device is made of. */
export interface DeviceSettings {
  readonly url: string
  readonly user: string
  readonly token: string | (() => Promise<string>)
  readonly storeDirectory: string
}

/** Reads the flags of a device. Each command has a store of its own, so that one user's `send` and `listen` can run at the same time. */
export async function deviceSettings(flags: FlagValues, directory: string, command: 'send' | 'listen'): Promise<DeviceSettings> {
  const home = homeOf(flags, directory)
  const local = readAddresses(home).url
  const url = flags.parsed('url', (text, field) => parseUrl(text, field, ['ws:', 'wss:', 'http:', 'https:'])) ?? local
  const { user, token } = await identityOf(flags, home)
  const given = flags.text('store')
  const ownName = storeName(url === local ? undefined : url, user, command)
  return { url, user, token, storeDirectory: given === undefined ? join(home.stores, ownName) : resolve(directory, given) }
}

/** A client, and what knows why its connection fails. */
export interface Device {
  readonly client: Posthaste
  readonly transport: Pick<TellingTransport, 'cause'>
}

/**
 * A client in a durable store.
 * @param isReceiving else what comes stays at the server, for a device that takes it
 */
export function openDevice({ url, token, storeDirectory }: DeviceSettings, isReceiving: boolean): Device {
  const limits = isReceiving ? {} : { inboxMessages: 0 }
  const transport = new TellingTransport()
  return { client: new Posthaste({ url, token, store: nodeStore(storeDirectory), limits, transport: transport.open }), transport }
}

/** Closes a client; why it may already have ended was told before. */
export async function closeQuietly(close: () => Promise<void>): Promise<void> {
  await close().catch(() => {})
}

/**
 * Where the default store of a device is, below the stores: those of different servers, users and commands never meet. The server
 * of the state directory itself (`undefined`) keeps its stores when its port changes.
 */
export function storeName(url: string | undefined, user: string, command: string): string {
  const name = `${fileName(user)}-${command}`
  if (url === undefined) return name
  const { protocol, host, pathname, search } = new URL(url)
  const isPlain = /^(ws|http):$/.test(protocol) && /^\/(v1\/connect)?$/.test(pathname) && search === '' && !host.includes('_')
  return join('at', fileName(isPlain ? host.replace(':', '_') : url), name)
}

/** Tells whoever watches about a connection that does not come about; rejects at its end. */
export function watchConnection(
  { client, transport }: { readonly client: Pick<Posthaste, 'on'>; readonly transport: Device['transport'] },
  { output }: Pick<CommandContext, 'output'>,
  url: string,
): { ended: Promise<never>; stop: () => void } {
  let isTold = false
  let fail: (error: CliError) => void = () => {}
  const ended = new Promise<never>((_resolve, reject) => {
    fail = reject
  })
  // Whether anyone waits for it is up to the command.
  ended.catch(() => {})
  const toldRefusals = new Set<string>()
  const stopErrors = client.on('error', ({ code }) => {
    const refusal = refusals.find((name) => name === code)
    if (refusal === undefined || toldRefusals.has(code)) return
    toldRefusals.add(code)
    output.note(`${code}: ${codeOf(refusal).text} Trying again until it works.`)
  })
  const stopStates = client.on('connection', (state) => {
    if (state.status === 'live' && isTold) {
      output.note(`Connected to ${url}.`)
      isTold = false
    } else if (state.status === 'waiting' && !isTold) {
      const cause = transport.cause === undefined ? '' : ` The reason: ${transport.cause}.`
      output.note(`No connection to ${url}: ${state.fault.message}${cause} Trying again until it works.`)
      isTold = true
    } else if (state.status === 'ended') fail(endOf(state.fault))
  })
  const stop = () => {
    stopErrors()
    stopStates()
  }
  return { ended, stop }
}

function endOf(error: { code: string; message: string }): CliError {
  const hint = error.code === 'store-locked' ? 'Only one process can use a store. Give each its own with --store.' : undefined
  return new CliError(error.code, error.message, hint)
}

async function identityOf(flags: FlagValues, home: Home): Promise<Pick<DeviceSettings, 'user' | 'token'>> {
  const isNamed = flags.isTyped('as') || (!flags.isTyped('token') && flags.text('token') === undefined)
  if (flags.isTyped('as') && flags.isTyped('token')) throw usageError('--as and --token exclude each other')
  if (!isNamed) {
    const token = flags.required('token')
    return { user: subjectOf(token), token }
  }
  if (flags.text('as') === undefined) {
    throw usageError(
      'Who is it? --as or --token is missing',
      'Write --as alice beside a server started here, else --token TOKEN.',
    )
  }
  const user = parseName(flags.required('as'), '--as')
  const token = () => makeToken(home.secret, user, tokenSeconds, readAddresses(home).audience)
  // What is wrong with the secret is told now, rather than tried again with every connection.
  await token()
  return { user, token }
}

/** The user that a token names. Only the server verifies it; here it finds the store. */
function subjectOf(token: string): string {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString('utf8'))
    if (typeof claims === 'object' && claims !== null && 'sub' in claims && typeof claims.sub === 'string') {
      return parseName(claims.sub, "the token's sub")
    }
  } catch (error) {
    if (error instanceof CliError) throw error
  }
  throw usageError('--token is no JWT that names a user (sub)', 'Make one with `posthaste token NAME`.')
}

/** A name as a file name: itself where every file system can tell it from all others, else what can be read of it and a hash. */
function fileName(name: string): string {
  if (/^[a-z0-9][a-z0-9_.-]{0,63}$/.test(name)) return name
  const hash = createHash('sha256').update(name, 'utf8').digest('hex').slice(0, 16)
  return `${name.replace(/[^a-z0-9_-]/g, '_').slice(0, 40)}~${hash}`
}
