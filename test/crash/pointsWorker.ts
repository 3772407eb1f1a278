/** Fails calls one by one: `pointsWorker CONFIG`, JSON of {@link PointsConfig}. Sends a PointReport for each. */
import { type Point, type PointFault, pointFaults, PointRig, type PointResult } from './points.ts'

/** What a process is asked for. */
export interface PointsConfig {
  /** The compiled program whose calls fail. */
  readonly program: string
  /** Of all pairs of a call and a fault, each `every`-th from `offset` on. */
  readonly every: number
  readonly offset: number
}

/** What became of one call that failed. */
export interface PointReport {
  readonly point: Point
  readonly fault: PointFault
  readonly result: PointResult
  /** How many pairs there are in all. */
  readonly total: number
}

async function work({ program, every, offset }: PointsConfig): Promise<void> {
  const rig = new PointRig(program)
  try {
    const points = await rig.points()
    const pairs = points.flatMap((point) => pointFaults.map((fault) => ({ point, fault })))
    for (let at = offset; at < pairs.length; at += every) {
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
