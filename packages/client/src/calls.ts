import type { Answered, Engine } from './engine.ts'
import type { Answer, AppAsk, Ask } from './machine/events.ts'

interface WaitingCall<A> {
  readonly ask: A
  readonly answered: (answer: Answer) => void
}

/** The calls of an engine that wait for their answers, by numbers. */
export class Calls<A extends Ask> {
  readonly #waiting = new Map<number, WaitingCall<A>>()
  #call = 0

  /**
   * Begins a call.
   * @param begin asks for the answer, which `settle` gives
   * @param abort nobody waits for that call any more
   * @returns what calls it off
   */
  begin(ask: A, answered: (answer: Answer) => void, begin: (call: number) => void, abort: (call: number) => void): () => void {
    this.#call += 1
    const call = this.#call
    this.#waiting.set(call, { ask, answered })
    begin(call)
    return () => {
      if (this.#waiting.delete(call)) abort(call)
    }
  }

  /** Gives a call its answer; one that nobody waits for is ignored. */
  settle(call: number, answer: Answer): void {
    const waiting = this.#waiting.get(call)
    this.#waiting.delete(call)
    waiting?.answered(answer)
  }

  /** What is waited for, in the order of the calls. */
  entries(): readonly (readonly [call: number, ask: A])[] {
    return [...this.#waiting].map(([call, { ask }]) => [call, ask])
  }
}

/** Looks at the arguments of a call: what is wrong with them is told with where help is. */
export function checked<T>(engine: Engine, check: () => T): T {
  try {
    return check()
  } catch (error) {
    throw engine.helped(error)
  }
}

/** Asks an engine. @throws PosthasteError when the answer is a fault; the signal's reason once that is aborted */
export function answerOf<A extends AppAsk>(engine: Engine, ask: A, signal?: AbortSignal): Promise<Answered<A>> {
  if (signal?.aborted === true) return Promise.reject(signal.reason)
  return new Promise((resolve, reject) => {
    let callOff = (): void => {}
    const aborted = (): void => {
      callOff()
      reject(signal?.reason)
    }
    signal?.addEventListener('abort', aborted, { once: true })
    callOff = engine.ask(ask, (answer) => {
      signal?.removeEventListener('abort', aborted)
      if (answer.kind === 'fault') reject(engine.errorOf(answer.fault))
      else resolve(answer as Answered<A>)
    })
    // By an observer that was called meanwhile.
    if (signal?.aborted === true) callOff()
  })
}
