import { Writer } from '@posthaste/protocol'

/** How many wait to be used again, and how much one may have written for that: together they keep some MiB at most. */
const idleMax = 256
const reusedBytesMax = 16_384

/**
 * The writers of all sessions. A session has one while it has something to say, from its first packet in a turn to the end of the turn: most
 * sessions idle, and memory of its own for each write costs more than what is written into it.
 */
export class Writers {
  readonly #idle: Writer[] = []

  /** An empty writer. */
  take(): Writer {
    return this.#idle.pop() ?? new Writer()
  }

  /** Nothing that was written into it is needed any more. @param length how many bytes it held */
  giveBack(writer: Writer, length: number): void {
    writer.cut(0)
    if (length <= reusedBytesMax && this.#idle.length < idleMax) this.#idle.push(writer)
  }
}
