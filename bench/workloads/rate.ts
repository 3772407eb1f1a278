/** The latency at a rate that is given from outside, whatever the server does. */
import { Child } from '../child.ts'
import { type Figure, makeDirectory, makeTokens, startBenchServer } from '../ground.ts'
import type { ServerReport } from '../probe.ts'
import type { RateReport, RateSettings } from './rateLoad.ts'

const pairCount = 50
const perSecond = 1_000
const seconds = 15
const p99TargetMs = 3

/** The figures of `rate`. */
export async function measureRate(): Promise<Figure[]> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path)
  try {
    const users = Array.from({ length: 2 * pairCount }, (_, number) => `user-${number}`)
    const rest = { perSecond, seconds, bodyBytes: 200 }
    const settings: RateSettings = { port: await server.ask<number>('port'), users, tokens: await makeTokens(users), ...rest }
    const load = new Child('workloads/rateLoad.ts', settings)
    try {
      await load.ask('warmUp')
      await server.ask('report')
      const report = await load.ask<RateReport>('run')
      return figuresOf(report, await server.ask<ServerReport>('report'))
    } finally {
      await load.end()
    }
  } finally {
    await server.end()
    directory.remove()
  }
}

function figuresOf(report: RateReport, server: ServerReport): Figure[] {
  const { latenciesMs, latenessMs, sent, lost, wrong } = report
  const [p50 = 0, p99 = 0, p999 = 0, max = 0] = latenciesMs
  const shares = [50, 99, 99.9, 100]
  return [
    {
      name: `${perSecond.toLocaleString('en')} messages/s at fixed times, ${pairCount} pairs: from the time a message was due to its receiver, p99`,
      target: '≤ 3 ms',
      measured: `${p99.toFixed(2)} ms (p50 ${p50.toFixed(2)}, p99.9 ${p999.toFixed(2)}, max ${max.toFixed(2)})`,
      isMet: p99 <= p99TargetMs,
      values: latenciesMs,
      unit: 'ms',
      curve: {
        plot: 'latency',
        series: 'latency at 1,000 messages/s',
        xTitle: 'percentile',
        yTitle: 'ms',
        points: shares.map((x, at) => ({ x, y: latenciesMs[at] ?? 0 })),
      },
    },
    {
      name: '  of it the load generator itself was late, p50, p99; flush p50 as the server sees it',
      target: '',
      measured: `${(latenessMs[0] ?? 0).toFixed(2)}, ${(latenessMs[1] ?? 0).toFixed(2)}; ${server.flushMs.toFixed(2)} ms`,
      values: [...latenessMs, server.flushMs],
      unit: 'ms',
    },
    {
      name: '  lost; twice, out of order or with another body; of so many',
      target: '0; 0',
      measured: `${lost}; ${wrong}; ${sent.toLocaleString('en')}`,
      isMet: lost + wrong === 0,
      values: [lost, wrong, sent],
      unit: 'messages',
    },
    {
      name: '  CPU of the server; of the load generator',
      target: '',
      measured: `${percent(server.cpuMs / server.ms)}; ${percent(report.cpuMs / report.ms)}`,
    },
  ]
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`
}
