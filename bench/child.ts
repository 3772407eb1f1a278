/** A process of the bench and the questions that it answers: one question at a time, over Node's IPC. */
import { type ChildProcess, fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** How long an answer may take: longer than any part of the bench does. */
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
    const path = fileURLToPath(new URL(file, import.meta.url))
    this.process = fork(path, [JSON.stringify(settings)], { execArgv: ['--import', 'tsx', ...nodeArguments] })
    this.#ended = new Promise((resolve) => this.process.once('exit', resolve))
  }

  /** The answer to a question. @throws Error when the process ends before it answers, or does not in time */
  ask<T>(question: string): Promise<T> {
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
      const timeout = setTimeout(() => fail('no answer in time to'), answerMs)
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

/** What a child process was started with. */
export function settingsOf<T>(): T {
  return JSON.parse(process.argv[2] ?? '{}') as T
}

/**
 * Answers the questions of the process that started this one, and ends when it asks to or is gone.
 * @param end what is to be done before
 */
export function answerAll(
  answers: Readonly<Record<string, () => unknown | Promise<unknown>>>,
  end: () => Promise<void> = async () => {},
): void {
  const finish = (): void => {
    end().then(
      () => process.exit(0),
      () => process.exit(1),
    )
  }
  process.on('disconnect', finish)
  process.on('message', async (question: string) => {
    if (question === 'end') return finish()
    const answer = answers[question]
    if (answer === undefined) throw new Error(`no answer to '${question}'`)
    process.send?.((await answer()) ?? null)
  })
}
