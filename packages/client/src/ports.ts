/** The shell's ports towards the runtime: clocks, chance and the network. Each has a default; tests and simulators bring their own. */

/** Clocks and timers. */
export interface Clock {
  /** Milliseconds since the epoch; may jump. */
  wallMs(): number
  /** Milliseconds since some moment; only grows. */
  monotonicMs(): number
  /** Calls back once after that many milliseconds. @returns what calls it off */
  setTimer(callback: () => void, delayMs: number): () => void
}

/** Chance. Ids and devices rest on it: it must be cryptographically strong. */
export interface Random {
  /** 0 <= fraction < 1. */
  fraction(): number
  bytes(count: number): Uint8Array
}

/** What a socket tells. After `closed` nothing more comes. */
export interface SocketEvents {
  opened(): void
  /** One binary message, whose bytes stay as they are; `null` for a text message. */
  message(bytes: Uint8Array | null): void
  /** @param closeCode the WebSocket close code, 1006 when there was none */
  closed(closeCode: number): void
}

/** One WebSocket. */
export interface TransportSocket {
  send(bytes: Uint8Array): void
  close(closeCode: number): void
  /** Bytes handed over that the network has not taken yet. */
  readonly bufferedBytes: number
}

/** Opens a WebSocket. Does not throw for anything that the network does: that is told by `closed`. */
export type Transport = (url: string, events: SocketEvents) => TransportSocket

/** The runtime's own clocks. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  setTimer: (callback, delayMs) => {
    const timer = setTimeout(callback, Math.min(delayMs, 2 ** 31 - 1))
    return () => clearTimeout(timer)
  },
}

/** The runtime's own strong random numbers. */
export function systemRandom(): Random {
  // Asked for in bulk: one call costs as much as a thousand numbers.
  const pool = new Uint32Array(256)
  let at = pool.length
  return {
    fraction: () => {
      if (at === pool.length) {
        crypto.getRandomValues(pool)
        at = 0
      }
      at += 1
      return (pool[at - 1] ?? 0) / 2 ** 32
    },
    bytes: (count) => crypto.getRandomValues(new Uint8Array(count)),
  }
}
