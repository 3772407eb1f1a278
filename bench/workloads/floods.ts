/** What others see of an attack: their latency at a rate that is given from outside, before it and during it. */
import { Child } from '../child.ts'
import { type Figure, makeDirectory, makeTokens, startBenchServer } from '../ground.ts'
import { attackedUsers, attacks } from './attacks.ts'
import type { FloodsSettings } from './floodsLoad.ts'
import type { RateReport, RateSettings } from './rateLoad.ts'

const pairCount = 10
const perSecond = 500
const seconds = 8
/** How much longer the p99 may be. */
const worseMax = 2

/** The figures of `floods`. */
export async function measureFloods(): Promise<Figure[]> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path)
  try {
    const users = Array.from({ length: 2 * pairCount }, (_, number) => `user-${number}`)
    const port = await server.ask<number>('port')
    const settings: RateSettings = { port, users, tokens: await makeTokens(users), perSecond, seconds, bodyBytes: 200 }
    const load = new Child('workloads/rateLoad.ts', settings)
    try {
      await load.ask('warmUp')
      const tokens = await makeTokens(attackedUsers)
      const figures: Figure[] = []
      for (const attack of attacks.keys()) figures.push(...(await attacked(load, { port, tokens, attack })))
      return figures
    } finally {
      await load.end()
    }
  } finally {
    await server.end()
    directory.remove()
  }
}

async function attacked(load: Child, settings: FloodsSettings): Promise<Figure[]> {
  const attacker = new Child('workloads/floodsLoad.ts', settings)
  try {
    const before = await load.ask<RateReport>('run')
    await attacker.ask('begin')
    const during = await load.ask<RateReport>('run')
    await attacker.ask('finish')
    const p99s = [before, during].map(({ latenciesMs }) => latenciesMs[1] ?? 0)
    const [was = 0, is = 0] = p99s
    const lost = before.lost + before.wrong + during.lost + during.wrong
    return [
      {
        name: `${settings.attack}: p99 of others during it, beside before it`,
        target: `≤ ${worseMax} ×`,
        measured: `${(is / was).toFixed(1)} × (${told(before)} before; ${told(during)} during)`,
        isMet: is <= worseMax * was && lost === 0,
        values: p99s,
        unit: 'ms',
      },
    ]
  } finally {
    await attacker.end()
  }
}

function told({ latenciesMs: [p50 = 0, p99 = 0, , max = 0] }: RateReport): string {
  return `p50 ${p50.toFixed(2)}, p99 ${p99.toFixed(2)}, max ${max.toFixed(1)} ms`
}
