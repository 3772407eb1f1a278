import type { RunningServer, ServerOptions } from '../options.ts'
import type { CommandContext } from './command.ts'
import type { CommandIo } from './command-io.ts'
import { CliError, describeFailure, exitCodeOf } from './exit-codes.ts'
import type { Output } from './output.ts'

/**
 * Runs a server until SIGINT or SIGTERM, or until its storage fails, then stops it in good order. A second signal exits at once. `announce` is called once it
 * listens. What can go wrong with its ports and its directory is told in words that name them.
 * @returns the number to exit with
 * @throws CliError `port-in-use`; StorageError `directory-in-use`, `directory-read-only`, `disk-full` or `journal-failed`
 */
export async function runServer(
  options: ServerOptions,
  { io, output }: Pick<CommandContext, 'io' | 'output'>,
  announce: (server: RunningServer) => Promise<void>,
): Promise<number> {
  // Before anything is opened: a signal at any moment ends it in good order.
  const signalled = firstSignal(io, output)
  // Loaded late, so that a line with an error in it, or `--help`, is answered at once.
  const { startServer } = await import('../server.ts')
  const server = await startServer(options).catch((error: unknown) => Promise.reject(startFailure(error, options)))
  try {
    await announce(server)
    await Promise.race([signalled, server.stopped])
  } finally {
    await server.stop()
  }
  return 0
}

/** Why a server can't start, for whoever typed the command. */
export function startFailure(error: unknown, options: Pick<ServerOptions, 'port' | 'adminPort' | 'host' | 'adminHost'>): unknown {
  const { code, message } = describeFailure(error)
  if (exitCodeOf(code).name !== 'port-in-use' || !(error instanceof Error)) return error
  const port = 'port' in error && typeof error.port === 'number' ? error.port : undefined
  const isAdmin = port !== undefined && port === options.adminPort && port !== options.port
  const [flag, host] = isAdmin ? ['--admin-port', options.adminHost] : ['--port', options.host]
  const where = port === undefined ? '' : `Port ${port} on ${host} `
  if (code === 'EADDRINUSE')
    return new CliError(code, `${where}is in use by another program`, `Choose another with ${flag}.`, error)
  return new CliError(code, `${where}can't be listened on: ${message}`, `Choose another with ${flag}.`, error)
}

/** Resolves at the first signal; the second one exits. */
function firstSignal(io: CommandIo, output: Output): Promise<void> {
  return new Promise((resolve) => {
    let isStopping = false
    io.onSignal((signal) => {
      if (isStopping) process.exit(exitCodeOf(signal === 'SIGINT' ? 'interrupted' : 'terminated').number)
      isStopping = true
      output.note('Stopping. Once more ends it at once.')
      resolve()
    })
  })
}

/** A URL's host: IPv6 in brackets, and an address that means all of them as the local one. */
export function urlHost(host: string): string {
  if (host === '0.0.0.0') return '127.0.0.1'
  if (host === '::') return '[::1]'
  return host.includes(':') ? `[${host}]` : host
}
