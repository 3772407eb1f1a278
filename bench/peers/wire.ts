/** The narrow door between a pair and its protocol: it sends numbered messages, and is told what was confirmed and what came. */

/** One sender and one receiver of some protocol. */
export interface Wire {
  /** Connects both, the receiver ready for whatever the sender sends. */
  connect(): Promise<void>
  /** Sends the messages with these numbers, in this order, in one write. */
  send(first: number, count: number): void
}

/** What a pair does with what its wire says. */
export interface Arrivals {
  /** The server has confirmed so many more messages: what it calls safe, by its own words. */
  confirmed(count: number): void
  /** The receiver has got the message with this number and a body of this length, and acknowledges it. */
  arrived(number: number, bodyBytes: number): void
  /** Everything that came at once has been told. */
  end(): void
}

/** The number in the first 4 bytes of a body. */
export function numberIn(body: Uint8Array): number {
  return (((body[0] ?? 0) << 24) | ((body[1] ?? 0) << 16) | ((body[2] ?? 0) << 8) | (body[3] ?? 0)) >>> 0
}
