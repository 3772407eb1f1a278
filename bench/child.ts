/** A process of the bench and the questions that it answers: one question at a time, over Node's IPC. */
import { type ChildProcess, fork } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

/** How long an answer may take unless the question says otherwise. */
const answerMs = 90_000
/** How long a process may take to end by itself. */
const endMs = 15_000

/** The other side of a child process of the bench. */
export class Child {
  readonly process: ChildProcess
  readonly #ended: Promise<number | null>

  /**
   * Starts a file of this folder as a process of its own.
   * @param nodeArguments for Node itself, like `--expose-gc`
   */
  constructor(file: string, settings: unknown, nodeArguments: readonly string[] = []) {
    const entry = built(file)
    // In a file: the tokens of 10,000 users are longer than an argument may be.
    const settingsFile = `${entry}-${randomUUID()}.json`
    writeFileSync(settingsFile, JSON.stringify(settings))
    this.process = fork(entry, [settingsFile], { execArgv: [...nodeArguments] })
    this.#ended = new Promise((resolve) => this.process.once('exit', resolve))
  }

  /**
   * The answer to a question.
   * @param withinMs how long it may take
   * @throws Error when the process ends before it answers, or does not in time
   */
  ask<T>(question: string, withinMs = answerMs): Promise<T> {
    return new Promise((resolve, reject) => {
      const answered = (answer: unknown): void => {
        clearTimeout(timeout)
        resolve(answer as T)
      }
      const fail = (text: string): void => {
        clearTimeout(timeout)
        this.process.off('message', answered)
        reject(new Error(`${text} '${question}'`))
      }
      const timeout = setTimeout(() => fail('no answer in time to'), withinMs)
      this.#ended.then((code) => fail(`the process ended (${code}) before it answered`))
      this.process.once('message', answered)
      if (this.process.connected) this.process.send(question)
    })
  }

  /** Lets the process end in its own way, which is not waited for too long. */
  async end(): Promise<void> {
    if (this.process.connected) this.process.send('end')
    const timeout = setTimeout(() => this.process.kill('SIGKILL'), endMs)
    await this.#ended
    clearTimeout(timeout)
  }

  /** Ends the process as a crash would. */
  async kill(): Promise<void> {
    this.process.kill('SIGKILL')
    await this.#ended
  }
}

/** A file of this folder as JavaScript: a loader of TypeScript would count in the time that a process takes to start, and in its memory. */
function built(file: string): string {
  const outfile = fileURLToPath(new URL(`../tmp/bench-${basename(file, '.ts')}.mjs`, import.meta.url))
  buildSync({
    entryPoints: [fileURLToPath(new URL(file, import.meta.url))],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    // What `npm run build` made stays what it is. The folder of the outcome is as deep as this one, so that paths still lead there.
    external: ['../packages/*'],
    logLevel: 'error',
  })
  return outfile
}
