import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** The built program, as npm links it. */
export const programPath = fileURLToPath(new URL('../../packages/server/dist/cli/main.js', import.meta.url))

/** A machine that is busy with other tests takes its time to start a process. */
const stepTimeoutMs = 60_000

/** How a process ended, and what it printed. */
export interface Ending {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** One run of the program. */
export interface Run {
  readonly child: ChildProcessWithoutNullStreams
  readonly ended: Promise<Ending>
  /** What was printed so far. */
  stdout(): string
  stderr(): string
  /** Resolves once standard output or error holds this, or standard output that many lines; rejects when the process ends before. */
  until(wanted: string | RegExp | number): Promise<void>
}

/** A directory of its own in which programs run; all of them are killed at the end. */
export class Playground {
  readonly directory = mkdtempSync(join(tmpdir(), 'posthaste-process-'))
  readonly #runs = new Set<Run>()

  /** Starts the program here. Standard input is empty unless `input` is given; `null` leaves it open. */
  start(argv: readonly string[], options: { input?: string | Uint8Array | null; env?: Record<string, string> } = {}): Run {
    return this.node(programPath, argv, options)
  }

  /** Starts another program of Node here. */
  node(
    path: string,
    argv: readonly string[],
    options: { input?: string | Uint8Array | null; env?: Record<string, string> } = {},
  ): Run {
    return this.#watch(spawn(process.execPath, [path, ...argv], this.#options(options.env)), options.input)
  }

  /** Starts a shell line here. */
  shell(line: string): Run {
    return this.#watch(spawn('sh', ['-c', line], this.#options()), '')
  }

  /** Runs the program to its end. */
  run(argv: readonly string[], options: { input?: string | Uint8Array; env?: Record<string, string> } = {}): Promise<Ending> {
    return this.start(argv, options).ended
  }

  /** Starts `posthaste dev` on free ports (or others), and waits until it listens. */
  async dev(...flags: string[]): Promise<Run> {
    const ports = flags.includes('--port') ? [] : ['--port', '0', '--admin-port', '0']
    const server = this.start(['dev', '--json', ...ports, ...flags], { input: null })
    await server.until('"event":"next"')
    return server
  }

  path(name: string): string {
    return join(this.directory, name)
  }

  /** Kills what still runs, and removes the directory. */
  async end(): Promise<void> {
    for (const { child } of this.#runs) child.kill('SIGKILL')
    await Promise.all([...this.#runs].map(({ ended }) => ended))
    rmSync(this.directory, { recursive: true, force: true })
  }

  #options(env: Record<string, string> = {}) {
    const own = Object.entries(process.env).filter(([name]) => !name.startsWith('POSTHASTE_'))
    return { cwd: this.directory, env: { ...Object.fromEntries(own), ...env } }
  }

  #watch(child: ChildProcessWithoutNullStreams, input: string | Uint8Array | null | undefined): Run {
    let stdout = ''
    let stderr = ''
    const watchers = new Set<() => void>()
    const wake = () => {
      for (const watcher of [...watchers]) watcher()
    }
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text
      wake()
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
      wake()
    })
    child.stdin.on('error', () => {})
    if (input !== null) child.stdin.end(input ?? '')
    const ended = new Promise<Ending>((resolve) => {
      child.on('close', (code, signal) => {
        this.#runs.delete(run)
        resolve({ code, signal, stdout, stderr })
        wake()
      })
    })
    const has = (wanted: string | RegExp | number) => {
      if (typeof wanted === 'number') return stdout.split('\n').length > wanted
      return [stdout, stderr].some((part) => (typeof wanted === 'string' ? part.includes(wanted) : wanted.test(part)))
    }
    const until = (wanted: string | RegExp | number) =>
      new Promise<void>((resolve, reject) => {
        const check = () => {
          if (has(wanted)) finish(resolve)
          else if (child.exitCode !== null || child.signalCode !== null) finish(() => reject(failed('ended')))
        }
        const failed = (how: string) => new Error(`${child.spawnargs.join(' ')} ${how} without ${wanted}:\n${stdout}\n${stderr}`)
        const timer = setTimeout(() => finish(() => reject(failed('went on'))), stepTimeoutMs)
        const finish = (settle: () => void) => {
          clearTimeout(timer)
          watchers.delete(check)
          settle()
        }
        watchers.add(check)
        check()
      })
    const run: Run = { child, ended, stdout: () => stdout, stderr: () => stderr, until }
    this.#runs.add(run)
    return run
  }
}

/** The JSON objects of a text of lines; a line that a kill cut off is left out. */
export function jsonLines(text: string): Record<string, unknown>[] {
  const complete = text.slice(0, text.lastIndexOf('\n') + 1)
  return complete
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line))
}
