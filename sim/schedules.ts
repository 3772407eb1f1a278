/** What the bundle holds: schedules, and in a worker thread what runs them on demand. */
import { parentPort } from 'node:worker_threads'
import { planOf } from './plan/plan.ts'
import { runPlan } from './run.ts'
import { addOutcome, emptyTotals, type Totals } from './totals.ts'

export { planOf } from './plan/plan.ts'
export { runPlan } from './run.ts'
export { shrink } from './shrink.ts'

/** What a worker is asked for: the schedules of these seeds. */
export interface Batch {
  readonly from: number
  /** Not included. */
  readonly to: number
  /** Ends after the first schedule that fails. */
  readonly isEager: boolean
}

/** What it answers. */
export interface BatchDone {
  readonly totals: Totals
}

parentPort?.on('message', ({ from, to, isEager }: Batch) => {
  const totals = emptyTotals()
  for (let seed = from; seed < to; seed++) {
    addOutcome(totals, runPlan(planOf(seed), false))
    if (isEager && totals.failures.length > 0) break
  }
  const done: BatchDone = { totals }
  parentPort?.postMessage(done)
})
