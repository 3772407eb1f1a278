import type { Answered } from './engine.ts'
import type { PosthasteError } from './errors.ts'
import type { Answer, Ask, Fault } from './machine/events.ts'

interface WaitingCall<A> {
  readonly ask: A
  readonly end: (answer: Answer) => void
}

/** The calls that the app awaits, by numbers: the promises of an engine. */
export class Calls<A extends Ask> {
  readonly #errorOf: (fault: Fault) => PosthasteError
  readonly #waiting = new Map<number, WaitingCall<A>>()
  #call = 0

  /** @param errorOf makes what a call rejects with when its answer is a fault */
  constructor(errorOf: (fault: Fault) => PosthasteError) {
    this.#errorOf = errorOf
  }

  /**
   * Begins a call, whose promise rejects with the signal's reason once that is aborted.
   * @param begin asks for the answer, which `settle` gives
   * @param abort nobody waits for that call any more
   */
  begin<B extends A>(
    ask: B,
    signal: AbortSignal | undefined,
    begin: (call: number) => void,
    abort: (call: number) => void,
  ): Promise<Answered<B>> {
    if (signal?.aborted === true) return Promise.reject(signal.reason)
    this.#call += 1
    const call = this.#call
    return new Promise((resolve, reject) => {
      const aborted = (): void => {
        this.#waiting.delete(call)
        abort(call)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', aborted, { once: true })
      const end = (answer: Answer): void => {
        signal?.removeEventListener('abort', aborted)
        if (answer.kind === 'fault') reject(this.#errorOf(answer.fault))
        else resolve(answer as Answered<B>)
      }
      this.#waiting.set(call, { ask, end })
      begin(call)
    })
  }

  /** Gives a call its answer; one that nobody waits for is ignored. */
  settle(call: number, answer: Answer): void {
    const waiting = this.#waiting.get(call)
    this.#waiting.delete(call)
    waiting?.end(answer)
  }

  /** What is waited for, in the order of the calls. */
  entries(): readonly (readonly [call: number, ask: A])[] {
    return [...this.#waiting].map(([call, { ask }]) => [call, ask])
  }
}
