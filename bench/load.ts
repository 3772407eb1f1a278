/** The load generator of `throughput` and `opening`: pairs in a process of its own. Started by `Child`. */
import { answerAll, settingsOf } from './child.ts'
import { Pair, type PairSettings } from './pair.ts'

/** What the load generator is started with. */
export interface LoadSettings {
  readonly pairs: readonly PairSettings[]
}

/** What the pairs have done since they began. */
export interface LoadReport {
  readonly ms: number
  readonly cpuMs: number
  readonly sent: number
  readonly received: number
  /** Messages whose receipt has come. */
  readonly delivered: number
  readonly wrong: number
}

const pairs = settingsOf<LoadSettings>().pairs.map((settings, number) => new Pair(number, settings, Date.now()))

function report(): LoadReport {
  const { user, system } = process.cpuUsage()
  const sum = (count: (pair: Pair) => number): number => pairs.reduce((all, pair) => all + count(pair), 0)
  return {
    ms: performance.now(),
    cpuMs: (user + system) / 1_000,
    sent: sum(({ sent }) => sent),
    received: sum(({ received }) => received),
    delivered: sum(({ delivered }) => delivered),
    wrong: sum(({ wrong }) => wrong),
  }
}

answerAll({
  connect: () => Promise.all(pairs.map((pair) => pair.connect())).then(() => null),
  start: () => {
    for (const pair of pairs) pair.start()
  },
  report,
  stop: async () => {
    await Promise.all(pairs.map((pair) => pair.stop()))
    return report()
  },
  ended: async () => {
    await Promise.all(pairs.map((pair) => pair.ended()))
    return report()
  },
  close: () => {
    for (const pair of pairs) pair.close()
  },
})
