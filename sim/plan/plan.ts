import { Random } from '../world/random.ts'
import type { CrashPoint } from '../world/world.ts'
import { withMotifs } from './motifs.ts'
import { optionsOf, type SimOptions } from './options.ts'
import { type Step, stepOf } from './step.ts'
import { withTabs } from './tabSteps.ts'

export type { Step } from './step.ts'

/** A whole schedule: everything that follows from it follows from this and the seed. */
export interface Plan {
  readonly options: SimOptions
  readonly steps: readonly Step[]
}

/** The schedule of a seed. */
export function planOf(seed: number): Plan {
  const options = optionsOf(seed)
  const random = new Random(seed, 'plan')
  const steps: Step[] = []
  for (let count = 0; count < options.steps; count++) steps.push(stepOf(random, options))
  const woven = random.stream('motifs')
  const withAll = withMotifs(steps, options, woven, () => stepOf(woven, options))
  const withAlso = options.hasTabs ? withTabs(withAll, options, new Random(seed, 'tab steps')) : withAll
  return { options, steps: withBackup(withAlso, options, new Random(seed, 'backup')) }
}

/** Before the first restore there is a backup: without one it would do nothing. */
function withBackup(steps: readonly Step[], options: SimOptions, random: Random): readonly Step[] {
  const first = steps.findIndex(({ kind }) => kind === 'restore')
  if (first < 0 || steps.slice(0, first).some(({ kind }) => kind === 'backup')) return steps
  const at = random.between(0, first)
  return [...steps.slice(0, at), { ...stepOf(random, options), kind: 'backup' }, ...steps.slice(at)]
}

/** The points at which a server may be killed. */
export const serverPoints: readonly CrashPoint[] = [
  'append',
  'flushing',
  'flushed',
  'turn',
  'checkpoint-slice',
  'checkpoint-commit',
  'checkpoint-committed',
  'trim',
]

/** Those of them that only a checkpoint passes. */
export const checkpointPoints: readonly CrashPoint[] = serverPoints.slice(4)

/** The points at which a device may be killed: those that are passed seldom come more than once. */
export const devicePoints: readonly CrashPoint[] = [
  'device-commit',
  'device-committed',
  'device-handle',
  'device-write',
  'device-handle',
  'device-write',
  'device-handle',
  'device-handle',
]
