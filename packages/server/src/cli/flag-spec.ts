/** One flag of a command: what `--help` says, and where its value comes from when it is not given. */
export interface FlagSpec {
  readonly kind: 'text' | 'switch'
  /** What stands for the value in `--help`, such as `SECONDS`. */
  readonly placeholder?: string
  readonly text: string
  /** The environment variable that is asked when the flag is not given. */
  readonly env?: string
  /** The value when neither is given. */
  readonly fallback?: string
  /** Whether '' is looked at by the command itself. */
  readonly mayBeEmpty?: true
  /** A single letter for the same. */
  readonly short?: string
}

/** Flags that every command has. */
export const commonFlags = {
  json: { kind: 'switch', text: 'Print JSON, one object a line.' },
  help: { kind: 'switch', short: 'h', text: 'Print this.' },
} as const satisfies Record<string, FlagSpec>
