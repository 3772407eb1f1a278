import { describe, expect, it } from 'vitest'
import { idsFrom, idsOfRun } from '../../src/cli/run-ids.ts'

describe('ids of a run', () => {
  it('[I2] are the same for the same name and number, in every version', () => {
    expect(idsOfRun('nightly')(1)).toBe(idsOfRun('nightly')(1))
    expect(idsOfRun('nightly')(1)).toBe(3_043_134_503_552_811_009n)
  })

  it('rise with the number, and differ between names', () => {
    const ids = idsOfRun('a')
    expect(ids(2)).toBe((ids(1) ?? 0n) + 1n)
    expect(new Set(['a', 'b', 'c', ''].map((name) => idsOfRun(name)(7))).size).toBe(4)
  })

  it('are never 0 and always fit in 64 bits', () => {
    for (let at = 0; at < 1_000; at++) {
      const id = idsOfRun(`run ${at}`)(268_435_455) ?? 0n
      expect(id > 0n && id < 1n << 64n).toBe(true)
    }
  })

  it('end where the next name could begin', () => {
    expect(() => idsOfRun('a')(268_435_456)).toThrow('268435455 messages')
  })

  it('count up from a start, to the largest one', () => {
    expect([1, 2, 3].map(idsFrom(10n))).toEqual([10n, 11n, 12n])
    const last = idsFrom(0xffff_ffff_ffff_ffffn)
    expect(last(1)).toBe(0xffff_ffff_ffff_ffffn)
    expect(() => last(2)).toThrow('18446744073709551615')
  })
})
