/** Messages to groups whose members are all online: how long until everybody has one, and how many deliveries a second. */
import { Child } from '../child.ts'
import { adminOf, type BenchOptions, type Figure, makeDirectory, makeTokens, startBenchServer } from '../ground.ts'
import type { ServerReport } from '../probe.ts'
import { quantileOf } from '../quantiles.ts'
import { type AdminCall, callAll } from './admin.ts'
import type { GroupReport, GroupsSettings } from './groupsLoad.ts'

/** How many messages one at a time, of those one after the other, and of those sent together. */
const plan = [
  { members: 10, single: 100, writes: 2_000, together: 20_000 },
  { members: 1_000, single: 100, writes: 200, together: 1_024 },
  { members: 10_000, single: 100, writes: 40, together: 128 },
]
const everybodyTargetMs = 150
const writesTarget = 100_000
const togetherTarget = 300_000
const answerMs = 300_000

/** The figures of `groups`. */
export function measureGroups({ scale }: BenchOptions): Promise<Figure[]> {
  return measureThese(plan.map((size) => ({ ...size, members: Math.ceil(size.members * scale) })))
}

/** The figures of a group of 1,000 alone. */
export function measureGroup(): Promise<Figure[]> {
  return measureThese(plan.filter(({ members }) => members === 1_000).map((size) => ({ ...size, single: 50 })))
}

async function measureThese(sizes: readonly (typeof plan)[number][]): Promise<Figure[]> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path)
  try {
    const users = Array.from({ length: Math.max(...sizes.map(({ members }) => members)) }, (_, number) => `member-${number}`)
    await callAll(await adminOf(server), callsOf(users, sizes))
    const tokens = await makeTokens(['sender', ...users])
    const settings: GroupsSettings = { port: await server.ask<number>('port'), tokens, bodyBytes: 200, groups: sizes }
    const load = new Child('workloads/groupsLoad.ts', settings)
    try {
      await load.ask('connect', answerMs)
      const figures: Figure[] = []
      for (const { members } of sizes) {
        await server.ask('report')
        const report = await load.ask<GroupReport>(`${members}`, answerMs)
        figures.push(...figuresOf(report, await server.ask<ServerReport>('report')))
        console.error(`  ${members} members: ${report.deliveries.toLocaleString('en')} deliveries`)
      }
      return figures
    } finally {
      await load.end()
    }
  } finally {
    await server.end()
    directory.remove()
  }
}

/** A member may receive and not send, the sender may send and not receive. */
function* callsOf(users: readonly string[], sizes: readonly (typeof plan)[number][]): Iterable<AdminCall> {
  for (const name of ['sender', ...users]) yield { method: 'POST', path: '/v1/users', body: { name } }
  for (const { members } of sizes) {
    yield { method: 'POST', path: '/v1/groups', body: { name: `group-${members}` } }
    const path = `/v1/groups/group-${members}/members`
    yield { method: 'PUT', path: `${path}/sender`, body: { roles: ['send'] } }
    for (const name of users.slice(0, members)) yield { method: 'PUT', path: `${path}/${name}`, body: { roles: ['receive'] } }
  }
}

function figuresOf(report: GroupReport, server: ServerReport): Figure[] {
  const { members, singleMs, writes, together } = report
  const count = members.toLocaleString('en')
  const p99 = quantileOf(singleMs, 0.99)
  const isLargest = members >= 10_000
  const rate = (perSecond: number): string => `${Math.round(perSecond).toLocaleString('en')} deliveries/s`
  const curve = (plot: string, series: string, yTitle: string, y: number) => ({
    plot,
    series,
    xTitle: 'members',
    yTitle,
    points: [{ x: members, y }],
  })
  return [
    {
      name: `a group of ${count} online members, one message at a time: until all have it, p99`,
      target: isLargest ? '≤ 150 ms' : '',
      measured: `${p99.toFixed(1)} ms (p50 ${quantileOf(singleMs, 0.5).toFixed(1)}, of ${singleMs.length})`,
      ...(isLargest ? { isMet: p99 <= everybodyTargetMs } : {}),
      values: [quantileOf(singleMs, 0.5), p99],
      unit: 'ms',
      curve: curve('group-time', 'until all have it, p99', 'ms', p99),
    },
    {
      name: `  ${count}: one message a write`,
      target: isLargest ? '≥ 100,000 deliveries/s' : '',
      measured: rate(writes.perSecond),
      ...(isLargest ? { isMet: writes.perSecond >= writesTarget } : {}),
      values: [writes.perSecond],
      unit: 'deliveries/s',
      curve: curve('group-rate', 'one message a write', 'deliveries/s', writes.perSecond),
    },
    {
      name: `  ${count}: messages that gather on the way`,
      target: isLargest ? '≥ 300,000 deliveries/s' : '',
      measured: rate(together.perSecond),
      ...(isLargest ? { isMet: together.perSecond >= togetherTarget } : {}),
      values: [together.perSecond],
      unit: 'deliveries/s',
      curve: curve('group-rate', 'messages gather', 'deliveries/s', together.perSecond),
    },
    {
      name: `  ${count}: load generator busy at one a write, together; of the server all the time; lost or wrong of so many`,
      target: '0',
      measured: `${percent(writes.cpu)}, ${percent(together.cpu)}; ${percent(server.cpuMs / server.ms)}; ${report.wrong} of ${report.deliveries.toLocaleString('en')}`,
      isMet: report.wrong === 0,
    },
  ]
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`
}
