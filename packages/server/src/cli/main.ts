#!/usr/bin/env node
/** The program `posthaste`: gives a command what it needs of the process, and exits with its code. */
import type { CommandIo } from './command-io.ts'
import { runCommandLine } from './dispatch.ts'

const io: CommandIo = {
  env: process.env,
  directory: process.cwd(),
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  onSignal(listener) {
    // A terminal that is closed is no other end: what was begun is finished, and --exec's command does not live on alone.
    const hangUp = () => listener('SIGTERM')
    process.on('SIGINT', listener)
    process.on('SIGTERM', listener)
    process.on('SIGHUP', hangUp)
    return () => {
      process.off('SIGINT', listener)
      process.off('SIGTERM', listener)
      process.off('SIGHUP', hangUp)
    }
  },
}

// Writes that fail reject where they are awaited; without a listener the stream would end the process first.
process.stdout.on('error', () => {})
process.stderr.on('error', () => {})

/** What is not written by then, of a command that was ended before it was done, has a reader that doesn't read. */
const unreadMs = 1_000

const code = await runCommandLine(process.argv.slice(2), io)
// What is still open (standard input, a socket that lingers) must not keep the process.
process.stdout.write('', () => process.exit(code))
if (code !== 0) setTimeout(() => process.exit(code), unreadMs)
