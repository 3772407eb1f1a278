import type { Readable, Writable } from 'node:stream'

/** What a process gives its commands; tests give their own. */
export interface CommandIo {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The directory that relative paths start at. */
  readonly directory: string
  readonly stdin: Readable & { readonly isTTY?: boolean }
  readonly stdout: Writable & { readonly isTTY?: boolean }
  readonly stderr: Writable & { readonly isTTY?: boolean }
  /** Calls back at SIGINT and SIGTERM, until the returned function is called. */
  onSignal(listener: (signal: 'SIGINT' | 'SIGTERM') => void): () => void
}
