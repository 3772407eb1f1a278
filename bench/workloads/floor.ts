/** What a message to 10,000 sockets costs without a protocol, a journal or anything else: Node and the system alone. */
import { Child } from '../child.ts'
import { type BenchOptions, type Figure, passed } from '../ground.ts'
import { medianOf } from '../quantiles.ts'
import type { FloorArrival } from './floorLoad.ts'
import type { FloorRound } from './floorServer.ts'

const socketCount = 10_000
const warmUp = 5
const rounds = 30
const restMs = 50
const connectMs = 120_000

/** The figures of `floor`. */
export async function measureFloor({ scale }: BenchOptions): Promise<Figure[]> {
  const sockets = Math.ceil(socketCount * scale)
  const server = new Child('workloads/floorServer.ts', {})
  const load = new Child('workloads/floorLoad.ts', { port: await server.ask<number>('port'), sockets })
  try {
    await load.ask('connect', connectMs)
    while ((await server.ask<number>('connected')) < sockets) await passed(restMs)
    const all: { round: FloorRound; arrival: FloorArrival }[] = []
    for (let number = 0; number < warmUp + rounds; number++) {
      await load.ask('begin')
      const round = await server.ask<FloorRound>('round')
      all.push({ round, arrival: await load.ask<FloorArrival>('arrival') })
      await passed(restMs)
    }
    return figuresOf(sockets, all.slice(warmUp))
  } finally {
    await load.end()
    await server.end()
  }
}

function figuresOf(sockets: number, all: readonly { round: FloorRound; arrival: FloorArrival }[]): Figure[] {
  const median = (of: (one: (typeof all)[number]) => number): number => medianOf(all.map(of))
  const receivedMs = median(({ round, arrival }) => arrival.allMs - round.beganMs)
  const perSecond = (sockets / median(({ round }) => round.answeredMs)) * 1_000
  const userUs = median(({ round }) => round.userUs) / sockets
  const systemUs = median(({ round }) => round.systemUs) / sockets
  const loadUs = median(({ arrival }) => arrival.cpuUs) / sockets
  return [
    {
      name: `${sockets.toLocaleString('en')} sockets without a protocol, 270 B to each, 20 B back: until all have it, median`,
      target: '',
      measured: `${receivedMs.toFixed(1)} ms`,
      values: [receivedMs],
      unit: 'ms',
    },
    {
      name: '  written and answered',
      target: '',
      measured: `${Math.round(perSecond).toLocaleString('en')}/s; server ${(userUs + systemUs).toFixed(1)} CPU-µs each (${systemUs.toFixed(1)} of the system), load generator ${loadUs.toFixed(1)}`,
      values: [perSecond, userUs + systemUs, loadUs],
      unit: '1/s, µs, µs',
    },
  ]
}
