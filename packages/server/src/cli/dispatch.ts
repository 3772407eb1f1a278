import { readFileSync } from 'node:fs'
import type { CommandIo } from './command-io.ts'
import { commands } from './commands.ts'
import { describeFailure, exitCodeOf, usageError } from './exit-codes.ts'
import { parseLine } from './flags.ts'
import { commandHelp, overview } from './help.ts'
import { Output } from './output.ts'
import { printable } from './printable.ts'
import { closestTo } from './suggestion.ts'

/**
 * Runs one command line (without the program's name).
 * @returns the number to exit with; never throws
 */
export async function runCommandLine(argv: readonly string[], io: CommandIo): Promise<number> {
  const output = new Output(io, argv.includes('--json'))
  try {
    return await dispatch(argv, io, output)
  } catch (error) {
    const { code, message, hint } = describeFailure(error)
    const exitCode = exitCodeOf(code)
    if (exitCode.name !== 'output-closed') output.failure(code, message, hint)
    return exitCode.number
  }
}

async function dispatch(argv: readonly string[], io: CommandIo, output: Output): Promise<number> {
  const [first, ...rest] = argv
  if (first === undefined) {
    io.stderr.write(`${overview(commands)}\n`)
    return exitCodeOf('usage').number
  }
  if (first === '--help' || first === '-h' || first === 'help') return help(rest[0], output)
  if (first === '--version') return done(output.result({ version: version() }, version()))
  const entry = commandNamed(first)
  const command = await entry.load()
  // What Node could not read of the line it has replaced, so that other bytes would be sent.
  const unread = rest.find((word) => word.includes('\ufffd'))
  if (unread !== undefined)
    throw usageError(`'${printable(unread)}' is not well-formed UTF-8`, 'Send such bytes with --file, or on standard input.')
  if (asksForHelp(rest)) return done(printHelp(output, commandHelp(command)))
  const { flags, words } = parseLine(command, rest, io.env)
  return command.run({ flags, words, output, io })
}

/** `--help` wins over whatever else is wrong with the line. */
function asksForHelp(argv: readonly string[]): boolean {
  const end = argv.indexOf('--')
  return argv.slice(0, end < 0 ? argv.length : end).some((word) => word === '--help' || word === '-h')
}

async function help(name: string | undefined, output: Output): Promise<number> {
  if (name === undefined || name.startsWith('-')) return done(printHelp(output, overview(commands)))
  return done(printHelp(output, commandHelp(await commandNamed(name).load())))
}

function printHelp(output: Output, help: string): Promise<void> {
  return output.result({ help }, help)
}

function commandNamed(name: string) {
  const found = commands.find((command) => command.name === name)
  if (found !== undefined) return found
  const own = name.startsWith('--') ? closestTo(name, ['--version', '--help']) : undefined
  if (name.startsWith('--') && own === undefined)
    throw usageError('No command is named', `Flags come after it: posthaste COMMAND ${name}.`)
  const closest = closestTo(name, [...commands.map((command) => command.name), 'help', '--version'])
  const hint = closest === undefined ? '' : `Did you mean \`posthaste ${closest}\`? `
  throw usageError(`'${name}' is not a command`, `${hint}\`posthaste --help\` lists all.`)
}

async function done(written: Promise<void>): Promise<number> {
  await written
  return 0
}

/** The version of this package. */
function version(): string {
  const manifest: { version?: string } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8'))
  return manifest.version ?? 'unknown'
}
