/**
 * Renders `docs/benchmarks.md` and `docs/plots/*.svg` from `bench/results/*.json`: `npm run bench:report`. The text comes from
 * `bench/report/template.md`, where a line `<!-- part -->` stands for the figures of that part,
 * `<!-- targets -->` for all figures with a target, `<!-- peers -->` for the comparison, and `<!-- peers_NAME -->` for a later one of some peers.
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
/** Comparisons: `npm run bench -- peers --json bench/results/peers.json` of all, `peers NAME … --json bench/results/peers-NAME.json` of some. */
const peersPattern = /^peers(?:-(\w+))?\.json$/

const files = readdirSync(results).filter((name) => name.endsWith('.json'))
const parts = new Map(
  files
    .filter((name) => !peersPattern.test(name))
    .flatMap((name) => readResults(join(results, name)))
    .sort((left, right) => left.date.localeCompare(right.date))
    .map((result) => [result.part, result]),
)
/** By the name of its peers, '' for all; the latest last. */
const comparisons = new Map(
  files
    .map((file) => ({ file, name: peersPattern.exec(file) }))
    .flatMap(({ file, name }) => (name === null ? [] : [{ name: name[1] ?? '', comparison: peersFileOf(file) }]))
    .sort((left, right) => left.comparison.date.localeCompare(right.comparison.date))
    .map(({ name, comparison }) => [name, comparison]),
)
rmSync(plots, { recursive: true, force: true })
mkdirSync(plots, { recursive: true })
const template = readFileSync(join(root, 'bench/report/template.md'), 'utf8')
writeFileSync(
  join(root, 'docs/benchmarks.md'),
  template.replaceAll(/^<!-- (\w+) -->$/gm, (_, part: string) => sectionOf(part)),
)

function sectionOf(part: string): string {
  const some = /^peers(?:_(\w+))?$/.exec(part)
  if (some !== null) return comparisonOf(some[1] ?? '')
  if (part === 'targets') return allTargets()
  const result = parts.get(part)
  if (result === undefined) return 'Not measured.'
  return [figuresOf(result), ...plotsOf(result), measuredBy(result)].join('\n\n')
}

function peersFileOf(file: string): PeersFile {
  return JSON.parse(readFileSync(join(results, file), 'utf8')) as PeersFile
}

function comparisonOf(name: string): string {
  const comparison = comparisons.get(name)
  return comparison === undefined ? 'Not measured.' : peersSection(comparison, name, savePlot)
}

/** What has a target, of all parts; beside a peer, what was measured last. */
function allTargets(): string {
  const rows = [...parts.values()].flatMap(({ part, figures }) =>
    figures.filter(({ isMet }) => isMet !== undefined).map((figure) => [part, ...cellsOf(figure)]),
  )
  const besides = new Map([...comparisons.values()].flatMap(peerTargets).map((row) => [row[0], ['peers', ...row]]))
  return tableOf([['part', 'figure', 'target', 'measured', 'met'], ...rows, ...besides.values()])
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
