import { readFileSync, renameSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { isKeyFile, loadOrCreateSecret } from '../auth/index.ts'
import { makeDirectory } from '../storage/make-directory.ts'
import type { FlagSpec } from './flag-spec.ts'
import { CliError } from './exit-codes.ts'
import type { FlagValues } from './flags.ts'

/** The flag that names the directory of a server's state, which all commands find each other by. */
export const dataFlag = {
  data: {
    kind: 'text',
    placeholder: 'DIR',
    text: "The directory of the server's state, keys and stores.",
    env: 'POSTHASTE_DATA',
    fallback: '.posthaste',
  },
} as const satisfies Record<string, FlagSpec>

/** Where everything is in a state directory. */
export interface Home {
  /** Absolute. */
  readonly path: string
  /** The server's data directory: journal and tables. */
  readonly data: string
  /** The secret that signs tokens. */
  readonly secret: string
  /** The key of the HTTP API. */
  readonly adminKey: string
  /** Where the last server started here listens. */
  readonly server: string
  /** The stores of `send` and `listen`. */
  readonly stores: string
}

/** Where the commands find a server, and which audience it asks tokens for, if any. */
export interface ServerAddresses {
  readonly url: string
  readonly adminUrl: string
  readonly audience?: string | undefined
}

/** Shorter keys can be guessed. */
const keyLengthMin = 16

const defaults: ServerAddresses = { url: 'ws://127.0.0.1:7400', adminUrl: 'http://127.0.0.1:7401' }

/** The state directory that `--data` names. */
export function homeOf(flags: FlagValues, directory: string): Home {
  const path = resolve(directory, flags.required('data'))
  return {
    path,
    data: join(path, 'data'),
    secret: join(path, 'secret'),
    adminKey: join(path, 'admin-key'),
    server: join(path, 'server.json'),
    stores: join(path, 'stores'),
  }
}

/**
 * Makes the state directory, for its owner alone. One that is there keeps its mode, since it may be for more than this (`--data /srv`);
 * what is put into it has modes of its own.
 */
export function makeHome(home: Home): void {
  try {
    makeDirectory(home.path)
  } catch (error) {
    throw readOnly(home.path, error)
  }
}

/**
 * The secret in a file, which is made if it is not there.
 * @throws CliError `directory-read-only` when it can't be made; AuthError `secret-unsafe`
 */
export function secretAt(path: string): Uint8Array {
  try {
    return loadOrCreateSecret(path)
  } catch (error) {
    if (error instanceof Error && 'syscall' in error) throw readOnly(dirname(path), error)
    throw error
  }
}

function readOnly(path: string, error: unknown): CliError {
  const reason = error instanceof Error ? error.message : String(error)
  const isNoDirectory = error instanceof Error && 'code' in error && error.code === 'ENOTDIR'
  const message = isNoDirectory ? reason : `${path} can't be written to: ${reason}`
  return new CliError('directory-read-only', message, 'Name another one with --data.', error)
}

/** Notes where a server listens, for the commands that run beside it. */
export function writeAddresses(home: Home, addresses: ServerAddresses): void {
  const draft = `${home.server}.${process.pid}`
  writeFileSync(draft, `${JSON.stringify(addresses)}\n`, { mode: 0o600 })
  renameSync(draft, home.server)
}

/** Where the last server started in this state directory listens; the default ports when none was. */
export function readAddresses(home: Home): ServerAddresses {
  try {
    const { url, adminUrl, audience } = JSON.parse(readFileSync(home.server, 'utf8'))
    return {
      url: typeof url === 'string' ? url : defaults.url,
      adminUrl: typeof adminUrl === 'string' ? adminUrl : defaults.adminUrl,
      audience: typeof audience === 'string' ? audience : undefined,
    }
  } catch {
    return defaults
  }
}

/** The shell line that makes a secret or a key. */
export function makingOf(path: string): string {
  return `(umask 077; node -p "crypto.randomBytes(32).toString('base64url')" > ${path})`
}

/** Why a secret or a key can't be had. */
export function unreadable(path: string, what: string, error: unknown): CliError {
  const { code } = error as NodeJS.ErrnoException
  const isMissing = code === 'ENOENT' || code === 'ENOTDIR'
  const hint = isMissing
    ? 'Start a server here with `posthaste dev`, or name its file or its state directory.'
    : 'Only the account that the server runs as may read it: be that one, or name a file that you may read.'
  const text = isMissing ? `There is no ${what} in ${path}` : `The ${what} in ${path} can't be read: ${code}`
  return new CliError('secret-unsafe', text, hint, error)
}

/**
 * The text of a key file.
 * @throws CliError `secret-unsafe` when it is not there, readable by others, or no key of at least 16 printable ASCII characters
 */
export function readKeyFile(path: string, what: string): string {
  const read = <T>(work: () => T): T => {
    try {
      return work()
    } catch (error) {
      throw unreadable(path, what, error)
    }
  }
  const found = read(() => statSync(path))
  if (!isKeyFile(found)) throw new CliError('secret-unsafe', `There is no ${what} in ${path}: it is no file`)
  const { mode } = found
  const text = read(() => readFileSync(path, 'utf8').trim())
  if (process.platform !== 'win32' && (mode & 0o077) !== 0) {
    throw new CliError('secret-unsafe', `${path} can be read by others than its owner`, `Put that right with: chmod 600 ${path}`)
  }
  if (text === '') throw new CliError('secret-unsafe', `The ${what} in ${path} is empty`)
  if (!isKey(text)) throw new CliError('secret-unsafe', `The ${what} in ${path} is not one line of printable ASCII characters`)
  if (text.length < keyLengthMin) {
    const hint = `Make a new one with: ${makingOf(path)}`
    throw new CliError('secret-unsafe', `The ${what} in ${path} has fewer than ${keyLengthMin} characters`, hint)
  }
  return text
}

/** Whether a text can be a key: one line that a header can carry. */
export function isKey(text: string): boolean {
  return /^[\x20-\x7e]+$/.test(text)
}
