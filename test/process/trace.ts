/** One system call of a trace: what it did, and where it lies between the others. */
export interface SystemCall {
  readonly name: string
  /** The file or connection that it was about, '' for none. */
  readonly path: string
  readonly isSocket: boolean
  /** Whether what it writes to is opened so that a write ends only once it is on disk. */
  readonly isSynchronous: boolean
  /** The bytes read or written, as Latin-1. */
  readonly bytes: string
  /** What it returned. */
  readonly result: number
  /** Lines of the trace: strace writes them in the order of events, and splits a call that another thread's call interrupts. */
  readonly startedAt: number
  readonly endedAt: number
}

/** The arguments for strace that {@link callsOf} can read; what follows is the program to trace, which keeps its process number. */
export function straceArguments(path: string): string[] {
  const reads = 'openat,read,readv,recvfrom,recvmsg'
  const writes = 'write,writev,sendto,sendmsg,pwrite64,pwritev,fdatasync,fsync,msync'
  return ['-D', '-f', '-yy', '-xx', '-s', '70000', '-e', `trace=${reads},${writes}`, '-e', 'signal=none', '-o', path]
}

/** Reads what strace wrote. Calls that had not ended yet are left out. */
export function callsOf(trace: string): SystemCall[] {
  const calls: SystemCall[] = []
  const begun = new Map<string, { text: string; startedAt: number }>()
  const synchronous = new Set<string>()
  for (const [line, text] of trace.split('\n').entries()) {
    const [, thread = '', rest = ''] = /^(\d+) +(.*)$/.exec(text) ?? []
    const resumed = /^<\.\.\. \w+ resumed>(.*)$/.exec(rest)
    if (rest.endsWith('<unfinished ...>')) {
      begun.set(thread, { text: rest.slice(0, -'<unfinished ...>'.length), startedAt: line })
      continue
    }
    const start = resumed === null ? { text: '', startedAt: line } : begun.get(thread)
    const call = start === undefined ? undefined : callOf(start.text + (resumed?.[1] ?? rest), start.startedAt, line, synchronous)
    if (call !== undefined) calls.push(call)
  }
  return calls
}

function callOf(text: string, startedAt: number, endedAt: number, synchronous: Set<string>): SystemCall | undefined {
  const [, name, rest = ''] = /^(\w+)\((.*)$/.exec(text) ?? []
  const [, result] = /\) += (-?\d+)[^)]*$/.exec(text) ?? []
  if (name === undefined || result === undefined) return undefined
  if (name === 'openat') {
    if (/O_D?SYNC/.test(rest)) synchronous.add(result)
    else synchronous.delete(result)
  }
  const [, descriptor = '', path = ''] = /^(\d+)<((?:[^>]|->)*)>/.exec(rest) ?? []
  const bytes = [...rest.matchAll(/"([^"]*)"/g)].map(([, part = '']) => unescaped(part)).join('')
  const isSocket = path.startsWith('TCP:')
  const about = isSocket ? path : unescaped(path)
  const isSynchronous = synchronous.has(descriptor)
  return { name, path: about, isSocket, isSynchronous, bytes, result: Number(result), startedAt, endedAt }
}

function unescaped(text: string): string {
  return text.replace(/\\x([0-9a-f]{2})/g, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16)))
}

/**
 * What is wrong with the order of flushes and answers: for the n-th mark, received in the body of the SEND with ref n, there must be in this
 * order: a read of it from a socket, a synchronous write of it to the journal, and only then the write of RESULT(n, sent) to a socket. Each
 * step must have ended before the next begins.
 */
export function flushFaults(calls: readonly SystemCall[], marks: readonly string[]): string[] {
  const faults: string[] = []
  for (const [at, mark] of marks.entries()) {
    const answer = calls.find((call) => isWrite(call) && call.isSocket && call.bytes.includes(resultBytes(at + 1)))
    const missing = firstMissing(calls, mark, answer)
    if (missing !== undefined) faults.push(`${mark}: ${missing}`)
  }
  return faults
}

function firstMissing(calls: readonly SystemCall[], mark: string, answer: SystemCall | undefined): string | undefined {
  if (answer === undefined) return 'no answer'
  const isJournal = ({ path }: SystemCall) => /\/journal\/\d+\.journal$/.test(path)
  const isWritten = (call: SystemCall) => isJournal(call) && isWrite(call) && call.bytes.includes(mark)
  const steps: readonly (readonly [string, (call: SystemCall) => boolean])[] = [
    ['not received', (call) => call.isSocket && call.name.startsWith('re') && unmasked(call.bytes).includes(mark)],
    ['not on disk in the journal', (call) => isWritten(call) && call.isSynchronous],
  ]
  let after = -1
  for (const [fault, isStep] of steps) {
    const step = calls.find((call) => call.startedAt > after && call.endedAt < answer.startedAt && isStep(call))
    if (step === undefined) return fault
    after = step.endedAt
  }
  return undefined
}

function isWrite({ name, result }: SystemCall): boolean {
  return /write|send/.test(name) && result > 0
}

/** The beginning of RESULT with this ref (below 128) and the status `sent`. */
function resultBytes(ref: number): string {
  return String.fromCharCode(0x96, 35, ref, 2)
}

/** The payload of one WebSocket frame from a client, of less than 64 KiB. */
function unmasked(frame: string): string {
  const short = frame.charCodeAt(1) & 0x7f
  const at = short === 126 ? 4 : 2
  const payload = frame.slice(at + 4)
  return Array.from(payload, (byte, index) => String.fromCharCode(byte.charCodeAt(0) ^ frame.charCodeAt(at + (index % 4)))).join(
    '',
  )
}
