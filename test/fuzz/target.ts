/** What can be fuzzed. */
export interface Target {
  readonly name: string
  /** Bytes of the longest genome that is not made of others. */
  readonly genomeBytesMax: number
  /** Inputs between two looks at the coverage, a power of two: a look costs some ms, as much as many cheap inputs or one dear one. */
  readonly batchInputs: number
  /** Whether coverage of this script guides the search. */
  isWatched(url: string): boolean
  /**
   * Does what a genome says, and checks what must hold.
   * @returns how many packets or requests that were
   * @throws Violation, or whatever the code under test throws and must not
   */
  run(genome: Uint8Array): number | Promise<number>
  /** The input that a genome stands for, for people. */
  describe(genome: Uint8Array): string
}

/** No single step may hold the event loop for longer, in ms. */
export const stepMs = 50

/** A rule that an input has broken. */
export class Violation extends Error {}

/** A step that took too long. Once proves little on a busy machine: it counts when the same input is slow again and again. */
export class Slow extends Violation {}

/** More than the steps of any input. */
const suspiciousSteps = 10_000

/** Watches how long steps take. */
export class Stopwatch {
  readonly #stepMsMax: number
  /** For how many more steps the processor's time is taken, which costs more than many a step. */
  #suspicious = 0

  /** @param stepMsMax how long a step may take, in ms: more than `stepMs` only where the machine is not quiet enough to tell */
  constructor(stepMsMax: number) {
    this.#stepMsMax = stepMsMax
  }

  /**
   * Runs a step. By the wall clock, and by the processor's time, so that other programs don't count: only after a step that was slow
   * by the clock alone, which is tried again.
   * @throws Slow when it takes too long
   */
  time<T>(what: string, step: () => T): T {
    const check = this.#begin(what)
    const result = step()
    check()
    return result
  }

  /** Runs a step that waits, beside which nothing else may run. */
  async timeAll<T>(what: string, step: () => PromiseLike<T>): Promise<T> {
    const check = this.#begin(what)
    const result = await step()
    check()
    return result
  }

  #begin(what: string): () => void {
    const isSuspicious = this.#suspicious > 0
    if (isSuspicious) this.#suspicious -= 1
    const begin = isSuspicious ? process.cpuUsage() : undefined
    const beginMs = performance.now()
    return () => {
      const clockMs = performance.now() - beginMs
      if (clockMs <= this.#stepMsMax) return
      this.#suspicious = suspiciousSteps
      if (begin === undefined) throw new Slow(`${what} took ${Math.round(clockMs)} ms`)
      const { user, system } = process.cpuUsage(begin)
      const cpuMs = (user + system) / 1_000
      if (cpuMs > this.#stepMsMax) throw new Slow(`${what} took ${Math.round(cpuMs)} ms of the processor`)
    }
  }
}
