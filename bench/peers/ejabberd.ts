/** ejabberd as an MQTT broker (`mod_mqtt`). */
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Qos } from './mqtt.ts'
import type { Peer, RunningPeer } from './peer.ts'
import { freePort, ServerProcess } from './serverProcess.ts'

/** Where Debian keeps libraries of Erlang, by machine. */
const libraries = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu'].find((folder) => existsSync(folder)) ?? '/usr/lib'

/** ejabberd at both qualities of service. */
export const ejabberd: readonly Peer[] = [ejabberdPeer(1, 'PUBACK'), ejabberdPeer(2, 'PUBCOMP')]

function ejabberdPeer(qos: Qos, confirmation: string): Peer {
  return {
    id: `ejabberd-qos${qos}`,
    name: `ejabberd MQTT QoS ${qos}`,
    survives: 'none',
    because: 'keeps sessions and what waits in them in memory (mod_mqtt), and has no setting that keeps them on disk',
    settings: `max_queue unlimited; persistent sessions; a confirmation is ${confirmation}`,
    version: installedVersion,
    start: (directory) => start(directory, qos),
  }
}

function installedVersion(): string | undefined {
  const folder = readdirSync(libraries).find((name) => name.startsWith('ejabberd-'))
  return folder?.slice('ejabberd-'.length)
}

/** By Erlang itself: Debian's script wants its own user and folders, and a port mapper, which a single node does not need. */
async function start(directory: string, qos: Qos): Promise<RunningPeer> {
  const port = await freePort()
  const configuration = join(directory, 'ejabberd.yml')
  const lines = [
    'hosts: [localhost]',
    'loglevel: error',
    'auth_method: anonymous',
    'anonymous_protocol: both',
    'listen:',
    `  - port: ${port}`,
    '    ip: "127.0.0.1"',
    '    module: mod_mqtt',
    // More connect at once than its 5 that may wait.
    '    backlog: 1024',
    'modules:',
    '  mod_mqtt:',
    // Of its own, 5,000: it confirms faster than it delivers, and ends the connection of a receiver for whom more wait.
    '    max_queue: unlimited',
  ]
  writeFileSync(configuration, `${lines.join('\n')}\n`)
  // The options are those of `ejabberdctl foreground`.
  const args = [
    '-noinput',
    '+K',
    'true',
    '+P',
    '250000',
    '-mnesia',
    'dir',
    JSON.stringify(join(directory, 'mnesia')),
    '-s',
    'ejabberd',
  ]
  const environment = {
    HOME: directory,
    ERL_LIBS: libraries,
    ERL_MAX_PORTS: '32000',
    EJABBERD_CONFIG_PATH: configuration,
    EJABBERD_LOG_PATH: join(directory, 'ejabberd.log'),
  }
  const server = await ServerProcess.start('erl', args, { port, directory, environment })
  return { pid: server.pid, wire: { protocol: 'mqtt', port, qos, domain: 'localhost' }, stop: () => server.stop() }
}
