/** The simulator's command line: see `--help`. */
import { readFileSync, writeFileSync } from 'node:fs'
import { pathToFileURL } from 'node:url'
import { type Arguments, help, readArguments } from './arguments.ts'
import { type Bundle, buildSchedules } from './build.ts'
import { runCrew } from './crew.ts'
import { plantedFaults } from './faults/plantedFaults.ts'
import type { Plan } from './plan/plan.ts'
import { failureLine, outcomeLines, planLines, progressLine, totalsLines } from './report.ts'
import type { Verdict } from './run.ts'
import type * as Schedules from './schedules.ts'

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
  if (asked.fault !== undefined) return await catchFaults(asked, asked.fault)
  const bundle = await buildSchedules()
  try {
    const { planOf } = await load(bundle)
    if (asked.plan !== undefined) return await runOne(bundle, JSON.parse(readFileSync(asked.plan, 'utf8')) as Plan, asked)
    return asked.seed === undefined ? await runMany(bundle, asked) : await runOne(bundle, planOf(asked.seed), asked)
  } finally {
    bundle.remove()
  }
}

async function load(bundle: Bundle): Promise<typeof Schedules> {
  process.setSourceMapsEnabled(true)
  return (await import(pathToFileURL(bundle.path).href)) as typeof Schedules
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

function writePlan(name: string, plan: Plan): void {
  const path = `${name}.json`
  writeFileSync(path, `${JSON.stringify(plan)}\n`)
  console.log(`written to ${path}: npm run sim -- --plan ${path}`)
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

/** Plants faults, one at a time, and looks for the first seed that catches each. */
async function catchFaults(asked: Arguments, name: string): Promise<number> {
  const { from, seeds: count, threads, secondsMax } = asked
  const faults = plantedFaults.filter((fault) => name === 'all' || fault.name === name)
  if (faults.length === 0) throw new Error(`no fault is called '${name}': ${plantedFaults.map((fault) => fault.name).join(', ')}`)
  let uncaught = 0
  for (const fault of faults) {
    const bundle = await buildSchedules(fault)
    const crew = { from, count, threads, msMax: secondsMax * 1_000, isEager: true, onProgress: () => {} }
    const { failures, schedules } = await runCrew(bundle, crew)
    const [first] = failures
    if (first === undefined) uncaught += 1
    else if (asked.isShrinking) writePlan(fault.name, (await load(bundle)).shrink((await load(bundle)).planOf(first.seed)).plan)
    bundle.remove()
    const found =
      first === undefined ? `NOT CAUGHT in ${schedules} schedules` : `seed ${first.seed}: ${first.verdict}: ${first.text}`
    console.log(`${fault.name.padEnd(36)} ${found}`)
  }
  console.log(`${faults.length - uncaught} of ${faults.length} planted faults were caught`)
  return uncaught === 0 ? exitCodes.passed : exitCodes.uncaught
}

try {
  process.exitCode = await main()
} catch (error) {
  console.error(error instanceof Error ? error.message : error)
  process.exitCode = exitCodes.usage
}
