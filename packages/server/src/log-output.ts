import { writeSync } from 'node:fs'

/** How often a line is tried for which a pipe has no room at the moment, and how long it is waited in between, in ms. */
const triesMax = 10
const waitMs = 5

const sleeper = new Int32Array(new SharedArrayBuffer(4))

/**
 * Standard output as a destination for log lines. What it can't take is lost: pino's own tries again for ever where a disk is full, and the server would stand
 * still, deaf to signals.
 */
export class LogOutput {
  readonly #write: (bytes: Uint8Array) => number
  /** What is left of a line that was cut short: the next one begins after it. */
  #rest: Uint8Array = new Uint8Array(0)
  /** Whether the last line was lost: the next one is not waited for. */
  #isLosing = false

  /** @param write takes bytes, and says how many it took */
  constructor(write = (bytes: Uint8Array): number => writeSync(1, bytes)) {
    this.#write = write
  }

  /** Writes a line, which ends with a line feed, at once or not at all. */
  write(line: string): void {
    this.#rest = this.#put(this.#rest)
    if (this.#rest.length > 0) return
    const bytes = Buffer.from(line)
    const left = this.#put(bytes)
    this.#isLosing = left.length > 0
    if (left.length < bytes.length) this.#rest = left
  }

  /** @returns what was not taken */
  #put(bytes: Uint8Array): Uint8Array {
    let left = bytes
    for (let tries = this.#isLosing ? 1 : triesMax; tries > 0 && left.length > 0; tries--) {
      try {
        left = left.subarray(this.#write(left))
      } catch (error) {
        if (!(error instanceof Error && 'code' in error && error.code === 'EAGAIN')) return left
        if (tries > 1) Atomics.wait(sleeper, 0, 0, waitMs)
      }
    }
    return left
  }
}
