import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type LineBatch, lineBatches } from '../../src/cli/lines.ts'

const limits = { lineBytesMax: 8, batchLines: 3, batchBytes: 1_000 }

async function* stream(chunks: readonly (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield typeof chunk === 'string' ? Buffer.from(chunk) : chunk
}

async function collect(chunks: readonly (string | Uint8Array)[], given = limits): Promise<LineBatch[]> {
  const batches: LineBatch[] = []
  for await (const batch of lineBatches(stream(chunks), given)) batches.push(batch)
  return batches
}

const texts = (batches: readonly LineBatch[]) =>
  batches.flatMap(({ lines }) => lines.map((line) => Buffer.from(line).toString('latin1')))

describe('lines of standard input', () => {
  it.each([
    [[''], []],
    [['a'], ['a']],
    [['a\n'], ['a']],
    [['a\nb'], ['a', 'b']],
    [['\n'], ['']],
    [['a\n\n\nb\n'], ['a', '', '', 'b']],
    [['a\r\nb\r\n'], ['a', 'b']],
    [
      ['a\r', '\nb'],
      ['a', 'b'],
    ],
    [['a\rb\n'], ['a\rb']],
    [['\r\n'], ['']],
    [
      ['ab', 'c', 'd\ne'],
      ['abcd', 'e'],
    ],
    [['12345678\n'], ['12345678']],
    [['12345678\r\n'], ['12345678']],
    [['12345678'], ['12345678']],
  ])('%j are the messages %j', async (chunks, lines) => {
    expect(texts(await collect(chunks))).toEqual(lines)
  })

  it('are bytes: what is no UTF-8 stays as it is', async () => {
    const [batch] = await collect([Uint8Array.of(0xff, 0x00, 0xc0, 0x0a)])
    expect(batch?.lines.map((line) => [...line])).toEqual([[0xff, 0x00, 0xc0]])
  })

  it('come in batches that name their first line', async () => {
    const batches = await collect(['1\n2\n3\n4\n5', '\n6\n7'])
    expect(batches.map(({ firstLine, lines }) => [firstLine, lines.length])).toEqual([
      [1, 3],
      [4, 1],
      [5, 2],
      [7, 1],
    ])
  })

  it('close a batch at its bytes', async () => {
    const batches = await collect(['aaaa\nbbbb\ncccc\n'], { ...limits, batchBytes: 8 })
    expect(batches.map(({ lines }) => lines.length)).toEqual([2, 1])
  })

  it.each([
    [['ok\n123456789\nnext\n'], ['ok', 'too long', 'next']],
    [['ok\n123456789'], ['ok', 'too long']],
    [
      ['ok\n12345', '67890', '12345\n', 'next'],
      ['ok', 'too long', 'next'],
    ],
    [
      ['ok\n', '123456789', '\n'],
      ['ok', 'too long'],
    ],
    [['123456789\r\n1234567890\na\nb\n'], ['too long', 'too long', 'a', 'b']],
    [
      ['12345678', '\r', '\r\nnext'],
      ['too long', 'next'],
    ],
  ])('[I10] of %j, what is too long is told in its place', async (chunks, expected) => {
    const seen: string[] = []
    for (const batch of await collect(chunks)) {
      expect(batch.firstLine).toBe(seen.length + 1)
      seen.push(...(batch.isTooLong ? ['too long'] : texts([batch])))
    }
    expect(seen).toEqual(expected)
  })

  it('[I10] holds no more than a line of a stream without newlines, and says at once that it is too long', async () => {
    let chunks = 0
    const endless = (async function* () {
      // Where nothing stops it, this does.
      for (; chunks < 1_000; ) {
        chunks++
        yield Buffer.alloc(4, 'x')
      }
    })()
    expect((await lineBatches(endless, limits).next()).value).toEqual({ firstLine: 1, lines: [], isTooLong: true })
    expect(chunks).toBeLessThanOrEqual(3)
  })

  it('do not depend on where the chunks are cut', async () => {
    const lines = fc.array(
      fc.string({ unit: fc.constantFrom('a', 'b', '\r', '\0'), maxLength: 6 }).filter((line) => !line.endsWith('\r')),
    )
    await fc.assert(
      fc.asyncProperty(lines, fc.array(fc.nat(40)), async (expected, cuts) => {
        const bytes = Buffer.from(expected.map((line) => `${line}\n`).join(''), 'latin1')
        const places = [0, ...cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b), bytes.length]
        const chunks = places.slice(1).map((end, at) => bytes.subarray(places[at], end))
        const batches = await collect(chunks)
        expect(texts(batches)).toEqual(expected)
        let next = 1
        for (const { firstLine, lines: part } of batches) {
          expect(firstLine).toBe(next)
          next += part.length
        }
      }),
    )
  })
})
