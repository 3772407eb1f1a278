/** What newcomers may have sent together, in bytes: a hundred of the longest HELLOs that are not whole yet. As much again may be held by those that were told to go. */
export const newcomerBytesMax = 33_554_432
/** Of the most so much is left: each time, all are looked at. */
const leftBytes = (newcomerBytesMax / 4) * 3

/** What is done with those that must go. */
export interface Farewell<C> {
  /** Tells it why, and reads nothing more of it. */
  tell(connection: C): void
  cut(connection: C): void
}

/** What is known of a newcomer. */
interface Known {
  /** What it has sent since it became one. */
  bytes: number
  isTold: boolean
}

/**
 * Connections of which nobody knows who they are: those that have said no whole message yet, and those that are turned away after it. What they have sent
 * lies in the memory of this process, and costs no token: where it is too much, those that have sent most must go.
 */
export class Newcomers<C> {
  readonly #farewell: Farewell<C>
  readonly #known = new Map<C, Known>()
  /** What is held by those that were told to go, and by all others. */
  #toldBytes = 0
  #bytes = 0
  /** Those that were told since the last tick, and before it. */
  #told: C[] = []
  #leaving: C[] = []

  constructor(farewell: Farewell<C>) {
    this.#farewell = farewell
  }

  /** One has come, or is turned away. */
  add(connection: C): void {
    if (!this.#known.has(connection)) this.#known.set(connection, { bytes: 0, isTold: false })
  }

  /** It has said something, or is gone. */
  delete(connection: C): void {
    const known = this.#known.get(connection)
    if (known === undefined) return
    this.#known.delete(connection)
    if (known.isTold) this.#toldBytes -= known.bytes
    else this.#bytes -= known.bytes
  }

  /** It has sent something. */
  sent(connection: C, bytes: number): void {
    const known = this.#known.get(connection)
    if (known === undefined || known.isTold) return
    known.bytes += bytes
    this.#bytes += bytes
    if (this.#bytes > newcomerBytesMax) this.#makeRoom()
  }

  /** To be called every now and then: cuts those that were told to go before the last call. */
  tick(): void {
    for (const connection of this.#leaving) if (this.#known.has(connection)) this.#cut(connection)
    this.#leaving = this.#told
    this.#told = []
  }

  #makeRoom(): void {
    const others = [...this.#known].filter(([, { isTold }]) => !isTold)
    for (const [connection, known] of others.sort(([, one], [, other]) => other.bytes - one.bytes)) {
      if (this.#bytes <= leftBytes) return
      // A crowd can be faster than its farewells.
      if (this.#toldBytes + known.bytes > newcomerBytesMax) this.#cut(connection)
      else this.#tell(connection, known)
    }
  }

  #tell(connection: C, known: Known): void {
    known.isTold = true
    this.#bytes -= known.bytes
    this.#toldBytes += known.bytes
    this.#told.push(connection)
    this.#farewell.tell(connection)
  }

  #cut(connection: C): void {
    this.delete(connection)
    this.#farewell.cut(connection)
  }
}
