import { spawn } from 'node:child_process'
import { readdirSync, rmSync } from 'node:fs'
import { open, rename } from 'node:fs/promises'
import { join } from 'node:path'
import type { Address } from '@posthaste/protocol'
import { CliError } from './exit-codes.ts'
import { formatAddress } from './options.ts'
import { jsonLine, type Output } from './output.ts'
import { printable, shownBody, textOf } from './printable.ts'
import { makeDirectory } from '../storage/make-directory.ts'

/** The part of a received message that sinks use. */
export interface Received {
  /** Unique and safe in file names. */
  readonly key: string
  readonly id: bigint
  readonly from: { readonly user: string }
  readonly to: Address
  readonly timeMs: number
  readonly type: number
  readonly priority: number
  readonly body: Uint8Array
  /** Whether an earlier call for the same message may have done its work. */
  readonly redelivered: boolean
}

/** Where `listen` puts messages. Resolves once the message is safe there; a rejection leaves it unacknowledged. */
export type Sink = (message: Received) => Promise<void>

/** A message as `--json` prints it: the body as `text` where it is well-formed UTF-8, else as `base64`. */
export function jsonOf(message: Received): Record<string, unknown> {
  const text = textOf(message.body)
  return {
    key: message.key,
    from: message.from,
    to: message.to,
    id: message.id.toString(),
    type: message.type,
    priority: message.priority,
    time: new Date(message.timeMs).toISOString(),
    timeMs: message.timeMs,
    redelivered: message.redelivered,
    ...(text === undefined ? { base64: Buffer.from(message.body).toString('base64') } : { text }),
  }
}

/** One line a message: JSON, or for people without what a terminal would obey. */
export function lineSink(output: Output): Sink {
  return (message) => output.write(output.isJson ? `${jsonLine(jsonOf(message))}\n` : `${humanLine(message, output)}\n`)
}

/** The bare body and a newline, byte by byte; for a terminal without what it would obey. */
export function rawSink(output: Output): Sink {
  return (message) =>
    output.isTerminal
      ? output.write(`${shownBody(message, { isTerminal: true, keepsNewlines: true })}\n`)
      : output.write(Buffer.concat([message.body, Buffer.from('\n')]))
}

/**
 * Each body in a file of its own, named by the message's key, flushed and put in its place by one rename: it is there as a whole
 * or not at all, and a message that comes again replaces itself.
 */
export function fileSink(directory: string, output: Output): Sink {
  makeDirectory(directory)
  // What a kill left half written.
  for (const name of readdirSync(directory))
    if (/^\.posthaste-[\w.~-]+\.part$/.test(name)) rmSync(join(directory, name), { force: true })
  return async (message) => {
    const path = join(directory, message.key)
    const draft = join(directory, `.posthaste-${message.key}.part`)
    const file = await open(draft, 'w', 0o600)
    try {
      await file.writeFile(message.body)
      await file.datasync()
    } finally {
      await file.close()
    }
    await rename(draft, path)
    await flushDirectory(directory)
    await output.result({ ...metadataOf(message), file: path }, path)
  }
}

/**
 * Runs a shell command for each message: the body on its standard input, the rest in its environment. It inherits standard
 * output and error; with `--json` what it prints goes to standard error, and the message without its body to standard output.
 */
export function execSink(command: string, env: Readonly<Record<string, string | undefined>>, output: Output): Sink {
  return async (message) => {
    await execute(command, env, message, output.isJson ? process.stderr : 'inherit')
    if (output.isJson) await output.result(metadataOf(message), '')
  }
}

function execute(
  command: string,
  env: Readonly<Record<string, string | undefined>>,
  message: Received,
  printed: 'inherit' | typeof process.stderr,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, {
      shell: true,
      // In a group of its own: Ctrl-C in the terminal is this program's, which lets it finish.
      detached: true,
      stdio: ['pipe', printed, 'inherit'],
      env: { ...env, ...environmentOf(message) },
    })
    // Whoever ends this program at once ends that too.
    const end = () => {
      if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
      process.kill(-child.pid, 'SIGTERM')
    }
    process.once('exit', end)
    child.once('close', () => process.off('exit', end))
    child.once('error', (error) => reject(new CliError('failed', `--exec can't be started: ${error.message}`, undefined, error)))
    child.once('close', (code, signal) => {
      if (code === 0) resolve()
      else reject(new CliError('failed', `--exec ended with ${signal ?? `exit code ${code}`}`))
    })
    // A command need not read the body.
    child.stdin.on('error', () => {})
    child.stdin.end(message.body)
  })
}

/** What `--exec` finds in its environment. */
function environmentOf(message: Received): Record<string, string> {
  return {
    POSTHASTE_FROM: message.from.user,
    POSTHASTE_TO: formatAddress(message.to),
    POSTHASTE_ID: message.id.toString(),
    POSTHASTE_KEY: message.key,
    POSTHASTE_TYPE: String(message.type),
    POSTHASTE_PRIORITY: String(message.priority),
    POSTHASTE_TIME: new Date(message.timeMs).toISOString(),
    POSTHASTE_REDELIVERED: String(message.redelivered),
  }
}

function metadataOf(message: Received): Record<string, unknown> {
  const { text: _text, base64: _base64, ...metadata } = jsonOf(message)
  return { ...metadata, bytes: message.body.length }
}

function humanLine(message: Received, output: Output): string {
  const time = new Date(message.timeMs).toISOString().slice(11, 19)
  const to = 'group' in message.to ? ` in ${printable(message.to.group)}` : ''
  const again = message.redelivered ? ` ${output.style('yellow', '(again)')}` : ''
  const body = shownBody(message, { isTerminal: output.isTerminal, keepsNewlines: false })
  return `${output.style('dim', time)} ${output.style('cyan', printable(message.from.user))}${to}${again}: ${body}`
}

async function flushDirectory(path: string): Promise<void> {
  if (process.platform === 'win32') return
  const directory = await open(path, 'r')
  try {
    await directory.sync()
  } finally {
    await directory.close()
  }
}
