/** What all runs of a contestant came to, as `--json` writes it down. */
import { medianOf } from '../quantiles.ts'
import type { PeerRun } from './measure.ts'
import type { Peer, Workload } from './peer.ts'

/** A peer of this machine and its runs so far, under one workload. */
export interface Contestant {
  readonly peer: Peer
  readonly version: string
  readonly runs: PeerRun[]
  /** What ended a run before its end, in words. */
  readonly failures: string[]
}

/** A contestant in figures. CPU times are for a message, in µs. */
export interface Outcome extends Pick<Peer, 'id' | 'name' | 'survives' | 'because' | 'settings'> {
  readonly version: string
  readonly runs: readonly PeerRun[]
  readonly failures: readonly string[]
  /** Of the runs; undefined when all failed. */
  readonly median: Pick<PeerRun, 'perSecond' | 'serverCpuUs' | 'loadCpuUs' | 'loadBusy' | 'otherProcessors'> | undefined
  /** In all runs together. */
  readonly total: Pick<PeerRun, 'sent' | 'unconfirmed' | 'lost' | 'late' | 'duplicates' | 'outOfOrder'>
}

/** A whole comparison. */
export interface PeersReport {
  /** When it began. */
  readonly date: string
  readonly machine: string
  readonly machineFigures: readonly { readonly name: string; readonly measured: string }[]
  /** Names of peers that this machine lacks. */
  readonly notInstalled: readonly string[]
  readonly contests: readonly { readonly workload: Workload; readonly outcomes: readonly Outcome[] }[]
}

/** The figures of a contestant. */
export function outcomeOf({ peer, version, runs, failures }: Contestant): Outcome {
  const { id, name, survives, because, settings } = peer
  const median = (of: (run: PeerRun) => number): number => medianOf(runs.map(of))
  const sum = (of: (run: PeerRun) => number): number => runs.reduce((all, run) => all + of(run), 0)
  return {
    id,
    name,
    version,
    survives,
    because,
    settings,
    runs,
    failures,
    median:
      runs.length === 0
        ? undefined
        : {
            perSecond: median((run) => run.perSecond),
            serverCpuUs: median((run) => run.serverCpuUs),
            loadCpuUs: median((run) => run.loadCpuUs),
            loadBusy: median((run) => run.loadBusy),
            otherProcessors: median((run) => run.otherProcessors),
          },
    total: {
      sent: sum((run) => run.sent),
      unconfirmed: sum((run) => run.unconfirmed),
      lost: sum((run) => run.lost),
      late: sum((run) => run.late),
      duplicates: sum((run) => run.duplicates),
      outOfOrder: sum((run) => run.outOfOrder),
    },
  }
}
