import type { Random } from '../world/random.ts'
import type { SimOptions } from './options.ts'
import { type Step, stepOf } from './step.ts'
import { type StepKind, tabKinds } from './stepKinds.ts'

const ends = [
  'leaderCrash',
  'leaderCrash',
  'leaderCrash',
  'leaderClose',
  'leaderFreeze',
  'tabCrash',
  'tabClose',
  'tabFreeze',
] as const
const asks = ['send', 'burst', 'realtime', 'memberSet', 'block', 'cancel', 'markRead', 'watch', 'sendOnce'] as const

/** What happens to pages, woven into the steps of a plan: alone, and close to what the pages do. */
export function withTabs(steps: readonly Step[], options: SimOptions, random: Random): Step[] {
  const woven = [...steps]
  for (let count = random.between(5, 9); count > 0; count--) {
    const user = random.below(options.users)
    const other = (user + random.between(1, options.users - 1)) % options.users
    const place = { user, device: 0, isLucky: false }
    const step = (kind: StepKind, fields: Partial<Step> = {}): Step => ({ ...stepOf(random, options), kind, ...place, ...fields })
    const scene = random.pick([alone, whileAsked, whileAsked, whileHandling, whileFollowerHandles, whileFollowerHandles])
    woven.splice(random.between(0, woven.length), 0, ...scene({ random, step, user, other }))
  }
  return woven
}

/** Whose pages play, who else does, and how its steps are made. */
interface Stage {
  readonly random: Random
  readonly user: number
  readonly other: number
  readonly step: (kind: StepKind, fields?: Partial<Step>) => Step
}

type Scene = (stage: Stage) => Step[]

const alone: Scene = ({ random, step }) => [step(random.weighted(tabKinds))]

/** A page takes leave, or its leader does, while calls are on their way. */
const whileAsked: Scene = ({ random, step, other }) => [
  step('tabOpen', { gapMs: random.between(1, 200) }),
  ...Array.from({ length: random.between(1, 3) }, () => step(random.pick(asks), { other, gapMs: random.pick([0, 1, 5]) })),
  step(random.pick(ends), { gapMs: random.pick([0, 1, 3, 10, 60]) }),
]

/** The same while handlers run or are about to. */
const whileHandling: Scene = ({ random, step, user, other }) => {
  const toUser = { user: other, other: user, isGroup: false }
  return [
    step('tabOpen', { gapMs: random.between(1, 200) }),
    step('submit', { ...toUser, gapMs: 20 }),
    step(random.pick(['burst', 'send'] as const), { ...toUser, gapMs: 1 }),
    step(random.pick(ends), { gapMs: random.pick([5, 30, 100, 500]) }),
  ]
}

/** The same where the leader has no handler, so that another page's is called. */
const whileFollowerHandles: Scene = ({ random, step, user, other }) => {
  const toUser = { user: other, other: user, isGroup: false }
  return [
    step('tabOpen', { gapMs: random.between(1, 200) }),
    step('receive', { gapMs: 100, choice: random.between(8, 23) }),
    step('stopReceiving', { gapMs: random.between(1, 100), choice: 0 }),
    step(random.pick(['burst', 'send'] as const), { ...toUser, gapMs: 1 }),
    step(random.pick(ends), { gapMs: random.pick([5, 30, 100, 500]) }),
  ]
}
