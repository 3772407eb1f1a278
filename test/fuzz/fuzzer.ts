import { Dice } from './choices.ts'
import type { Coverage } from './coverage.ts'
import { Mutator } from './mutator.ts'
import { Slow, type Target } from './target.ts'

/** How far a run has come. */
export interface Progress {
  readonly inputs: number
  readonly packets: number
  readonly seconds: number
  /** Blocks of the code under test that have run; 0 when nobody looks. */
  readonly blocks: number
  readonly corpus: number
}

/** An input that broke a rule. */
export interface Failure {
  readonly genome: Uint8Array
  readonly error: unknown
}

/** How a run ended. */
export interface Outcome {
  readonly progress: Progress
  readonly failure: Failure | undefined
}

/** When a run ends, and what guides it. */
export interface FuzzOptions {
  readonly seed: number
  /** By the clock; how many inputs that are depends on the machine. */
  readonly seconds?: number
  /** By number. Without coverage such a run is the same everywhere. */
  readonly inputs?: number
  /** What tells new code apart. Without it all inputs are new ones, and none is kept. */
  readonly coverage?: Coverage
  readonly onProgress?: (progress: Progress) => void
}

/** Looking for new code takes at most this share of the time; the rest is spent on inputs alone. */
const lookingShare = 0.2
const progressMs = 2_000
/** A machine that others use too is slow now and then. What is slow each of so many times is so by itself. */
const slowTimes = 5

/** Searches for inputs that break a target: it keeps those that reach new code, and changes them. */
export class Fuzzer {
  readonly #target: Target
  readonly #options: FuzzOptions
  readonly #mutator: Mutator
  #inputs = 0
  #packets = 0
  #lookedMs = 0
  #beginMs = 0

  constructor(target: Target, options: FuzzOptions) {
    this.#target = target
    this.#options = options
    this.#mutator = new Mutator(new Dice(options.seed), target.genomeBytesMax)
  }

  /** Runs until the end or the first failure. */
  async run(): Promise<Outcome> {
    const { seconds = Number.POSITIVE_INFINITY, inputs = Number.POSITIVE_INFINITY, coverage, onProgress } = this.#options
    const beginMs = performance.now()
    this.#beginMs = beginMs
    let toldMs = beginMs
    const progress = (): Progress => ({
      inputs: this.#inputs,
      packets: this.#packets,
      seconds: (performance.now() - beginMs) / 1_000,
      blocks: coverage?.blocks ?? 0,
      corpus: this.#mutator.corpus.length,
    })
    coverage?.start()
    let failure: Failure | undefined
    while (failure === undefined && this.#inputs < inputs && performance.now() - beginMs < seconds * 1_000) {
      failure = await this.#batch(Math.min(this.#target.batchInputs, inputs - this.#inputs))
      if (performance.now() - toldMs < progressMs) continue
      toldMs = performance.now()
      onProgress?.(progress())
    }
    coverage?.stop()
    return { progress: progress(), failure }
  }

  async #batch(count: number): Promise<Failure | undefined> {
    const { coverage } = this.#options
    const genomes = Array.from({ length: count }, () => this.#mutator.next())
    const isLooking = coverage !== undefined && this.#lookedMs <= lookingShare * (performance.now() - this.#beginMs)
    // What ran since the last look belongs to none of these.
    if (isLooking) coverage.take('look')
    for (const genome of genomes) {
      const packets = await this.#try(genome)
      if (typeof packets !== 'number') return packets
      this.#packets += packets
      this.#inputs += 1
    }
    if (!isLooking) return undefined
    const lookMs = performance.now()
    const failure = coverage.take('look') > 0 ? await this.#keep(coverage, genomes) : undefined
    this.#lookedMs += performance.now() - lookMs
    return failure
  }

  /** How many packets an input was, or how it failed. */
  async #try(genome: Uint8Array): Promise<number | Failure> {
    for (let time = 1; ; time++) {
      try {
        const packets = this.#target.run(genome)
        return typeof packets === 'number' ? packets : await packets
      } catch (error) {
        if (!(error instanceof Slow) || time === slowTimes) return { genome, error }
      }
    }
  }

  /** Keeps what of a batch reached new code. By halves: a look costs as much as many inputs, and only a few reach something new. */
  async #keep(coverage: Coverage, genomes: readonly Uint8Array[]): Promise<Failure | undefined> {
    for (const genome of genomes) {
      const packets = await this.#try(genome)
      if (typeof packets !== 'number') return packets
    }
    const [only, ...others] = genomes
    if (only === undefined || coverage.take(others.length === 0 ? 'keep' : 'look') === 0) return undefined
    if (others.length === 0) {
      this.#mutator.corpus.push(only)
      return undefined
    }
    const half = genomes.length >> 1
    return (await this.#keep(coverage, genomes.slice(0, half))) ?? (await this.#keep(coverage, genomes.slice(half)))
  }
}
