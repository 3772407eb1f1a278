/** RabbitMQ with durable queues, persistent messages, confirms and acknowledgements by hand: classic queues, and quorum queues of one member. */
import { existsSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Peer, RunningPeer } from './peer.ts'
import { freePort, ServerProcess } from './serverProcess.ts'

const library = '/usr/lib/rabbitmq'
const command = join(library, 'bin/rabbitmq-server')
const use =
  'a durable queue for each receiver, persistent messages; a confirmation is the confirm, the consumer acknowledges by hand'

/** RabbitMQ at its settings. */
export const rabbitmq: readonly Peer[] = [
  rabbitmqPeer('classic', 'RabbitMQ', {
    survives: 'power loss',
    because: 'confirms a persistent message once its queue index has been flushed (fsync)',
    settings: `classic queues; ${use}`,
  }),
  rabbitmqPeer('quorum', 'RabbitMQ, quorum queues', {
    survives: 'power loss',
    because: 'confirms once the log of Raft has been flushed (fdatasync); of its one member here',
    settings: `quorum queues of one member; ${use}`,
  }),
]

function rabbitmqPeer(
  queueType: 'classic' | 'quorum',
  name: string,
  description: Pick<Peer, 'survives' | 'because' | 'settings'>,
): Peer {
  return {
    id: `rabbitmq-${queueType}`,
    name,
    ...description,
    version: installedVersion,
    async start(directory) {
      const running = await start(directory)
      return { ...running, wire: { protocol: 'amqp', port: running.port, queueType } }
    },
  }
}

/** Its own word for it takes seconds; the folder of its code has it, too. */
function installedVersion(): string | undefined {
  if (!existsSync(command)) return undefined
  const folder = readdirSync(join(library, 'lib')).find((name) => name.startsWith('rabbitmq_server-'))
  return folder?.slice('rabbitmq_server-'.length)
}

async function start(directory: string): Promise<Omit<RunningPeer, 'wire'> & { readonly port: number }> {
  // Erlang's port mapper, without which RabbitMQ does not start: one of our own, that ends with it.
  const mapperPort = await freePort()
  const mapper = await ServerProcess.start('epmd', ['-port', String(mapperPort), '-address', '127.0.0.1'], {
    port: mapperPort,
    directory,
  })
  try {
    const port = await freePort()
    const configuration = join(directory, 'rabbitmq.conf')
    const environmentFile = join(directory, 'rabbitmq-env.conf')
    writeFileSync(configuration, 'log.file.level = error\nlog.console = false\n')
    writeFileSync(environmentFile, '')
    const environment = {
      HOME: directory,
      ERL_EPMD_PORT: String(mapperPort),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: `bench-${port}@localhost`,
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(port),
      RABBITMQ_DIST_PORT: String(await freePort()),
      RABBITMQ_MNESIA_BASE: join(directory, 'mnesia'),
      RABBITMQ_LOG_BASE: join(directory, 'log'),
      RABBITMQ_PID_FILE: join(directory, 'pid'),
      RABBITMQ_ENABLED_PLUGINS_FILE: join(directory, 'enabled_plugins'),
      RABBITMQ_CONFIG_FILE: configuration,
      RABBITMQ_CONF_ENV_FILE: environmentFile,
    }
    const server = await ServerProcess.start(command, [], { port, directory, environment })
    return { pid: server.pid, port, stop: () => server.stop().finally(() => mapper.stop()) }
  } catch (error) {
    await mapper.stop()
    throw error
  }
}
