import { Writer } from '@posthaste/protocol'

/** How many wait to be used again, and how much these have written at most, together: their memory is up to twice that. */
const idleMax = 256
const idleBytesMax = 4_194_304

/** A writer that is used again and again. */
export class SharedWriter extends Writer {
  /** The most bytes that it has held. */
  mostBytes = 0
}

/**
 * The writers of all sessions. A session has one while it has something to say, from its first packet in a turn to the end of the turn: most
 * sessions idle, and memory of its own for each write costs more than what is written into it.
 */
export class Writers {
  readonly #idle: SharedWriter[] = []
  #idleBytes = 0

  /** An empty writer. */
  take(): SharedWriter {
    const writer = this.#idle.pop() ?? new SharedWriter()
    this.#idleBytes -= writer.mostBytes
    return writer
  }

  /** Nothing that was written into it is needed any more. @param bytes how many it held */
  giveBack(writer: SharedWriter, bytes: number): void {
    writer.mostBytes = Math.max(writer.mostBytes, bytes)
    if (this.#idle.length === idleMax || this.#idleBytes + writer.mostBytes > idleBytesMax) return
    writer.cut(0)
    this.#idle.push(writer)
    this.#idleBytes += writer.mostBytes
  }
}
