import { readFileSync } from 'node:fs'

/** A line of the trace: strace writes them in the order of events, so that they tell the time. */
export type Moment = number

/** One system call on the recorded directory: when it began, and when it had ended. */
interface Call {
  readonly startedAt: Moment
  readonly endedAt: Moment
}

/** What a run did to its files, in the order in which it began. Paths are below the recorded directory. */
export type DiskCall = Call &
  (
    | {
        readonly kind: 'write'
        readonly path: string
        readonly at: number
        readonly bytes: Uint8Array
        readonly isSynchronous: boolean
      }
    | { readonly kind: 'truncate'; readonly path: string; readonly size: number }
    /** Of a file or a directory. */
    | { readonly kind: 'flush'; readonly path: string }
    | { readonly kind: 'create' | 'unlink' | 'mkdir'; readonly path: string }
    | { readonly kind: 'rename'; readonly path: string; readonly to: string }
  )

/** What somebody was told. */
export interface Told {
  readonly startedAt: Moment
  readonly text: string
}

/** A run as its system calls show it. */
export interface Recording {
  readonly calls: readonly DiskCall[]
  readonly told: readonly Told[]
  readonly end: Moment
}

const traced = [
  ...['openat', 'lseek', 'write', 'writev', 'pwrite64', 'pwritev', 'ftruncate', 'fdatasync', 'fsync', 'msync'],
  ...['rename', 'renameat', 'renameat2', 'unlink', 'unlinkat', 'mkdir', 'mkdirat'],
]

/** The arguments for strace that {@link readRecording} can read; what follows is the program. */
export function recordingArguments(path: string): string[] {
  return ['-f', '-y', '-xx', '-s', '4000000', '-e', `trace=${traced.join(',')}`, '-e', 'signal=none', '-o', path]
}

/**
 * Reads a trace.
 * @param root the recorded directory; @param toldPath the file to which the program wrote what was told, a line each
 */
export function readRecording(tracePath: string, root: string, toldPath: string): Recording {
  const reader = new TraceReader(root, toldPath)
  const begun = new Map<string, { text: string; startedAt: Moment }>()
  let moment = 0
  for (const line of readFileSync(tracePath, 'latin1').split('\n')) {
    moment += 1
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(line) ?? []
    if (rest.endsWith('<unfinished ...>')) {
      begun.set(thread, { text: rest.slice(0, -'<unfinished ...>'.length), startedAt: moment })
      continue
    }
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    const start = resumed === null ? { text: '', startedAt: moment } : begun.get(thread)
    if (start !== undefined) reader.call(start.text + (resumed?.[1] ?? rest), start.startedAt, moment)
  }
  reader.calls.sort((left, right) => left.startedAt - right.startedAt)
  return { calls: reader.calls, told: reader.told, end: moment }
}

interface OpenFile {
  readonly isSynchronous: boolean
  at: number
}

class TraceReader {
  readonly calls: DiskCall[] = []
  readonly told: Told[] = []
  readonly #root: string
  readonly #toldPath: string
  readonly #open = new Map<string, OpenFile>()
  readonly #sizes = new Map<string, number>()

  constructor(root: string, toldPath: string) {
    this.#root = root
    this.#toldPath = toldPath
  }

  call(text: string, startedAt: Moment, endedAt: Moment): void {
    const [, name = '', rest = ''] = /^(\w+)\((.*)$/s.exec(text) ?? []
    const result = Number(/\) += (-?\d+)[^)]*$/.exec(rest)?.[1] ?? -1)
    if (result < 0) return
    const [, descriptor = '', hexPath = ''] = /^(\d+)<([^>]*)>/.exec(rest) ?? []
    const path = unescaped(hexPath).toString()
    const times = { startedAt, endedAt }
    if (name === 'openat') this.#opened(rest, result, times)
    else if (name.startsWith('rename') || name.startsWith('unlink') || name.startsWith('mkdir')) this.#named(name, rest, times)
    else if (path === this.#toldPath && name === 'write')
      this.told.push(...linesOf(rest).map((line) => ({ startedAt, text: line })))
    else if (this.#isInside(path)) this.#filed(name, descriptor, path, rest, result, times)
  }

  #opened(rest: string, result: number, times: Call): void {
    const path = quoted(rest)[0]?.toString() ?? ''
    this.#open.set(String(result), { isSynchronous: /O_D?SYNC/.test(rest), at: 0 })
    if (!this.#isInside(path)) return
    if (/O_CREAT/.test(rest) && !this.#sizes.has(path)) {
      this.#sizes.set(path, 0)
      this.calls.push({ kind: 'create', path: this.#below(path), ...times })
    } else if (/O_TRUNC/.test(rest)) {
      this.#sizes.set(path, 0)
      this.calls.push({ kind: 'truncate', path: this.#below(path), size: 0, ...times })
    }
    const file = this.#open.get(String(result))
    if (file !== undefined && /O_APPEND/.test(rest)) file.at = this.#sizes.get(path) ?? 0
  }

  #named(name: string, rest: string, times: Call): void {
    const [path = '', to = ''] = quoted(rest).map(String)
    if (!this.#isInside(path)) return
    if (name.startsWith('rename')) {
      this.#sizes.set(to, this.#sizes.get(path) ?? 0)
      this.calls.push({ kind: 'rename', path: this.#below(path), to: this.#below(to), ...times })
    } else this.calls.push({ kind: name.startsWith('mkdir') ? 'mkdir' : 'unlink', path: this.#below(path), ...times })
    if (!name.startsWith('mkdir')) this.#sizes.delete(path)
  }

  #filed(name: string, descriptor: string, path: string, rest: string, result: number, times: Call): void {
    const file = this.#open.get(descriptor) ?? { isSynchronous: false, at: 0 }
    const below = this.#below(path)
    if (name === 'lseek') file.at = result
    else if (name === 'msync') throw new Error(`${path} is written through memory, which no trace shows`)
    else if (name === 'ftruncate') {
      const size = Number(/^[^,]*, (\d+)/.exec(rest)?.[1] ?? 0)
      this.calls.push({ kind: 'truncate', path: below, size, ...times })
    } else if (name === 'fdatasync' || name === 'fsync') this.calls.push({ kind: 'flush', path: below, ...times })
    else {
      const isPlaced = name.startsWith('pwrite')
      const at = isPlaced ? Number(/, (\d+)\s*\) += \d+[^)]*$/.exec(rest)?.[1] ?? 0) : file.at
      const bytes = Buffer.concat(quoted(rest)).subarray(0, result)
      if (bytes.length !== result) throw new Error(`${name} of ${result} bytes to ${path} is recorded with ${bytes.length}`)
      if (!isPlaced) file.at += result
      this.#sizes.set(path, Math.max(this.#sizes.get(path) ?? 0, at + result))
      this.calls.push({ kind: 'write', path: below, at, bytes, isSynchronous: file.isSynchronous, ...times })
    }
  }

  #isInside(path: string): boolean {
    return path === this.#root || path.startsWith(`${this.#root}/`)
  }

  #below(path: string): string {
    return path.slice(this.#root.length + 1)
  }
}

/** The texts in quotes, decoded. */
function quoted(rest: string): Buffer[] {
  return [...rest.matchAll(/"([^"]*)"/g)].map(([, text = '']) => unescaped(text))
}

function linesOf(rest: string): string[] {
  return Buffer.concat(quoted(rest))
    .toString()
    .split('\n')
    .filter((line) => line !== '')
}

/** With -xx everything is `\x..`, but strace leaves some names as they are. */
function unescaped(text: string): Buffer {
  if (!text.startsWith('\\x')) return Buffer.from(text, 'latin1')
  return Buffer.from(text.replaceAll('\\x', ''), 'hex')
}
