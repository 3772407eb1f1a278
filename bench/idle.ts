/** What a session costs that does nothing. */
import { readFileSync } from 'node:fs'
import type { Child } from './child.ts'
import { type Figure, makeDirectory, makeTokens, passed, startBenchServer, urlOf } from './ground.ts'
import type { ServerReport } from './probe.ts'
import { type Connection, connect, noArrivals } from './wire.ts'

const sessions = 10_000
const atOnce = 100
/** These come first and are not counted: what the first of everything costs is no session's. */
const warmUpSessions = 3_000
/** Longer than a checkpoint keeps rows in memory, and than the engine takes to return what connecting left behind. */
const settleMs = 15_000
const targetBytes = 10_000
/** Files of a process that are no sessions. */
const otherFiles = 500
/** Connections to one port from one address. */
const portsMax = 28_000

/** The figures of `idle`: every session is a user of its own. */
export async function measureIdle(): Promise<Figure[]> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path)
  const connections: Connection[] = []
  try {
    const url = await urlOf(server)
    const tokens = await makeTokens(
      Array.from({ length: Math.max(warmUpSessions + sessions, fileLimit() - otherFiles) }, (_, number) => `user-${number}`),
    )
    // Resolves with how long that took, in ms.
    const connectAll = async (part: readonly string[]): Promise<number> => {
      const startMs = performance.now()
      for (let at = 0; at < part.length; at += atOnce)
        connections.push(...(await Promise.all(part.slice(at, at + atOnce).map((token) => connect(url, token, noArrivals)))))
      return performance.now() - startMs
    }
    await connectAll(tokens.slice(0, warmUpSessions))
    await passed(settleMs)
    const before = await server.ask<ServerReport>('report')
    const connectedMs = await connectAll(tokens.slice(warmUpSessions, warmUpSessions + sessions))
    const after = await settled(server)
    const figures = figuresOf(before, after, sessions, connectedMs)
    // As many as this process and the server may have files.
    if (tokens.length > warmUpSessions + sessions) {
      const moreMs = await connectAll(tokens.slice(warmUpSessions + sessions))
      const count = tokens.length - warmUpSessions
      figures.push(...figuresOf(before, await settled(server), count, connectedMs + moreMs))
    }
    return figures
  } finally {
    for (const { socket } of connections) socket.removeAllListeners('close').terminate()
    await server.end()
    directory.remove()
  }
}

/** The server after a rest. */
async function settled(server: Child): Promise<ServerReport> {
  await passed(settleMs)
  await server.ask('report')
  await passed(1_000)
  return server.ask<ServerReport>('report')
}

function figuresOf(before: ServerReport, after: ServerReport, count: number, connectedMs: number): Figure[] {
  const bytes = (after.rssBytes - before.rssBytes) / count
  return [
    {
      name: `${count.toLocaleString('en')} idle sessions: RSS each`,
      target: '≤ 10 kB',
      measured: `${(bytes / 1_000).toFixed(1)} kB`,
      isMet: bytes <= targetBytes,
      values: [bytes],
      unit: 'B',
    },
    {
      name: '  RSS before, with them; their CPU; connecting them',
      target: '',
      measured: `${megabytes(before.rssBytes)}, ${megabytes(after.rssBytes)}; ${((after.cpuMs / after.ms) * 100).toFixed(1)} %; ${(connectedMs / 1_000).toFixed(1)} s`,
    },
  ]
}

/** How many files a process may have open here; 0 where it can't be known. */
function fileLimit(): number {
  try {
    const limit = Number(/^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8'))?.[1] ?? 0)
    return Math.min(limit, portsMax)
  } catch {
    return 0
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`
}
