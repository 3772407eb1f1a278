import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bundle, buildSchedules } from '../build.ts'
import { runCrew } from '../crew.ts'
import { planOf } from '../plan/plan.ts'
import { runPlan } from '../run.ts'

const schedules = 5_000
/** Far more than they take on two busy processors. */
const timeoutMs = 900_000

describe('schedules of the simulator', () => {
  let bundle: Bundle

  beforeAll(async () => {
    bundle = await buildSchedules()
  })
  afterAll(() => bundle.remove())

  it(
    '[I1 I2 I3 I4 I5 I6 I7 I8 I9 I10 I11 I12] hold the invariants, and come to rest: 5,000 of them',
    async () => {
      const totals = await runCrew(bundle, {
        from: 1,
        count: schedules,
        threads: 2,
        msMax: timeoutMs,
        isEager: false,
        onProgress: () => {},
      })
      expect(totals.failures).toEqual([])
      expect(totals.schedules).toBe(schedules)
    },
    timeoutMs,
  )

  it('[I11] are repeated by their seeds to the last bit', () => {
    const hashes = new Set<string>()
    for (let seed = 1; seed <= 30; seed++) {
      const first = runPlan(planOf(seed), false)
      const again = runPlan(planOf(seed), true)
      expect(again.hash).toBe(first.hash)
      expect(again.events).toBe(first.events)
      hashes.add(first.hash)
    }
    expect(hashes.size).toBe(30)
  })
})
