/** How long others wait at most while there is somebody to accept, in ms. */
export const waitMs = 2

/**
 * Something that is done once the event loop has read what has come, and while there is somebody to accept, a little later.
 *
 * Node accepts one connection in a turn of the event loop (libuv, since 1.45). If each turn did everything else too, a crowd that comes at once would fill the
 * system's queue, and whoever finds no room in that one knocks again after a second, then after two more, then four, or is turned away.
 */
export class AfterAccepting {
  readonly #accepted: () => number
  readonly #act: () => void
  #seen = 0

  /** @param accepted how many were accepted so far */
  constructor(accepted: () => number, act: () => void) {
    this.#accepted = accepted
    this.#act = act
  }

  /** Has it done once. */
  soon(): void {
    const untilMs = performance.now() + waitMs
    const turn = (): void => {
      const accepted = this.#accepted()
      const isWaiting = accepted !== this.#seen && performance.now() < untilMs
      this.#seen = accepted
      if (isWaiting) setImmediate(turn)
      else this.#act()
    }
    setImmediate(turn)
  }
}
