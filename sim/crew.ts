/** Runs many schedules, on several threads. */
import { Worker } from 'node:worker_threads'
import type { Bundle } from './build.ts'
import type { Batch, BatchDone } from './schedules.ts'
import { addTotals, emptyTotals, type Totals } from './totals.ts'

/** Which schedules, and for how long. */
export interface CrewOptions {
  readonly from: number
  readonly count: number
  readonly threads: number
  /** No further ones are begun after this. */
  readonly msMax: number
  /** Ends with the first that fails. */
  readonly isEager: boolean
  readonly onProgress: (totals: Totals) => void
}

const batchSize = 20
/** Who ends with the first failure is not to run many more after it. */
const eagerBatchSize = 1

/** Runs the schedules of a range of seeds. */
export async function runCrew(bundle: Bundle, options: CrewOptions): Promise<Totals> {
  const { from, count, threads, msMax, isEager, onProgress } = options
  const totals = emptyTotals()
  const startedMs = performance.now()
  const startedCpu = process.cpuUsage()
  const size = isEager ? eagerBatchSize : batchSize
  let next = from
  const isOver = (): boolean =>
    next >= from + count || performance.now() - startedMs >= msMax || (isEager && totals.failures.length > 0)
  const member = async (): Promise<void> => {
    const worker = new Worker(bundle.path)
    try {
      while (!isOver()) {
        const batch = { from: next, to: Math.min(from + count, next + size), isEager }
        next = batch.to
        const { totals: done } = await ask(worker, batch)
        addTotals(totals, done)
        // Of all threads of this process, the others' share of the machine left out.
        const { user, system } = process.cpuUsage(startedCpu)
        totals.workMs = (user + system) / 1_000
        onProgress(totals)
      }
    } finally {
      await worker.terminate()
    }
  }
  await Promise.all(Array.from({ length: threads }, member))
  totals.failures.sort((left, right) => left.seed - right.seed)
  return totals
}

function ask(worker: Worker, batch: Batch): Promise<BatchDone> {
  return new Promise((resolve, reject) => {
    worker.once('error', reject)
    worker.once('message', (done: BatchDone) => {
      worker.off('error', reject)
      resolve(done)
    })
    worker.postMessage(batch)
  })
}
