/** Redis Streams, a stream for each receiver: as Redis comes, and with its log flushed before each answer. */
import { join } from 'node:path'
import type { Peer } from './peer.ts'
import { freePort, ServerProcess, versionSaid } from './serverProcess.ts'

const use =
  'XADD without a limit of length, a consumer group for each receiver; a confirmation is the answer to XADD, the receiver sends XACK for each'

/** Redis at its settings. */
export const redis: readonly Peer[] = [
  redisPeer('default', 'Redis Streams', [], {
    survives: 'none',
    because: 'keeps everything in memory and saves snapshots, at the soonest each minute',
    settings: `snapshots as by default, no log; ${use}`,
  }),
  redisPeer('always', 'Redis Streams, appendfsync always', ['--appendonly', 'yes', '--appendfsync', 'always'], {
    survives: 'power loss',
    because: 'flushes its log (fdatasync) before it answers what one turn of its loop brought',
    settings: `appendonly yes, appendfsync always; ${use}`,
  }),
]

function redisPeer(
  id: string,
  name: string,
  settings: readonly string[],
  description: Pick<Peer, 'survives' | 'because' | 'settings'>,
): Peer {
  return {
    id: `redis-${id}`,
    name,
    ...description,
    version: () => versionSaid('redis-server', ['--version'], /v=(\S+)/),
    async start(directory) {
      const port = await freePort()
      const place = ['--port', String(port), '--bind', '127.0.0.1', '--dir', directory, '--logfile', join(directory, 'redis.log')]
      const server = await ServerProcess.start('redis-server', [...place, ...settings], { port, directory })
      return { pid: server.pid, wire: { protocol: 'redis', port }, stop: () => server.stop() }
    },
  }
}
