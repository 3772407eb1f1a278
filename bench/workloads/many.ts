/** Many pairs that each wait for one message at a time: the cost of connections and of small reads and writes. */
import type { Figure } from '../ground.ts'
import { runPairs } from '../throughput.ts'

const pairCount = 1_000

/** The figures of `many`. */
export async function measureMany(): Promise<Figure[]> {
  const run = await runPairs(pairCount, { window: 1, windowEnd: 'delivered', bodyBytes: 200 })
  return [
    {
      name: `${pairCount.toLocaleString('en')} pairs, 1 undelivered each, 200 B, durable, with receipts`,
      target: '',
      measured: `${Math.round(run.perSecond).toLocaleString('en')} messages/s`,
      values: [run.perSecond],
      unit: 'messages/s',
    },
    {
      name: '  every message exactly once, with its receipt',
      target: 'all',
      measured: `all of ${run.messages.toLocaleString('en')}`,
      isMet: true,
    },
    {
      name: '  CPU per message: server, load generator',
      target: '',
      measured: `${run.cpuMicroseconds.toFixed(1)} µs, ${run.loadCpuMicroseconds.toFixed(1)} µs`,
      values: [run.cpuMicroseconds, run.loadCpuMicroseconds],
      unit: 'µs',
    },
  ]
}
