/** Frames up to this size are made in the same memory, one over the other. */
const sharedBytes = 8_192
const headerBytesMax = 10
const finalBinary = 0x82

/** Where a frame goes. */
export interface FrameSocket {
  /** Bytes that it was given and has not passed on. */
  readonly writableLength: number
  write(bytes: Uint8Array): unknown
}

/**
 * Writes messages to sockets as unmasked, unfragmented binary frames (RFC 6455, 5.2), each in one write: `ws` hands the header and the
 * payload to the socket one by one, which costs as much again. A socket mostly passes a frame on at once, so that the next frame can have its
 * memory; and what goes to many sockets, one after the other, is one frame.
 */
export class FrameWriter {
  #memory: Buffer = Buffer.allocUnsafeSlow(sharedBytes)
  /** Whether a socket still holds what lies in the memory. */
  #isHeld = false
  #payload: Uint8Array | undefined
  #frame: Buffer = this.#memory

  /** @param payload when it is the same array as the last time, it holds the same bytes */
  write(socket: FrameSocket, payload: Uint8Array): void {
    const frame = this.#frameOf(payload)
    // A socket with a backlog will keep it: a copy, lest few bytes hold much memory.
    if (socket.writableLength > 0) socket.write(Buffer.from(frame))
    else {
      socket.write(frame)
      if (socket.writableLength > 0) this.#isHeld = true
    }
  }

  #frameOf(payload: Uint8Array): Buffer {
    if (payload === this.#payload) return this.#frame
    const { length } = payload
    const header = length < 126 ? 2 : length < 65_536 ? 4 : headerBytesMax
    const frame = this.#memoryFor(header + length)
    frame[0] = finalBinary
    if (header === 2) frame[1] = length
    else if (header === 4) {
      frame[1] = 126
      frame.writeUInt16BE(length, 2)
    } else {
      frame[1] = 127
      frame.writeBigUInt64BE(BigInt(length), 2)
    }
    frame.set(payload, header)
    this.#payload = payload
    this.#frame = frame
    return frame
  }

  #memoryFor(bytes: number): Buffer {
    if (bytes > sharedBytes) return Buffer.allocUnsafeSlow(bytes)
    if (this.#isHeld) this.#memory = Buffer.allocUnsafeSlow(sharedBytes)
    this.#isHeld = false
    return this.#memory.subarray(0, bytes)
  }
}
