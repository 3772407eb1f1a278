/**
 * Renders `docs/benchmarks.md` and `docs/plots/*.svg` from `bench/results/*.json`: `npm run bench:report`. The text comes from
 * `bench/report/template.md`, where a line `<!-- part -->` stands for the figures of that part,
 * `<!-- targets -->` for all figures with a target, and `<!-- peers -->` for the comparison.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Curve, Figure } from './ground.ts'
import { type PeersFile, peersSection, peerTargets } from './report/peers.ts'
import { linePlot } from './report/plot.ts'
import { tableOf } from './report/table.ts'
import { type PartResult, readResults } from './results.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const results = join(root, 'bench/results')
const plots = join(root, 'docs/plots')
/** The one file that holds a comparison: `npm run bench -- peers --json bench/results/peers.json`. */
const peersFile = 'peers.json'

const files = readdirSync(results).filter((name) => name.endsWith('.json'))
const parts = new Map(
  files
    .filter((name) => name !== peersFile)
    .flatMap((name) => readResults(join(results, name)))
    .sort((left, right) => left.date.localeCompare(right.date))
    .map((result) => [result.part, result]),
)
const peers = files.includes(peersFile) ? (JSON.parse(readFileSync(join(results, peersFile), 'utf8')) as PeersFile) : undefined
rmSync(plots, { recursive: true, force: true })
mkdirSync(plots, { recursive: true })
const template = readFileSync(join(root, 'bench/report/template.md'), 'utf8')
writeFileSync(
  join(root, 'docs/benchmarks.md'),
  template.replaceAll(/^<!-- (\w+) -->$/gm, (_, part: string) => sectionOf(part)),
)

function sectionOf(part: string): string {
  if (part === 'peers') return peers === undefined ? 'Not measured.' : peersSection(peers, savePlot)
  if (part === 'targets') return allTargets()
  const result = parts.get(part)
  if (result === undefined) return 'Not measured.'
  return [figuresOf(result), ...plotsOf(result), measuredBy(result)].join('\n\n')
}

/** What has a target, of all parts. */
function allTargets(): string {
  const rows = [...parts.values()].flatMap(({ part, figures }) =>
    figures.filter(({ isMet }) => isMet !== undefined).map((figure) => [part, ...cellsOf(figure)]),
  )
  const besides = peers === undefined ? [] : peerTargets(peers).map((row) => ['peers', ...row])
  return tableOf([['part', 'figure', 'target', 'measured', 'met'], ...rows, ...besides])
}

function figuresOf({ figures }: PartResult): string {
  return tableOf([['figure', 'target', 'measured', 'met'], ...figures.map(cellsOf)])
}

function cellsOf({ name, target, measured, isMet }: Figure): string[] {
  return [name.trim(), target, measured, isMet === undefined ? '' : isMet ? 'yes' : '**no**']
}

function measuredBy({ machine, worth, date, command }: PartResult): string {
  const ground = worth.map(({ name, measured }) => `${name.trim().replace('this machine: ', '')} ${measured}`).join(', ')
  return `<sub>${date.slice(0, 16).replace('T', ' ')} UTC, ${machine} (${ground}): \`${command}\`</sub>`
}

/** A picture for each plot that the figures name; those of a series there are one line. */
function plotsOf({ figures }: PartResult): string[] {
  const curves = figures.flatMap(({ curve }) => (curve === undefined ? [] : [curve]))
  const names = [...new Set(curves.map(({ plot }) => plot))]
  return names.map((name) =>
    plotOf(
      name,
      curves.filter(({ plot }) => plot === name),
    ),
  )
}

function plotOf(name: string, curves: readonly Curve[]): string {
  const bySeries = new Map<string, Curve['points']>()
  for (const { series, points } of curves) bySeries.set(series, [...(bySeries.get(series) ?? []), ...points])
  const series = [...bySeries].map(([seriesName, points]) => ({ name: seriesName, points }))
  const { xTitle = '', yTitle = '' } = curves[0] ?? {}
  const title = `${series.length === 1 ? series[0]?.name : name.replaceAll('-', ' ')} by ${xTitle}`
  return savePlot(name, title, linePlot(title, xTitle, yTitle, series))
}

/** @returns the picture as Markdown */
function savePlot(name: string, title: string, svg: string): string {
  writeFileSync(join(plots, `${name}.svg`), svg)
  return `![${title}](plots/${name}.svg)`
}
