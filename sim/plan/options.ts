import type { HostLimits, Settings } from '@posthaste/core'
import type { MachineLimits, MachineOptions } from '../../packages/client/src/machine/events.ts'
import { Random } from '../world/random.ts'
import { type StepKind, workKinds, faultKinds } from './stepKinds.ts'

/** What one schedule is like: drawn at random, so that each run stresses another mixture (swarm testing: Groce and others, 2012). */
export interface SimOptions {
  readonly seed: number
  readonly shards: 1 | 4
  readonly users: number
  /** Device slots of each user. */
  readonly devices: number
  readonly groups: number
  readonly steps: number
  /** The mean time between two steps. */
  readonly gapMs: number
  readonly lanes: readonly number[]
  readonly expirySeconds: readonly number[]
  /** Devices start for the first time within this. */
  readonly startMsMax: number
  readonly bodyBytesMax: number
  readonly latencyMs: readonly [low: number, high: number]
  readonly flushMsMax: number
  readonly storeMsMax: number
  readonly checkpointMs: number
  readonly checkpointBytes: number
  readonly sliceRows: number
  readonly loadedRows: number
  /** Whether limits are so small that they are reached. */
  readonly isSmall: boolean
  readonly settings: Partial<Settings>
  readonly limits: Partial<HostLimits>
  readonly machine: MachineLimits
  /** About how many bytes of messages a client's commit holds. */
  readonly commitBytes: number
  /** How many ranges a client names in one packet, and how many cursors and ranges in HELLO. Plans of before this was an option have none: what a server takes. */
  readonly wire?: MachineOptions['wire']
  /** The largest drift of a clock, in parts per million. */
  readonly driftPpm: number
  /** How far wall clocks of devices are off at first. */
  readonly wallOffsetMsMax: number
  readonly isBatched: boolean
  /** Apps keep their positions themselves, and hand them over at start. */
  readonly hasPositions: boolean
  readonly handlerMsMax: number
  readonly handlerFails: number
  /** 0: tokens never expire. */
  readonly tokenLifeMs: number
  /** Whether the last messages are sent beside a device that reads nothing. */
  readonly hasNeighbour: boolean
  /** Whether every other device of a user is a browser, whose pages share a store. */
  readonly hasTabs: boolean
  readonly weights: Readonly<Partial<Record<StepKind, number>>>
}

const unlimited: MachineLimits = {
  outboxMessages: 10_000,
  outboxBytes: 67_108_864,
  inboxMessages: 10_000,
  inboxBytes: 67_108_864,
}

/** The options of a seed. */
export function optionsOf(seed: number): SimOptions {
  const random = new Random(seed, 'options')
  const isSmall = random.isLucky(0.25)
  const isSlow = random.isLucky(0.2)
  const expiries = [[604_800], [604_800], [30, 600, 604_800], [1, 2, 5, 604_800], [1, 1, 2]]
  return {
    seed,
    shards: random.isLucky(0.4) ? 4 : 1,
    users: random.pick([2, 2, 3, 4]),
    devices: random.pick([1, 1, 2, 2, 3]),
    groups: random.between(0, 2),
    steps: random.pick([10, 15, 25, 40]),
    gapMs: random.pick([20, 100, 400, 2_000]),
    lanes: random.pick([[8], [0, 8], [0, 3, 8, 15], [...Array(16).keys()]]),
    expirySeconds: random.pick(expiries),
    startMsMax: random.pick([0, 0, 1_000, 20_000]),
    bodyBytesMax: random.pick([8, 40, 300, 3_000]),
    latencyMs: isSlow ? [5, random.pick([400, 3_000])] : [0.2, random.pick([2, 40])],
    flushMsMax: random.pick([1, 8, 60]),
    storeMsMax: random.pick([1, 10, 80]),
    checkpointMs: random.pick([300, 2_000, 10_000]),
    checkpointBytes: random.pick([2_000, 20_000, 1_000_000]),
    sliceRows: random.pick([1, 3, 20, 1_000]),
    loadedRows: random.pick([0, 5, 100_000]),
    ...limitsOf(random, isSmall),
    driftPpm: random.pick([0, 0, 50, 90]),
    wallOffsetMsMax: random.pick([0, 500, 60_000, 86_400_000]),
    isBatched: random.isLucky(0.2),
    hasPositions: random.isLucky(0.2),
    handlerMsMax: random.pick([1, 1, 30, 2_000]),
    handlerFails: random.pick([0, 0, 0.05, 0.3]),
    tokenLifeMs: random.pick([0, 0, 0, 15_000, 120_000]),
    hasNeighbour: random.stream('neighbour').isLucky(0.25),
    hasTabs: false,
    commitBytes: random.stream('commits').pick([1_048_576, 1_048_576, 100, 1]),
    wire: { ranges: random.stream('ranges').pick([256, 256, 2, 1]), cursors: random.stream('cursors').pick([16_384, 16_384, 4]) },
    weights: weightsOf(random),
    ...themeOf(random.stream('theme')),
    ...tabsOf(random.stream('tabs')),
  }
}

const themes = ['none', 'none', 'none', 'none', 'none', 'late', 'tight', 'slowStores', 'fullInboxes', 'apart'] as const

/** Some options that only together, or only when extreme, bring about certain states: in half of all schedules none of them. */
function themeOf(random: Random): Partial<SimOptions> {
  switch (random.pick(themes)) {
    case 'none':
      return {}
    case 'late':
      return { startMsMax: 20_000, expirySeconds: [1, 2, 604_800] }
    case 'tight':
      return {
        expirySeconds: random.pick([
          [1, 1, 2],
          [1, 2, 604_800],
        ]),
        latencyMs: [5, random.pick([400, 3_000])],
      }
    case 'slowStores':
      return { storeMsMax: 1_500 }
    case 'apart':
      return { shards: 4, devices: 2 }
    case 'fullInboxes':
      return { machine: { ...unlimited, inboxMessages: 3 }, handlerMsMax: 2_000 }
  }
}

/** Three of ten schedules have browsers, whose handlers take long enough to be met by what happens to pages. */
function tabsOf(random: Random): Partial<SimOptions> {
  return random.isLucky(0.3) ? { hasTabs: true, handlerMsMax: random.pick([1, 30, 300, 2_000]) } : {}
}

function limitsOf(random: Random, isSmall: boolean): Pick<SimOptions, 'isSmall' | 'settings' | 'limits' | 'machine'> {
  if (!isSmall) return { isSmall, settings: {}, limits: {}, machine: unlimited }
  const some = <T>(value: T, other: T): T => (random.isLucky(0.5) ? value : other)
  return {
    isSmall,
    settings: {
      devicesPerUser: some(2, 8),
      inboxEntries: some(6, 10_000),
      groupEntries: some(6, 100_000),
      bodyBytes: some(200, 65_536),
      groupsPerUser: some(1, 1_000),
      membersPerGroup: some(2, 100_000),
      usersMayCreateGroups: random.isLucky(0.8),
    },
    limits: {
      // Four times as much must hold one message and what else comes with it: beyond that a client is taken for a flood.
      pendingBytes: some(1_200, 33_554_432),
      recordBytes: some(400, 8_388_608),
      recordsInFlight: some(1, 2),
      connectionsPerUser: some(3, 32),
      forwards: some(3, 100_000),
      ...some({ bufferedBytes: 3_000 }, {}),
    },
    machine: { ...unlimited, outboxMessages: some(6, 10_000), inboxMessages: some(3, 10_000) },
  }
}

/** Some kinds of steps occur often, some seldom, and about half of the faults not at all. */
function weightsOf(random: Random): Partial<Record<StepKind, number>> {
  const weights: Partial<Record<StepKind, number>> = {}
  const faultRate = random.pick([0.1, 0.5, 1.5])
  for (const [kind, weight] of Object.entries(workKinds) as [StepKind, number][])
    weights[kind] = random.isLucky(0.85) ? weight * (0.3 + random.fraction()) : 0
  for (const [kind, weight] of Object.entries(faultKinds) as [StepKind, number][])
    weights[kind] = random.isLucky(0.5) ? weight * faultRate * (0.3 + 2 * random.fraction()) : 0
  weights.send = 10
  return weights
}
