/** How long a server takes to listen again that was killed with a million messages in its journal and no checkpoint of them. */
import type { Tuning } from '@posthaste/server'
import { Child } from './child.ts'
import { type Figure, makeDirectory, startBenchServer, urlOf } from './ground.ts'
import type { LoadSettings } from './load.ts'
import type { LoadReport } from './loading.ts'
import { medianOf } from './quantiles.ts'
import { pairSettings } from './throughput.ts'

const messages = 1_000_000
const pairCount = 50
const openings = 3
const targetMs = 2_000
/** How long an opening may take, and filling the journal: longer than either ever did. */
const openMs = 120_000
const fillMs = 600_000
/** No checkpoint: everything stays in the journal. */
export const withoutCheckpoints: Tuning = { checkpoint: { bytes: Number.MAX_SAFE_INTEGER, ms: Number.MAX_SAFE_INTEGER } }

/** The figures of `opening`: at the worst, and as a server is shipped, which makes checkpoints meanwhile. */
export async function measureOpening(): Promise<Figure[]> {
  const all = await openAfter(withoutCheckpoints)
  const shipped = await openAfter({})
  const count = messages.toLocaleString('en')
  return [
    {
      name: `opening after a crash with ${count} messages in the journal, none in a checkpoint`,
      target: '≤ 2 s',
      measured: `${seconds(all.medianMs)} (${all.openings.map(({ processMs }) => seconds(processMs)).join(', ')})`,
      isMet: all.medianMs <= targetMs,
      values: all.openings.map(({ processMs }) => processMs),
      unit: 'ms',
    },
    {
      name: '  without the start of the process; with an empty journal',
      target: '',
      measured: `${seconds(medianOf(all.openings.map(({ openMs }) => openMs)))}; ${seconds(all.emptyMs)}`,
    },
    {
      name: `  after ${count} messages with checkpoints as by default`,
      target: '',
      measured: `${seconds(shipped.medianMs)} (${shipped.openings.map(({ processMs }) => seconds(processMs)).join(', ')})`,
      values: shipped.openings.map(({ processMs }) => processMs),
      unit: 'ms',
    },
  ]
}

/** Opens a directory several times whose server was killed after it took all the messages. */
async function openAfter(tuning: Tuning): Promise<{ emptyMs: number; medianMs: number; openings: Opening[] }> {
  const directory = makeDirectory()
  try {
    const emptyMs = (await open(directory.path, tuning)).processMs
    await fillJournal(directory.path, tuning, messages)
    const opened: Opening[] = []
    for (let number = 0; number < openings; number++) opened.push(await open(directory.path, tuning))
    return { emptyMs, medianMs: medianOf(opened.map(({ processMs }) => processMs)), openings: opened }
  } finally {
    directory.remove()
  }
}

/** How long a server takes to open. */
export interface Opening {
  /** From the start of the process until it listens. */
  readonly processMs: number
  /** The part of it that opens the data directory. */
  readonly openMs: number
}

/** Opens a directory, and kills the server again. */
export async function open(path: string, tuning: Tuning): Promise<Opening> {
  const startMs = performance.now()
  const server = startBenchServer(path, tuning)
  try {
    await server.ask('port', openMs)
    return { processMs: performance.now() - startMs, openMs: await server.ask<number>('openMs') }
  } finally {
    await server.kill()
  }
}

/** Sends, delivers and acknowledges so many messages, and then kills the server. @param prefix of the users' names */
export async function fillJournal(path: string, tuning: Tuning, count: number, prefix = ''): Promise<void> {
  const server = startBenchServer(path, tuning)
  try {
    await server.ask('port', openMs)
    const rest = { window: 200, windowEnd: 'sent', bodyBytes: 200, messages: Math.ceil(count / pairCount) } as const
    const settings: LoadSettings = { pairs: await pairSettings(await urlOf(server), pairCount, rest, prefix) }
    const load = new Child('load.ts', settings)
    try {
      await load.ask('connect')
      await load.ask('start')
      const end = await load.ask<LoadReport>('ended', fillMs)
      if (end.wrong > 0 || end.delivered !== rest.messages * pairCount)
        throw new Error(`not exactly once: ${JSON.stringify(end)}`)
    } finally {
      await load.kill()
    }
  } finally {
    await server.kill()
  }
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`
}
