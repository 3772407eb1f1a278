import { codes } from '@posthaste/protocol'

/** A way for a command to end, as scripts see it. */
export interface ExitCode {
  /** The number that the process exits with. */
  readonly number: number
  /** Its name in `--json` output; for what the server and the SDK say, their own code. */
  readonly name: string
  readonly text: string
}

const own = [
  [0, 'done', 'Everything asked for was done.'],
  [1, 'failed', 'Something failed that has no code of its own; the text says what.'],
  [2, 'usage', 'A command, flag or value is not valid. Nothing was done.'],
  [4, 'unreachable', "The server can't be reached, or has no room at the moment. Trying again may help."],
  [5, 'not-authorized', 'The token or the admin key is missing, wrong, expired or revoked.'],
  [6, 'not-found', 'There is no such user, group or member.'],
  [7, 'already-exists', 'There is one of that name already.'],
  [8, 'store', "The device's store is held by another process, belongs to another user, or can't be written to."],
  [9, 'timed-out', 'The time given with --timeout is over. What is in the outbox goes out with the next run.'],
  [20, 'cancelled', 'Cancelled before the server had it.'],
  [21, 'port-in-use', 'A port is in use, or may not be listened on.'],
  [22, 'directory-in-use', 'Another server holds the data directory.'],
  [23, 'directory-read-only', "The data directory can't be written to, or is not a directory."],
  [24, 'disk-full', "The server's disk is full."],
  [25, 'storage-failed', "The server's storage failed."],
  [26, 'secret-unsafe', 'A secret or key file is missing, ill-formed, or readable by others.'],
  [27, 'incomplete', "At a message's deadline only some members of the group had received it."],
  [130, 'interrupted', 'Ended by Ctrl-C (SIGINT) before it was done.'],
  [141, 'output-closed', 'Whoever read the output has closed it. What was not written is not acknowledged.'],
  [143, 'terminated', 'Ended by SIGTERM, or by SIGHUP (its terminal was closed), before it was done.'],
] as const

/** The names of the exit codes that are the command line's own. */
export type ExitName = (typeof own)[number][1]

/** Of the statuses that end a message without delivery, `expired` exits with 3, every other one with its own number (10–19). */
const failedStatuses: readonly ExitCode[] = codes
  .filter(({ number }) => number === 3 || (number >= 10 && number <= 19))
  .map(({ number, name, text }) => ({ number, name, text: `A message ended: ${text}` }))

/** All exit codes, in the order of their numbers. Stable: none is reused or changed. */
export const exitCodes: readonly ExitCode[] = [
  ...own.map(([number, name, text]) => ({ number, name, text })),
  ...failedStatuses,
].sort((a, b) => a.number - b.number)

/** Where a code of the server or the SDK has no exit code of its own name. */
const synonyms: Readonly<Record<string, ExitName>> = {
  'invalid-argument': 'usage',
  'invalid-token': 'not-authorized',
  'token-refused': 'not-authorized',
  'token-invalid': 'not-authorized',
  'token-expired': 'not-authorized',
  'token-revoked': 'not-authorized',
  unauthorized: 'not-authorized',
  'user-removed': 'not-authorized',
  'wrong-user': 'store',
  'store-locked': 'store',
  'store-full': 'store',
  'store-failed': 'store',
  'store-lost': 'store',
  'outbox-full': 'store',
  busy: 'unreachable',
  'rate-limited': 'unreachable',
  'shutting-down': 'unreachable',
  'too-many-keys': 'unreachable',
  'journal-failed': 'storage-failed',
  'tables-failed': 'storage-failed',
  'auth-misconfigured': 'secret-unsafe',
  'shards-differ': 'usage',
}

/** The exit code of that name; of a name that has none, `failed`. */
export function exitCodeOf(name: string): ExitCode {
  const wanted = synonyms[name] ?? name
  const found = exitCodes.find((code) => code.name === wanted)
  return found ?? { number: 1, name, text: '' }
}

/** An error that ends a command: a text for whoever typed it, a hint at what to do, and an exit code. */
export class CliError extends Error {
  override readonly name = 'CliError'
  /** A name of the table, or a code of the server or the SDK. */
  readonly code: string
  /** What to do about it, on a line of its own. */
  readonly hint: string | undefined

  constructor(code: string, message: string, hint?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause })
    this.code = code
    this.hint = hint
  }
}

/** A flag or argument that is not valid: names it, and what is allowed. */
export function usageError(message: string, hint?: string): CliError {
  return new CliError('usage', message, hint)
}

/** What any failure is called and says to whoever typed the command. */
export function describeFailure(error: unknown): { code: string; message: string; hint: string | undefined } {
  if (error instanceof CliError) return { code: error.code, message: error.message, hint: error.hint }
  if (error instanceof Error) {
    const code = 'code' in error && typeof error.code === 'string' ? error.code : 'failed'
    return { code, message: error.message, hint: 'help' in error && typeof error.help === 'string' ? error.help : undefined }
  }
  return { code: 'failed', message: String(error), hint: undefined }
}
