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

  /** Bytes, up to a second old; 0 where the file system doesn't say: nothing can be promised on such a one. */
  bytes(): number {
    const nowMs = performance.now()
    if (nowMs - this.#readAtMs >= CACHED_MS) {
      this.#bytes = bytesFree(this.#path)
      this.#readAtMs = nowMs
    }
    return this.#bytes
  }

  /** Has it asked for anew. */
  forget(): void {
    this.#readAtMs = Number.NEGATIVE_INFINITY
  }
}

function bytesFree(path: string): number {
  try {
    const { bavail, bsize } = statfsSync(path)
    return bavail * bsize
  } catch {
    return 0
  }
}
