/** Lines that came together, to be sent together. */
export interface LineBatch {
  /** The number of the first one: 1 for the input's first line. */
  readonly firstLine: number
  readonly lines: readonly Uint8Array[]
  /** The first line, and the only one, is too long to be sent: it is left out. */
  readonly isTooLong?: true
}

const newline = 0x0a
const carriageReturn = 0x0d

/** How lines are read. */
export interface LineLimits {
  readonly lineBytesMax: number
  /** The most lines, and about the most bytes, in one batch. */
  readonly batchLines: number
  readonly batchBytes: number
}

/**
 * Splits a stream of bytes into lines, without their newlines (`\n` or `\r\n`). An empty line is a line of 0 bytes; what follows
 * the last newline is a line if it isn't empty. Holds at most one chunk and one line of `lineBytesMax`: of a longer one it says
 * that it is too long as soon as it is, and then holds nothing.
 */
export async function* lineBatches(chunks: AsyncIterable<Uint8Array>, limits: LineLimits): AsyncGenerator<LineBatch> {
  const gathering = new Gathering(limits)
  for await (const chunk of chunks) {
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      yield* gathering.take(chunk.subarray(start, end))
      yield* gathering.endLine()
      start = end + 1
    }
    yield* gathering.take(chunk.subarray(start))
    yield* gathering.endChunk()
  }
  yield* gathering.end()
}

/** The line that is being read, and those before it that are not given out yet. */
class Gathering {
  readonly #limits: LineLimits
  #firstLine = 1
  #lines: Uint8Array[] = []
  #linesBytes = 0
  #parts: Uint8Array[] = []
  #bytes = 0
  #isTooLong = false

  constructor(limits: LineLimits) {
    this.#limits = limits
  }

  /** Goes on with the line. Its end may be the `\r` of a newline. */
  *take(part: Uint8Array): Generator<LineBatch> {
    if (this.#isTooLong) return
    this.#parts.push(part)
    this.#bytes += part.length
    if (this.#bytes > this.#limits.lineBytesMax + 1) yield* this.#leaveOut()
  }

  *endLine(): Generator<LineBatch> {
    const line = withoutReturn(Buffer.concat(this.#parts))
    if (!this.#isTooLong && line.length > this.#limits.lineBytesMax) yield* this.#leaveOut()
    const wasTooLong = this.#isTooLong
    this.#isTooLong = false
    this.#parts = []
    this.#bytes = 0
    if (wasTooLong) return
    this.#lines.push(line)
    this.#linesBytes += line.length
    const { batchLines, batchBytes } = this.#limits
    if (this.#lines.length >= batchLines || this.#linesBytes >= batchBytes) yield* this.#giveOut()
  }

  /** What is whole goes out, and what is not is copied: the stream may use the chunk's memory again. */
  *endChunk(): Generator<LineBatch> {
    yield* this.#giveOut()
    this.#parts = this.#parts.map((part) => Uint8Array.from(part))
  }

  *end(): Generator<LineBatch> {
    if (this.#bytes > 0) yield* this.endLine()
    yield* this.#giveOut()
  }

  *#giveOut(): Generator<LineBatch> {
    if (this.#lines.length === 0) return
    const batch = { firstLine: this.#firstLine, lines: this.#lines }
    this.#firstLine += batch.lines.length
    this.#lines = []
    this.#linesBytes = 0
    yield batch
  }

  *#leaveOut(): Generator<LineBatch> {
    this.#isTooLong = true
    this.#parts = []
    yield* this.#giveOut()
    this.#firstLine += 1
    yield { firstLine: this.#firstLine - 1, lines: [], isTooLong: true }
  }
}

function withoutReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === carriageReturn ? line.subarray(0, -1) : line
}
