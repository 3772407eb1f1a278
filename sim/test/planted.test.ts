import { describe, expect, it } from 'vitest'
import { buildSchedules, load, planted } from '../build.ts'
import { caughtAs } from '../catchFaults.ts'
import { readPins } from '../faults/pins.ts'
import { plantedFaults } from '../faults/plantedFaults.ts'
import { addOutcome, emptyTotals } from '../totals.ts'

describe('a planted fault', () => {
  it('matches the sources: each of them', () => {
    for (const fault of plantedFaults) for (const { file } of fault.changes) expect(planted(fault, file)).not.toBe('')
    expect(plantedFaults.length).toBeGreaterThanOrEqual(40)
    expect(new Set(plantedFaults.map(({ name }) => name)).size).toBe(plantedFaults.length)
  })

  it('that no longer matches the sources is refused', async () => {
    const changes = [{ file: 'core/src/pump.ts', from: 'this stands nowhere', to: '' }]
    await expect(buildSchedules({ name: 'stale', rule: 'none', changes })).rejects.toThrow('no longer matches')
  })

  it.each(plantedFaults)('is caught by its pinned seed: $name', { timeout: 60_000 }, async (fault) => {
    const again = `npm run sim -- --fault ${fault.name} --pin looks for another seed`
    const pin = readPins().get(fault.name)
    if (pin === undefined) throw new Error(`no seed is pinned for ${fault.name}: ${again}`)
    const bundle = await buildSchedules(fault)
    const { planOf, runPlan } = await load(bundle)
    const totals = emptyTotals()
    addOutcome(totals, runPlan(planOf(pin.seed), false))
    bundle.remove()
    expect(totals.failures.map(caughtAs), `seed ${pin.seed} no longer catches it: ${again}`).toEqual([pin.caughtAs])
  })
})
