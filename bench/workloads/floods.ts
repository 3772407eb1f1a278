/** What others see of an attack: their latency at a rate that is given from outside, before it and during it. */
import { Child } from '../child.ts'
import { type Figure, makeDirectory, makeTokens, startBenchServer } from '../ground.ts'
import { medianOf } from '../quantiles.ts'
import { attackedUsers, attacks, roundsMax } from './attacks.ts'
import type { FloodsSettings } from './floodsLoad.ts'
import type { RateReport, RateSettings } from './rateLoad.ts'

const pairCount = 10
const perSecond = 500
const seconds = 5
/** Until what an attack leaves behind is over. */
const restMs = 3_000
/** How much longer the p99 may be. */
const worseMax = 2

/** The figures of `floods`. */
export async function measureFloods(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const attack of attacks.keys()) figures.push(await measureAttack(attack))
  return figures
}

/** On a server of its own, by turns: what comes late by chance comes as often before an attack as during it. */
async function measureAttack(attack: string): Promise<Figure> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path)
  try {
    const users = Array.from({ length: 2 * pairCount }, (_, number) => `user-${number}`)
    const port = await server.ask<number>('port')
    const settings: RateSettings = { port, users, tokens: await makeTokens(users), perSecond, seconds, bodyBytes: 200 }
    const attackerSettings: FloodsSettings = { port, tokens: await makeTokens(attackedUsers), attack }
    const load = new Child('workloads/rateLoad.ts', settings)
    const attacker = new Child('workloads/floodsLoad.ts', attackerSettings)
    try {
      await load.ask('warmUp')
      const before: RateReport[] = []
      const during: RateReport[] = []
      for (let round = 0; round < roundsMax; round++) {
        before.push(await load.ask<RateReport>('run'))
        await attacker.ask('begin')
        during.push(await load.ask<RateReport>('run'))
        await attacker.ask('finish')
        await new Promise((resolve) => setTimeout(resolve, restMs))
      }
      return figureOf(attack, before, during)
    } finally {
      await attacker.end()
      await load.end()
    }
  } finally {
    await server.end()
    directory.remove()
  }
}

function figureOf(attack: string, before: readonly RateReport[], during: readonly RateReport[]): Figure {
  const [was, is] = [p99Of(before), p99Of(during)]
  const lost = [...before, ...during].reduce((sum, report) => sum + report.lost + report.wrong, 0)
  console.error(`  ${attack}: ${(is / was).toFixed(2)} ×`)
  return {
    name: `${attack}: p99 of others during it, beside before it`,
    target: `≤ ${worseMax} ×`,
    measured: `${(is / was).toFixed(1)} × (before ${told(before)}; during ${told(during)})`,
    isMet: is <= worseMax * was && lost === 0,
    values: [was, is],
    unit: 'ms',
  }
}

/** The median of the p99 of each turn. */
function p99Of(reports: readonly RateReport[]): number {
  return medianOf(reports.map(({ latenciesMs }) => latenciesMs[1] ?? 0))
}

function told(reports: readonly RateReport[]): string {
  const p50 = medianOf(reports.map(({ latenciesMs }) => latenciesMs[0] ?? 0))
  const p99s = reports.map(({ latenciesMs }) => (latenciesMs[1] ?? 0).toFixed(2))
  return `p50 ${p50.toFixed(2)}, p99 ${p99Of(reports).toFixed(2)} ms: ${p99s.join(', ')}`
}
