import { expect, it } from 'vitest'
import { runPoints } from './pointsRun.ts'
import type { PointReport } from './pointsWorker.ts'

/** The command `pointsMain.ts` does all of them; this takes some of each phase. */
const every = 19

it('[I1] [I6] [I12] a server whose writes and flushes fail, or that is killed at one, keeps what it told and stops with a code', {
  timeout: 400_000,
}, async () => {
  const reports: PointReport[] = []
  const died = await runPoints({ every, from: 0, processes: 2 }, (report) => reports.push(report))
  const faults = reports.flatMap(({ point, fault, result }) => result.faults.map((text) => ({ ...point, fault, text })))
  expect(faults).toEqual([])
  expect(died).toBe(0)
  const isHit = (report: PointReport) => report.result.isHit
  expect(reports.length).toBeGreaterThan(12)
  expect(reports.filter(isHit).length / reports.length).toBeGreaterThan(0.8)
  const phases = new Set(reports.filter(isHit).map(({ point }) => point.phase))
  expect([...phases].sort()).toEqual(expect.arrayContaining(['ack', 'append', 'checkpoint', 'recovery']))
})
