import { PassThrough, Readable, Writable } from 'node:stream'
import type { CommandIo } from '../../src/cli/command-io.ts'

/** A process as commands see it, that keeps what they print. */
export interface FakeIo extends CommandIo {
  readonly printed: () => string
  readonly told: () => string
  /** Delivers a signal to whoever listens. */
  readonly signal: (name: 'SIGINT' | 'SIGTERM') => void
}

/** Makes a process with this environment and standard input; `isTerminal` makes all three streams terminals. */
export function fakeIo(
  options: {
    env?: Record<string, string>
    input?: string
    isTerminal?: boolean
    directory?: string
    inputDescriptor?: number
  } = {},
): FakeIo {
  const stdout = collector()
  const stderr = collector()
  const listeners = new Set<(name: 'SIGINT' | 'SIGTERM') => void>()
  const isTTY = options.isTerminal === true
  const stdin = options.input === undefined ? new PassThrough() : Readable.from([Buffer.from(options.input)])
  return {
    env: options.env ?? {},
    directory: options.directory ?? '/nowhere',
    stdin: Object.assign(stdin, { isTTY, ...(options.inputDescriptor === undefined ? {} : { fd: options.inputDescriptor }) }),
    stdout: Object.assign(stdout.stream, { isTTY }),
    stderr: Object.assign(stderr.stream, { isTTY }),
    onSignal(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    printed: stdout.text,
    told: stderr.text,
    signal: (name) => {
      for (const listener of [...listeners]) listener(name)
    },
  }
}

function collector(): { stream: Writable; text: () => string } {
  const chunks: Buffer[] = []
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      chunks.push(Buffer.from(chunk))
      done()
    },
  })
  return { stream, text: () => Buffer.concat(chunks).toString('utf8') }
}
