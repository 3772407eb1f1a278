import { type ChildProcess, fork, spawn } from 'node:child_process'
import { symlinkSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { Playground } from '../cli/program.ts'
import type { Snippet } from './snippets.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))
const program = fileURLToPath(new URL('program.ts', import.meta.url))
const snippetTimeoutMs = 20_000

/** A directory as a reader of the document has it: the packages installed, and `posthaste dev` running in it. */
export class Stage {
  readonly #ground = new Playground()
  #program: ChildProcess | undefined
  readonly #shells = new Set<ChildProcess>()

  get directory(): string {
    return this.#ground.directory
  }

  async open(): Promise<void> {
    symlinkSync(join(root, 'node_modules'), this.#ground.path('node_modules'))
    writeFileSync(this.#ground.path('package.json'), '{ "type": "module" }\n')
    await this.#ground.dev()
    this.#program = fork(program, {
      cwd: this.directory,
      env: ownEnvironment(),
      execArgv: ['--import', 'tsx'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
  }

  async close(): Promise<void> {
    this.#program?.kill('SIGKILL')
    for (const shell of this.#shells) killGroup(shell)
    await this.#ground.end()
  }

  /** Saves a snippet in TypeScript as the file that it stands for. @returns its path */
  save({ name, line, code }: Snippet): string {
    const path = this.#ground.path(name ?? `line-${line}.ts`)
    writeFileSync(path, `${code}\n`)
    return path
  }

  /** Runs a snippet. @returns what it printed @throws Error with what it threw, or when it does not end */
  async run(snippet: Snippet): Promise<string> {
    return snippet.language === 'ts' ? await this.#runInProgram(this.save(snippet)) : await this.shell(snippet.code)
  }

  /** Runs lines of a shell in which `npx` finds the installed program without asking anybody. @returns all that they printed */
  async shell(code: string): Promise<string> {
    const path = `PATH='${dirname(process.execPath)}:${join(root, 'node_modules', '.bin')}':"$PATH"`
    const lines = `exec 2>&1\n${path}\nnpx() { "$@"; }\n${code}`
    const options = { cwd: this.directory, env: ownEnvironment(), detached: true }
    const shell = spawn('sh', ['-c', lines], { ...options, stdio: ['ignore', 'pipe', 'inherit'] })
    this.#shells.add(shell)
    // What hangs is ended with all that it started, and what it printed tells where.
    const timer = setTimeout(() => killGroup(shell), snippetTimeoutMs)
    let printed = ''
    shell.stdout.setEncoding('utf8').on('data', (text: string) => {
      printed += text
    })
    await new Promise((resolve) => shell.once('close', resolve))
    clearTimeout(timer)
    this.#shells.delete(shell)
    return shell.signalCode === null ? printed : `${printed}… and went on after ${snippetTimeoutMs} ms\n`
  }

  #runInProgram(path: string): Promise<string> {
    const child = this.#program
    if (child === undefined) throw new Error('The stage is not open.')
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${path} did not end in time.`)), snippetTimeoutMs)
      child.once('message', ({ output, error }: { output?: string; error?: string }) => {
        clearTimeout(timer)
        if (output === undefined) reject(new Error(error))
        else resolve(output)
      })
      child.send(pathToFileURL(path).href)
    })
  }
}

/** Nothing that is set where the tests run reaches what a reader types. */
function ownEnvironment(): NodeJS.ProcessEnv {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('POSTHASTE_')))
}

/** Ends a process that leads a group of its own, and all that it started. */
function killGroup({ pid, exitCode }: ChildProcess): void {
  if (pid !== undefined && exitCode === null) process.kill(-pid, 'SIGKILL')
}
