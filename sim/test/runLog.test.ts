import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Bundle, buildSchedules } from '../build.ts'
import { runCrew } from '../crew.ts'
import { logRun, missingRange, type Range, readRuns, sumOf } from '../runLog.ts'
import type { Totals } from '../totals.ts'

describe('the file of long runs', () => {
  let bundle: Bundle
  const directory = mkdtempSync(join(tmpdir(), 'posthaste-runs-'))

  beforeAll(async () => {
    bundle = await buildSchedules()
  })
  afterAll(() => {
    bundle.remove()
    rmSync(directory, { recursive: true })
  })

  const run = ({ from, to }: Range): Promise<Totals> =>
    runCrew(bundle, { from, count: to - from, threads: 2, msMax: 60_000, isEager: false, onProgress: () => {} })

  it('adds pieces up to what one run comes to', async () => {
    const file = join(directory, 'deep/runs.json')
    const whole = await run({ from: 1, to: 31 })
    for (const piece of [
      { from: 1, to: 11 },
      { from: 21, to: 31 },
      { from: 11, to: 21 },
    ])
      logRun(file, bundle, piece, await run(piece))
    const sum = sumOf(readRuns(file))
    expect(sum.traces).toBe(whole.traces)
    expect(sum.counts).toEqual(whole.counts)
    expect(sum.ms).toBeCloseTo(whole.ms, -2)
    expect([sum.schedules, sum.events]).toEqual([30, whole.events])
    expect(readRuns(file).map(({ from, to }) => [from, to])).toEqual([
      [1, 21],
      [21, 31],
    ])
  })

  it('keeps what failed', async () => {
    const file = join(directory, 'failed.json')
    const totals = await run({ from: 1, to: 2 })
    totals.failures.push({ seed: 1, verdict: 'liveness', text: 'no rest' })
    logRun(file, bundle, { from: 1, to: 2 }, totals)
    logRun(file, bundle, { from: 2, to: 3 }, await run({ from: 2, to: 3 }))
    expect(sumOf(readRuns(file)).failures).toEqual([{ seed: 1, verdict: 'liveness', text: 'no rest' }])
  })
})

it.each<{ runs: Range[]; range: Range; missing: Range | undefined }>([
  { runs: [], range: { from: 1, to: 100 }, missing: { from: 1, to: 11 } },
  { runs: [], range: { from: 1, to: 5 }, missing: { from: 1, to: 5 } },
  { runs: [{ from: 1, to: 100 }], range: { from: 1, to: 100 }, missing: undefined },
  {
    runs: [
      { from: 3, to: 9 },
      { from: 1, to: 3 },
    ],
    range: { from: 1, to: 100 },
    missing: { from: 9, to: 19 },
  },
  {
    runs: [
      { from: 1, to: 3 },
      { from: 7, to: 9 },
    ],
    range: { from: 1, to: 100 },
    missing: { from: 3, to: 7 },
  },
  { runs: [{ from: 50, to: 60 }], range: { from: 40, to: 55 }, missing: { from: 40, to: 50 } },
  {
    runs: [
      { from: 1, to: 50 },
      { from: 10, to: 20 },
    ],
    range: { from: 5, to: 52 },
    missing: { from: 50, to: 52 },
  },
])('runs $missing of $range next, ten at a time, where there are $runs', ({ runs, range, missing }) => {
  expect(missingRange(runs, range, 10)).toEqual(missing)
})
