/** A sender and a receiver of whatever protocol: keeps the sender's window full, and counts what came, came twice, came out of order. */
import type { Arrivals } from './wire.ts'

/** A pair's counts since it began. */
export class PeerPair implements Arrivals {
  sent = 0
  confirmedCount = 0
  /** Different messages that came. */
  received = 0
  duplicates = 0
  /** Messages that came when a later one had come already. */
  outOfOrder = 0
  #isSending = false
  #highest = 0
  readonly #skipped = new Set<number>()
  readonly #window: number
  readonly #bodyBytes: number
  readonly #send: (first: number, count: number) => void

  constructor(window: number, bodyBytes: number, send: (first: number, count: number) => void) {
    this.#window = window
    this.#bodyBytes = bodyBytes
    this.#send = send
  }

  start(): void {
    this.#isSending = true
    this.#fill()
  }

  /** Sends nothing new. */
  stop(): void {
    this.#isSending = false
  }

  get isDone(): boolean {
    return !this.#isSending && this.confirmedCount >= this.sent && this.received >= this.sent
  }

  /** How many confirmed messages have not come. Which ones were confirmed is not known: those without a confirmation are taken for the missing ones. */
  get missing(): number {
    return Math.max(0, this.confirmedCount - this.received)
  }

  confirmed(count: number): void {
    this.confirmedCount += count
    if (this.confirmedCount > this.sent) throw new Error('more was confirmed than sent')
  }

  arrived(number: number, bodyBytes: number): void {
    if (number === 0 || number > this.sent || bodyBytes !== this.#bodyBytes) throw new Error('a body that nobody sent')
    if (number > this.#highest) {
      for (let skipped = this.#highest + 1; skipped < number; skipped++) this.#skipped.add(skipped)
      this.#highest = number
    } else if (this.#skipped.delete(number)) this.outOfOrder += 1
    else {
      this.duplicates += 1
      return
    }
    this.received += 1
  }

  end(): void {
    this.#fill()
  }

  #fill(): void {
    const count = this.#isSending ? this.#window - (this.sent - this.confirmedCount) : 0
    if (count <= 0) return
    const first = this.sent + 1
    this.sent += count
    this.#send(first, count)
  }
}
