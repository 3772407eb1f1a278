import type { Arguments } from './arguments.ts'
import { buildSchedules, load } from './build.ts'
import { runCrew } from './crew.ts'
import type { PlantedFault } from './faults/plantedFault.ts'
import { plantedFaults } from './faults/plantedFaults.ts'
import { readPins, writePins } from './faults/pins.ts'
import { writePlan } from './planFile.ts'
import { progressLine } from './report.ts'
import type { Failure } from './totals.ts'

const progressEveryMs = 10_000

/** Plants faults, one at a time, and looks for the first seed that catches each. @returns whether all were caught */
export async function catchFaults(asked: Arguments, name: string): Promise<boolean> {
  const faults = plantedFaults.filter((fault) => name === 'all' || fault.name === name)
  if (faults.length === 0) throw new Error(`no fault is called '${name}': ${plantedFaults.map((fault) => fault.name).join(', ')}`)
  const pins = readPins()
  let uncaught = 0
  for (const fault of faults) {
    const first = await catchOne(asked, fault)
    if (first === undefined) uncaught += 1
    else pins.set(fault.name, { seed: first.seed, caughtAs: caughtAs(first) })
    if (asked.isPinning) writePins(pins)
  }
  console.log(`${faults.length - uncaught} of ${faults.length} planted faults were caught`)
  return uncaught === 0
}

/** How a failure is named where a fault was to be caught: by the invariant that was seen broken. */
export function caughtAs({ verdict, text }: Pick<Failure, 'verdict' | 'text'>): string {
  return verdict === 'correctness' ? (text.split(' ')[0] ?? '') : verdict
}

async function catchOne(
  { from, seeds: count, threads, secondsMax, isShrinking }: Arguments,
  fault: PlantedFault,
): Promise<Failure | undefined> {
  const bundle = await buildSchedules(fault)
  try {
    let toldMs = performance.now()
    const { failures, schedules } = await runCrew(bundle, {
      from,
      count,
      threads,
      msMax: secondsMax * 1_000,
      isEager: true,
      onProgress: (present) => {
        if (performance.now() - toldMs < progressEveryMs) return
        toldMs = performance.now()
        console.log(`${fault.name}: ${progressLine(present, count)}`)
      },
    })
    const [first] = failures
    const found =
      first === undefined ? `NOT CAUGHT in ${schedules} schedules` : `seed ${first.seed}: ${first.verdict}: ${first.text}`
    console.log(`${fault.name.padEnd(36)} ${found}`)
    if (first !== undefined && isShrinking) {
      const { planOf, shrink } = await load(bundle)
      writePlan(fault.name, shrink(planOf(first.seed)).plan)
    }
    return first
  } finally {
    bundle.remove()
  }
}
