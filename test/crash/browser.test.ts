import { expect, it } from 'vitest'
import { BrowserRig } from './browser.ts'

it('[I1] [I2] [I4] [I6] [I12] loses and doubles nothing in a browser that is killed while it receives', {
  timeout: 300_000,
}, async () => {
  const result = await new BrowserRig({ seed: 20_261_125, kills: 3 }).run()
  expect(result.faults).toEqual([])
  expect(result.handled).toBeGreaterThan(60)
})
