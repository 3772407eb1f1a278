/** What a load generator answers, whatever it loads. */
import { answerAll } from './answering.ts'

/** What the pairs have done since they began. */
export interface LoadReport {
  readonly ms: number
  readonly cpuMs: number
  readonly sent: number
  readonly received: number
  /** Messages whose receipt has come, or where there are none, that have come. */
  readonly delivered: number
  readonly wrong: number
}

/** A sender and a receiver under load. */
export interface LoadPair {
  readonly sent: number
  readonly received: number
  readonly delivered: number
  readonly wrong: number
  connect(): Promise<void>
  start(): void
  /** Sends nothing new; resolves once everything has arrived. */
  stop(): Promise<void>
  /** Resolves once everything is sent and has arrived. */
  ended(): Promise<void>
  close(): void
}

/** Answers for these pairs, in a process that `Child` started. */
export function answerFor(pairs: readonly LoadPair[]): void {
  const report = (): LoadReport => {
    const { user, system } = process.cpuUsage()
    const sum = (count: (pair: LoadPair) => number): number => pairs.reduce((all, pair) => all + count(pair), 0)
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
}
