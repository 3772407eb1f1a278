/** How long an attack holds the event loop of a server that has nothing else to do: the first time, while its code was never run, and again. */
import { Child } from '../child.ts'
import { type Figure, makeDirectory, makeTokens, startBenchServer } from '../ground.ts'
import type { ServerReport } from '../probe.ts'
import { attackedUsers, attacks } from './attacks.ts'
import type { FloodsSettings } from './floodsLoad.ts'

/** New servers, one after the other. */
const serverCount = 5
const attacksPerServer = 2
const attackMs = 4_500
/** Until a server has started, or what an attack leaves behind is over. */
const restMs = 1_500
const heldMaxMs = 50

/** The figures of `pauses`. */
export async function measurePauses(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const attack of attacks.keys()) {
    const servers: number[][] = []
    for (let server = 0; server < serverCount; server++) servers.push(await measureServer(attack))
    figures.push(figureOf(attack, servers))
  }
  return figures
}

/** The longest time that the event loop stood still, in ms, in each attack on a new server. */
async function measureServer(attack: string): Promise<number[]> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path)
  try {
    const settings: FloodsSettings = {
      port: await server.ask<number>('port'),
      tokens: await makeTokens(attackedUsers),
      attack,
    }
    const attacker = new Child('workloads/floodsLoad.ts', settings)
    const heldMs: number[] = []
    try {
      for (let round = 0; round < attacksPerServer; round++) {
        await pass(restMs)
        await server.ask('report')
        await attacker.ask('begin')
        await pass(attackMs)
        const { pauses, checkpointPauses } = await server.ask<ServerReport>('report')
        heldMs.push(Math.max(pauses.maxMs, checkpointPauses.maxMs))
        await attacker.ask('finish')
      }
    } finally {
      await attacker.end()
    }
    return heldMs
  } finally {
    await server.end()
    directory.remove()
  }
}

function figureOf(attack: string, servers: readonly (readonly number[])[]): Figure {
  const all = servers.flat()
  const longest = Math.max(...all)
  const rounds = Array.from({ length: attacksPerServer }, (_, round) =>
    servers.map((heldMs) => (heldMs[round] ?? 0).toFixed(1)).join(', '),
  )
  console.error(`  ${attack}: ${longest.toFixed(1)} ms`)
  return {
    name: `${attack}: the longest that the event loop stood still`,
    target: `≤ ${heldMaxMs} ms`,
    measured: `${longest.toFixed(1)} ms (on ${serverCount} new servers: at first ${rounds.join('; again ')})`,
    isMet: longest <= heldMaxMs,
    values: all,
    unit: 'ms',
  }
}

function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
