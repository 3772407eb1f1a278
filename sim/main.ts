/** The simulator's command line: see `--help`. */
import { readFileSync } from 'node:fs'
import { type Arguments, help, readArguments } from './arguments.ts'
import { type Bundle, buildSchedules, load } from './build.ts'
import { runCrew } from './crew.ts'
import { catchFaults } from './catchFaults.ts'
import type { Plan } from './plan/plan.ts'
import { writePlan } from './planFile.ts'
import { failureLine, outcomeLines, planLines, progressLine, totalsLines } from './report.ts'
import type { Verdict } from './run.ts'
import { logRun, missingRange, readRuns, sumOf } from './runLog.ts'

const exitCodes: Readonly<Record<Verdict | 'usage' | 'uncaught', number>> = {
  passed: 0,
  usage: 1,
  crash: 2,
  liveness: 3,
  correctness: 4,
  uncaught: 5,
}
const progressEveryMs = 5_000
/** Of a long run: threads wait for one another, and warm up again, after each. */
const pieceSeeds = 20_000

async function main(): Promise<number> {
  const asked = readArguments(process.argv.slice(2))
  if (asked.isHelp) {
    console.log(help)
    return exitCodes.passed
  }
  if (asked.fault !== undefined) return (await catchFaults(asked, asked.fault)) ? exitCodes.passed : exitCodes.uncaught
  const bundle = await buildSchedules()
  try {
    const { planOf } = await load(bundle)
    if (asked.plan !== undefined) return await runOne(bundle, JSON.parse(readFileSync(asked.plan, 'utf8')) as Plan, asked)
    if (asked.seed !== undefined) return await runOne(bundle, planOf(asked.seed), asked)
    return asked.log === undefined ? await runMany(bundle, asked) : await runLong(bundle, asked, asked.log)
  } finally {
    bundle.remove()
  }
}

async function runOne(bundle: Bundle, plan: Plan, { isShrinking, isQuiet }: Arguments): Promise<number> {
  const { runPlan, shrink } = await load(bundle)
  let shown = plan
  if (isShrinking) {
    const found = shrink(plan)
    shown = found.plan
    console.log(`${plan.steps.length} steps, ${shown.steps.length} after ${found.runs} runs`)
    writePlan(`failed-${plan.options.seed}`, shown)
  }
  const outcome = runPlan(shown, !isQuiet)
  for (const line of [...outcome.lines, ...planLines(shown), ...outcomeLines(outcome)]) console.log(line)
  return exitCodes[outcome.verdict]
}

async function runMany(bundle: Bundle, asked: Arguments): Promise<number> {
  const { from, seeds: count, threads, secondsMax, isShrinking } = asked
  const startedMs = performance.now()
  let toldMs = startedMs
  let toldFailures = 0
  const totals = await runCrew(bundle, {
    from,
    count,
    threads,
    msMax: secondsMax * 1_000,
    isEager: isShrinking,
    onProgress: (present) => {
      for (const failure of present.failures.slice(toldFailures)) console.log(failureLine(failure))
      toldFailures = present.failures.length
      if (performance.now() - toldMs < progressEveryMs) return
      toldMs = performance.now()
      console.log(progressLine(present, count))
    },
  })
  for (const line of totalsLines(totals, performance.now() - startedMs)) console.log(line)
  const [first] = totals.failures
  if (first === undefined) return exitCodes.passed
  if (isShrinking) {
    const { planOf } = await load(bundle)
    return await runOne(bundle, planOf(first.seed), asked)
  }
  return exitCodes[first.verdict]
}

/** Runs what a file has not yet of the seeds, a piece at a time, so that little is lost when it is ended. */
async function runLong(bundle: Bundle, asked: Arguments, file: string): Promise<number> {
  const { from, seeds, threads, secondsMax } = asked
  const range = { from, to: from + seeds }
  const startedMs = performance.now()
  const endMs = startedMs + secondsMax * 1_000
  for (;;) {
    const piece = missingRange(readRuns(file), range, pieceSeeds)
    const msMax = endMs - performance.now()
    if (piece === undefined || msMax <= 0) break
    const count = piece.to - piece.from
    const totals = await runCrew(bundle, { from: piece.from, count, threads, msMax, isEager: false, onProgress: () => {} })
    // The seeds that were run follow one another, whenever time was up.
    logRun(file, bundle, { from: piece.from, to: piece.from + totals.schedules }, totals)
    for (const failure of totals.failures) console.log(failureLine(failure))
    console.log(progressLine(sumOf(readRuns(file)), seeds))
  }
  const sum = sumOf(readRuns(file))
  for (const line of totalsLines(sum, performance.now() - startedMs)) console.log(line)
  return exitCodes[sum.failures[0]?.verdict ?? 'passed']
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = exitCodes.usage
}
