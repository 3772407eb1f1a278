/** Mosquitto beside Posthaste: `bash bench/peers/install.sh` installs it. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync, writeFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { join } from 'node:path'
import { cpuTickMs, passed } from '../ground.ts'

const startMs = 5_000

/** Mosquitto's version, undefined where it is not installed. */
export function mosquittoVersion(): string | undefined {
  const said = spawnSync('mosquitto', ['-h'], { encoding: 'utf8' }).stdout as string | null
  return said === null ? undefined : /version (\S+)/.exec(said)?.[1]
}

/** A broker on a port of its own, with persistent sessions: it keeps them in memory and writes them down now and then, flushing nothing. */
export class Mosquitto {
  readonly port: number
  readonly #process: ChildProcess

  private constructor(port: number, process: ChildProcess) {
    this.port = port
    this.#process = process
  }

  /** @throws Error when it does not listen in time */
  static async start(directory: string): Promise<Mosquitto> {
    const port = await freePort()
    const file = join(directory, 'mosquitto.conf')
    const lines = [
      `listener ${port} 127.0.0.1`,
      'allow_anonymous true',
      'persistence true',
      `persistence_location ${directory}/`,
      // Started by root, it would become a user who may not write there.
      'user root',
      // No limit of its own below the window of the load.
      'max_inflight_messages 0',
      'max_queued_messages 0',
      'log_type error',
    ]
    writeFileSync(file, `${lines.join('\n')}\n`)
    const broker = new Mosquitto(port, spawn('mosquitto', ['-c', file], { stdio: 'ignore' }))
    for (const untilMs = performance.now() + startMs; !(await isListening(port)); await passed(20))
      if (performance.now() > untilMs) throw new Error('mosquitto does not listen')
    return broker
  }

  /** CPU time of the broker, in ms. */
  cpuMs(): number {
    const stat = readFileSync(`/proc/${this.#process.pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) * cpuTickMs
  }

  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return
    const exited = once(this.#process, 'exit')
    this.#process.kill('SIGKILL')
    await exited
  }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

function isListening(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1')
    socket.once('connect', () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}
