/** How long a handshake is read as it comes; most come whole. After that each is read once in so many turns. A turn is `turnMs` after the one before. */
export const patienceMs = 300
const turnsPerRound = 50

/** When `Handshakes.turn` is due again. */
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
  /** When each began that is read as it comes, the oldest first. */
  readonly #begun = new Map<S, number>()
  /** Those that take long, in the order in which they are read. */
  readonly #slow = new Set<S>()
  /** Those that are read in this turn. */
  #read: S[] = []

  /** Whether there are none. */
  get isEmpty(): boolean {
    return this.#begun.size + this.#slow.size === 0
  }

  /** A socket begins to be read. */
  begin(socket: S, nowMs: number): void {
    this.#begun.set(socket, nowMs)
  }

  /** It has said what it wants, or is gone. */
  end(socket: S): void {
    this.#begun.delete(socket)
    this.#slow.delete(socket)
  }

  /** Reads the next few of those that take long. */
  turn(nowMs: number): void {
    for (const socket of this.#read) if (this.#slow.has(socket)) socket.pause()
    for (const [socket, beganMs] of this.#begun) {
      if (nowMs - beganMs < patienceMs) break
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
