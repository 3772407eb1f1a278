/** The load generator of `peers`: pairs of any protocol in a process of its own. Started by `Child`. */
import { randomBytes } from 'node:crypto'
import { setTimeout as passed } from 'node:timers/promises'
import { answerAll, settingsOf } from '../answering.ts'
import type { Workload } from './peer.ts'
import { PeerPair } from './peerPair.ts'
import type { Wire } from './wire.ts'
import { type WireSettings, wireOf } from './wires.ts'

/** What the load generator is started with. */
export interface PeerLoadSettings {
  readonly workload: Workload
  readonly wire: WireSettings
}

/** What the pairs have done since they began. */
export interface PeerLoadReport {
  readonly ms: number
  readonly cpuMs: number
  readonly sent: number
  readonly confirmed: number
  readonly received: number
  /** Confirmed, and not there. */
  readonly missing: number
  readonly duplicates: number
  readonly outOfOrder: number
}

/** The last report of a load generator, which has waited for what was under way. */
export interface PeerLoadEnd extends PeerLoadReport {
  /** Whether messages still came when it waited no longer: what is missing then is late, not lost. */
  readonly isCutShort: boolean
}

/** How many pairs connect at once: more would overrun the queues of servers that accept slowly. */
const connecting = 50
/** After so much time without any arrival what is missing is taken for lost. */
const quietMs = 5_000
/** How long the last messages may take to come. */
const drainMs = 60_000

const { workload, wire: wireSettings } = settingsOf<PeerLoadSettings>()
const wires: Wire[] = []
const pairs = Array.from({ length: workload.pairs }, (_, number) => {
  const pair: PeerPair = new PeerPair(workload.window, workload.bodyBytes, (first, count) => wires[number]?.send(first, count))
  wires.push(wireOf(wireSettings, number, randomBytes(workload.bodyBytes), pair))
  return pair
})

answerAll({
  connect: async () => {
    for (let from = 0; from < wires.length; from += connecting)
      await Promise.all(wires.slice(from, from + connecting).map((wire) => wire.connect()))
  },
  start: () => {
    for (const pair of pairs) pair.start()
  },
  report,
  stop,
})

function report(): PeerLoadReport {
  const { user, system } = process.cpuUsage()
  const sum = (count: (pair: PeerPair) => number): number => pairs.reduce((all, pair) => all + count(pair), 0)
  return {
    ms: performance.now(),
    cpuMs: (user + system) / 1_000,
    sent: sum(({ sent }) => sent),
    confirmed: sum(({ confirmedCount }) => confirmedCount),
    received: sum(({ received }) => received),
    missing: sum(({ missing }) => missing),
    duplicates: sum(({ duplicates }) => duplicates),
    outOfOrder: sum(({ outOfOrder }) => outOfOrder),
  }
}

/** Sends nothing new, and waits for what is under way: as long as something comes, but not for ever. */
async function stop(): Promise<PeerLoadEnd> {
  for (const pair of pairs) pair.stop()
  const progress = (): number => pairs.reduce((all, pair) => all + pair.received + pair.duplicates + pair.confirmedCount, 0)
  const startMs = performance.now()
  for (let last = progress(), lastMs = startMs; !pairs.every(({ isDone }) => isDone); await passed(20)) {
    const now = performance.now()
    if (progress() !== last) lastMs = now
    last = progress()
    if (now - lastMs > quietMs) break
    if (now - startMs > drainMs) return { ...report(), isCutShort: true }
  }
  // What comes twice comes late.
  await passed(100)
  return { ...report(), isCutShort: false }
}
