import { CliError } from './exit-codes.ts'

/** Lines that came together, to be sent together. */
export interface LineBatch {
  /** The number of the first one: 1 for the input's first line. */
  readonly firstLine: number
  readonly lines: readonly Uint8Array[]
}

const newline = 0x0a
const carriageReturn = 0x0d

/**
 * Splits a stream of bytes into lines, without their newlines (`\n` or `\r\n`). An empty line is a line of 0 bytes; what follows
 * the last newline is a line if it isn't empty. Holds at most one chunk and one line of `lineBytesMax`.
 *
 * @param batchLines the most lines, and `batchBytes` about the most bytes, in one batch
 * @throws CliError `too-large` for a longer line, after all lines before it: nothing is read beyond it
 */
export async function* lineBatches(
  chunks: AsyncIterable<Uint8Array>,
  limits: { lineBytesMax: number; batchLines: number; batchBytes: number },
): AsyncGenerator<LineBatch> {
  let firstLine = 1
  let rest: Uint8Array[] = []
  let restBytes = 0
  for await (const chunk of chunks) {
    let lines: Uint8Array[] = []
    let bytes = 0
    let start = 0
    for (let end = chunk.indexOf(newline); end >= 0; end = chunk.indexOf(newline, start)) {
      if (restBytes + end - start > limits.lineBytesMax + 1) break
      const line = withoutReturn(Buffer.concat([...rest, chunk.subarray(start, end)]))
      if (line.length > limits.lineBytesMax) break
      lines.push(line)
      bytes += line.length
      rest = []
      restBytes = 0
      start = end + 1
      if (lines.length < limits.batchLines && bytes < limits.batchBytes) continue
      yield { firstLine, lines }
      firstLine += lines.length
      lines = []
      bytes = 0
    }
    if (lines.length > 0) yield { firstLine, lines }
    firstLine += lines.length
    const tail = chunk.subarray(start)
    restBytes += tail.length
    if (restBytes > limits.lineBytesMax + 1 || tail.includes(newline)) throw tooLong(firstLine, limits.lineBytesMax)
    // A copy: the stream may use the chunk's memory again.
    if (tail.length > 0) rest.push(Uint8Array.from(tail))
  }
  if (restBytes === 0) return
  const last = withoutReturn(Buffer.concat(rest))
  if (last.length > limits.lineBytesMax) throw tooLong(firstLine, limits.lineBytesMax)
  yield { firstLine, lines: [last] }
}

function withoutReturn(line: Uint8Array): Uint8Array {
  return line.at(-1) === carriageReturn ? line.subarray(0, -1) : line
}

function tooLong(line: number, bytesMax: number): CliError {
  return new CliError('too-large', `Line ${line} is longer than ${bytesMax} bytes, the most that any server takes`)
}
