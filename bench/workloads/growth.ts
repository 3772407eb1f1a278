/** Whether throughput, memory and opening stay what they are as users and stored messages grow. */
import { statfsSync } from 'node:fs'
import { Child } from '../child.ts'
import { adminOf, type BenchOptions, type Figure, makeDirectory, makeTokens, passed, startBenchServer, urlOf } from '../ground.ts'
import { fillJournal, open, withoutCheckpoints } from '../opening.ts'
import { loadServer, pairSettings } from '../throughput.ts'
import { callAll } from './admin.ts'
import type { CrowdSettings } from './crowd.ts'

const userSteps = [10_000, 100_000, 1_000_000]
const storedSteps = [0, 1_000_000, 10_000_000, 30_000_000]
/** Who the messages are stored for: nobody's inbox gets full. */
const storedUsers = 10_000
const senders = 8
const bodyBytes = 200
const journaled = 1_000_000
const shape = { window: 20, windowEnd: 'delivered', bodyBytes, messages: Number.MAX_SAFE_INTEGER } as const
const pairCount = 50
/** More than a stored message was seen to take, with its key. */
const diskBytesEach = 700
const fillMs = 3_600_000
/** Longer than until the checkpoint of what filled it is over. */
const settleMs = 15_000
const openMs = 120_000
const keptTarget = 0.7
const openingTargetMs = 2_000

/** What the server was like at one size. */
interface Place {
  /** How many users or messages there were. */
  readonly size: number
  readonly perSecond: number
  readonly rssBytes: number
  readonly anonymousBytes: number
  /** With the messages of another load in the journal, and in no checkpoint. */
  readonly openingMs: number
}

/** The figures of `growth`. */
export async function measureGrowth({ scale }: BenchOptions): Promise<Figure[]> {
  const sizesOf = (steps: readonly number[]): number[] => steps.map((step) => Math.round(step * scale))
  checkDisk((storedSteps.at(-1) ?? 0) * scale)
  const byUsers = await growUsers(sizesOf(userSteps), journaled * scale)
  const byStored = await growStored(sizesOf(storedSteps), Math.ceil(storedUsers * scale), journaled * scale)
  return [...figuresOf('users', byUsers, journaled * scale), ...figuresOf('stored messages', byStored, journaled * scale)]
}

/** @throws Error when so many messages would not fit */
function checkDisk(messages: number): void {
  const directory = makeDirectory()
  const { bavail, bsize } = statfsSync(directory.path)
  directory.remove()
  const needed = messages * diskBytesEach
  if (bavail * bsize < needed) throw new Error(`growth needs ${Math.ceil(needed / 1e9)} GB of disk: try --scale`)
}

/** Each user is created and gets a message, as somebody who is away. */
async function growUsers(sizes: readonly number[], journaledCount: number): Promise<Place[]> {
  const directory = makeDirectory()
  const places: Place[] = []
  try {
    let from = 0
    for (const size of sizes) {
      const names = Array.from({ length: size - from }, (_, number) => `user-${from + number}`)
      from = size
      places.push(await measureAt(directory.path, size, journaledCount, (server) => store(server, `sender-${size}-`, names, 1)))
    }
    return places
  } finally {
    directory.remove()
  }
}

async function growStored(sizes: readonly number[], users: number, journaledCount: number): Promise<Place[]> {
  const directory = makeDirectory()
  const names = Array.from({ length: users }, (_, number) => `user-${number}`)
  const places: Place[] = []
  try {
    let from = 0
    for (const size of sizes) {
      const each = Math.round((size - from) / users)
      from = size
      places.push(
        await measureAt(directory.path, size, journaledCount, (server) => store(server, `sender-${size}-`, names, each)),
      )
    }
    return places
  } finally {
    directory.remove()
  }
}

/** Fills the directory and measures the server on it. */
async function measureAt(
  path: string,
  size: number,
  journaledCount: number,
  fill: (server: Child) => Promise<void>,
): Promise<Place> {
  const server = startBenchServer(path)
  try {
    await server.ask('port', openMs)
    const startMs = performance.now()
    await fill(server)
    console.error(`  ${size.toLocaleString('en')}: filled in ${((performance.now() - startMs) / 1_000).toFixed(0)} s`)
    await passed(settleMs)
    const run = await loadServer(server, await pairSettings(await urlOf(server), pairCount, shape, `run-${size}-`))
    await server.kill()
    await fillJournal(path, withoutCheckpoints, journaledCount, `journal-${size}-`)
    const { processMs } = await open(path, withoutCheckpoints)
    const { rssBytes, anonymousBytes } = run.server
    const place = { size, perSecond: run.perSecond, rssBytes, anonymousBytes, openingMs: processMs }
    console.error(`  ${JSON.stringify(place)}`)
    return place
  } finally {
    await server.end()
  }
}

/** Stores so many messages for each of these users, who are created first where they are new. @param prefix of the senders' names: an earlier device would get echoes */
async function store(server: Child, prefix: string, names: readonly string[], messagesEach: number): Promise<void> {
  const senderNames = Array.from({ length: senders }, (_, number) => `${prefix}${number}`)
  await callAll(await adminOf(server), callsOf([...senderNames, ...names]))
  const settings: CrowdSettings = {
    port: await server.ask<number>('port'),
    senderTokens: await makeTokens(senderNames),
    members: names,
    memberTokens: [],
    bodyBytes,
    messagesEach,
  }
  const load = new Child('workloads/crowd.ts', settings)
  try {
    await load.ask('connectSenders')
    if (messagesEach > 0) await load.ask('send', fillMs)
  } finally {
    await load.kill()
  }
}

function* callsOf(names: readonly string[]): Iterable<{ method: 'POST'; path: string; body: unknown }> {
  for (const name of names) yield { method: 'POST', path: '/v1/users', body: { name } }
}

function figuresOf(what: string, places: readonly Place[], journaledCount: number): Figure[] {
  const number = (value: number): string => Math.round(value).toLocaleString('en')
  const at = places.map(({ size }) => number(size)).join(', ')
  const list = (of: (place: Place) => number, digits = 0): string =>
    places.map((place) => (digits === 0 ? number(of(place)) : of(place).toFixed(digits))).join(', ')
  const figure = (title: string, unit: string, of: (place: Place) => number): Omit<Figure, 'measured' | 'target'> => ({
    name: `${title} at ${at} ${what}`,
    values: places.map(of),
    unit,
    curve: {
      plot: `growth-${title.split(' ')[0]}-${what.replaceAll(' ', '-')}`,
      series: title,
      xTitle: what,
      yTitle: unit,
      points: places.map((place) => ({ x: place.size, y: of(place) })),
    },
  })
  const kept = (places.at(-1)?.perSecond ?? 0) / (places[0]?.perSecond ?? 1)
  const openingMs = places.at(-1)?.openingMs ?? 0
  return [
    {
      ...figure('throughput', 'messages/s', ({ perSecond }) => perSecond),
      target: '≥ 70 % of the first',
      measured: `${list(({ perSecond }) => perSecond)}: ${(kept * 100).toFixed(0)} %`,
      isMet: kept >= keptTarget,
    },
    {
      ...figure(
        `opening after a crash with ${number(journaledCount)} journaled messages`,
        's',
        (place) => place.openingMs / 1_000,
      ),
      target: '≤ 2 s',
      measured: `${list((place) => place.openingMs / 1_000, 2)} s`,
      isMet: openingMs <= openingTargetMs,
    },
    {
      ...figure('memory (RSS under load)', 'MB', ({ rssBytes }) => rssBytes / 1e6),
      target: '',
      measured: `${list(({ rssBytes }) => rssBytes / 1e6)} MB; without pages of files ${list(({ anonymousBytes }) => anonymousBytes / 1e6)} MB`,
    },
  ]
}
