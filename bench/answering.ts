/** The side of the child: what a process of the bench was started with, and its answers to the questions of `Child`. */
import { readFileSync, rmSync } from 'node:fs'

/** What a child process was started with. */
export function settingsOf<T>(): T {
  const file = process.argv[2]
  if (file === undefined) throw new Error('a process of the bench is started by the bench')
  const settings = JSON.parse(readFileSync(file, 'utf8')) as T
  rmSync(file)
  return settings
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
