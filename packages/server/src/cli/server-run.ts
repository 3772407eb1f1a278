import type { AllServerOptions, RunningServer, ServerOptions } from '../options.ts'
import type { CommandContext } from './command.ts'
import type { CommandIo } from './command-io.ts'
import { CliError, describeFailure, exitCodeOf, usageError } from './exit-codes.ts'
import { letHeapGrow } from './heap.ts'
import type { Output } from './output.ts'

/** Where it is to listen. */
type Addresses = Pick<AllServerOptions, 'port' | 'adminPort' | 'host' | 'adminHost'>

/**
 * Runs a server until SIGINT or SIGTERM, or until its storage fails, then stops it in good order. A second signal exits at once. `announce` is called once it
 * listens. What can go wrong with its ports and its directory is told in words that name them.
 * @returns the number to exit with
 * @throws CliError `port-in-use`; StorageError `directory-in-use`, `directory-read-only`, `disk-full` or `journal-failed`
 */
export async function runServer(
  options: ServerOptions & Addresses,
  { io, output }: Pick<CommandContext, 'io' | 'output'>,
  announce: (server: RunningServer) => Promise<void>,
): Promise<number> {
  // Before anything is opened: a signal at any moment ends it in good order.
  const signalled = firstSignal(io, output)
  // Loaded late, so that a line with an error in it, or `--help`, is answered at once.
  const { startServer } = await import('../server.ts')
  letHeapGrow()
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
export function startFailure(error: unknown, options: Addresses): unknown {
  if (!(error instanceof Error && 'syscall' in error)) return error
  if (error.syscall === 'getaddrinfo')
    return usageError(error.message, 'Name an address of this machine with --host or --admin-host.')
  if (error.syscall !== 'listen') return error
  const { code, message } = describeFailure(error)
  const port = 'port' in error && typeof error.port === 'number' ? error.port : 0
  const isAdmin = port === options.adminPort && port !== options.port
  const host = isAdmin ? options.adminHost : options.host
  const flag = isAdmin ? '--admin-port' : '--port'
  if (code !== 'EADDRINUSE') {
    const hint = `Choose others with ${flag} and ${isAdmin ? '--admin-host' : '--host'}.`
    return new CliError('port-in-use', `Port ${port} on ${host} can't be listened on: ${message}`, hint, error)
  }
  const isBoth = options.port === options.adminPort
  const hint = isBoth ? 'It is both --port and --admin-port: give each its own.' : `Choose another with ${flag}.`
  return new CliError('port-in-use', `Port ${port} on ${host} is in use${isBoth ? '' : ' by another program'}`, hint, error)
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
