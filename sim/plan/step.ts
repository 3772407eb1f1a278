import type { Random } from '../world/random.ts'
import type { SimOptions } from './options.ts'
import type { StepKind } from './stepKinds.ts'

/** One step of a schedule. Which fields count depends on the kind; those that name something are taken modulo how many there are. */
export interface Step {
  readonly kind: StepKind
  /** Since the step before. */
  readonly gapMs: number
  readonly user: number
  readonly device: number
  readonly other: number
  readonly group: number
  readonly isGroup: boolean
  readonly lane: number
  readonly expirySeconds: number
  readonly bytes: number
  readonly receipts: boolean
  /** Ids of the app's own, 0 for none. */
  readonly id: number
  /** How long it lasts. */
  readonly ms: number
  readonly choice: number
  readonly isLucky: boolean
}

/** A step of chance. */
export function stepOf(random: Random, options: SimOptions): Step {
  const kind = random.weighted(options.weights)
  return {
    kind,
    gapMs: Math.round(random.skewed(0, 3 * options.gapMs)),
    user: random.below(options.users),
    device: random.below(options.devices),
    other: random.below(options.users),
    group: random.below(Math.max(1, options.groups)),
    isGroup: options.groups > 0 && random.isLucky(0.35),
    lane: random.pick(options.lanes),
    expirySeconds: random.pick(options.expirySeconds),
    bytes: Math.round(random.skewed(4, options.bodyBytesMax)),
    receipts: random.isLucky(0.85),
    id: random.isLucky(0.3) ? random.between(1, 1_000_000) : 0,
    ms: Math.round(random.skewed(1, random.pick([50, 1_000, 30_000]))),
    choice: random.below(1_000),
    isLucky: random.isLucky(0.5),
  }
}
