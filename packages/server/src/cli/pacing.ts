import type { Address } from '@posthaste/protocol'

/** One line in so many asks for receipts, and speaks for those before it: a lane is delivered in order. */
const milestoneEvery = 16
/** Lines, and bytes of them, that may be undelivered while the destination receives. A milestone's lines of any size fit in. */
const receivingMax = { lines: 1_000, bytes: 16 * 1_048_576 }
/** The same while it does not: as many as one sender may leave in a user's inbox by default, where an entry counts more than its body. */
const absentMax = { lines: 5_000, bytes: 24 * 1_048_576 }
const unlimited = { lines: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }

/**
 * How far a stream of lines may be ahead of what its destination has received, so that it slows down where it would meet a full inbox.
 * Only milestones ask for receipts: the rest leaves the outbox as soon as it is sent.
 */
export class Pacing {
  /** Whether there is hope that more is delivered soon: until nothing was for a while, and from the next delivery on. */
  #isReceiving = true
  readonly #absentMax: { lines: number; bytes: number }
  readonly #milestones: { number: number; bytes: number }[] = []
  #taken = { number: 0, bytes: 0 }
  #delivered = { number: 0, bytes: 0 }

  /** A group's members need not let a sender know what they have received, so without news only the server's verdict holds it up. */
  constructor(to: Address) {
    this.#absentMax = 'group' in to ? unlimited : absentMax
  }

  /** Whether more can be delivered soon, as far as is known. */
  get isReceiving(): boolean {
    return this.#isReceiving
  }

  /** The number of the last line that is known to be delivered, 0 for none. */
  get delivered(): number {
    return this.#delivered.number
  }

  /** Whether that line (from 1) asks for receipts. */
  isMilestone(number: number): boolean {
    return number % milestoneEvery === 0
  }

  /** How many of these lines, from the first on, may be sent now. */
  room(lines: readonly Uint8Array[]): number {
    const most = this.#isReceiving ? receivingMax : this.#absentMax
    const linesMax = most.lines - (this.#taken.number - this.#delivered.number)
    let bytes = this.#taken.bytes - this.#delivered.bytes
    let count = 0
    for (const line of lines) {
      bytes += line.length
      if (count >= linesMax || bytes > most.bytes) break
      count++
    }
    return count
  }

  /** That line is sent, after those before it. */
  take(number: number, bytes: number): void {
    this.#taken = { number, bytes: this.#taken.bytes + bytes }
    if (this.isMilestone(number)) this.#milestones.push(this.#taken)
  }

  /** That line is not sent. A milestone can't speak for those before it then: they hold nothing up, rather than for ever. */
  leaveOut(number: number): void {
    this.take(number, 0)
    if (this.isMilestone(number)) this.pass(number)
  }

  /** The milestone of that number is delivered, or ended otherwise: it and what is before it holds nothing up. */
  pass(number: number): void {
    this.#isReceiving = true
    while ((this.#milestones[0]?.number ?? Number.POSITIVE_INFINITY) <= number) {
      this.#delivered = this.#milestones.shift() ?? this.#delivered
    }
  }

  /** Nothing was delivered for a while. */
  giveUp(): void {
    this.#isReceiving = false
  }
}
