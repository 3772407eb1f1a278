/** A peer's server as a process of the bench: on a port of its own, measured and ended by its pid. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { setTimeout as passed } from 'node:timers/promises'
import { cpuTickMs } from '../ground.ts'

/** How long a server may take until it listens. */
const startMs = 60_000
const endMs = 10_000
/** How much of what a server said an error shows. */
const saidChars = 2_000

/** A running server. */
export class ServerProcess {
  readonly #process: ChildProcess
  #said = ''

  private constructor(command: string, args: readonly string[], environment: NodeJS.ProcessEnv, directory: string) {
    this.#process = spawn(command, args, {
      stdio: ['ignore', 'pipe', 'pipe'],
      cwd: directory,
      env: { ...process.env, ...environment },
    })
    const hear = (text: Buffer): void => {
      this.#said = `${this.#said}${text.toString()}`.slice(-saidChars)
    }
    this.#process.stdout?.on('data', hear)
    this.#process.stderr?.on('data', hear)
    this.#process.on('error', (error) => hear(Buffer.from(String(error))))
  }

  /** Starts a server and waits until it listens on this port. @throws Error, with what it said, when it ends or does not in time */
  static async start(
    command: string,
    args: readonly string[],
    { port, directory, environment = {} }: { port: number; directory: string; environment?: NodeJS.ProcessEnv },
  ): Promise<ServerProcess> {
    const server = new ServerProcess(command, args, environment, directory)
    for (const untilMs = performance.now() + startMs; !(await isListening(port)); await passed(20)) {
      if (performance.now() < untilMs && !server.#isOver) continue
      await server.stop()
      throw new Error(`${command} does not listen: ${server.#said}`)
    }
    return server
  }

  get pid(): number {
    return this.#process.pid ?? 0
  }

  /** Ends the server and what it started, as a crash would: what it holds is thrown away anyway. Resolves once none of them can write any more. */
  async stop(): Promise<void> {
    if (this.#isOver || this.#process.pid === undefined) return
    const tree = treeOf(this.#process.pid)
    for (const pid of tree) killIfThere(pid)
    for (const untilMs = performance.now() + endMs; tree.some(isRunning) || !this.#isOver; await passed(10))
      if (performance.now() > untilMs) throw new Error(`of the processes ${tree.join(', ')} some do not end`)
  }

  get #isOver(): boolean {
    return this.#process.exitCode !== null || this.#process.signalCode !== null
  }
}

/** CPU time that a process, what it started and what of that has ended took, in ms. */
export function cpuMsOf(pid: number): number {
  return treeOf(pid).reduce((sum, member) => sum + ticksOf(member), 0) * cpuTickMs
}

/** A port that nobody listens on. */
export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  return typeof address === 'object' && address !== null ? address.port : 0
}

/** What the first group of this pattern is in what a command prints, undefined where the command is not installed. */
export function versionSaid(command: string, args: readonly string[], pattern: RegExp): string | undefined {
  const { stdout } = spawnSync(command, args, { encoding: 'utf8' }) as { stdout: string | null }
  return pattern.exec(stdout ?? '')?.[1]
}

/** The version of a package of npm that `npm ci` installed, undefined where it did not. */
export function installedVersion(name: string): string | undefined {
  const file = new URL(`../../node_modules/${name}/package.json`, import.meta.url)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version : undefined
}

/** A process and all below it, itself first. */
function treeOf(root: number): number[] {
  const children = new Map<number, number[]>()
  for (const name of readdirSync('/proc')) {
    const pid = Number(name)
    const parent = Number(statOf(pid)?.[1])
    if (Number.isInteger(pid) && Number.isInteger(parent)) children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const tree = [root]
  for (const pid of tree) tree.push(...(children.get(pid) ?? []))
  return tree
}

/** User and system time, also of ended children, in ticks: fields 14 to 17 of proc(5). */
function ticksOf(pid: number): number {
  return (statOf(pid) ?? []).slice(11, 15).reduce((sum, ticks) => sum + Number(ticks), 0)
}

/** The fields of a process from the third on, the second being its name; undefined when it is gone. */
function statOf(pid: number): string[] | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')
  } catch {
    return undefined
  }
}

/** Whether a process is there and not dead already. */
function isRunning(pid: number): boolean {
  const state = statOf(pid)?.[0]
  return state !== undefined && state !== 'Z' && state !== 'X'
}

function killIfThere(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error
  }
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
