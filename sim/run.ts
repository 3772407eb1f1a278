import type { Violation } from './checker/violation.ts'
import { check, type CheckOptions } from './checker/check.ts'
import { checkReplay } from './checker/replay.ts'
import type { History } from './history.ts'
import type { Plan } from './plan/plan.ts'
import { rareStates } from './rareStates.ts'
import { end } from './world/ending.ts'
import { operate } from './world/operations.ts'
import { Simulation } from './world/simulation.ts'
import { perform } from './world/steps.ts'

/** How a schedule went: `crash` is a fault that was thrown, `liveness` what never came to rest, `correctness` a broken invariant. */
export type Verdict = 'passed' | 'crash' | 'liveness' | 'correctness'

/** What became of one schedule. */
export interface Outcome {
  readonly seed: number
  readonly verdict: Verdict
  /** The fault that was thrown, or what has not come to rest. */
  readonly text: string
  readonly violations: readonly Violation[]
  readonly hash: string
  /** Simulated. */
  readonly ms: number
  readonly events: number
  /** Faults and rare states, by name. */
  readonly counts: ReadonlyMap<string, number>
  readonly lines: readonly string[]
  readonly history: History
}

/** More events than this are no schedule of the plans that there are. */
const stepsMax = 50_000
/** Long leaps, in ms: beyond retries, deadlines, keys, and the life of devices. */
const leapsMs = [60_000, 3_700_000, 90_000_000, 700_000_000]
/** Devices stay connected through shorter ones. */
const awayMs = 100_000

/** Runs one schedule. The same plan gives the same outcome, to the last bit of its hash. */
export function runPlan(plan: Plan, isTraced: boolean): Outcome {
  const simulation = new Simulation(plan, isTraced)
  let verdict: Verdict = 'passed'
  let text = ''
  let violations: readonly Violation[] = []
  try {
    const unrest = drive(simulation)
    violations = [...checkReplay(simulation), ...check(simulation.recorder.history, checkOptionsOf(plan, unrest.length === 0))]
    if (violations.length > 0) verdict = 'correctness'
    else if (unrest.length > 0) verdict = 'liveness'
    text = unrest.join('; ')
  } catch (error) {
    verdict = 'crash'
    text = error instanceof Error ? (error.stack ?? error.message) : String(error)
  }
  const { world, recorder } = simulation
  for (const [name, count] of rareStates(recorder.history)) world.count(`state: ${name}`, count)
  return {
    seed: plan.options.seed,
    verdict,
    text,
    violations,
    hash: world.trace.hash,
    ms: world.nowMs,
    events: world.steps,
    counts: world.counts,
    lines: world.trace.lines,
    history: recorder.history,
  }
}

function checkOptionsOf({ options, steps }: Plan, isAtRest: boolean): CheckOptions {
  return { isAtRest, hasSleeps: steps.some(({ kind }) => kind === 'deviceSleep'), hasPositions: options.hasPositions }
}

function drive(simulation: Simulation): string[] {
  const { world, plan } = simulation
  const { options, steps } = plan
  simulation.begin()
  world.run(5, stepsMax)
  for (let user = 0; user < options.users; user++)
    operate(simulation, { what: 'userCreate', subject: `u${user}`, object: '', roles: 0 })
  for (let group = 0; group < options.groups; group++) {
    operate(simulation, { what: 'groupCreate', subject: `g${group}`, object: '', roles: 7 })
    world.run(world.nowMs + options.flushMsMax + 2, stepsMax)
    for (let user = 0; user < options.users; user++)
      operate(simulation, { what: 'memberSet', subject: `g${group}`, object: `u${user}`, roles: 7 })
  }
  world.run(world.nowMs + 50, stepsMax)
  for (const step of steps) {
    world.run(world.nowMs + step.gapMs, stepsMax)
    if (step.kind === 'leap') leap(simulation, step.choice)
    perform(simulation, step)
  }
  return end(simulation, stepsMax)
}

/** A long time passes in which everybody is away: heartbeats through whole days would only take long. */
function leap(simulation: Simulation, choice: number): void {
  const { world } = simulation
  const ms = leapsMs[choice % leapsMs.length] ?? 0
  const isLong = ms > awayMs
  for (const slot of simulation.slots) {
    if (isLong) simulation.crashDevice(slot, false, undefined)
    slot.isAway = isLong
  }
  if (choice % 3 === 0) simulation.crashServer(false, ms)
  world.run(world.nowMs + ms, stepsMax)
  for (const slot of simulation.slots) {
    slot.isAway = false
    simulation.startDevice(slot)
  }
}
