/** Whether memory stays flat under load for long. */
import { Child } from '../child.ts'
import { type BenchOptions, type Figure, makeDirectory, passed, startBenchServer, urlOf } from '../ground.ts'
import type { LoadSettings } from '../load.ts'
import type { LoadReport } from '../loading.ts'
import type { ServerReport } from '../probe.ts'
import { pairSettings } from '../throughput.ts'

const pairCount = 50
const shape = { window: 20, windowEnd: 'delivered', bodyBytes: 200, messages: Number.MAX_SAFE_INTEGER } as const
const sampleMs = 5_000
const minuteMs = 60_000
/** Buffers, caches and the engine's heap take their size first. */
const warmUpShare = 1 / 3
const slopeTarget = 1

/** The server in one minute. */
interface Minute {
  readonly minute: number
  /** The least in it: what garbage collection left. */
  readonly anonymousMb: number
  readonly rssMb: number
  readonly perSecond: number
}

/** The figures of `soak`. */
export async function measureSoak({ soakMinutes }: BenchOptions): Promise<Figure[]> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path)
  try {
    const settings: LoadSettings = { pairs: await pairSettings(await urlOf(server), pairCount, shape) }
    const load = new Child('load.ts', settings)
    try {
      await load.ask('connect')
      await load.ask('start')
      const minutes: Minute[] = []
      for (let minute = 1; minute <= soakMinutes; minute++) {
        minutes.push(await sampleMinute(server, load, minute))
        console.error(`  ${JSON.stringify(minutes.at(-1))}`)
      }
      return figuresOf(minutes, await load.ask<LoadReport>('stop'))
    } finally {
      await load.end()
    }
  } finally {
    await server.end()
    directory.remove()
  }
}

async function sampleMinute(server: Child, load: Child, minute: number): Promise<Minute> {
  const before = await load.ask<LoadReport>('report')
  const reports: ServerReport[] = []
  for (const endMs = performance.now() + minuteMs; performance.now() < endMs; ) {
    await passed(sampleMs)
    reports.push(await server.ask<ServerReport>('report'))
  }
  const after = await load.ask<LoadReport>('report')
  const least = (of: (report: ServerReport) => number): number => Math.min(...reports.map(of)) / 1e6
  return {
    minute,
    anonymousMb: least(({ anonymousBytes }) => anonymousBytes),
    rssMb: least(({ rssBytes }) => rssBytes),
    perSecond: ((after.delivered - before.delivered) / (after.ms - before.ms)) * 1_000,
  }
}

function figuresOf(minutes: readonly Minute[], end: LoadReport): Figure[] {
  const settled = minutes.slice(Math.ceil(minutes.length * warmUpShare))
  const anonymous = slopeOf(settled.map(({ minute, anonymousMb }) => ({ x: minute, y: anonymousMb })))
  const all = slopeOf(settled.map(({ minute, rssMb }) => ({ x: minute, y: rssMb })))
  const curve = (series: string, of: (minute: Minute) => number) => ({
    plot: 'soak',
    series,
    xTitle: 'minutes',
    yTitle: 'MB',
    points: minutes.map((minute) => ({ x: minute.minute, y: of(minute) })),
  })
  const lost = end.sent - end.received + (end.sent - end.delivered)
  const [first, last] = [minutes[0], minutes.at(-1)]
  const megabytes = (value = 0): string => `${value.toFixed(0)} MB`
  return [
    {
      name: `${minutes.length} minutes of ${pairCount} pairs at full speed: growth of the server's own memory, after the first third`,
      target: '≤ 1 MB a minute',
      measured: `${anonymous.toFixed(2)} MB a minute (${megabytes(first?.anonymousMb)} at first, ${megabytes(last?.anonymousMb)} at last)`,
      isMet: anonymous <= slopeTarget,
      values: [anonymous],
      unit: 'MB/min',
      curve: curve('memory of its own', ({ anonymousMb }) => anonymousMb),
    },
    {
      name: '  RSS, which also has the pages of files that the system keeps',
      target: '',
      measured: `${all.toFixed(2)} MB a minute (${megabytes(first?.rssMb)} at first, ${megabytes(last?.rssMb)} at last)`,
      values: [all],
      unit: 'MB/min',
      curve: curve('RSS', ({ rssMb }) => rssMb),
    },
    {
      name: '  messages/s in the first and the last minute',
      target: '',
      measured: `${Math.round(first?.perSecond ?? 0).toLocaleString('en')}, ${Math.round(last?.perSecond ?? 0).toLocaleString('en')}`,
      values: minutes.map(({ perSecond }) => perSecond),
      unit: 'messages/s',
    },
    {
      name: '  lost; twice, out of order or with another body; of so many',
      target: '0; 0',
      measured: `${lost}; ${end.wrong}; ${end.sent.toLocaleString('en')}`,
      isMet: lost === 0 && end.wrong === 0,
      values: [lost, end.wrong, end.sent],
      unit: 'messages',
    },
  ]
}

/** The slope of the line that lies nearest to these points (least squares). */
function slopeOf(points: readonly { readonly x: number; readonly y: number }[]): number {
  const mean = (of: (point: { x: number; y: number }) => number): number =>
    points.reduce((sum, point) => sum + of(point), 0) / points.length
  const [x, y] = [mean((point) => point.x), mean((point) => point.y)]
  const spread = points.reduce((sum, point) => sum + (point.x - x) ** 2, 0)
  return spread === 0 ? 0 : points.reduce((sum, point) => sum + (point.x - x) * (point.y - y), 0) / spread
}
