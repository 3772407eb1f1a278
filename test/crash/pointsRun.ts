import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { compiled } from '../process/compiled.ts'
import type { PointReport, PointsConfig } from './pointsWorker.ts'

/** Which pairs of a call and a fault: each `every`-th of a phase, without the first `from`, shared by processes side by side. */
export interface PointsOptions {
  readonly every: number
  readonly from: number
  readonly processes: number
}

/** Makes calls fail and tells of each. @returns how many processes died */
export async function runPoints(
  { every, from, processes }: PointsOptions,
  onReport: (report: PointReport) => void,
): Promise<number> {
  const worker = compiled(fileURLToPath(new URL('pointsWorker.ts', import.meta.url)))
  const program = compiled(fileURLToPath(new URL('fixtures/pointed.ts', import.meta.url)))
  const codes = Array.from({ length: processes }, (_, at) => {
    const config: PointsConfig = { program, every, step: processes, offset: from + at }
    // Plain Node: else the engine's second thread would load a loader each time.
    const child = fork(worker, [JSON.stringify(config)], { execArgv: [] })
    child.on('message', onReport)
    return new Promise<number | null>((resolve) => child.on('close', resolve))
  })
  return (await Promise.all(codes)).filter((code) => code !== 0).length
}
