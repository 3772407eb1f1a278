/** What it costs, and what it saves, when processes of their own hold the sockets. */
import type { Figure } from '../ground.ts'
import { medianOf } from '../quantiles.ts'
import { type LoadShape, type Run, runPairs } from '../throughput.ts'

const counts = [0, 1, 2] as const
const rounds = 3
const shapes: readonly (LoadShape & { readonly pairs: number })[] = [
  { pairs: 50, window: 20, windowEnd: 'delivered', bodyBytes: 200 },
  { pairs: 1_000, window: 1, windowEnd: 'delivered', bodyBytes: 200 },
]

/** The figures of `gateways`: each load with none, one and two of them in turn. */
export async function measureGateways(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const { pairs, ...shape } of shapes) {
    const runs = new Map<number, Run[]>(counts.map((count) => [count, []]))
    for (let round = 0; round < rounds; round++)
      for (const count of counts) runs.get(count)?.push(await runPairs(pairs, shape, count))
    for (const [count, all] of runs)
      figures.push(...figuresOf(`${pairs.toLocaleString('en')} pairs, ${shape.window} undelivered each`, count, all))
  }
  return figures
}

function figuresOf(what: string, count: number, all: readonly Run[]): Figure[] {
  const perSecond = medianOf(all.map((run) => run.perSecond))
  const microseconds = medianOf(all.map((run) => run.cpuMicroseconds))
  // What is neither the server's process nor the load generator's: the gateways, on a quiet machine.
  const others = medianOf(all.map((run) => (run.otherProcessors * 1e6) / run.perSecond))
  return [
    {
      name: `${what}, ${count === 0 ? 'sockets in the server' : `${count} ${count === 1 ? 'process' : 'processes'} for sockets`}`,
      target: '',
      measured: `${Math.round(perSecond).toLocaleString('en')} messages/s (${all.map((run) => Math.round(run.perSecond).toLocaleString('en')).join(', ')})`,
      values: all.map((run) => run.perSecond),
      unit: 'messages/s',
    },
    {
      name: '  CPU per message: the server’s process; all else but the load generator',
      target: '',
      measured: `${microseconds.toFixed(1)} µs, ${others.toFixed(1)} µs`,
      values: [microseconds, others],
      unit: 'µs',
    },
  ]
}
