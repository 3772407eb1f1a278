import { describe, expect, it } from 'vitest'
import { buildSchedules, planted } from '../build.ts'
import { runCrew } from '../crew.ts'
import { plantedFaults } from '../faults/plantedFaults.ts'

const schedulesMax = 400
const msMax = 60_000
/** Those that a few schedules catch; `npm run sim -- --fault all` plants each of them. */
const quick = ['sent-before-the-flush', 'no-keys', 'block-ignored', 'trimmed-when-one-device-has-it', 'expired-too-early']

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

  it.each(quick)('is caught: %s', { timeout: msMax + 30_000 }, async (name) => {
    const fault = plantedFaults.find((one) => one.name === name)
    const bundle = await buildSchedules(fault)
    const totals = await runCrew(bundle, { from: 1, count: schedulesMax, threads: 2, msMax, isEager: true, onProgress: () => {} })
    bundle.remove()
    expect(fault).toBeDefined()
    expect(totals.failures).not.toEqual([])
  })
})
