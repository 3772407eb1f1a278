import { describe, expect, it } from 'vitest'
import { idAfter } from '../../src/machine/ids.ts'
import { Rig, serverStartMs } from './rig.ts'

const ms = BigInt(serverStartMs)

describe('an id that is made', () => {
  it('is the time in milliseconds above 22 random bits, all of which are used', () => {
    const ids = [0, 0.5, 1 - 2 ** -22].map((random) => idAfter(0n, serverStartMs, random))
    expect(ids).toEqual([ms << 22n, (ms << 22n) + (1n << 21n), ((ms + 1n) << 22n) - 1n])
  })

  it('is the next number where the time has not passed the last one', () => {
    const last = ms << 22n
    expect([serverStartMs, serverStartMs - 60_000, -1].map((wallMs) => idAfter(last, wallMs, 0))).toEqual([
      last + 1n,
      last + 1n,
      last + 1n,
    ])
    expect(idAfter(last, serverStartMs + 1, 0)).toBe((ms + 1n) << 22n)
  })

  it('is never 0, which is no id', () => {
    expect([idAfter(0n, 0, 0), idAfter(0n, -5, 0)]).toEqual([1n, 1n])
  })

  it('has 64 bits whatever the clock says, and leaves room above it for millions more', () => {
    const late = idAfter(0n, Number.MAX_SAFE_INTEGER, 1 - 2 ** -22)
    expect(late).toBe(((2n ** 42n - 1n) << 22n) - 1n)
    expect(idAfter(late + 4_000_000n, serverStartMs, 0)).toBeLessThan(2n ** 64n)
  })

  it('names a message by when it was written', () => {
    const rig = new Rig().live()
    rig.send()
    rig.advance(5)
    rig.send()
    expect(rig.sent('send').map(({ id }) => id >> 22n)).toEqual([ms, ms + 5n])
  })
})
