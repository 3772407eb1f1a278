import fc from 'fast-check'
import { describe, it } from 'vitest'
import { lanes, ShardRig } from './shardModelRig.ts'

/** Does something to the shard and to the rules, and compares. */
class Step implements fc.Command<object, ShardRig> {
  readonly #name: string
  readonly #act: (rig: ShardRig) => void

  constructor(name: string, act: (rig: ShardRig) => void) {
    this.#name = name
    this.#act = act
  }

  check(): boolean {
    return true
  }

  run(_model: object, rig: ShardRig): void {
    this.#act(rig)
    rig.check()
  }

  toString(): string {
    return this.#name
  }
}

/** A step with these random choices. */
function step<T extends object>(
  name: string,
  choices: { [K in keyof T]: fc.Arbitrary<T[K]> },
  act: (rig: ShardRig, chosen: T) => void,
) {
  return fc.record(choices).map((chosen) => new Step(`${name} ${fc.stringify(chosen)}`, (rig) => act(rig, chosen as T)))
}

const user = fc.constantFrom('u0', 'u1', 'u2')
const group = fc.constantFrom('g0', 'g1')
/** An operator, or a user. */
const by = fc.option(user, { nil: undefined, freq: 2 })
/** Most often a first device, of u0. */
const clientAt = fc.constantFrom(0, 0, 0, 1, 1, 1, 2, 3, 3, 3, 4, 5, 6, 6, 7, 8)
const lane = fc.constantFrom(...lanes)
const dayMs = 86_400_000
const expiryMs = fc.oneof(
  { weight: 12, arbitrary: fc.constantFrom(500, 60_000, dayMs) },
  { weight: 1, arbitrary: fc.constantFrom(0, 2 * dayMs + 3_600_000, 2 * dayMs + 3_600_010) },
)

const send = step<{
  clientAt: number
  to: string
  id: number
  content: string
  lane: number
  expiryMs: number
  receipts: boolean
  size: number
}>(
  'send',
  {
    clientAt,
    to: fc.constantFrom('u0', 'u0', 'u0', 'u1', 'g0', 'g0', 'g0', 'g1', 'u2', 'u9'),
    id: fc.nat({ max: 400 }),
    content: fc.constantFrom('a', 'b'),
    lane,
    expiryMs,
    receipts: fc.constantFrom(true, true, true, false),
    size: fc.constantFrom(0, 5, 20, 21),
  },
  (rig, { clientAt: at, to, id, expiryMs: ms, content: variant, ...rest }) => {
    const client = rig.clients[at]
    const sender = client === undefined ? undefined : rig.reference.named(0, client.user)
    if (client === undefined || sender === undefined) return
    const kind = to.startsWith('g') ? 1 : 0
    const deadlineMs = rig.clockMs + 1 + ms
    const content = `${variant}/${rest.lane}/${rest.receipts}/${rest.size}`
    rig.send({ sender: sender.identity, device: client.id, kind, to, id: BigInt(id % 41), deadlineMs, content, ...rest })
  },
)
/** A message comes again: as it was, with another deadline, or with other content. */
const again = step<{ at: number; change: 'none' | 'deadline' | 'content' }>(
  'again',
  { at: fc.nat({ max: 60 }), change: fc.constantFrom('none', 'none', 'deadline', 'content') },
  (rig, { at, change }) => {
    const sent = rig.sends[at % Math.max(1, rig.sends.length)]
    if (sent === undefined) return
    const deadlineMs = change === 'deadline' ? rig.clockMs + 7_000 : sent.deadlineMs
    rig.send({ ...sent, deadlineMs, content: change === 'content' ? 'c' : sent.content })
  },
)
const connect = step<{ clientAt: number; mode: 'keep' | 'lost' | 'back'; isStale: boolean; ageMs: number }>(
  'connect',
  {
    clientAt,
    mode: fc.constantFrom('keep', 'keep', 'keep', 'keep', 'back', 'lost'),
    isStale: fc.constantFrom(false, false, false, false, false, true),
    ageMs: fc.constantFrom(0, 0, 0, 2_000),
  },
  (rig, { clientAt: at, mode, isStale, ageMs }) => {
    const client = rig.clients[at]
    if (client !== undefined) rig.connect(client, mode, isStale, ageMs)
  },
)
const disconnect = step<{ clientAt: number }>('disconnect', { clientAt }, (rig, { clientAt: at }) => {
  const client = rig.clients[at]
  if (client !== undefined) rig.disconnect(client)
})
const attach = step<{ clientAt: number }>('attach', { clientAt }, (rig, { clientAt: at }) => {
  const client = rig.clients[at]
  for (const log of rig.reference.logs) if (client !== undefined && log.kind === 1) rig.attach(client, log)
})
const take = step<{
  clientAt: number
  logAt: number
  lane: number
  take: number
  lateEach: number
  saying: 'now' | 'later' | 'as stale'
}>(
  'take',
  {
    clientAt,
    logAt: fc.nat({ max: 2 }),
    lane,
    take: fc.nat({ max: 6 }),
    lateEach: fc.constantFrom(0, 0, 1, 2, 3),
    saying: fc.constantFrom('now', 'now', 'now', 'now', 'later', 'as stale'),
  },
  (rig, { clientAt: at, logAt, lane: place, take: most, lateEach, saying }) => {
    const client = rig.clients[at]
    if (client !== undefined) rig.take(client, logAt, place, most, lateEach, saying)
  },
)
const read = step<{ clientAt: number; logAt: number; lane: number; back: number }>(
  'read',
  { clientAt, logAt: fc.nat({ max: 2 }), lane, back: fc.nat({ max: 2 }) },
  (rig, { clientAt: at, logAt, lane: place, back }) => {
    const client = rig.clients[at]
    if (client?.isOnline === true) rig.read(client, logAt, place, back)
  },
)
const pass = step<{ ms: number }>(
  'pass',
  {
    ms: fc.oneof(
      { weight: 12, arbitrary: fc.constantFrom(1, 500, 60_000) },
      { weight: 3, arbitrary: fc.constantFrom(3_600_000, dayMs, 2 * dayMs) },
      { weight: 1, arbitrary: fc.constantFrom(4 * dayMs, 31 * dayMs) },
    ),
  },
  (rig, { ms }) => rig.pass(ms),
)
const makeGroup = step<{ group: string; by: string | undefined }>('make group', { group, by }, (rig, one) =>
  rig.makeGroup(one.group, one.by),
)
const deleteGroup = step<{ group: string; by: string | undefined }>('delete group', { group, by }, (rig, one) =>
  rig.deleteGroup(one.group, one.by),
)
const setMember = step<{ group: string; user: string; roles: number; by: string | undefined }>(
  'set member',
  { group, user, roles: fc.constantFrom(0, 1, 2, 3, 3, 3, 7), by },
  (rig, one) => rig.setMember(one.group, one.user, one.roles, one.by),
)
const deleteUser = step<{ user: string }>('delete user', { user }, (rig, one) => rig.deleteUser(one.user))
const revoke = step<{ user: string; agoMs: number }>(
  'revoke',
  { user, agoMs: fc.constantFrom(0, 1_000, -1_000, -90_000) },
  (rig, one) => rig.revoke(one.user, one.agoMs),
)
const block = step<{ user: string; other: string; isBlocked: boolean }>(
  'block',
  { user: fc.constantFrom('u0', 'u0', 'u1', 'u2'), other: user, isBlocked: fc.boolean() },
  (rig, one) => rig.block(one.user, one.other, one.isBlocked),
)
const settings = step<{
  inboxEntries: number
  groupEntries: number
  membersPerGroup: number
  groupsPerUser: number
  isOpen: boolean
}>(
  'settings',
  {
    inboxEntries: fc.constantFrom(4, 8, 12),
    groupEntries: fc.constantFrom(3, 6),
    membersPerGroup: fc.constantFrom(2, 3),
    groupsPerUser: fc.constantFrom(1, 2),
    isOpen: fc.boolean(),
  },
  (rig, { isOpen, ...rest }) => rig.settings({ ...rest, usersMayCreateGroups: isOpen }),
)
const begin = step<{ at: number }>('begin', { at: fc.constant(0) }, (rig) => rig.begin())
const replay = step<{ at: number }>('replay', { at: fc.constant(0) }, (rig) => rig.checkReplay())

/** Each so many times, as often as it should come. */
const steps = [
  ...new Array<typeof send>(12).fill(send),
  ...new Array<typeof send>(10).fill(take),
  ...new Array<typeof send>(6).fill(connect),
  ...new Array<typeof send>(3).fill(read),
  ...new Array<typeof send>(3).fill(setMember),
  ...new Array<typeof send>(3).fill(pass),
  ...[again, again, attach, block, block, disconnect, makeGroup, makeGroup],
  ...[deleteGroup, deleteUser, revoke, settings, begin, replay],
]

/** Two devices of each user, in a group. */
function people(rig: ShardRig): void {
  for (const [at, client] of rig.clients.entries()) if (at % 3 < 2) rig.connect(client, 'keep', false, 0)
  rig.settings({ membersPerGroup: 3 })
  rig.makeGroup('g0', 'u0')
  for (const name of ['u1', 'u2']) rig.setMember('g0', name, 3, 'u0')
  for (const log of rig.reference.logs) for (const client of rig.clients) if (log.kind === 1) rig.attach(client, log)
}

describe('a shard, beside rules that look through everything each time', () => {
  it('[I1] [I2] [I3] [I6] [I8] [I9] [I10] [I11] answers, tells and gives the same, whatever comes in whatever order', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.commands(steps, { maxCommands: 80, size: 'max' }), (isPeopled, history) => {
        const rig = new ShardRig()
        if (isPeopled) people(rig)
        fc.modelRun(() => ({ model: {}, real: rig }), history)
        rig.checkReplay()
      }),
      { seed: Number(process.env.TEST_SEED ?? 11), numRuns: Number(process.env.RUNS ?? 60) },
    )
  }, 600_000)
})
