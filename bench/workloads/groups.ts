/** Messages to groups whose members are all online: how long until everybody has one, and how many deliveries a second. */
import { Child } from '../child.ts'
import { adminOf, type BenchOptions, type Curve, type Figure, makeDirectory, makeTokens, startBenchServer } from '../ground.ts'
import type { ServerReport } from '../probe.ts'
import { quantileOf } from '../quantiles.ts'
import { type AdminCall, callAll } from './admin.ts'
import type { FanoutRate, GroupEnd, GroupsSettings } from './groupsLoad.ts'

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
        const singleMs = await load.ask<number[]>(`single ${members}`, answerMs)
        await server.ask('report')
        const writes = await load.ask<FanoutRate>(`writes ${members}`, answerMs)
        const afterWrites = await server.ask<ServerReport>('report')
        const together = await load.ask<FanoutRate>(`together ${members}`, answerMs)
        const afterTogether = await server.ask<ServerReport>('report')
        const end = await load.ask<GroupEnd>(`end ${members}`, answerMs)
        const rates = [
          { ...writes, server: afterWrites },
          { ...together, server: afterTogether },
        ] as const
        figures.push(...timeFigures(members, singleMs), ...rateFigures(members, rates, end))
        console.error(`  ${members} members: ${end.deliveries.toLocaleString('en')} deliveries`)
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

function timeFigures(members: number, singleMs: readonly number[]): Figure[] {
  const p99 = quantileOf(singleMs, 0.99)
  return [
    {
      name: `a group of ${members.toLocaleString('en')} online members, one message at a time: until all have it, p99`,
      target: isLargest(members) ? '≤ 150 ms' : '',
      measured: `${p99.toFixed(1)} ms (p50 ${quantileOf(singleMs, 0.5).toFixed(1)}, of ${singleMs.length})`,
      ...(isLargest(members) ? { isMet: p99 <= everybodyTargetMs } : {}),
      values: [quantileOf(singleMs, 0.5), p99],
      unit: 'ms',
      curve: curveOf('group-time', 'until all have it, p99', 'ms', members, p99),
    },
  ]
}

/** How fast members got messages, and what the server did meanwhile. */
type Rate = FanoutRate & { readonly server: ServerReport }

function rateFigures(members: number, rates: readonly [writes: Rate, together: Rate], end: GroupEnd): Figure[] {
  const titles = ['one message a write', 'messages that gather on the way']
  const targets = [writesTarget, togetherTarget]
  const figures = rates.map(({ perSecond, deliveries, cpu, server }, at): Figure => {
    const target = targets[at] ?? 0
    const serverUs = (server.cpuMs * 1_000) / deliveries
    const measured = `${Math.round(perSecond).toLocaleString('en')} deliveries/s`
    return {
      name: `  ${members.toLocaleString('en')}: ${titles[at]}`,
      target: isLargest(members) ? `≥ ${target.toLocaleString('en')} deliveries/s` : '',
      measured: `${measured}; server ${serverUs.toFixed(1)} CPU-µs each, busy ${percent(server.cpuMs / server.ms)}; load generator busy ${percent(cpu)}`,
      ...(isLargest(members) ? { isMet: perSecond >= target } : {}),
      values: [perSecond, serverUs],
      unit: 'deliveries/s, µs',
      curve: curveOf('group-rate', titles[at] ?? '', 'deliveries/s', members, perSecond),
    }
  })
  return [
    ...figures,
    {
      name: '  lost, twice, out of order or with another body; of so many',
      target: '0',
      measured: `${end.wrong} of ${end.deliveries.toLocaleString('en')}`,
      isMet: end.wrong === 0,
      values: [end.wrong, end.deliveries],
      unit: 'deliveries',
    },
  ]
}

/** Only the largest group has targets. */
function isLargest(members: number): boolean {
  return members >= 10_000
}

function curveOf(plot: string, series: string, yTitle: string, members: number, y: number): Curve {
  return { plot, series, xTitle: 'members', yTitle, points: [{ x: members, y }] }
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`
}
