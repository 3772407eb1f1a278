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
  /** The receiver has got a message with this body, and acknowledges it. */
  arrived(body: Uint8Array): void
  /** Everything that came at once has been told. */
  end(): void
}
