/** NATS JetStream with file storage on one server: Debian's version, the newest one, and that flushing each write. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Peer } from './peer.ts'
import { freePort, ServerProcess, versionSaid } from './serverProcess.ts'

const debian = '/usr/sbin/nats-server'
/** What `install.sh` builds. */
const newest = fileURLToPath(new URL('.bin/nats-server', import.meta.url))

const written =
  'writes a message to its file before it confirms, and flushes files every 2 minutes (sync_interval): what the kernel has not written yet goes with the power'
const flushed =
  'flushes each write before it confirms (sync_interval: always); where a consumer stands is written later, so that after a crash some messages come again'
const use =
  'file storage, one replica, a stream and a durable push consumer for each receiver (faster than one stream for all); a confirmation is the PubAck, the receiver acknowledges each'

/** NATS at its settings. */
export const nats: readonly Peer[] = [
  natsPeer('debian', 'NATS JetStream, Debian', debian, false),
  natsPeer('newest', 'NATS JetStream, newest', newest, false),
  natsPeer('always', 'NATS JetStream, sync always, exactly once', newest, true),
]

/** @param isSafest flush each write, find duplicates by Nats-Msg-Id, confirm acknowledgements */
function natsPeer(id: string, name: string, command: string, isSafest: boolean): Peer {
  return {
    id: `nats-${id}`,
    name,
    survives: isSafest ? 'power loss' : 'process crash',
    because: isSafest ? flushed : written,
    settings: isSafest ? `sync_interval: always, Nats-Msg-Id on each message, acknowledgements confirmed; ${use}` : use,
    version: () => (existsSync(command) ? versionSaid(command, ['--version'], / v(\S+)/) : undefined),
    async start(directory) {
      const port = await freePort()
      const file = join(directory, 'nats.conf')
      const sync = isSafest ? 'sync_interval: always' : ''
      writeFileSync(file, `listen: 127.0.0.1:${port}\njetstream { store_dir: ${JSON.stringify(directory)}\n${sync} }\n`)
      const server = await ServerProcess.start(command, ['-c', file], { port, directory })
      return {
        pid: server.pid,
        wire: { protocol: 'nats', port, isExact: isSafest },
        stop: () => server.stop(),
      }
    },
  }
}
