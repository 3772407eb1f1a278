import { spawn } from 'node:child_process'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { imageFaults } from './image.ts'

/** A call that writes or flushes: the n-th of its name on that file by one thread. */
export interface Point {
  readonly mode: Mode
  /** What the program was doing when it was counted. */
  readonly phase: string
  readonly call: string
  /** Below the data directory. */
  readonly path: string
  readonly n: number
}

/** What a call is made to do. */
export const pointFaults = ['EIO', 'ENOSPC', 'SIGKILL'] as const
/** One of them. */
export type PointFault = (typeof pointFaults)[number]

/** What became of a run with one call that fails. */
export interface PointResult {
  /** Whether the call was reached, and failed. */
  readonly isHit: boolean
  readonly ending: string
  readonly faults: readonly string[]
}

type Mode = 'all' | 'recover'

const calls = ['write', 'writev', 'pwrite64', 'pwritev', 'ftruncate', 'fdatasync', 'fsync', 'rename', 'unlink']
const runMs = 90_000

/** Runs one program again and again, each time with another call that fails, and looks at what is left. */
export class PointRig {
  readonly #directory = mkdtempSync(join(tmpdir(), 'posthaste-points-'))
  readonly #program: string
  readonly #run = join(this.#directory, 'run')
  readonly #left = join(this.#directory, 'left')
  /** What the last run wrote to standard error. */
  #stderr = ''

  /** @param program the compiled program that is run */
  constructor(program: string) {
    this.#program = program
  }

  /** Counts the calls of runs in which nothing fails. */
  async points(): Promise<Point[]> {
    await this.#start(['-e', 'trace=none'], 'leave')
    cpSync(this.#run, this.#left, { recursive: true })
    const found: Point[] = []
    for (const mode of ['all', 'recover'] as const) {
      await this.#start(['-y', '-s', '200', '-e', `trace=${calls.join(',')}`], mode)
      found.push(...this.#counted(mode, readFileSync(join(this.#directory, 'trace'), 'utf8')))
    }
    return found
  }

  /** Makes one call fail. */
  async fail(point: Point, fault: PointFault): Promise<PointResult> {
    const { mode, call, path, n } = point
    const what = fault === 'SIGKILL' ? 'signal=SIGKILL' : `error=${fault}`
    const only = ['-P', join(this.#run, 'data', path), '-e', `trace=${call}`]
    const ending = await this.#start([...only, '-e', `inject=${call}:${what}:when=${n}`], mode)
    const trace = readFileSync(join(this.#directory, 'trace'), 'utf8')
    const isHit = fault === 'SIGKILL' ? /killed by SIGKILL/.test(trace) : /\(INJECTED\)/.test(trace)
    const isKnown = isKnownCrash(ending, this.#stderr, point)
    const faults = (isKnown ? [] : endingFaults(ending, mode)).map((text) => `${text}: ${this.#stderr.slice(-500)}`)
    const toldPath = join(this.#run, 'told')
    const lines = existsSync(toldPath) ? readFileSync(toldPath, 'utf8').split('\n') : []
    const told = lines.filter((line) => line !== '' && !line.startsWith('phase'))
    const left = await imageFaults(
      join(this.#run, 'data'),
      1,
      told.map((text) => ({ startedAt: 0, text })),
    )
    return { isHit, ending, faults: [...faults, ...left] }
  }

  end(): void {
    rmSync(this.#directory, { recursive: true, force: true })
  }

  /** Runs the program below strace, on nothing or on what was left. @returns its exit code or signal */
  async #start(strace: readonly string[], mode: Mode | 'leave'): Promise<string> {
    rmSync(this.#run, { recursive: true, force: true })
    if (mode === 'recover') cpSync(this.#left, this.#run, { recursive: true })
    else mkdirSync(this.#run)
    const argv = ['-f', '-o', join(this.#directory, 'trace'), ...strace, process.execPath, this.#program, this.#run, mode]
    // One thread for the journal's transactions: strace counts the calls of each thread apart.
    const child = spawn('strace', argv, {
      stdio: ['ignore', 'ignore', 'pipe'],
      detached: true,
      env: { ...process.env, UV_THREADPOOL_SIZE: '1' },
    })
    this.#stderr = ''
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    let isStuck = false
    const timer = setTimeout(() => {
      isStuck = true
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
    }, runMs)
    const ending = await new Promise<string>((resolve) => child.on('close', (code, signal) => resolve(String(code ?? signal))))
    clearTimeout(timer)
    return isStuck ? 'stuck' : ending
  }

  #counted(mode: Mode, trace: string): Point[] {
    const points: Point[] = []
    const counts = new Map<string, number>()
    const known = new Set<string>()
    let phase = ''
    for (const line of trace.split('\n')) {
      phase = /"phase ([\w ]+)\\n"/.exec(line)?.[1] ?? phase
      const [, thread, call = '', rest = ''] = /^(\d+) +(\w+)\((.*)/.exec(line) ?? []
      const at = rest.indexOf(`${this.#run}/data/`)
      if (at < 0 || !calls.includes(call)) continue
      const path = /^[^>"]*/.exec(rest.slice(at + `${this.#run}/data/`.length))?.[0] ?? ''
      const n = (counts.get(`${thread} ${call} ${path}`) ?? 0) + 1
      counts.set(`${thread} ${call} ${path}`, n)
      // The name of the holder's note has its process number.
      if (known.has(`${call} ${path} ${n}`) || path.startsWith('holder')) continue
      known.add(`${call} ${path} ${n}`)
      points.push({ mode, phase, call, path, n })
    }
    return points
  }
}

/** How glibc says that memory was freed which must not be: in the words of the check that sees it first. */
const heapDamage = /^(free\(\): invalid|corrupted size|double free|munmap_chunk\(\): invalid|malloc\(\): )/m

/**
 * Two crashes of lmdb 3.5.6 instead of a code, in both of which nothing is lost. It crashes when LMDB fails to make a new environment, at the
 * size of its lock file or at its empty roots: nothing can have been told by then, and a disk that is full already is noticed before. And
 * now and then, after a failed write, it frees what it must not while the process exits.
 */
function isKnownCrash(ending: string, stderr: string, { call, path, phase }: Point): boolean {
  if (ending === 'SIGABRT') return /^Write error/m.test(stderr) && heapDamage.test(stderr)
  if (ending !== 'SIGSEGV' || phase !== 'first start') return false
  return (call === 'ftruncate' && path.endsWith('/lock.mdb')) || (call === 'pwrite64' && path.endsWith('/data.mdb'))
}

/** A server goes on, is killed, or stops with the code of its storage: nothing else. */
function endingFaults(ending: string, mode: Mode): string[] {
  const isFine = mode === 'recover' ? ['SIGKILL', '137', '23', '24', '25'] : ['0', 'SIGKILL', '137', '23', '24', '25']
  return isFine.includes(ending) ? [] : [`[I12] it ended with ${ending}`]
}
