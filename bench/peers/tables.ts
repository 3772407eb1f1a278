/** A comparison as tables for the eye. */
import type { Outcome, PeersReport } from './outcome.ts'
import { targetRatioOf } from './targets.ts'

/** Above this share of a processor, the load generator is near to being the limit. */
const busyShare = 0.9

/** A table for each workload, and what was set. */
export function peerTables({ contests, machineFigures }: PeersReport): string {
  const ground = machineFigures.map(({ name, measured }) => `${name}: ${measured}`).join('; ')
  const tables = contests.map(({ workload, outcomes }) => {
    const own = outcomes.find(({ id }) => id === 'posthaste')
    const title = `${workload.pairs} pairs, ${workload.window} unconfirmed each, ${workload.bodyBytes} B`
    return `\n${title}\n\n${tableOf([headings, ...outcomes.map((outcome) => rowOf(outcome, own))])}`
  })
  const settings = (contests[0]?.outcomes ?? []).map(
    ({ name, survives, because, settings }) =>
      `- ${name}: ${settings}. Survives ${survives === 'none' ? 'neither crash' : survives}: ${because}.`,
  )
  return [ground, ...tables, '', ...settings].join('\n')
}

/** What Posthaste promises and did not keep: each message once and in order, and its speed beside some peers. */
export function missedTargets({ contests }: PeersReport): string[] {
  return contests.flatMap(({ workload, outcomes }) => {
    const own = outcomes.find(({ id }) => id === 'posthaste')
    const slow = outcomes.flatMap((outcome) => {
      const target = targetRatioOf(workload.pairs, outcome.id)
      const ratio = ratioOf(own, outcome)
      if (target === undefined || (ratio !== undefined && ratio >= target)) return []
      return [
        `missed: ${target} × the speed of ${outcome.name} with ${workload.pairs} pairs, it is ${ratio?.toFixed(2) ?? 'not known'}`,
      ]
    })
    return own === undefined ? slow : [...brokenPromises(own), ...slow]
  })
}

function brokenPromises({ failures, total }: Outcome): string[] {
  const { unconfirmed, lost, late, duplicates, outOfOrder } = total
  if (failures.length + unconfirmed + lost + late + duplicates + outOfOrder === 0) return []
  return [
    `missed: each message once and in order: ${JSON.stringify({ failures, unconfirmed, lost, late, duplicates, outOfOrder })}`,
  ]
}

const headings = [
  'contestant',
  'version',
  'survives',
  'messages/s',
  'lowest to highest',
  'Posthaste is',
  'server CPU',
  'load CPU',
  'load busy',
  'others',
  'lost',
  'twice',
  'out of order',
]

function rowOf(outcome: Outcome, own: Outcome | undefined): string[] {
  const { name, version, survives, median, runs, failures, total } = outcome
  const failed = failures.length === 0 ? '' : ` (${failures.length} failed: ${failures[0]})`
  if (median === undefined) return [name, version, survives, `none${failed}`, ...headings.slice(4).map(() => '')]
  const speeds = runs.map(({ perSecond }) => perSecond)
  return [
    name,
    version,
    survives,
    `${whole(median.perSecond)}${failed}`,
    `${whole(Math.min(...speeds))} to ${whole(Math.max(...speeds))}`,
    `${ratioOf(own, outcome)?.toFixed(2) ?? '?'} ×`,
    `${median.serverCpuUs.toFixed(1)} µs`,
    `${median.loadCpuUs.toFixed(1)} µs`,
    `${Math.round(median.loadBusy * 100)} %${median.loadBusy > busyShare ? ', the limit?' : ''}`,
    median.otherProcessors.toFixed(2),
    `${whole(total.lost)}${total.late === 0 ? '' : ` (and ${whole(total.late)} late)`}`,
    whole(total.duplicates),
    whole(total.outOfOrder),
  ]
}

function ratioOf(own: Outcome | undefined, other: Outcome): number | undefined {
  if (own?.median === undefined || other.median === undefined) return undefined
  return own.median.perSecond / other.median.perSecond
}

function whole(value: number): string {
  return Math.round(value).toLocaleString('en')
}

function tableOf(rows: readonly (readonly string[])[]): string {
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  const lines = rows.map((row) => `| ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join(' | ')} |`)
  lines.splice(1, 0, `| ${widths.map((width) => '-'.repeat(width)).join(' | ')} |`)
  return lines.join('\n')
}
