import { parseArgs } from 'node:util'
import { usageError } from './exit-codes.ts'
import { commonFlags, type FlagSpec } from './flag-spec.ts'
import { closestTo } from './suggestion.ts'

type Flags = Readonly<Record<string, FlagSpec>>

/** The values of a command's flags: what was typed, else the environment's, else the fallback. */
export class FlagValues {
  readonly #specs: Flags
  readonly #typed: ReadonlyMap<string, string | true>
  readonly #env: Readonly<Record<string, string | undefined>>

  constructor(specs: Flags, typed: ReadonlyMap<string, string | true>, env: Readonly<Record<string, string | undefined>>) {
    this.#specs = specs
    this.#typed = typed
    this.#env = env
  }

  /** Whether a switch is on. Of the environment `1`, `true` and `yes` switch on. */
  isOn(name: string): boolean {
    if (this.#typed.has(name)) return true
    return ['1', 'true', 'yes'].includes(this.#fromEnv(name) ?? '')
  }

  /** The value of a flag, as text. An empty environment variable counts as none. */
  text(name: string): string | undefined {
    const typed = this.#typed.get(name)
    if (typeof typed === 'string') return typed
    return this.#fromEnv(name) ?? this.#specs[name]?.fallback
  }

  /** The value, or a usage error that names the flag. */
  required(name: string): string {
    const value = this.text(name)
    if (value !== undefined) return value
    const spec = this.#specs[name]
    const env = spec?.env === undefined ? '' : ` (or ${spec.env})`
    throw usageError(`--${name} is missing`, `Give --${name} ${spec?.placeholder ?? 'VALUE'}${env}.`)
  }

  /** The value made by `parse`, which gets the flag's name for its errors; `undefined` without a value. */
  parsed<T>(name: string, parse: (text: string, field: string) => T): T | undefined {
    const value = this.text(name)
    return value === undefined ? undefined : parse(value, this.#source(name))
  }

  /** Whether the flag was typed, not taken from elsewhere. */
  isTyped(name: string): boolean {
    return this.#typed.has(name)
  }

  /** Where the value stands, for error texts: the flag, or the variable. */
  #source(name: string): string {
    const env = this.#specs[name]?.env
    return !this.#typed.has(name) && env !== undefined && this.#fromEnv(name) !== undefined ? env : `--${name}`
  }

  #fromEnv(name: string): string | undefined {
    const env = this.#specs[name]?.env
    const value = env === undefined ? undefined : this.#env[env]
    return value === '' ? undefined : value
  }
}

/** What a command line says. */
export interface ParsedLine {
  readonly flags: FlagValues
  readonly words: readonly string[]
}

/**
 * Reads what follows a command's name.
 * @throws CliError `usage` for an unknown flag (with the closest one), a missing value, a repeated flag, or a value given to a switch
 */
export function parseLine(
  command: { readonly name: string; readonly flags: Flags },
  argv: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): ParsedLine {
  const specs: Flags = { ...command.flags, ...commonFlags }
  const options = Object.fromEntries(Object.entries(specs).map(([name, spec]) => [name, optionOf(spec)]))
  const { tokens } = parseArgs({ args: [...argv], options, allowPositionals: true, strict: false, tokens: true })
  const typed = new Map<string, string | true>()
  const words: string[] = []
  for (const token of tokens) {
    if (token.kind === 'positional') words.push(token.value)
    if (token.kind !== 'option') continue
    if (typed.has(token.name)) throw usageError(`${token.rawName} is given more than once`)
    typed.set(token.name, flagValue(command, specs, token))
  }
  return { flags: new FlagValues(specs, typed, env), words }
}

function optionOf(spec: FlagSpec): { type: 'string' | 'boolean'; short?: string } {
  const type = spec.kind === 'text' ? 'string' : 'boolean'
  return spec.short === undefined ? { type } : { type, short: spec.short }
}

interface OptionToken {
  readonly name: string
  readonly rawName: string
  readonly value: string | undefined
  readonly inlineValue: boolean | undefined
}

function flagValue({ name: command }: { name: string }, specs: Flags, token: OptionToken): string | true {
  const spec = Object.hasOwn(specs, token.name) ? specs[token.name] : undefined
  if (spec === undefined) {
    const closest = closestTo(token.name, Object.keys(specs))
    const hint = closest === undefined ? '' : `Did you mean --${closest}? `
    throw usageError(`${token.rawName} is not a flag of ${command}`, `${hint}\`posthaste ${command} --help\` lists all.`)
  }
  if (spec.kind === 'switch') {
    if (token.value !== undefined) throw usageError(`${token.rawName} takes no value`)
    return true
  }
  const { value } = token
  // A flag where a value belongs is a forgotten value; negative numbers get on to their range check.
  const isForgotten =
    value === undefined || (value === '' && spec.mayBeEmpty !== true) || (token.inlineValue !== true && /^-[^0-9]/.test(value))
  if (isForgotten) throw usageError(`${token.rawName} needs a value`, `Write ${token.rawName}=${spec.placeholder ?? 'VALUE'}.`)
  return value
}
