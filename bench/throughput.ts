/** 50 pairs at once, and the pauses of the checkpoints that are made meanwhile. */
import { Child } from './child.ts'
import { type Figure, machineCpuMs, makeDirectory, makeTokens, passed, startBenchServer, urlOf } from './ground.ts'
import type { LoadSettings } from './load.ts'
import type { LoadReport } from './loading.ts'
import type { PairSettings, WindowEnd } from './pair.ts'
import type { ServerReport } from './probe.ts'
import { medianOf } from './quantiles.ts'

const pairCount = 50
const window = 20
const bodyBytes = 200
/** How long the load runs before it is measured. */
export const warmUpMs = 2_500
/** How long it is measured. */
export const measuredMs = 8_000
const runs = 3

/** What one run came to. */
export interface Run {
  readonly perSecond: number
  readonly cpuMicroseconds: number
  readonly loadCpuMicroseconds: number
  readonly messages: number
  /** Processors taken by what does not belong to the bench. */
  readonly otherProcessors: number
  readonly server: ServerReport
}

/** How each pair sends. */
export type LoadShape = Pick<PairSettings, 'window' | 'windowEnd' | 'bodyBytes'>

/** Settings of pairs, with tokens. @param prefix of their users' names: who has received before would count on */
export async function pairSettings(
  url: string,
  count: number,
  rest: LoadShape & Pick<PairSettings, 'messages'>,
  prefix = '',
): Promise<PairSettings[]> {
  const senders = Array.from({ length: count }, (_, number) => `${prefix}sender-${number}`)
  const receivers = Array.from({ length: count }, (_, number) => `${prefix}receiver-${number}`)
  const [senderTokens, receiverTokens] = await Promise.all([makeTokens(senders), makeTokens(receivers)])
  return senders.map((sender, number) => ({
    url,
    sender,
    receiver: receivers[number] ?? '',
    tokens: [senderTokens[number] ?? '', receiverTokens[number] ?? ''],
    ...rest,
  }))
}

/** The figures of `throughput` and `checkpoint`, each of several runs on a new server. */
export async function measureThroughput(): Promise<Figure[]> {
  const figures: Figure[] = []
  for (const windowEnd of ['delivered', 'sent'] as const) {
    const all: Run[] = []
    for (let number = 0; number < (windowEnd === 'delivered' ? runs : 1); number++) all.push(await run(windowEnd))
    figures.push(...(windowEnd === 'delivered' ? mainFigures(all) : [otherFigure(all)]))
  }
  return figures
}

/** One run on a new server. */
export async function run(windowEnd: WindowEnd): Promise<Run> {
  return runPairs(pairCount, { window, windowEnd, bodyBytes })
}

/** One run of so many pairs on a new server. @param gateways how many processes hold its sockets */
export async function runPairs(count: number, how: LoadShape, gateways = 0): Promise<Run> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path, {}, gateways)
  try {
    return await loadServer(server, await pairSettings(await urlOf(server), count, { ...how, messages: Number.MAX_SAFE_INTEGER }))
  } finally {
    await server.end()
    directory.remove()
  }
}

/** Measures the speed of these pairs. @throws Error unless every message came once, in order, and its receipt too */
export async function loadServer(server: Child, pairs: readonly PairSettings[]): Promise<Run> {
  const settings: LoadSettings = { pairs }
  const load = new Child('load.ts', settings)
  try {
    await load.ask('connect')
    await load.ask('start')
    await passed(warmUpMs)
    const busyMs = machineCpuMs()
    const [before] = await Promise.all([load.ask<LoadReport>('report'), server.ask('report')])
    await passed(measuredMs)
    const [after, report] = await Promise.all([load.ask<LoadReport>('report'), server.ask<ServerReport>('report')])
    const ownMs = report.cpuMs + after.cpuMs - before.cpuMs
    const otherProcessors = Math.max(0, machineCpuMs() - busyMs - ownMs) / report.ms
    const end = await load.ask<LoadReport>('stop')
    if (end.wrong > 0 || end.received !== end.sent || end.delivered !== end.sent)
      throw new Error(`not exactly once: ${JSON.stringify(end)}`)
    const messages = after.delivered - before.delivered
    return {
      perSecond: (messages / (after.ms - before.ms)) * 1_000,
      cpuMicroseconds: (report.cpuMs * 1_000) / messages,
      loadCpuMicroseconds: ((after.cpuMs - before.cpuMs) * 1_000) / messages,
      messages: end.sent,
      otherProcessors,
      server: report,
    }
  } finally {
    await load.end()
  }
}

function mainFigures(all: readonly Run[]): Figure[] {
  const median = (of: (run: Run) => number): number => medianOf(all.map(of))
  const perSecond = median((one) => one.perSecond)
  const list = all.map((one) => Math.round(one.perSecond).toLocaleString('en')).join(', ')
  const records = median(({ server }) => (server.records / server.ms) * 1_000)
  return [
    {
      name: `${pairCount} pairs, ${window} undelivered each, ${bodyBytes} B`,
      target: '≥ 60,000 messages/s',
      measured: `${Math.round(perSecond).toLocaleString('en')} messages/s (${list})`,
      isMet: perSecond >= 60_000,
      values: all.map((one) => one.perSecond),
      unit: 'messages/s',
    },
    {
      name: '  every message exactly once, with its receipt',
      target: 'all',
      measured: `all of ${all.reduce((sum, { messages }) => sum + messages, 0).toLocaleString('en')}`,
      isMet: true,
    },
    {
      name: '  CPU per message: server, load generator',
      target: '',
      measured: `${number(median((one) => one.cpuMicroseconds))} µs, ${number(median((one) => one.loadCpuMicroseconds))} µs`,
      values: [median((one) => one.cpuMicroseconds), median((one) => one.loadCpuMicroseconds)],
      unit: 'µs',
    },
    {
      name: '  processors taken by others meanwhile: the less the better',
      target: '',
      measured: all.map((one) => one.otherProcessors.toFixed(2)).join(', '),
    },
    {
      name: '  records, their size, flush of one (median)',
      target: '',
      measured: `${Math.round(records)}/s, ${number(median(({ server }) => server.recordBytes / server.records / 1_024))} KiB, ${number(
        median(({ server }) => server.flushMs),
        2,
      )} ms`,
    },
    ...pauseFigures(all),
  ]
}

function pauseFigures(all: readonly Run[]): Figure[] {
  const median = (of: (run: Run) => number): number => medianOf(all.map(of))
  const pauseMs = median(({ server }) => server.checkpointPauses.p99Ms)
  return [
    {
      name: 'event loop pause in a checkpoint, p99',
      target: '≤ 20 ms',
      measured: `${number(pauseMs)} ms (max ${number(median(({ server }) => server.checkpointPauses.maxMs))} ms)`,
      isMet: pauseMs <= 20,
      values: all.map(({ server }) => server.checkpointPauses.p99Ms),
      unit: 'ms',
    },
    {
      name: '  the same outside of checkpoints',
      target: '',
      measured: `${number(median(({ server }) => server.pauses.p99Ms))} ms (max ${number(median(({ server }) => server.pauses.maxMs))} ms)`,
    },
    {
      name: '  checkpoints in a run, time of one',
      target: '',
      measured: `${median(({ server }) => server.checkpoints)}, ${Math.round(median(({ server }) => server.checkpointMs / Math.max(1, server.checkpoints)))} ms`,
    },
  ]
}

function number(value: number, digits = 1): string {
  return value.toFixed(digits)
}

function otherFigure(all: readonly Run[]): Figure {
  const perSecond = medianOf(all.map((one) => one.perSecond))
  return {
    name: `  the same with ${window} unanswered each (a place is free at "sent")`,
    target: '',
    measured: `${Math.round(perSecond).toLocaleString('en')} messages/s`,
    values: [perSecond],
    unit: 'messages/s',
  }
}
