/** What long runs came to, kept in a file, so that they go on where they were ended and add up. */
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Bundle } from './build.ts'
import { addTotals, emptyTotals, type Failure, type Totals } from './totals.ts'

/** Schedules of successive seeds that one state of the sources ran. */
export interface LoggedRun {
  /** The first 64 bits of the SHA-256 of what was run, without its source map. */
  readonly sources: string
  readonly node: string
  readonly from: number
  /** Not included. */
  readonly to: number
  readonly schedules: number
  readonly ms: number
  readonly events: number
  readonly workMs: number
  /** In hexadecimal. */
  readonly traces: string
  readonly failures: readonly Failure[]
  readonly counts: Readonly<Record<string, number>>
}

/** A range of seeds. */
export interface Range {
  readonly from: number
  /** Not included. */
  readonly to: number
}

/** The runs in a file; none when there is no such file. */
export function readRuns(file: string): LoggedRun[] {
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as LoggedRun[]) : []
}

/** The first range of at most `size` seeds that no run has. */
export function missingRange(runs: readonly Range[], { from, to }: Range, size: number): Range | undefined {
  let first = from
  const sorted = [...runs].sort((left, right) => left.from - right.from)
  for (const run of sorted) if (run.from <= first) first = Math.max(first, run.to)
  const next = sorted.find((run) => run.from > first)?.from ?? to
  const end = Math.min(first + size, next, to)
  return first < end ? { from: first, to: end } : undefined
}

/** Adds a run to a file; one that goes on where the last one of the same sources ended becomes one with it. */
export function logRun(file: string, bundle: Bundle, range: Range, totals: Totals): void {
  const runs = readRuns(file)
  const sources = sourcesOf(bundle)
  const node = process.version
  const at = runs.findIndex((run) => run.sources === sources && run.node === node && run.to === range.from)
  const before = runs[at]
  const sum = emptyTotals()
  if (before !== undefined) addTotals(sum, totalsOf(before))
  addTotals(sum, totals)
  const { traces, counts, ...numbers } = sum
  const run: LoggedRun = {
    sources,
    node,
    from: before?.from ?? range.from,
    to: range.to,
    ...numbers,
    ms: Math.round(sum.ms),
    workMs: Math.round(sum.workMs),
    traces: traces.toString(16).padStart(16, '0'),
    counts: Object.fromEntries([...counts].sort(([left], [right]) => (left < right ? -1 : 1))),
  }
  if (before === undefined) runs.push(run)
  else runs[at] = run
  mkdirSync(dirname(file), { recursive: true })
  // Whoever ends it here finds the file as it was, or as it is now.
  writeFileSync(`${file}.new`, `${JSON.stringify(runs, undefined, 1)}\n`)
  renameSync(`${file}.new`, file)
}

/** All that is in a file. */
export function sumOf(runs: readonly LoggedRun[]): Totals {
  const sum = emptyTotals()
  for (const run of runs) addTotals(sum, totalsOf(run))
  return sum
}

function totalsOf({ schedules, ms, events, workMs, traces, counts, failures }: LoggedRun): Totals {
  return {
    schedules,
    ms,
    events,
    workMs,
    counts: new Map(Object.entries(counts)),
    traces: BigInt(`0x${traces}`),
    failures: [...failures],
  }
}

function sourcesOf({ path }: Bundle): string {
  const [text = ''] = readFileSync(path, 'utf8').split('\n//# sourceMappingURL')
  return createHash('sha256').update(text).digest('hex').slice(0, 16)
}
