import type { CommandIo } from './command-io.ts'
import { CliError } from './exit-codes.ts'
import { printable, printableLines } from './printable.ts'

/** Styles and their SGR parameters (ECMA-48, 8.3.117). Node's own `styleText` asks other streams than the one written to. */
const styles = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const
type Style = keyof typeof styles

/**
 * What a command says. Results go to standard output, everything else (notes, progress, errors) to standard error. Colour and
 * progress are for terminals only, and never with `NO_COLOR`. What a terminal would obey is escaped in all of it but in what `write` is given.
 */
export class Output {
  readonly isJson: boolean
  readonly #io: CommandIo
  #isProgressShown = false

  constructor(io: CommandIo, isJson: boolean) {
    this.#io = io
    this.isJson = isJson
  }

  /** Whether results are for a terminal. */
  get isTerminal(): boolean {
    return this.#io.stdout.isTTY === true
  }

  /** Writes bytes to standard output; resolves once the system has taken them. */
  write(bytes: Uint8Array | string): Promise<void> {
    this.#clearProgress()
    return new Promise((resolve, reject) => {
      this.#io.stdout.write(bytes, (error) => {
        if (error === undefined || error === null) resolve()
        else reject(new CliError('output-closed', `Standard output can't be written to: ${error.message}`, undefined, error))
      })
    })
  }

  /** A result: with `--json` the value on a line of its own, else the text. */
  result(value: unknown, text: string): Promise<void> {
    return this.write(this.isJson ? `${jsonLine(value)}\n` : `${printableLines(text)}\n`)
  }

  /** Something worth knowing that is no result; on standard error. */
  note(text: string): void {
    this.#clearProgress()
    this.#io.stderr.write(
      this.isJson ? `${jsonLine({ note: text })}\n` : `${this.style('dim', printableLines(text), 'stderr')}\n`,
    )
  }

  /** Why something failed, what to do about it, and its code; on standard error. */
  failure(code: string, message: string, hint: string | undefined): void {
    this.#clearProgress()
    if (this.isJson) this.#io.stderr.write(`${jsonLine({ error: code, message, ...(hint === undefined ? {} : { hint }) })}\n`)
    else {
      this.#io.stderr.write(`${this.style('red', 'posthaste:', 'stderr')} ${printableLines(message)}\n`)
      if (hint !== undefined) this.#io.stderr.write(`${this.style('dim', printableLines(hint), 'stderr')}\n`)
    }
  }

  /** Replaces the line that says how far a long run is; only on a terminal. */
  progress(text: string): void {
    if (this.#io.stderr.isTTY !== true || this.isJson) return
    this.#io.stderr.write(`\r\u001b[K${text}`)
    this.#isProgressShown = true
  }

  /** The text in a colour, where the stream is a terminal that wants one. */
  style(style: Style, text: string, stream: 'stdout' | 'stderr' = 'stdout'): string {
    const { env } = this.#io
    const wants = this.#io[stream].isTTY === true && (env.NO_COLOR ?? '') === '' && env.TERM !== 'dumb' && !this.isJson
    return wants ? `\u001b[${styles[style]}m${text}\u001b[0m` : text
  }

  #clearProgress(): void {
    if (!this.#isProgressShown) return
    this.#isProgressShown = false
    this.#io.stderr.write('\r\u001b[K')
  }
}

/** JSON on one line, with bigints as decimal strings, and what a terminal would obey as JSON's escapes. */
export function jsonLine(value: unknown): string {
  return printable(JSON.stringify(value, (_key, part: unknown) => (typeof part === 'bigint' ? part.toString() : part)))
}

/** Columns of text, each as wide as its widest cell. */
export function columns(rows: readonly (readonly string[])[]): string {
  const widths: number[] = []
  for (const row of rows) {
    for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, cell.length)
  }
  const line = (row: readonly string[]) => row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ')
  return rows.map((row) => line(row).trimEnd()).join('\n')
}
