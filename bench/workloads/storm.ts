/** Two things that many users do at once: to come back after a cut, and to come for what was stored for them. */
import { Child } from '../child.ts'
import { adminOf, type BenchOptions, type Figure, makeDirectory, makeTokens, startBenchServer } from '../ground.ts'
import type { ServerReport } from '../probe.ts'
import { callAll } from './admin.ts'
import type { CrowdSettings, ReturnReport, SendReport } from './crowd.ts'

const users = 10_000
const senders = 8
const bodyBytes = 200
const answerMs = 600_000
const stormTargetMs = 3_000
const storedEach = 100
const drainedTarget = 200_000

/** The figures of `storm`: all sessions are cut, a message is sent to each user, and all come back at once. */
export function measureStorm({ scale }: BenchOptions): Promise<Figure[]> {
  return withCrowd(Math.ceil(users * scale), 1, async (server, load) => {
    await load.ask('connectMembers', answerMs)
    await load.ask('send', answerMs)
    await load.ask('delivered', answerMs)
    await load.ask('cut')
    await load.ask('send', answerMs)
    await server.ask('report')
    const report = await load.ask<ReturnReport>('returned', answerMs)
    const [p50 = 0, p99 = 0] = report.eachMs
    const { receivedMs } = report
    return [
      {
        name: `${Math.ceil(users * scale).toLocaleString('en')} sessions cut and back at once: until all have WELCOME and the message that waited`,
        target: '≤ 3 s',
        measured: `${seconds(receivedMs)} (a session p50 ${seconds(p50)}, p99 ${seconds(p99)})`,
        isMet: receivedMs <= stormTargetMs,
        values: [receivedMs, p50, p99],
        unit: 'ms',
      },
      ...alsoOf(report, await server.ask<ServerReport>('report')),
    ]
  })
}

/** The figures of `store`: messages are stored for users who have never connected, and then all connect. */
export function measureStore({ scale }: BenchOptions): Promise<Figure[]> {
  return withCrowd(Math.ceil(users * scale), storedEach, async (server, load) => {
    const { ms, sent } = await load.ask<SendReport>('send', answerMs)
    await server.ask('report')
    const report = await load.ask<ReturnReport>('returned', answerMs)
    const perSecond = (sent / report.deliveredMs) * 1_000
    const number = (value: number): string => Math.round(value).toLocaleString('en')
    return [
      {
        name: `${number(sent)} messages stored for ${number(users * scale)} offline users, then all connect: from the first connect to the last delivered and acknowledged`,
        target: '≥ 200,000 messages/s',
        measured: `${number(perSecond)} messages/s (${seconds(report.deliveredMs)}; received by ${seconds(report.receivedMs)})`,
        isMet: perSecond >= drainedTarget,
        values: [perSecond],
        unit: 'messages/s',
      },
      {
        name: '  storing them',
        target: '',
        measured: `${number((sent / ms) * 1_000)} messages/s`,
        values: [(sent / ms) * 1_000],
        unit: 'messages/s',
      },
      ...alsoOf(report, await server.ask<ServerReport>('report')),
    ]
  })
}

/** A new server with users, and a load generator whose senders are connected. */
async function withCrowd(
  count: number,
  messagesEach: number,
  measure: (server: Child, load: Child) => Promise<Figure[]>,
): Promise<Figure[]> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path)
  try {
    const members = Array.from({ length: count }, (_, number) => `member-${number}`)
    const names = [...Array.from({ length: senders }, (_, number) => `sender-${number}`), ...members]
    await callAll(
      await adminOf(server),
      names.map((name) => ({ method: 'POST', path: '/v1/users', body: { name } })),
    )
    const tokens = await makeTokens(names)
    const settings: CrowdSettings = {
      port: await server.ask<number>('port'),
      senderTokens: tokens.slice(0, senders),
      members,
      memberTokens: tokens.slice(senders),
      bodyBytes,
      messagesEach,
    }
    const load = new Child('workloads/crowd.ts', settings)
    try {
      await load.ask('connectSenders')
      return await measure(server, load)
    } finally {
      await load.end()
    }
  } finally {
    await server.end()
    directory.remove()
  }
}

function alsoOf({ received, wrong, retries, cpu }: ReturnReport, server: ServerReport): Figure[] {
  return [
    {
      name: '  lost; twice, out of order or with another body; of so many',
      target: '0',
      measured: `${wrong} of ${received.toLocaleString('en')}`,
      isMet: wrong === 0,
      values: [wrong, received],
      unit: 'messages',
    },
    {
      name: '  connections made again; CPU time of the server (share of a processor); of the load generator; longest pause of the server',
      target: '',
      measured: `${retries}; ${seconds(server.cpuMs)} (${percent(server.cpuMs / server.ms)}); ${percent(cpu)}; ${Math.max(server.pauses.maxMs, server.checkpointPauses.maxMs).toFixed(0)} ms`,
    },
  ]
}

function seconds(ms: number): string {
  return `${(ms / 1_000).toFixed(2)} s`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`
}
