/** What a session costs that does nothing. */
import { type Figure, makeDirectory, makeTokens, passed, startBenchServer, urlOf } from './ground.ts'
import type { ServerReport } from './probe.ts'
import { type Connection, connect, noArrivals } from './wire.ts'

const sessions = 10_000
const atOnce = 100
/** These come first and are not counted: what the first of everything costs is no session's. */
const warmUpSessions = 3_000
/** Longer than a checkpoint keeps rows in memory, and than the engine takes to return what connecting left behind. */
const settleMs = 15_000
const targetBytes = 12_000

/** The figures of `idle`: every session is a user of its own. */
export async function measureIdle(): Promise<Figure[]> {
  const directory = makeDirectory()
  const server = startBenchServer(directory.path)
  const connections: Connection[] = []
  try {
    const url = await urlOf(server)
    const tokens = await makeTokens(Array.from({ length: warmUpSessions + sessions }, (_, number) => `user-${number}`))
    const connectAll = async (part: readonly string[]): Promise<void> => {
      for (let at = 0; at < part.length; at += atOnce)
        connections.push(...(await Promise.all(part.slice(at, at + atOnce).map((token) => connect(url, token, noArrivals)))))
    }
    await connectAll(tokens.slice(0, warmUpSessions))
    await passed(settleMs)
    const before = await server.ask<ServerReport>('report')
    const startMs = performance.now()
    await connectAll(tokens.slice(warmUpSessions))
    const connectedMs = performance.now() - startMs
    await passed(settleMs)
    await server.ask('report')
    await passed(1_000)
    const after = await server.ask<ServerReport>('report')
    const bytes = (after.rssBytes - before.rssBytes) / sessions
    return [
      {
        name: `${sessions.toLocaleString('en')} idle sessions: RSS each`,
        target: '≤ 12 kB',
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
  } finally {
    for (const { socket } of connections) socket.removeAllListeners('close').terminate()
    await server.end()
    directory.remove()
  }
}

function megabytes(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`
}
