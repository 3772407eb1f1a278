/** How long a server takes to listen again that was killed with a million messages in its journal and no checkpoint of them. */
import { Child } from './child.ts'
import { type Figure, makeDirectory, startBenchServer, urlOf } from './ground.ts'
import type { LoadSettings } from './load.ts'
import type { LoadReport } from './loading.ts'
import { medianOf } from './quantiles.ts'
import { pairSettings } from './throughput.ts'

const messages = 1_000_000
const pairCount = 50
const openings = 3
const targetMs = 5_000
/** No checkpoint: everything stays in the journal. */
const tuning = { checkpoint: { bytes: Number.MAX_SAFE_INTEGER, ms: Number.MAX_SAFE_INTEGER } }

/** The figures of `opening`. */
export async function measureOpening(): Promise<Figure[]> {
  const directory = makeDirectory()
  try {
    const emptyMs = (await open(directory.path)).processMs
    await fill(directory.path)
    const opened: Opening[] = []
    for (let number = 0; number < openings; number++) opened.push(await open(directory.path))
    const medianMs = medianOf(opened.map(({ processMs }) => processMs))
    return [
      {
        name: `opening after a crash with ${messages.toLocaleString('en')} messages in the journal`,
        target: '≤ 5 s',
        measured: `${seconds(medianMs)} (${opened.map(({ processMs }) => seconds(processMs)).join(', ')})`,
        isMet: medianMs <= targetMs,
      },
      {
        name: '  without the start of the process; with an empty journal',
        target: '',
        measured: `${seconds(medianOf(opened.map(({ openMs }) => openMs)))}; ${seconds(emptyMs)}`,
      },
    ]
  } finally {
    directory.remove()
  }
}

interface Opening {
  /** From the start of the process until it listens. */
  readonly processMs: number
  /** The part of it that opens the data directory. */
  readonly openMs: number
}

async function open(path: string): Promise<Opening> {
  const startMs = performance.now()
  const server = startBenchServer(path, tuning)
  try {
    await server.ask('port')
    return { processMs: performance.now() - startMs, openMs: await server.ask<number>('openMs') }
  } finally {
    await server.kill()
  }
}

/** Sends, delivers and acknowledges them all, and then kills the server. */
async function fill(path: string): Promise<void> {
  const server = startBenchServer(path, tuning)
  try {
    const rest = { window: 200, windowEnd: 'sent', bodyBytes: 200, messages: messages / pairCount } as const
    const settings: LoadSettings = { pairs: await pairSettings(await urlOf(server), pairCount, rest) }
    const load = new Child('load.ts', settings)
    try {
      await load.ask('connect')
      await load.ask('start')
      const end = await load.ask<LoadReport>('ended')
      if (end.wrong > 0 || end.delivered !== messages) throw new Error(`not exactly once: ${JSON.stringify(end)}`)
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
