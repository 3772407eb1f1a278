import type { SimOptions } from './plan/options.ts'
import type { Plan, Step } from './plan/plan.ts'
import { type Outcome, runPlan } from './run.ts'

/** Runs that a search may take. */
const runsMax = 600

/** Options that make a schedule simpler to follow; each is kept where the schedule still fails in the same way. */
const simpler: readonly ((options: SimOptions) => Partial<SimOptions>)[] = [
  () => ({ shards: 1 }),
  () => ({ groups: 0 }),
  ({ users }) => ({ users: Math.max(1, users - 1) }),
  ({ users }) => ({ users: Math.max(1, users - 1) }),
  ({ devices }) => ({ devices: Math.max(1, devices - 1) }),
  ({ devices }) => ({ devices: Math.max(1, devices - 1) }),
  () => ({ isSmall: false, settings: {}, limits: {} }),
  () => ({ latencyMs: [1, 1] }),
  () => ({ flushMsMax: 1, storeMsMax: 1 }),
  () => ({ driftPpm: 0, wallOffsetMsMax: 0 }),
  () => ({ handlerFails: 0, handlerMsMax: 1 }),
  () => ({ tokenLifeMs: 0 }),
  () => ({ isBatched: false, hasPositions: false, hasNeighbour: false }),
  () => ({ hasTabs: false }),
  () => ({ checkpointMs: 10_000, checkpointBytes: 1_000_000, sliceRows: 1_000, loadedRows: 100_000 }),
]

/** The smallest plan that is found to fail as this one does: fewer steps (delta debugging: Zeller and Hildebrandt, 2002), then simpler options. */
export function shrink(plan: Plan): { readonly plan: Plan; readonly outcome: Outcome; readonly runs: number } {
  let best = { plan, outcome: runPlan(plan, false) }
  const wanted = failureOf(best.outcome)
  let runs = 1
  const isKept = (candidate: Plan): boolean => {
    if (runs >= runsMax) return false
    runs += 1
    const outcome = runPlan(candidate, false)
    if (failureOf(outcome) !== wanted) return false
    best = { plan: candidate, outcome }
    return true
  }
  fewerSteps(() => best.plan, isKept)
  for (const change of simpler) isKept({ ...best.plan, options: { ...best.plan.options, ...change(best.plan.options) } })
  fewerSteps(() => best.plan, isKept)
  for (let at = best.plan.steps.length - 1; at >= 0; at--) simplify(best.plan, at, isKept)
  return { ...best, runs }
}

function fewerSteps(present: () => Plan, isKept: (plan: Plan) => boolean): void {
  for (let size = Math.ceil(present().steps.length / 2); size >= 1; size = Math.floor(size / 2)) {
    for (let at = 0; at < present().steps.length; ) {
      const { steps, options } = present()
      if (!isKept({ options, steps: without(steps, at, size) })) at += size
    }
  }
}

/** Without some steps. Their time passes all the same. */
function without(steps: readonly Step[], at: number, size: number): Step[] {
  const gapMs = steps.slice(at, at + size).reduce((sum, step) => sum + step.gapMs, 0)
  const [next, ...rest] = steps.slice(at + size)
  return [...steps.slice(0, at), ...(next === undefined ? [] : [{ ...next, gapMs: next.gapMs + gapMs }, ...rest])]
}

function simplify(plan: Plan, at: number, isKept: (plan: Plan) => boolean): void {
  const step = plan.steps[at]
  if (step === undefined || step.kind !== 'burst') return
  isKept({ ...plan, steps: plan.steps.map((one) => (one === step ? { ...step, kind: 'send' } : one)) })
}

/** What tells failures apart. */
function failureOf({ verdict, violations, text }: Outcome): string {
  const [first] = violations
  if (first !== undefined) return `${verdict} ${first.invariant} ${first.text.replace(/\d+/g, '#').replace(/\b[ug]#/g, '')}`
  return verdict === 'crash' ? `${verdict} ${text.split('\n')[0]}` : verdict
}
