/** The load generator of `throughput` and `opening`: pairs in a process of its own. Started by `Child`. */
import { settingsOf } from './answering.ts'
import { answerFor } from './loading.ts'
import { Pair, type PairSettings } from './pair.ts'

/** What the load generator is started with. */
export interface LoadSettings {
  readonly pairs: readonly PairSettings[]
}

answerFor(settingsOf<LoadSettings>().pairs.map((settings, number) => new Pair(number, settings, Date.now())))
