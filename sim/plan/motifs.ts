import type { Random } from '../world/random.ts'
import type { SimOptions } from './options.ts'
import type { Step } from './step.ts'
import { type RoleSet, roleSets } from './stepKinds.ts'

/**
 * Short sequences of steps that put rare states together: chance alone would need many thousand schedules for some of them. What happens around
 * and between their steps is left to chance all the same.
 */
export type Motif = (stage: Stage) => Step[]

/** Who plays in a motif, and how its steps are made. */
export interface Stage {
  readonly random: Random
  readonly options: SimOptions
  readonly sender: number
  readonly receiver: number
  readonly lane: number
  /** A step of chance, with the fields that count as given. */
  readonly step: (kind: Step['kind'], fields?: Partial<Step>) => Step
}

const week = 604_800

/** A message from the sender to the receiver. */
function message(stage: Stage, kind: 'send' | 'submit' | 'burst' | 'flood' | 'realtime', fields: Partial<Step> = {}): Step {
  const { sender: user, receiver: other, lane } = stage
  const plain = { isGroup: false, lane, expirySeconds: week, receipts: true }
  return stage.step(kind, { user, other, device: 0, ...plain, choice: 1, ...fields })
}

/** Something that happens to each device of a user, all at once. */
function onEach({ options, step }: Stage, user: number, kind: Step['kind'], fields: Partial<Step>): Step[] {
  return Array.from({ length: options.devices }, (_, device) => step(kind, { gapMs: 0, user, device, choice: 1, ...fields }))
}

/** A choice that gives these roles. */
function choiceOf(roles: RoleSet): number {
  return roleSets.indexOf(roles)
}

/** The sender is blocked, or let in again, between a message and its repetition: the first verdict stands. */
const verdictStands: Motif = (stage) => {
  const { random, sender, receiver, step } = stage
  const isBlockedFirst = random.isLucky(0.5)
  const set = (kind: 'block' | 'unblock'): Step => step(kind, { user: receiver, other: sender, isLucky: true, gapMs: 400 })
  const again = step('submitAgain', { user: sender, device: 0, gapMs: 400, choice: random.between(1, 6) })
  const sent = message(stage, 'send', { id: random.between(1, 1_000_000) })
  return isBlockedFirst ? [set('block'), sent, set('unblock'), again] : [sent, set('block'), again, { ...again, choice: 1 }]
}

/** A message expires before its receiver is back; the next of its lane does not. */
const expiresUnseen: Motif = (stage) => {
  const { random, receiver } = stage
  return [
    ...onEach(stage, receiver, 'deviceCrash', { ms: random.between(2_500, 6_000) }),
    message(stage, 'send', { gapMs: 30, expirySeconds: random.between(1, 2) }),
    message(stage, 'send', { gapMs: 30, expirySeconds: random.pick([week, 1]) }),
    message(stage, 'send', { gapMs: random.between(10, 3_000) }),
  ]
}

/** The same while the sender is away too, which comes back while marks of its lane are on their way. */
const expiresWhileAway: Motif = (stage) => {
  const { random, sender, receiver, step } = stage
  const backMs = random.between(2_000, 4_000)
  const more = Array.from({ length: 14 }, () => message(stage, 'submit', { gapMs: random.between(5, 90) }))
  return [
    ...onEach(stage, receiver, 'deviceCrash', { ms: backMs }),
    message(stage, 'send', { gapMs: 30, expirySeconds: 1 }),
    step(random.pick(['partition', 'partition', 'deviceCrash'] as const), {
      user: sender,
      device: 0,
      choice: 1,
      gapMs: random.between(100, 400),
      ms: backMs + random.between(-300, 600),
    }),
    step('cut', { user: sender, device: 0, choice: random.between(1, 6), gapMs: random.between(0, 100) }),
    step('wait', { gapMs: backMs - 300 }),
    ...more,
  ]
}

/** Messages that wait, and one that expires, for somebody who has no device yet. */
const beforeTheFirstDevice: Motif = (stage) => [
  message(stage, 'submit', { gapMs: 20 }),
  message(stage, 'submit', { gapMs: 20, expirySeconds: 1 }),
  stage.step('wait', { gapMs: 2_000 }),
]

/** Every other message expires before its receiver is back: so many ranges that HELLO has no room for them, while connections and the server come and go. */
const expiresInTurns: Motif = (stage) => {
  const { random, receiver: user, options, step } = stage
  const isGroup = options.groups > 0 && random.isLucky(0.6)
  const send = (expirySeconds: number): Step => message(stage, 'submit', { gapMs: 15, isGroup, group: 0, expirySeconds })
  const lose = (): Step =>
    step(random.pick(['cut', 'serverCrash', 'deviceCrash'] as const), {
      user,
      device: 0,
      choice: 1,
      gapMs: random.between(5, 400),
      ms: 5,
    })
  return [
    ...onEach(stage, user, 'deviceCrash', { ms: 3_000 }),
    ...Array.from({ length: 8 }, () => [send(1), send(week)]).flat(),
    step('wait', { gapMs: 2_800 }),
    ...[1, 2, 3, 4].map(lose),
  ]
}

/** A member leaves a group, something is written, and perhaps it joins again. */
const leavesAndJoins: Motif = (stage) => {
  const { random, receiver: other, step } = stage
  const set = (roles: RoleSet): Step => step('memberSet', { other, group: 0, isLucky: true, gapMs: 400, choice: choiceOf(roles) })
  const written = [1, 2].map(() => message(stage, 'send', { isGroup: true, group: 0, gapMs: 300 }))
  return [
    set(0),
    ...written,
    ...(random.isLucky(0.6) ? [set(3)] : []),
    message(stage, 'send', { isGroup: true, group: 0, gapMs: 400 }),
  ]
}

/** A group is made anew, one member writes, and only then another one joins: what came before is not for it. */
const joinsLater: Motif = (stage) => {
  const { sender, receiver, step } = stage
  const asOperator = { group: 0, isLucky: true, gapMs: 400 }
  const join = (other: number, roles: RoleSet): Step => step('memberSet', { ...asOperator, other, choice: choiceOf(roles) })
  const write = (): Step => message(stage, 'send', { isGroup: true, group: 0, gapMs: 400 })
  return [
    step('groupDelete', asOperator),
    step('groupCreate', asOperator),
    join(sender, 3),
    write(),
    write(),
    join(receiver, 3),
    write(),
  ]
}

/** A message to a group that expires before one of its members is back. */
const groupExpires: Motif = (stage) => {
  const { random, receiver } = stage
  return [
    ...onEach(stage, receiver, 'deviceCrash', { ms: random.between(2_500, 5_000) }),
    message(stage, 'send', { isGroup: true, group: 0, gapMs: 30, expirySeconds: random.between(1, 2) }),
    message(stage, 'send', { isGroup: true, group: 0, gapMs: 30 }),
    stage.step('wait', { gapMs: 3_000 }),
  ]
}

/** The sender loses its connection before it hears of what it sent. */
const answerLost: Motif = (stage) => {
  const { random, sender, step } = stage
  const receipts = random.isLucky(0.4)
  return [
    message(stage, 'burst', { receipts }),
    step('cut', { user: sender, device: 0, choice: random.between(1, 30), gapMs: random.between(0, 60) }),
    step('submitAgain', { user: sender, device: 0, gapMs: 900, choice: random.between(1, 6) }),
  ]
}

/** A device goes back to an earlier store while another one of its user has not passed what lies between. */
const goesBack: Motif = (stage) => {
  const { random, receiver: user, step, options } = stage
  const back = step('deviceRollback', { user, device: 0, choice: 1, ms: random.between(1, 300), gapMs: 500 })
  const cuts = [1, 2, 3].map(() => step('cut', { user, device: 0, choice: random.between(1, 6), gapMs: random.between(0, 400) }))
  return [
    back,
    step('partition', { user, device: options.devices - 1, choice: 1, gapMs: 0, ms: random.between(1_500, 4_000) }),
    ...[1, 2, 3].map(() => message(stage, 'send', { gapMs: 100 })),
    back,
    ...cuts,
  ]
}

/**
 * The same, but the device that is back dies before it has stored anything: only what it said of its cursors keeps the entries for it, while
 * the other one passes them.
 */
const goesBackAndDies: Motif = (stage) => {
  const { random, receiver: user, step, options } = stage
  const place = { user, device: 0, choice: 1 }
  const awayMs = random.between(3_500, 6_000)
  // By then it has passed what was sent.
  const back = step('deviceRollback', { ...place, ms: random.between(1, 50), gapMs: 1_200 })
  // At its second, third or fourth commit.
  const dies = step('deviceTrap', { ...place, choice: random.pick([16, 32, 8]), gapMs: 0, ms: awayMs + 2_000 })
  return [
    back,
    step('partition', { user, device: options.devices - 1, choice: 1, gapMs: 0, ms: awayMs }),
    ...[1, 2, 3].map(() => message(stage, 'send', { gapMs: 100 })),
    back,
    dies,
    step('wait', { gapMs: awayMs }),
  ]
}

/**
 * A device whose store is slow takes up a new connection while it still writes down what came on the last one, and dies: it must not use the
 * new session's number before that is stored.
 */
const diesEarly: Motif = (stage) => {
  const { random, receiver: user, step } = stage
  const place = { user, device: 0, choice: 1 }
  const round = (): Step[] => [
    message(stage, 'burst', { gapMs: 50, choice: 8 }),
    step('cut', { ...place, gapMs: random.between(60, 300) }),
    step('deviceCrash', { ...place, gapMs: random.between(300, 1_500), ms: 1 }),
    step('wait', { gapMs: 1_000 }),
  ]
  return [step('slowStore', { ...place, ms: 8_000 }), ...round(), ...round()]
}

/**
 * What was backed up comes back: with entries that devices have already, and without some that they have too. Where commits are small, the sender
 * may die while it stores what it has to send again.
 */
const comesBack: Motif = (stage) => {
  const { random, sender, receiver, step, options } = stage
  const isAway = random.isLucky(0.4)
  const dying = random.stream('sender dies')
  const dies = options.commitBytes < 1_000 && dying.isLucky(0.7)
  const awayMs = dies ? 5_000 : random.between(300, 3_000)
  return [
    ...(isAway || dies ? onEach(stage, receiver, 'deviceCrash', { ms: awayMs }).slice(0, dies ? options.devices : 1) : []),
    message(stage, 'burst', { gapMs: 50 }),
    step('backup', { gapMs: random.between(1, 300) }),
    message(stage, 'burst', { gapMs: 100 }),
    message(stage, 'send', { gapMs: 700 }),
    step('restore', { choice: 0, gapMs: dies ? 0 : random.between(100, 1_500) }),
    // At its first to fourth commit from then on.
    ...(dies ? [step('deviceTrap', { user: sender, device: 0, choice: dying.pick([8, 16, 24, 32]), gapMs: 500, ms: 300 })] : []),
    message(stage, 'burst', { gapMs: 300 }),
  ]
}

/** A user is deleted and made again between messages to it. */
const isMadeAgain: Motif = (stage) => {
  const { receiver: user, random, step } = stage
  return [
    message(stage, 'burst', { gapMs: 50 }),
    step('userDelete', { user, gapMs: random.between(50, 600) }),
    step('userCreate', { user, gapMs: random.between(50, 300) }),
    message(stage, 'burst', { gapMs: 200 }),
    message(stage, 'send', { gapMs: 3_000 }),
  ]
}

/** The server is killed between the record of one shard and that of another. */
const killedBetweenShards: Motif = (stage) => {
  const { random, step } = stage
  const trap = (): Step =>
    step('serverTrap', { choice: random.pick([0, 1, 2, 8, 9, 10, 16, 17, 18, 24, 25, 26]), gapMs: 5, ms: 20 })
  return [
    trap(),
    message(stage, 'burst', { gapMs: 5 }),
    ...(random.isLucky(0.5) ? [step('memberSet', { isLucky: true, gapMs: 20 })] : []),
    trap(),
    message(stage, 'burst', { gapMs: 600 }),
  ]
}

/** A store that fails or a process that dies while entries and connections come and go. */
const storeGivesUp: Motif = (stage) => {
  const { random, receiver: user, step } = stage
  const place = { user, device: 0, choice: 1 }
  return [
    message(stage, 'burst', { gapMs: 20, choice: 8 }),
    step('cut', { ...place, choice: random.between(1, 6), gapMs: random.between(1, 200) }),
    ...(random.isLucky(0.3) ? [step('commitFails', { ...place, gapMs: random.between(1, 200) })] : []),
    step(random.pick(['deviceCrash', 'devicePower'] as const), { ...place, gapMs: random.between(1, 400), ms: 300 }),
  ]
}

/** A device sleeps between a request and its answer, while messages come to their deadlines. */
const sleepsOnTheWay: Motif = (stage) => {
  const { random, receiver: user, step } = stage
  const place = { user, device: 0, choice: 1 }
  const brief = (): Step => message(stage, 'submit', { gapMs: random.between(10, 500), expirySeconds: random.between(1, 5) })
  return [
    step('cut', { ...place, gapMs: 5 }),
    brief(),
    step('deviceSleep', { ...place, gapMs: random.between(1, 900), ms: random.between(2_100, 8_000) }),
    ...Array.from({ length: 6 }, brief),
  ]
}

/** The server takes nothing for a while. */
const takesNothing: Motif = (stage) => {
  const { random, step } = stage
  return [
    step('diskFull', { ms: random.between(100, 1_500), gapMs: 5 }),
    message(stage, 'burst', { gapMs: 20 }),
    message(stage, 'send'),
  ]
}

/** The server dies after another shard has applied what was forwarded, and before that is known; so does the device that it was for. */
const forwardedTwice: Motif = (stage) => {
  const { random, sender: user, step } = stage
  const crashes = [
    step('deviceCrash', { user, device: 1, choice: 1, ms: 200, gapMs: random.between(0, 200) }),
    step('serverCrash', { gapMs: random.between(0, 200), ms: 5 }),
  ]
  return [
    step('slowDisk', { ms: 4_000, gapMs: 200 }),
    message(stage, 'burst', { gapMs: 10 }),
    step('wait', { gapMs: random.between(100, 1_500) }),
    ...(random.isLucky(0.5) ? crashes : [...crashes].reverse()),
  ]
}

/** So much waits in a high lane for somebody who is away that the lower ones must get their turns in between. */
const lowerLanesWait: Motif = (stage) => {
  const { random, receiver } = stage
  const low = random.between(9, 15)
  return [
    ...onEach(stage, receiver, 'deviceCrash', { ms: 3_000 }),
    message(stage, 'burst', { gapMs: 30, lane: low, bytes: 8 }),
    message(stage, 'flood', { gapMs: 30, lane: random.between(0, 8), bytes: 8 }),
    stage.step('wait', { gapMs: 3_000 }),
  ]
}

/** More than a window's bytes wait for somebody who is away, in one lane of several logs. */
const windowIsFull: Motif = (stage) => {
  const { random, receiver, options } = stage
  const large = { gapMs: 30, bytes: random.between(9_000, 12_000), choice: 7 }
  return [
    ...onEach(stage, receiver, 'deviceCrash', { ms: 2_000 }),
    message(stage, 'burst', large),
    ...(options.groups > 0 ? [message(stage, 'burst', { ...large, isGroup: true, group: 0 })] : []),
    message(stage, 'send', { gapMs: 2_500, lane: random.pick(options.lanes) }),
  ]
}

/** Somebody reads nothing for a while, and is sent what nothing but a limit on what lies untaken bounds. */
const readsNothing: Motif = (stage) => {
  const { receiver: user, step } = stage
  const told = (gapMs: number): Step => message(stage, 'realtime', { gapMs, bytes: 600 })
  const slow = { user, device: 0, choice: 1, gapMs: 50, ms: 12_000 }
  return [step('slowReader', slow), ...Array.from({ length: 12 }, () => told(20)), told(9_000), told(500)]
}

/** Somebody watches who has blocked it, and is typed to. */
const watchesWhoBlocks: Motif = (stage) => {
  const { random, sender, receiver, step } = stage
  const watch = step('watch', { user: sender, device: 0, other: receiver, choice: 1, gapMs: 300 })
  const type = step('typing', { user: receiver, device: 0, other: sender, isGroup: random.isLucky(0.3), choice: 1, gapMs: 100 })
  const block = step('block', { user: receiver, other: sender, isLucky: true, gapMs: 400 })
  return [watch, type, block, step('wait', { gapMs: 3_200 }), watch, type]
}

const always: readonly Motif[] = [
  verdictStands,
  expiresUnseen,
  expiresWhileAway,
  beforeTheFirstDevice,
  answerLost,
  comesBack,
  isMadeAgain,
  storeGivesUp,
  sleepsOnTheWay,
  takesNothing,
  diesEarly,
  lowerLanesWait,
  watchesWhoBlocks,
]

/** The motifs that these options make sense of; those that need more to meet stand there more than once. */
function motifsOf({ devices, groups, shards, limits, isSmall, wire }: SimOptions): readonly Motif[] {
  return [
    ...always,
    ...(groups > 0 ? [leavesAndJoins, leavesAndJoins, joinsLater, groupExpires, groupExpires] : []),
    ...(devices > 1 ? [goesBack, ...Array<Motif>(5).fill(goesBackAndDies)] : []),
    ...(isSmall ? [] : [windowIsFull]),
    ...(limits.bufferedBytes !== undefined ? [readsNothing, readsNothing, readsNothing] : []),
    ...((wire?.ranges ?? 256) < 256 ? Array<Motif>(6).fill(expiresInTurns) : []),
    ...(shards > 1 ? [killedBetweenShards] : []),
    ...(shards > 1 && devices > 1 ? [forwardedTwice, forwardedTwice] : []),
  ]
}

/** Puts motifs between the steps of a plan: none in two of five. */
export function withMotifs(steps: readonly Step[], options: SimOptions, random: Random, stepOf: () => Step): Step[] {
  const count = random.pick([0, 0, 1, 1, 2])
  const motifs = motifsOf(options)
  const woven = [...steps]
  for (let made = 0; made < count; made++) {
    const motif = random.pick(motifs)
    const sender = random.below(options.users)
    const receiver = (sender + random.between(1, options.users - 1)) % options.users
    const step: Stage['step'] = (kind, fields) => ({ ...stepOf(), kind, ...fields })
    const at = motif === beforeTheFirstDevice ? 0 : random.between(0, woven.length)
    woven.splice(at, 0, ...motif({ random, options, sender, receiver, lane: random.pick(options.lanes), step }))
  }
  return woven
}
