import type { CommandIo } from './command-io.ts'
import type { FlagSpec } from './flag-spec.ts'
import type { FlagValues } from './flags.ts'
import type { Output } from './output.ts'

/** A command: all that the dispatcher, `--help` and the documentation's test know of it. */
export interface Command {
  readonly name: string
  /** One line for the list of commands. */
  readonly summary: string
  /** Each way to call it, without `posthaste`. */
  readonly usage: readonly string[]
  readonly flags: Readonly<Record<string, FlagSpec>>
  /** Paragraphs below the flags. */
  readonly details?: readonly string[]
  /** @returns the number to exit with; throws for every other end */
  run(context: CommandContext): Promise<number>
}

/** What a command runs with. */
export interface CommandContext {
  readonly flags: FlagValues
  /** What is left when the flags are taken away. */
  readonly words: readonly string[]
  readonly output: Output
  readonly io: CommandIo
}
