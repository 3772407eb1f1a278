import { expect, it } from 'vitest'
import { inSlices, type Loop } from '../src/slices.ts'

/** Runs so many steps on a loop whose every turn takes this long; gives the turns that it took and the longest stay, in ms. */
async function run(count: number, turnMs: number, stepMs = 1): Promise<{ turns: number; stayMs: number }> {
  let nowMs = 0
  let turns = 0
  let cameMs = 0
  let stayMs = 0
  const loop: Loop = {
    nowMs: () => nowMs,
    turn: async () => {
      stayMs = Math.max(stayMs, nowMs - cameMs)
      turns += 1
      nowMs += turnMs
      cameMs = nowMs
    },
  }
  function* steps(): Generator<void, void, void> {
    for (let step = 0; step < count; step++) {
      nowMs += stepMs
      yield
    }
  }
  await inSlices(steps(), loop)
  return { turns, stayMs }
}

it('work in slices takes half a ms of each turn of a quick event loop, and a step at least', async () => {
  for (const turnMs of [0, 1, 2]) expect(await run(100, turnMs, 0.125)).toEqual({ turns: 25, stayMs: 0.5 })
  expect(await run(100, 2, 5)).toEqual({ turns: 100, stayMs: 5 })
})

it('work in slices takes a share of the time of a slow event loop, but never stays long', async () => {
  expect(await run(100, 20, 0.5)).toEqual({ turns: 10, stayMs: 5 })
  expect((await run(1_000, 5_000)).stayMs).toBe(12)
})
