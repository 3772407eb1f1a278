/** The load generator of `rate`: pairs that send at times fixed ahead. Started by `Child`. */
import { answerAll, settingsOf } from '../answering.ts'
import { quantileOf } from '../quantiles.ts'
import { TimedPair } from './timedPair.ts'
import { allWithin, Metronome } from './waiting.ts'

/** What this load generator is started with. */
export interface RateSettings {
  readonly port: number
  /** The first half sends, each to one of the second half. */
  readonly users: readonly string[]
  readonly tokens: readonly string[]
  readonly perSecond: number
  readonly seconds: number
  readonly bodyBytes: number
}

/** What it came to: p50, p99, p99.9 and the longest from the time at which each message was due; p50 and p99 of how late it was sent. */
export interface RateReport {
  readonly latenciesMs: readonly number[]
  readonly latenessMs: readonly number[]
  readonly sent: number
  readonly lost: number
  readonly wrong: number
  readonly cpuMs: number
  readonly ms: number
}

/** At more than the rate, so that what is compiled while it runs is compiled by then: the server of a day, not of a minute. */
const warmUp = { perSecond: 5_000, seconds: 8 }
/** Then at the rate itself until the checkpoint with all that was sent at more is over: one comes every 10 seconds. */
const settleSeconds = 12
const arriveMs = 30_000

const { port, users, tokens, bodyBytes, perSecond, seconds } = settingsOf<RateSettings>()
const half = users.length / 2
const pairs = await Promise.all(
  users.slice(half).map((receiver, number) => {
    const both = [tokens[number] ?? '', tokens[half + number] ?? ''] as const
    return TimedPair.open(number, { port, receiver, tokens: both, bodyBytes })
  }),
)
const metronome = new Metronome()
answerAll({
  warmUp: () => run(warmUp).then(() => run({ perSecond, seconds: settleSeconds })),
  run: () => run({ perSecond, seconds }),
})

async function run({ perSecond, seconds }: Pick<RateSettings, 'perSecond' | 'seconds'>): Promise<RateReport> {
  const count = Math.round(seconds * perSecond)
  const latenciesMs: number[] = []
  const latenessMs: number[] = []
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  for (const pair of pairs) pair.latenciesMs = latenciesMs
  for (let number = 0; number < count; number++) {
    const dueMs = startMs + (number * 1_000) / perSecond
    await metronome.at(dueMs)
    latenessMs.push(performance.now() - dueMs)
    pairs[number % pairs.length]?.send(dueMs)
  }
  await allWithin(arriveMs, () => pairs.every(({ received, delivered, sent }) => received >= sent && delivered === sent))
  const { user, system } = process.cpuUsage(cpu)
  return {
    latenciesMs: [0.5, 0.99, 0.999, 1].map((share) => quantileOf(latenciesMs, share)),
    latenessMs: [0.5, 0.99].map((share) => quantileOf(latenessMs, share)),
    sent: count,
    lost: pairs.reduce((sum, { sent, received }) => sum + Math.max(0, sent - received), 0),
    wrong: pairs.reduce((sum, { wrong }) => sum + wrong, 0),
    cpuMs: (user + system) / 1_000,
    ms: performance.now() - startMs,
  }
}
