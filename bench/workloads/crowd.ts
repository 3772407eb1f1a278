/** A load generator with many users: some who send, and a crowd who receive. Started by `Child` for `storm`, `store` and `growth`. */
import { answerAll, settingsOf } from '../answering.ts'
import { quantileOf } from '../quantiles.ts'
import { Member } from './member.ts'
import { Sender } from './sender.ts'
import { allWithin, connectAll } from './waiting.ts'

/** What this load generator is started with. */
export interface CrowdSettings {
  readonly port: number
  readonly senderTokens: readonly string[]
  readonly members: readonly string[]
  /** The members' own; none when they only get. */
  readonly memberTokens: readonly string[]
  readonly bodyBytes: number
  /** How many messages each member gets when all are told to send. */
  readonly messagesEach: number
}

/** How sending to all went. */
export interface SendReport {
  readonly ms: number
  readonly sent: number
}

/** How it went when all came back. */
export interface ReturnReport {
  /** From the first connect until the last member had its last message. */
  readonly receivedMs: number
  /** Until the senders were told that everything is delivered: it is acknowledged and on disk. */
  readonly deliveredMs: number
  /** From the first connect until a member had WELCOME and its messages: p50 and p99. */
  readonly eachMs: readonly number[]
  readonly received: number
  readonly wrong: number
  /** How often a connection failed before its WELCOME and was made again. */
  readonly retries: number
  /** What share of a processor this load generator took. */
  readonly cpu: number
}

const settings = settingsOf<CrowdSettings>()
const { port, senderTokens, memberTokens, bodyBytes, messagesEach } = settings
const members = memberTokens.map((token, number) => new Member(port, token, number))
const senders: Sender[] = []
const endMs = 280_000

answerAll({
  connectSenders: async () => {
    for (const [number, token] of senderTokens.entries()) {
      const names = settings.members.filter((_, member) => member % senderTokens.length === number)
      const stamp = (user: number): number => user * senderTokens.length + number
      senders.push(await Sender.open({ port, token, number, names, bodyBytes }, stamp))
    }
  },
  connectMembers: () => connectAll(memberTokens, (_token, number) => (members[number] as Member).connect()),
  /** Sends to all, so many each; resolves once everything is on disk. */
  send: async (): Promise<SendReport> => {
    const startMs = performance.now()
    await Promise.all(senders.map((sender) => sender.sendEach(messagesEach)))
    for (const member of members) member.expected += messagesEach
    return { ms: performance.now() - startMs, sent: messagesEach * settings.members.length }
  },
  delivered: () => untilDelivered(),
  cut: () => {
    for (const member of members) member.cut()
  },
  returned: returnAll,
})

async function untilDelivered(): Promise<void> {
  const isAll = await allWithin(endMs, () => senders.every(({ sent, delivered }) => delivered === sent))
  if (isAll) return
  const sum = (count: (sender: Sender) => number): number => senders.reduce((all, sender) => all + count(sender), 0)
  throw new Error(`${sum(({ delivered }) => delivered)} of ${sum(({ sent }) => sent)} are delivered`)
}

/** All connect at once. */
async function returnAll(): Promise<ReturnReport> {
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  let receivedMs = 0
  const eachMs: number[] = []
  const connectOne = async (member: Member): Promise<void> => {
    await member.connect()
    await member.hasAll()
    receivedMs = performance.now() - startMs
    eachMs.push(receivedMs)
  }
  await Promise.all(members.map(connectOne))
  await untilDelivered()
  const deliveredMs = performance.now() - startMs
  const { user, system } = process.cpuUsage(cpu)
  return {
    receivedMs,
    deliveredMs,
    eachMs: [quantileOf(eachMs, 0.5), quantileOf(eachMs, 0.99)],
    received: members.reduce((sum, { received }) => sum + received, 0),
    wrong: members.reduce((sum, { wrong, received, expected }) => sum + wrong + Math.abs(expected - received), 0),
    retries: members.reduce((sum, { retries }) => sum + retries, 0),
    cpu: (user + system) / 1_000 / deliveredMs,
  }
}
