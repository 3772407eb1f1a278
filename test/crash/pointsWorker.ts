/** Fails calls one by one: `pointsWorker CONFIG`, JSON of {@link PointsConfig}. Sends a PointReport for each. */
import { type Point, type PointFault, pointFaults, PointRig, type PointResult } from './points.ts'

/** What a process is asked for. */
export interface PointsConfig {
  /** The compiled program whose calls fail. */
  readonly program: string
  /** Of the pairs of a call and a fault in each phase, the first and each `every`-th. */
  readonly every: number
  /** Of those, each `step`-th from `offset` on. */
  readonly step: number
  readonly offset: number
}

/** What became of one call that failed. */
export interface PointReport {
  readonly point: Point
  readonly fault: PointFault
  readonly result: PointResult
  /** How many pairs there are in all processes. */
  readonly total: number
}

function chosen(points: readonly Point[], every: number): { point: Point; fault: PointFault }[] {
  const counts = new Map<string, number>()
  const pairs = points.flatMap((point) => pointFaults.map((fault) => ({ point, fault })))
  return pairs.filter(({ point: { phase } }) => {
    const at = counts.get(phase) ?? 0
    counts.set(phase, at + 1)
    return at % every === 0
  })
}

async function work({ program, every, step, offset }: PointsConfig): Promise<void> {
  const rig = new PointRig(program)
  try {
    const pairs = chosen(await rig.points(), every)
    for (let at = offset; at < pairs.length; at += step) {
      const pair = pairs[at]
      if (pair === undefined) continue
      process.send?.({ ...pair, result: await rig.fail(pair.point, pair.fault), total: pairs.length })
    }
  } finally {
    rig.end()
  }
}

await work(JSON.parse(process.argv[2] ?? '{}'))
process.disconnect()
