/** How long lane 0 waits while lane 15 floods the same receiver. */
import { Child } from '../child.ts'
import { type Figure, makeDirectory, makeTokens, startBenchServer } from '../ground.ts'
import type { PrioritiesReport, PrioritiesSettings } from './prioritiesLoad.ts'

const targetMs = 5

/** The figures of `priorities`. */
export async function measurePriorities(): Promise<Figure[]> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path)
  try {
    const users = ['receiver', 'urgent', ...Array.from({ length: 8 }, (_, number) => `flooder-${number}`)]
    const settings: PrioritiesSettings = {
      port: await server.ask<number>('port'),
      tokens: await makeTokens(users),
      bodyBytes: 200,
      urgentPerSecond: 100,
      seconds: 6,
      // Below what an inbox holds, and so much that the receiver never has all.
      floodWindow: 500,
    }
    const load = new Child('workloads/prioritiesLoad.ts', settings)
    try {
      return figuresOf(await load.ask<PrioritiesReport>('run'))
    } finally {
      await load.end()
    }
  } finally {
    await server.end()
    directory.remove()
  }
}

function figuresOf({ aloneMs, floodedMs, floodMs, floodPerSecond, wrong, cpu }: PrioritiesReport): Figure[] {
  const p99 = (floodedMs[1] ?? 0) - (aloneMs[1] ?? 0)
  const pair = (values: readonly number[]): string => values.map((value) => value.toFixed(2)).join(', ')
  return [
    {
      name: 'lane 0 while lane 15 floods the same receiver: p99 beyond the p99 without the flood',
      target: '≤ 5 ms',
      measured: `${p99.toFixed(2)} ms`,
      isMet: p99 <= targetMs,
      values: [p99],
      unit: 'ms',
    },
    {
      name: '  lane 0 from the time it was due to the receiver, p50, p99: without the flood; with it',
      target: '',
      measured: `${pair(aloneMs)}; ${pair(floodedMs)} ms`,
      values: [...aloneMs, ...floodedMs],
      unit: 'ms',
    },
    {
      name: '  lane 15 meanwhile: from its sending to the receiver, p50, p99; rate; load generator busy',
      target: '',
      measured: `${pair(floodMs)} ms; ${Math.round(floodPerSecond).toLocaleString('en')} messages/s; ${(cpu * 100).toFixed(0)} %`,
    },
    {
      name: '  lost, twice or out of order in their lane',
      target: '0',
      measured: `${wrong}`,
      isMet: wrong === 0,
      values: [wrong],
      unit: 'messages',
    },
  ]
}
