/** The section on peers: a table and bars for each workload, from what `npm run bench -- peers --json FILE` wrote. */
import { barPlot } from './plot.ts'
import { tableOf } from './table.ts'
import { targetRatioOf } from '../peers/targets.ts'

/** As much of that file as the report reads. */
export interface PeersFile {
  readonly date: string
  readonly machine: string
  readonly machineFigures: readonly { readonly name: string; readonly measured: string }[]
  readonly notInstalled: readonly string[]
  readonly contests: readonly PeersContest[]
}

interface PeersContest {
  readonly workload: { readonly pairs: number; readonly window: number; readonly bodyBytes: number }
  readonly outcomes: readonly PeersOutcome[]
}

interface PeersOutcome {
  readonly id: string
  readonly name: string
  readonly version: string
  readonly survives: string
  readonly settings: string
  readonly because: string
  readonly failures: readonly string[]
  /** Left out when all runs failed. */
  readonly median?: { readonly perSecond: number; readonly serverCpuUs: number; readonly loadCpuUs: number }
  readonly runs: readonly { readonly perSecond: number }[]
  readonly total: { readonly lost: number; readonly duplicates: number; readonly outOfOrder: number }
}

/** Saves a picture. @returns it as Markdown */
export type SavePlot = (name: string, title: string, svg: string) => string

/** What has a target: the workload, the target, the ratio, and whether it is met. */
export function peerTargets({ contests }: PeersFile): string[][] {
  return contests.flatMap(({ workload: { pairs, window }, outcomes }) => {
    const own = outcomes.find(({ id }) => id === 'posthaste')?.median?.perSecond ?? 0
    return outcomes.flatMap(({ id, name, median }) => {
      const target = targetRatioOf(pairs, id)
      if (target === undefined) return []
      const ratio = median === undefined ? undefined : own / median.perSecond
      const met = ratio === undefined ? '' : ratio >= target ? 'yes' : '**no**'
      const measured = ratio === undefined ? 'its runs failed' : `${ratio.toFixed(2)} ×`
      return [
        [`${pairs.toLocaleString('en')} pairs, window ${window}: messages/s beside ${name}`, `≥ ${target} ×`, measured, met],
      ]
    })
  })
}

/** The whole section. @param peers the name of those that were measured, '' for all */
export function peersSection(file: PeersFile, peers: string, savePlot: SavePlot): string {
  const { date, machine, machineFigures, notInstalled, contests } = file
  const command = `npm run bench -- peers ${peers}`.trim()
  const settings = (contests[0]?.outcomes ?? []).map(
    ({ name, survives, because, settings }) => `- **${name}**: ${settings}. Survives: ${survives} (${because}).`,
  )
  const missing = notInstalled.length === 0 ? [] : [`Not installed: ${notInstalled.join(', ')}.`]
  const ground = machineFigures.map(({ name, measured }) => `${name.replace('this machine: ', '')} ${measured}`).join(', ')
  const measuredBy = `<sub>${date.slice(0, 16).replace('T', ' ')} UTC, ${machine} (${ground}): \`${command}\`</sub>`
  return [
    ...contests.map((contest) => contestSection(contest, peers, savePlot)),
    settings.join('\n'),
    ...missing,
    measuredBy,
  ].join('\n\n')
}

function contestSection({ workload, outcomes }: PeersContest, peers: string, savePlot: SavePlot): string {
  const { pairs, window, bodyBytes } = workload
  const title = `${pairs.toLocaleString('en')} pairs, ${window} unconfirmed each, ${bodyBytes} B`
  const own = outcomes.find(({ id }) => id === 'posthaste')?.median?.perSecond ?? 0
  const bars = outcomes.map(({ name, survives, median }) => ({ name, group: survives, value: median?.perSecond ?? 0 }))
  const svg = barPlot(`${title}: messages/s, by what confirmed messages survive`, '/s', bars)
  const headings = [
    'contestant',
    'survives',
    'messages/s (rounds)',
    'Posthaste is',
    'target',
    'server, load CPU',
    'lost, twice, out of order',
  ]
  const rows = outcomes.map((outcome) => rowOf(outcome, own, targetRatioOf(pairs, outcome.id)))
  return [
    `**${title}**`,
    savePlot(`peers-${peers === '' ? '' : `${peers}-`}${pairs}x${window}`, title, svg),
    tableOf([headings, ...rows]),
  ].join('\n\n')
}

function rowOf(outcome: PeersOutcome, own: number, targetRatio: number | undefined): string[] {
  const { name, version, survives, failures, median, runs, total } = outcome
  const failed = failures.length === 0 ? '' : ` (${failures.length} runs failed: ${failures[0]})`
  const who = [`${name} ${version}`, survives]
  if (median === undefined) return [...who, `none${failed}`, '', '', '', '']
  const whole = (value: number): string => Math.round(value).toLocaleString('en')
  const ratio = own / median.perSecond
  const target = targetRatio === undefined ? '' : `≥ ${targetRatio} ×: ${ratio >= targetRatio ? 'met' : '**missed**'}`
  return [
    ...who,
    `${whole(median.perSecond)} (${runs.map(({ perSecond }) => whole(perSecond)).join(', ')})${failed}`,
    `${ratio.toFixed(2)} ×`,
    target,
    `${median.serverCpuUs.toFixed(1)}, ${median.loadCpuUs.toFixed(1)} µs`,
    `${total.lost}, ${total.duplicates}, ${total.outOfOrder}`,
  ]
}
