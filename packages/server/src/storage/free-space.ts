import { statfsSync } from 'node:fs'

/** A figure is good for this long: it is asked for on the path of every batch. */
const CACHED_MS = 1_000

/** The bytes free for this process on the file system of a path, asked of the kernel at most once a second. */
export class FreeSpace {
  readonly #path: string
  #bytes = 0
  #readAtMs = Number.NEGATIVE_INFINITY

  constructor(path: string) {
    this.#path = path
  }

  /** Bytes, up to a second old. */
  bytes(): number {
    const nowMs = performance.now()
    if (nowMs - this.#readAtMs >= CACHED_MS) {
      const { bavail, bsize } = statfsSync(this.#path)
      this.#bytes = bavail * bsize
      this.#readAtMs = nowMs
    }
    return this.#bytes
  }

  /** Has it asked for anew. */
  forget(): void {
    this.#readAtMs = Number.NEGATIVE_INFINITY
  }
}
