/**
 * For how many turns a handshake is read as it comes; most come whole. After that each is read once in so many turns. Turns are counted and not time: in a
 * crowd the event loop comes late, and who has been looked at once and not been read yet is not slow.
 */
export const patienceTurns = 30
const turnsPerRound = 50

/** When `Handshakes.turn` is due again, at the soonest: sockets are read in between. */
export const turnMs = 10

/** A socket as this sees it. */
export interface Pausable {
  readonly destroyed: boolean
  pause(): unknown
  resume(): unknown
}

/**
 * Sockets that have not said yet what they want. Whoever sends a byte now and then makes as many reads of them as of messages, and if there are hundreds, they may
 * all be complete at the same moment: so those that take long are read by turns, a few at a time.
 */
export class Handshakes<S extends Pausable> {
  /** The turn before each that is read as it comes, the oldest first. */
  readonly #begun = new Map<S, number>()
  /** Those that take long, in the order in which they are read. */
  readonly #slow = new Set<S>()
  /** Those that are read in this turn. */
  #read: S[] = []
  #turn = 0

  /** Whether there are none. */
  get isEmpty(): boolean {
    return this.#begun.size + this.#slow.size === 0
  }

  /** A socket begins to be read. */
  begin(socket: S): void {
    this.#begun.set(socket, this.#turn)
  }

  /** It has said what it wants, or is gone. */
  end(socket: S): void {
    this.#begun.delete(socket)
    this.#slow.delete(socket)
  }

  /** Reads the next few of those that take long. */
  turn(): void {
    this.#turn += 1
    for (const socket of this.#read) if (this.#slow.has(socket)) socket.pause()
    for (const [socket, begun] of this.#begun) {
      if (this.#turn - begun < patienceTurns) break
      this.#begun.delete(socket)
      if (socket.destroyed) continue
      this.#slow.add(socket)
      socket.pause()
    }
    this.#read = []
    let left = Math.ceil(this.#slow.size / turnsPerRound)
    for (const socket of this.#slow) {
      if (left === 0) break
      left -= 1
      this.#slow.delete(socket)
      if (socket.destroyed) continue
      // At the end of the queue.
      this.#slow.add(socket)
      this.#read.push(socket)
      socket.resume()
    }
  }
}
