import { type ChildProcess, spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** A program of `children/` under way in a process of its own. */
export interface Child {
  readonly process: ChildProcess
  /** All lines that it has written so far. */
  readonly lines: readonly string[]
  /** Resolves with the first line, past or to come, that satisfies the test; rejects when the process ends without it. */
  line(test: (line: string) => boolean): Promise<string>
  /** Resolves when the process has ended and everything that it wrote has come. */
  readonly ended: Promise<void>
  /** Kills it (SIGKILL) and waits for its end; done at the end of the test in any case. */
  kill(): Promise<void>
}

/** Starts, in a test, `children/<program>.ts`, below `wrapper` (a command such as strace with its arguments) if there is one. */
export function startChild(program: string, args: readonly string[], wrapper: readonly string[] = []): Child {
  const script = fileURLToPath(new URL(`children/${program}.ts`, import.meta.url))
  const [command = '', ...rest] = [...wrapper, process.execPath, '--import', 'tsx', script, ...args]
  const child = spawn(command, rest, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const lines: string[] = []
  const waiting = new Set<() => void>()
  let text = ''
  let errorText = ''
  let hasEnded = false
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    const parts = (text + chunk).split('\n')
    text = parts.pop() ?? ''
    lines.push(...parts)
    for (const check of waiting) check()
  })
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => {
    errorText += chunk
  })
  const ended = new Promise<void>((resolve) => {
    child.on('close', () => {
      hasEnded = true
      for (const check of waiting) check()
      resolve()
    })
  })
  const line = (test: (line: string) => boolean): Promise<string> =>
    new Promise((resolve, reject) => {
      const check = (): void => {
        const found = lines.find(test)
        if (found === undefined && !hasEnded) return
        waiting.delete(check)
        if (found === undefined)
          reject(new Error(`${program} ended without the line: ${lines.slice(-5).join(' | ')} ${errorText}`))
        else resolve(found)
      }
      waiting.add(check)
      check()
    })
  const kill = async (): Promise<void> => {
    try {
      // The group: a wrapper's child would outlive it.
      if (!hasEnded && child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    } catch {
      // It has ended by itself.
    }
    await ended
  }
  onTestFinished(kill)
  return { process: child, lines, line, ended, kill }
}
