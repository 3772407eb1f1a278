import type { Command } from './command.ts'
import { exitCodes } from './exit-codes.ts'
import { commonFlags, type FlagSpec } from './flag-spec.ts'
import { columns } from './output.ts'

/** What `posthaste COMMAND --help` prints. */
export function commandHelp(command: Command): string {
  const flags = Object.entries<FlagSpec>({ ...command.flags, ...commonFlags })
  return [
    `posthaste ${command.name}: ${command.summary}`,
    section('Usage', command.usage.map((usage) => `posthaste ${usage}`).join('\n')),
    section('Flags', columns(flags.map(([name, spec]) => [flagForm(name, spec), flagText(spec)]))),
    ...(command.details ?? []),
    'Exit codes: `posthaste --help` lists them.',
  ].join('\n\n')
}

/** What `posthaste --help` prints. */
export function overview(commands: readonly Pick<Command, 'name' | 'summary'>[]): string {
  return [
    'posthaste: real-time messaging, once and only once',
    section('Usage', 'posthaste COMMAND [FLAGS]\nposthaste COMMAND --help\nposthaste --version'),
    section('Commands', columns(commands.map(({ name, summary }) => [name, summary]))),
    section('Exit codes', columns(exitCodes.map(({ number, name, text }) => [String(number).padStart(3), name, text]))),
    'Start with `posthaste dev`: it runs a throw-away server and prints what to type next.',
  ].join('\n\n')
}

function section(title: string, text: string): string {
  return `${title}:\n${text.replaceAll(/^/gm, '  ')}`
}

function flagForm(name: string, spec: FlagSpec): string {
  const short = spec.short === undefined ? '' : `-${spec.short}, `
  return `${short}--${name}${spec.kind === 'text' ? ` ${spec.placeholder ?? 'VALUE'}` : ''}`
}

function flagText(spec: FlagSpec): string {
  const fallback = spec.fallback === undefined ? '' : ` (default ${spec.fallback})`
  const env = spec.env === undefined ? '' : ` [${spec.env}]`
  return `${spec.text}${fallback}${env}`
}
