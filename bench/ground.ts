/** What every part of the bench stands on: a place on a real disk, tokens, the machine's description. */
import { hash, randomBytes } from 'node:crypto'
import { closeSync, fdatasyncSync, mkdirSync, mkdtempSync, openSync, readFileSync, rmSync, statfsSync, writeSync } from 'node:fs'
import { arch, cpus, release, totalmem } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { TokenVerifier, type Tuning } from '@posthaste/server'
import { Child } from './child.ts'
import { medianOf } from './quantiles.ts'
import type { BenchServerSettings } from './server.ts'

/** File systems in memory, by the magic numbers of statfs(2): a flush costs nothing there. */
const memoryFileSystems = new Map([
  [0x01021994, 'tmpfs'],
  [0x858458f6, 'ramfs'],
])

const secret = randomBytes(32)

/** A figure of the bench: what was to be reached, and what was. */
export interface Figure {
  readonly name: string
  readonly target: string
  readonly measured: string
  /** Undefined when there is no target. */
  readonly isMet?: boolean
  /** What was measured as numbers, in `unit`: one, or one of each run. */
  readonly values?: readonly number[]
  readonly unit?: string
  /** What the report draws. Curves of the same plot are drawn together, and those of the same series there are one line. */
  readonly curve?: Curve
}

/** A line in a plot, or a part of one, in order of x. */
export interface Curve {
  readonly plot: string
  readonly series: string
  readonly xTitle: string
  readonly yTitle: string
  readonly points: readonly { readonly x: number; readonly y: number }[]
}

/** How the bench was asked to measure. */
export interface BenchOptions {
  /** How long the soak takes. */
  readonly soakMinutes: number
  /** What the numbers of users and messages of the larger workloads are multiplied by: 1 to measure, less to try them out. */
  readonly scale: number
}

/**
 * A fresh directory on a disk, below `POSTHASTE_BENCH_DIR` or the working tree.
 * @throws Error when it would lie in memory
 */
export function makeDirectory(): { readonly path: string; remove(): void } {
  const parent = process.env.POSTHASTE_BENCH_DIR ?? fileURLToPath(new URL('../node_modules/.cache/bench', import.meta.url))
  mkdirSync(parent, { recursive: true })
  const inMemory = memoryFileSystems.get(statfsSync(parent).type)
  if (inMemory !== undefined)
    throw new Error(
      `${parent} is on ${inMemory}, where flushing costs nothing: name a directory on a disk in POSTHASTE_BENCH_DIR`,
    )
  const path = mkdtempSync(join(parent, 'run-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/**
 * Starts a server on this directory. Node gets the arguments in `POSTHASTE_BENCH_NODE`, for instance
 * `--cpu-prof --cpu-prof-dir=/tmp/profiles` to see where its time goes.
 */
export function startBenchServer(dataDirectory: string, tuning: Tuning = {}, gateways = 0): Child {
  const settings: BenchServerSettings = { dataDirectory, secret: secret.toString('base64'), tuning, gateways }
  const nodeArguments = (process.env.POSTHASTE_BENCH_NODE ?? '').split(' ').filter((argument) => argument !== '')
  return new Child('server.ts', settings, nodeArguments)
}

/** Where clients of a bench server connect. */
export async function urlOf(server: Child): Promise<string> {
  return `ws://127.0.0.1:${await server.ask<number>('port')}/v1/connect`
}

/** Where a bench server takes the calls of an operator, and with what key. */
export async function adminOf(server: Child): Promise<{ readonly port: number; readonly key: string }> {
  return { port: await server.ask<number>('adminPort'), key: secret.toString('base64') }
}

/** Tokens of these users. */
export async function makeTokens(users: readonly string[]): Promise<string[]> {
  const verifier = await TokenVerifier.create({ secrets: [secret], jwks: undefined, audience: undefined })
  return Promise.all(users.map((user) => verifier.makeToken(user, { ttlSeconds: 0 })))
}

/** One line on what the figures were measured with. */
export function machine(): string {
  const processors = cpus()
  const model = processors[0]?.model ?? 'unknown processor'
  const gibibytes = Math.round(totalmem() / 2 ** 30)
  return `${processors.length} × ${model}, ${gibibytes} GiB, Linux ${release()} ${arch()}, Node ${process.version}`
}

/** What the machine is worth at the moment: the time of two things that the server does all the time. Machines of one name differ by a factor of 3. */
export function measureMachine(): Figure[] {
  const directory = makeDirectory()
  const file = openSync(join(directory.path, 'flushed'), 'w')
  try {
    const content = new Uint8Array(200)
    const hashUs = medianOfRuns(15, 10_000, () => hash('sha256', content, 'hex')) * 1_000
    const block = new Uint8Array(65_536)
    const flushMs = medianOfRuns(101, 1, () => {
      writeSync(file, block)
      fdatasyncSync(file)
    })
    return [
      { name: 'this machine: SHA-256 of 200 B', target: '(0.28 µs)', measured: `${hashUs.toFixed(2)} µs` },
      { name: '  fdatasync of 64 KiB', target: '', measured: `${flushMs.toFixed(2)} ms` },
    ]
  } finally {
    closeSync(file)
    directory.remove()
  }
}

function medianOfRuns(runs: number, times: number, work: () => void): number {
  const ms: number[] = []
  for (let run = 0; run < runs; run++) {
    const startMs = performance.now()
    for (let time = 0; time < times; time++) work()
    ms.push((performance.now() - startMs) / times)
  }
  return medianOf(ms)
}

/** A tick of the kernel's clock of CPU time, in ms: USER_HZ is 100 on every platform of Linux that Node runs on. */
export const cpuTickMs = 10

/** How long the processors of this machine have worked since it started, for whomever, in ms; 0 where it can't be known. */
export function machineCpuMs(): number {
  try {
    const [user = 0, nice = 0, system = 0, , , interrupts = 0, softInterrupts = 0, stolen = 0] = (
      readFileSync('/proc/stat', 'utf8').split('\n')[0] ?? ''
    )
      .trim()
      .split(/\s+/)
      .slice(1)
      .map(Number)
    return (user + nice + system + interrupts + softInterrupts + stolen) * cpuTickMs
  } catch {
    return 0
  }
}

/** Resolves after this many ms. */
export function passed(durationMs: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, durationMs))
}
