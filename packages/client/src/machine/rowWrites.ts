import type { RowWrite } from './events.ts'

interface Gathered {
  readonly write: RowWrite
  /** The call that is answered once this is durable. */
  readonly call: number | undefined
}

/** Rows that have to be written, whatever becomes of the commit that they are in: what a failed one held goes first into the next. */
export class RowWrites {
  readonly #done: (call: number) => void
  #gathered: Gathered[] = []
  #committing: readonly Gathered[] = []

  /** @param done answers a call */
  constructor(done: (call: number) => void) {
    this.#done = done
  }

  /** Has a row written with the next commit. @param call is answered once that is durable */
  add(write: RowWrite, call?: number): void {
    this.#gathered.push({ write, call })
  }

  prepare(writes: RowWrite[]): void {
    this.#committing = this.#gathered
    this.#gathered = []
    for (const { write } of this.#committing) writes.push(write)
  }

  committed(): void {
    for (const { call } of this.#committing) if (call !== undefined) this.#done(call)
    this.#committing = []
  }

  failed(): void {
    this.#gathered = [...this.#committing, ...this.#gathered]
    this.#committing = []
  }
}
