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

const exitCodes: Readonly<Record<Verdict | 'usage' | 'uncaught', number>> = {
  passed: 0,
  usage: 1,
  crash: 2,
  liveness: 3,
  correctness: 4,
  uncaught: 5,
}
const progressEveryMs = 5_000

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
    return asked.seed === undefined ? await runMany(bundle, asked) : await runOne(bundle, planOf(asked.seed), asked)
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

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = exitCodes.usage
}
