import { Session } from 'node:inspector'

/** A script's executed blocks, as the inspector's protocol gives them. */
interface ScriptCoverage {
  readonly url: string
  readonly functions: readonly {
    readonly ranges: readonly { readonly startOffset: number; readonly endOffset: number; readonly count: number }[]
  }[]
}

/** Which blocks of the code under test have ever run, from V8's own block coverage. */
export class Coverage {
  readonly #session = new Session()
  readonly #isWatched: (url: string) => boolean
  readonly #seen = new Set<string>()

  /** @param isWatched whether a script is under test */
  constructor(isWatched: (url: string) => boolean) {
    this.#isWatched = isWatched
    this.#session.connect()
    this.#post('Profiler.enable')
  }

  /** How many blocks have run so far. */
  get blocks(): number {
    return this.#seen.size
  }

  /** Begins to count. It slows the code down. */
  start(): void {
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true })
  }

  /** Ends to count. What has been seen stays so. */
  stop(): void {
    this.#post('Profiler.stopPreciseCoverage')
  }

  /** How many blocks ran since the last call that never ran before. After `keep` they are known. */
  take(purpose: 'look' | 'keep'): number {
    const { result } = this.#post('Profiler.takePreciseCoverage') as { result: readonly ScriptCoverage[] }
    let fresh = 0
    for (const { url, functions } of result) {
      if (!this.#isWatched(url)) continue
      for (const { startOffset, endOffset, count } of functions.flatMap(({ ranges }) => ranges)) {
        const block = `${url}:${startOffset}-${endOffset}`
        if (count === 0 || this.#seen.has(block)) continue
        fresh += 1
        if (purpose === 'keep') this.#seen.add(block)
      }
    }
    return fresh
  }

  /** In a session with one's own thread the answer is there when the call returns. */
  #post(method: string, parameters: object = {}): unknown {
    let answer: unknown
    let failure: Error | null = null
    this.#session.post(method, parameters, (error, result) => {
      failure = error
      answer = result
    })
    if (failure !== null) throw failure
    return answer
  }
}
