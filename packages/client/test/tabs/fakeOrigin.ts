import { vi } from 'vitest'

interface Lock {
  readonly name: string
  readonly tab: number
  granted: () => Promise<unknown> | unknown
  readonly settle: { resolve(value: unknown): void; reject(reason: unknown): void }
}

interface Channel {
  readonly tab: number
  readonly name: string
  onmessage: ((event: { data: unknown }) => void) | null
}

/**
 * The locks and channels of one origin, for tabs that are all in this process and can die alone. What happens for which tab follows
 * from `within`, and from then on from whose lock or channel it came.
 */
export class FakeOrigin {
  #tab = 0
  #queue: Lock[] = []
  #held: Lock[] = []
  readonly #channels = new Set<Channel>()
  readonly #dead = new Set<number>()
  readonly #muted = new Set<number>()

  constructor() {
    const origin = this
    vi.stubGlobal('navigator', {
      locks: {
        request: (name: string, options: { signal?: AbortSignal }, granted: () => unknown) =>
          origin.#request(name, options.signal, granted),
        query: () => Promise.resolve({ held: origin.#held.map(({ name }) => ({ name })) }),
      },
    })
    vi.stubGlobal(
      'BroadcastChannel',
      class implements Channel {
        readonly tab = origin.#tab
        readonly name: string
        onmessage: Channel['onmessage'] = null

        constructor(name: string) {
          this.name = name
          origin.#channels.add(this)
        }

        postMessage(data: unknown): void {
          origin.#post(this, structuredClone(data))
        }

        close(): void {
          origin.#channels.delete(this)
        }
      },
    )
  }

  /** Runs the start of something in a tab. */
  within<T>(tab: number, action: () => T): T {
    const before = this.#tab
    this.#tab = tab
    try {
      return action()
    } finally {
      this.#tab = before
    }
  }

  /** The tab is gone: what it holds is free, what it asked for is not wanted, nothing reaches it. */
  die(tab: number): void {
    this.#dead.add(tab)
    this.#queue = this.#queue.filter((lock) => lock.tab !== tab)
    this.#held = this.#held.filter((lock) => lock.tab !== tab)
    for (const channel of this.#channels) if (channel.tab === tab) this.#channels.delete(channel)
    this.#grant()
  }

  /** What the tab says reaches nobody any more. */
  mute(tab: number): void {
    this.#muted.add(tab)
  }

  #request(name: string, signal: AbortSignal | undefined, granted: Lock['granted']): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const lock = { name, tab: this.#tab, granted, settle: { resolve, reject } }
      if (this.#dead.has(lock.tab)) return
      this.#queue.push(lock)
      const aborted = (): void => {
        if (!this.#queue.includes(lock)) return
        this.#queue.splice(this.#queue.indexOf(lock), 1)
        reject(signal?.reason)
      }
      signal?.addEventListener('abort', aborted)
      // As a browser does once it is granted.
      lock.granted = () => {
        signal?.removeEventListener('abort', aborted)
        return granted()
      }
      this.#grant()
    })
  }

  #grant(): void {
    for (const lock of [...this.#queue]) {
      if (this.#held.some(({ name }) => name === lock.name)) continue
      this.#queue.splice(this.#queue.indexOf(lock), 1)
      this.#held.push(lock)
      queueMicrotask(async () => {
        if (this.#dead.has(lock.tab)) return
        await this.within(lock.tab, () => lock.granted())
        this.#held = this.#held.filter((one) => one !== lock)
        lock.settle.resolve(undefined)
        this.#grant()
      })
    }
  }

  #post(from: Channel, data: unknown): void {
    if (this.#dead.has(from.tab) || this.#muted.has(from.tab)) return
    const others = [...this.#channels].filter((channel) => channel !== from && channel.name === from.name)
    queueMicrotask(() => {
      for (const channel of others) {
        if (this.#channels.has(channel)) this.within(channel.tab, () => channel.onmessage?.({ data }))
      }
    })
  }
}
