import { expect, it } from 'vitest'
import { Rig } from './rig.ts'

it('[I1] [I2] [I4] [I6] [I8] [I12] loses, doubles and invents nothing while server and SDK processes are killed, stopped and cut off', {
  timeout: 300_000,
}, async () => {
  const result = await new Rig({ seed: 20_261_125, kills: 8, sdkKills: 6, server: 'eager' }).run()
  expect(result.faults).toEqual([])
  expect(result.faultCounts).toMatchObject({ 'SDK kill': 6 })
  const { 'server kill': kills = 0, 'kill at start': killsAtStart = 0 } = result.faultCounts
  expect(kills + killsAtStart).toBeGreaterThanOrEqual(8)
  expect(result.acknowledged).toBeGreaterThan(500)
  expect(result.conflicts).toBeGreaterThan(5)
})
