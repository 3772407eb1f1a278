import type { Readable, Writable } from 'node:stream'

/** What a process gives its commands; tests give their own. */
export interface CommandIo {
  readonly env: Readonly<Record<string, string | undefined>>
  /** The directory that relative paths start at. */
  readonly directory: string
  /** Node makes an empty stream of a descriptor that is of no kind that it reads, so the descriptor itself is there too. */
  readonly stdin: Readable & { readonly isTTY?: boolean; readonly fd?: number }
  readonly stdout: Writable & { readonly isTTY?: boolean }
  readonly stderr: Writable & { readonly isTTY?: boolean }
  /** Calls back at SIGINT and SIGTERM (SIGHUP counts as that one), until the returned function is called. */
  onSignal(listener: (signal: 'SIGINT' | 'SIGTERM') => void): () => void
}
