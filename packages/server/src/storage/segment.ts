import { closeSync, fstatSync, openSync, readSync } from 'node:fs'
import { crc32 } from 'node:zlib'
import type { JournalRecord, Position } from '@posthaste/core'

/** What a disk writes whole or not at all. Everything in a segment begins at one, so that no write touches what an earlier one wrote. */
export const sectorBytes = 512

/** "PHJ1" at the beginning of each segment. */
const magic = 0x314a_4850
const headBytes = 32
const frameHeadBytes = 24
const recordHeadBytes = 12
const chunkBytes = 262_144
/** Of frames up to this size the memory is used again. */
const keptBytes = 1_048_576

/** What a segment begins with: one sector, written before the segment has its name. */
export interface SegmentHead {
  /**
   * Two random numbers of 32 bits, new each time a file is used: a frame begins with the first one, and its checksum with the second. So neither
   * what the file held before, nor bytes that somebody sent in a message to look like a frame, are taken for one.
   */
  readonly mark: number
  readonly seed: number
  /** The last position before the segment. */
  readonly after: Position
  /** Nothing is left up to here, at the time the segment was begun. */
  readonly trimmed: Position
}

/** What one write put into a segment: some records, all of them or none. */
export interface Frame {
  readonly records: readonly JournalRecord[]
  readonly trimmed: Position
  /** Where the next one begins. */
  readonly end: number
}

/** The first sector of a segment. */
export function encodeHead({ mark, seed, after, trimmed }: SegmentHead): Buffer {
  const bytes = Buffer.alloc(sectorBytes)
  bytes.writeUInt32LE(magic, 0)
  bytes.writeUInt32LE(mark, 8)
  bytes.writeUInt32LE(seed, 12)
  bytes.writeBigUInt64LE(BigInt(after), 16)
  bytes.writeBigUInt64LE(BigInt(trimmed), 24)
  bytes.writeUInt32LE(crc32(bytes.subarray(8, headBytes)), 4)
  return bytes
}

/** Makes frames, each a number of sectors. They lie in the same memory, so that one must be written before the next is made. */
export class FrameMaker {
  #memory = Buffer.allocUnsafeSlow(keptBytes)

  make(records: readonly JournalRecord[], trimmed: Position, { mark, seed }: SegmentHead): Buffer {
    let size = frameHeadBytes
    for (const { bytes } of records) size += recordHeadBytes + bytes.length
    const frame = this.#memoryFor(wholeSectors(size))
    frame.writeUInt32LE(mark, 0)
    frame.writeUInt32LE(size, 8)
    frame.writeUInt32LE(records.length, 12)
    writePosition(frame, trimmed, 16)
    let headAt = frameHeadBytes
    let at = frameHeadBytes + recordHeadBytes * records.length
    for (const { position, bytes } of records) {
      writePosition(frame, position, headAt)
      frame.writeUInt32LE(bytes.length, headAt + 8)
      frame.set(bytes, at)
      headAt += recordHeadBytes
      at += bytes.length
    }
    frame.fill(0, size)
    frame.writeUInt32LE(checksum(frame, size, seed), 4)
    return frame
  }

  #memoryFor(bytes: number): Buffer {
    return bytes > keptBytes ? Buffer.allocUnsafeSlow(bytes) : this.#memory.subarray(0, bytes)
  }
}

/** As an integer of 64 bits. */
function writePosition(bytes: Buffer, position: Position, at: number): void {
  bytes.writeUInt32LE(position % 0x1_0000_0000, at)
  bytes.writeUInt32LE(Math.floor(position / 0x1_0000_0000), at + 4)
}

/** Reads one segment's file. */
export class SegmentReader {
  readonly path: string
  readonly size: number
  /** Undefined when the first sector is not one of a segment. */
  readonly head: SegmentHead | undefined
  readonly #descriptor: number
  #chunk = Buffer.alloc(0)
  #chunkAt = 0

  constructor(path: string) {
    this.path = path
    this.#descriptor = openSync(path, 'r')
    this.size = fstatSync(this.#descriptor).size
    this.head = decodeHead(this.bytes(0, headBytes))
  }

  /** The frames from the first one on, up to the first that is not whole. */
  *frames(): Generator<Frame> {
    for (let frame = this.#frame(sectorBytes); frame !== undefined; frame = this.#frame(frame.end)) yield frame
  }

  /** Whether there is a whole frame at or behind `from`: then what lies before it was whole once, too. */
  hasFrameFrom(from: number): boolean {
    for (let at = from; at < this.size; at += sectorBytes) if (this.#frame(at) !== undefined) return true
    return false
  }

  close(): void {
    closeSync(this.#descriptor)
  }

  #frame(at: number): Frame | undefined {
    if (this.head === undefined) return undefined
    const { mark, seed } = this.head
    const start = this.bytes(at, frameHeadBytes)
    if (start.length < frameHeadBytes || start.readUInt32LE(0) !== mark) return undefined
    const size = start.readUInt32LE(8)
    const count = start.readUInt32LE(12)
    const bodiesAt = frameHeadBytes + recordHeadBytes * count
    if (size < bodiesAt) return undefined
    const bytes = this.bytes(at, size)
    if (checksum(bytes, size, seed) !== bytes.readUInt32LE(4)) return undefined
    return { records: recordsOf(bytes, bodiesAt), trimmed: Number(bytes.readBigUInt64LE(16)), end: at + wholeSectors(size) }
  }

  /** The bytes at a place: fewer where the file ends. They stay as they are. */
  bytes(at: number, length: number): Buffer {
    if (at < this.#chunkAt || at + length > this.#chunkAt + this.#chunk.length) {
      const chunk = Buffer.allocUnsafeSlow(Math.max(0, Math.min(Math.max(length, chunkBytes), this.size - at)))
      const read = chunk.length === 0 ? 0 : readSync(this.#descriptor, chunk, 0, chunk.length, at)
      this.#chunk = chunk.subarray(0, read)
      this.#chunkAt = at
    }
    return this.#chunk.subarray(at - this.#chunkAt, at - this.#chunkAt + length)
  }
}

function decodeHead(bytes: Buffer): SegmentHead | undefined {
  if (bytes.length < headBytes || bytes.readUInt32LE(0) !== magic) return undefined
  if (crc32(bytes.subarray(8)) !== bytes.readUInt32LE(4)) return undefined
  return {
    mark: bytes.readUInt32LE(8),
    seed: bytes.readUInt32LE(12),
    after: Number(bytes.readBigUInt64LE(16)),
    trimmed: Number(bytes.readBigUInt64LE(24)),
  }
}

function recordsOf(frame: Buffer, bodiesAt: number): JournalRecord[] {
  const records: JournalRecord[] = []
  let from = bodiesAt
  for (let at = frameHeadBytes; at < bodiesAt; at += recordHeadBytes) {
    const to = from + frame.readUInt32LE(at + 8)
    records.push({ position: Number(frame.readBigUInt64LE(at)), bytes: frame.subarray(from, to) })
    from = to
  }
  return records
}

/** Of all in a frame behind its own place. */
function checksum(frame: Buffer, size: number, seed: number): number {
  return crc32(frame.subarray(8, size), seed)
}

function wholeSectors(size: number): number {
  return Math.ceil(size / sectorBytes) * sectorBytes
}
