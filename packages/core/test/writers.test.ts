import { describe, expect, it } from 'vitest'
import { type SharedWriter, Writers } from '../src/host/writers.ts'

/** Takes so many writers, writes as many bytes into each and gives all back; gives them. */
function used(writers: Writers, count: number, bytes: number): SharedWriter[] {
  const taken = Array.from({ length: count }, () => writers.take())
  for (const writer of taken) {
    writer.raw(new Uint8Array(bytes))
    writers.giveBack(writer, writer.length)
  }
  return taken
}

/** How many of these are given out again. */
function keptOf(writers: Writers, before: readonly SharedWriter[]): number {
  const again = new Set(before.map(() => writers.take()))
  return before.filter((writer) => again.has(writer)).length
}

describe('the writers that sessions share', () => {
  it('are used again, empty, also after a large message', () => {
    const writers = new Writers()
    const [first] = used(writers, 1, 65_536)
    const again = writers.take()
    expect([again, again.length]).toEqual([first, 0])
  })

  it.each([
    [300, 10, 256],
    [300, 65_536, 64],
    [100, 32_768, 100],
  ])('are kept as far as their memory is small together: of %i with %i bytes %i', (count, bytes, kept) => {
    const writers = new Writers()
    const before = used(writers, count, bytes)
    expect(keptOf(writers, before)).toBe(kept)
  })

  it('count with the most that each has held, not with the last', () => {
    const writers = new Writers()
    const large = used(writers, 64, 65_536)
    expect(used(writers, 64, 1)).toEqual(large.toReversed())
    const old = large.map(() => writers.take())
    const other = writers.take()
    for (const writer of old) writers.giveBack(writer, 1)
    writers.giveBack(other, 1)
    expect(keptOf(writers, [...old, other])).toBe(64)
  })

  it('make room again for others when they are taken', () => {
    const writers = new Writers()
    used(writers, 64, 65_536)
    for (let count = 0; count < 64; count++) writers.take()
    const next = used(writers, 64, 65_536)
    expect(keptOf(writers, next)).toBe(64)
  })
})
