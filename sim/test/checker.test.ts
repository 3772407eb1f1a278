import { describe, expect, it } from 'vitest'
import { check } from '../checker/check.ts'
import { planOf } from '../plan/plan.ts'
import { runPlan } from '../run.ts'
import { Random } from '../world/random.ts'
import { corruptions } from './corruptions.ts'

const options = { isAtRest: true, hasSleeps: false, hasPositions: false }

/** Histories that passed, of schedules without sleeps, since these blur what is late. */
const histories = Array.from({ length: 80 }, (_, at) => planOf(at + 1))
  .filter(({ steps, options: { hasPositions } }) => !hasPositions && steps.every(({ kind }) => kind !== 'deviceSleep'))
  .map((plan) => runPlan(plan, false).history)

describe('the checker', () => {
  it('says nothing of histories in which nothing is wrong', () => {
    for (const history of histories) expect(check(history, options)).toEqual([])
  })

  it.each(corruptions)('[I1 I2 I3 I4 I5 I6 I7 I8 I9 I10] catches it whenever $name', ({ corrupt, caughtAs }) => {
    const random = new Random(7, 'corruptions')
    let corrupted = 0
    for (let round = 0; corrupted < 67 && round < 40; round++) {
      for (const history of histories) {
        const copy = structuredClone(history)
        if (!corrupt(copy, random)) continue
        corrupted += 1
        const found = check(copy, options)
        const named = found.filter(({ invariant }) => caughtAs.includes(invariant))
        expect(named, `after ${corrupted} corruptions`).not.toEqual([])
        expect(named[0]?.text).not.toBe('')
      }
    }
    // Each at least 67 times: a thousand histories and more.
    expect(corrupted).toBeGreaterThanOrEqual(67)
  })
})
