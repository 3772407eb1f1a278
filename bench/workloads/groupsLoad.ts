/** The load generator of `groups`: a sender and all members. Started by `Child`. */
import { codeNumber } from '@posthaste/protocol'
import { answerAll, settingsOf } from '../answering.ts'
import { passed } from '../ground.ts'
import { ackOf, noArrivals, SendTemplate, stampOf } from '../wire.ts'
import { LeanSession, newDevice } from './socket.ts'
import { allWithin, connectAll } from './waiting.ts'

/** How a group is measured. */
export interface GroupPlan {
  readonly members: number
  readonly single: number
  readonly writes: number
  readonly together: number
}

/** What this load generator is started with. */
export interface GroupsSettings {
  readonly port: number
  /** The sender's, then the members'. */
  readonly tokens: readonly string[]
  readonly bodyBytes: number
  readonly groups: readonly GroupPlan[]
}

/** How fast messages came, and what share of a processor that took here. */
export interface FanoutRate {
  readonly perSecond: number
  readonly deliveries: number
  readonly cpu: number
}

/** What members have of a group in the end. */
export interface GroupEnd {
  readonly deliveries: number
  /** Deliveries that are missing, came twice, out of order or with another body. */
  readonly wrong: number
}

const lane = 8
const warmUp = 5
/** The ACKs of a message are folded for 100 ms: the next one that is timed comes after them. */
const restMs = 150
/** How many messages are on their way at once when they may gather, at most: a session's window takes 64 KiB. */
const togetherWindow = 64
const arriveMs = 60_000
const expiryMs = 86_400_000
const sentStatus = codeNumber('sent')

/** What the members have of one group. */
class Group {
  readonly members: number
  readonly template: SendTemplate
  readonly received: Uint32Array
  log = 0
  sent = 0
  lastId = 0n
  /** How many members have acknowledged the last message, as the sender was told. */
  counted = 0
  deliveries = 0
  wrong = 0
  /** Called when everybody has as many messages as were sent. */
  onAll: () => void = () => {}

  constructor(members: number, bodyBytes: number) {
    this.members = members
    this.received = new Uint32Array(members)
    this.template = new SendTemplate(`group-${members}`, bodyBytes, Date.now() + expiryMs, { toKind: 1 })
  }

  take(member: number, seq: number, stamp: number): void {
    const number = (this.received[member] ?? 0) + 1
    if (seq !== number || stamp !== number) this.wrong += 1
    this.received[member] = number
    this.deliveries += 1
    if (this.deliveries === this.sent * this.members) this.onAll()
  }
}

const { port, tokens, bodyBytes, groups: plans } = settingsOf<GroupsSettings>()
const groups = plans.map(({ members }) => new Group(members, bodyBytes))
const byLog = new Map<number, Group>()
const firstId = BigInt(Date.now()) << 22n
let ref = 0
let sender: LeanSession | undefined

answerAll({
  connect: async () => {
    await connectAll(tokens.slice(1), (token, member) => connectMember(token, member))
    sender = await LeanSession.open(
      { port, token: tokens[0] ?? '', device: newDevice(), session: 1 },
      {
        ...noArrivals,
        result: (_ref, status, destination) => {
          if (status !== sentStatus) throw new Error(`a message to a group got status ${status}`)
          groupOf(destination)
        },
        counts: (destination, id, delivered) => {
          const group = groupOf(destination)
          if (id === group.lastId) group.counted = delivered
        },
      },
    )
  },
  // A question names the group by the number of its members.
  ...Object.fromEntries(
    plans.flatMap((plan, number): [string, () => Promise<unknown>][] => {
      const group = groups[number] as Group
      return [
        [`single ${plan.members}`, () => timesOf(group, plan.single)],
        [`writes ${plan.members}`, () => rateOf(group, plan.writes, 1)],
        [`together ${plan.members}`, () => rateOf(group, plan.together, togetherWindow)],
        [`end ${plan.members}`, () => endOf(group)],
      ]
    }),
  ),
})

async function connectMember(token: string, member: number): Promise<void> {
  let last = 0
  let group = 0
  const session = await LeanSession.open(
    { port, token, device: newDevice(), session: 1 },
    {
      ...noArrivals,
      deliver: (log, _lane, seq, _id, body) => {
        groupOf(log).take(member, seq, stampOf(body))
        group = log
        last = seq
      },
      end: () => {
        if (last > 0) session.send(ackOf(group, lane, last))
        last = 0
      },
    },
  )
}

/** One group is sent to after the other: an unknown log is that of the group which is sent to now. */
function groupOf(log: number): Group {
  const known = byLog.get(log)
  if (known !== undefined) return known
  const group = groups.find((one) => one.log === 0 && one.sent > 0)
  if (group === undefined) throw new Error('a message of no group')
  group.log = log
  byLog.set(log, group)
  return group
}

/** Sends so many at once and waits until everybody has them, and returns how long that took, in ms. */
async function exchange(group: Group, count: number): Promise<number> {
  const all = new Promise<void>((resolve, reject) => {
    const timeout = setTimeout(() => reject(new Error(`${group.deliveries} of ${group.sent * group.members} came`)), arriveMs)
    group.onAll = () => {
      clearTimeout(timeout)
      resolve()
    }
  })
  const bytes = Buffer.allocUnsafe(group.template.length * count)
  for (let index = 0; index < count; index++) {
    ref += 1
    group.sent += 1
    group.lastId = firstId + BigInt(ref)
    group.template.write(bytes, index * group.template.length, ref, group.lastId, group.sent)
  }
  const startMs = performance.now()
  sender?.send(bytes)
  await all
  return performance.now() - startMs
}

/** How long each of so many messages took until everybody had it, in ms. */
async function timesOf(group: Group, count: number): Promise<number[]> {
  for (let number = 0; number < warmUp; number++) await exchange(group, 1)
  const timesMs: number[] = []
  for (let number = 0; number < count; number++) {
    await passed(restMs)
    timesMs.push(await exchange(group, 1))
  }
  return timesMs
}

async function endOf(group: Group): Promise<GroupEnd> {
  // Whatever came twice would have come by then.
  if (!(await allWithin(arriveMs, () => group.counted === group.members)))
    throw new Error(`the sender was told of ${group.counted} of ${group.members} members`)
  return { deliveries: group.deliveries, wrong: group.wrong + Math.abs(group.sent * group.members - group.deliveries) }
}

async function rateOf(group: Group, messages: number, window: number): Promise<FanoutRate> {
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  const before = group.deliveries
  for (let sent = 0; sent < messages; sent += window) await exchange(group, Math.min(window, messages - sent))
  const ms = performance.now() - startMs
  const { user, system } = process.cpuUsage(cpu)
  const deliveries = group.deliveries - before
  return { perSecond: (deliveries / ms) * 1_000, deliveries, cpu: (user + system) / 1_000 / ms }
}
