/** How load generators wait. */
import { Worker } from 'node:worker_threads'
import { passed } from '../ground.ts'

const pollMs = 5

/** The thread that keeps a metronome's time: it sleeps until the time that it was told, and says so. */
const sleeper = `
  const { parentPort } = require('node:worker_threads')
  const nobody = new Int32Array(new SharedArrayBuffer(4))
  parentPort.on('message', (time) => {
    Atomics.wait(nobody, 0, 0, Math.max(0, time - performance.timeOrigin - performance.now()))
    parentPort.postMessage(time)
  })
`

/**
 * Tells when a time has come, to some 0.1 ms. Timers of the event loop are as exact as a millisecond, and a loop that turns without rest
 * takes a processor: on two of them the server's threads would wait for it, which is then measured as theirs.
 */
export class Metronome {
  readonly #worker = new Worker(sleeper, { eval: true })
  #toldAt: () => void = () => {}

  constructor() {
    this.#worker.on('message', () => this.#toldAt())
    this.#worker.unref()
  }

  /** Resolves at this time of `performance.now()`, or as soon as the event loop gets to it. One call at a time. */
  at(timeMs: number): Promise<void> {
    const told = new Promise<void>((resolve) => {
      this.#toldAt = resolve
    })
    this.#worker.postMessage(performance.timeOrigin + timeMs)
    return told
  }
}

/** Waits until this is so. @returns false when it was not in time */
export async function allWithin(withinMs: number, isSo: () => boolean): Promise<boolean> {
  for (const untilMs = performance.now() + withinMs; !isSo(); await passed(pollMs)) if (performance.now() > untilMs) return false
  return true
}

/** How many connect at once where that is not what is measured. */
const connectingAtOnce = 200

/** Connects all of these, some at once. */
export async function connectAll(
  tokens: readonly string[],
  connect: (token: string, number: number) => Promise<void>,
): Promise<void> {
  let next = 0
  const connectOn = async (): Promise<void> => {
    while (next < tokens.length) {
      const number = next
      next += 1
      await connect(tokens[number] ?? '', number)
    }
  }
  await Promise.all(Array.from({ length: connectingAtOnce }, connectOn))
}
