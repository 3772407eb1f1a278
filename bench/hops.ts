/**
 * What a message costs on each hop of its way, from a recording of the server by Linux's `perf`, which sees the system's part too. Start a
 * workload with POSTHASTE_BENCH_NODE=--perf-basic-prof, and while it runs
 * `perf record -e cpu-clock -F 999 -g -p PID -o perf.data -- sleep 6` with the PID of the server. Then
 * `npx tsx bench/hops.ts perf.data 25.0`, where the last is what a message took in CPU-µs.
 */
import { execFileSync } from 'node:child_process'

/** A hop, and what some frame of a stack on it is called, and some other one if that is named too. The first one that fits counts. */
const mainHops: readonly (readonly [hop: string, frame: RegExp, other?: RegExp])[] = [
  ['collecting garbage', /Scavenger|MarkCompact|Heap::CollectGarbage|ArrayBufferSweeper/],
  ['compiling', /Compil|Turbo|Maglev|Parser/],
  ['socket write: system', /Socket\._write|writeGeneric|handleWriteReq|StreamBase::.*Write/, /entry_SYSCALL/],
  [
    'socket write: Node',
    /Socket\._write|writeGeneric|handleWriteReq|StreamBase::.*Write|server\/dist\/frames\.js|(write|flush|#write) .*core\/dist\/host/,
  ],
  ['route', /(route|#wake|#wakeMany|#toSenders|#toUsers|tell) .*core\/dist\/host/],
  ['apply', /(apply|#apply|#applyRecord|flushed) .*core\/dist\/(shard|host)/],
  ['journal: encode, append', /batcher\.js|commands\.js|journal\.js|segments?\.js/],
  ['pump, encode', /pump\.js|sessionPort\.js|fanout\.js|host\/session\.js|(wake|#run) .*host\.js/],
  ['fold ACKs', /(foldAcks|#foldDue|tick) .*host\.js/],
  ['decode, inbound', /(protocol\/dist|inbound\.js|(received|handle) .*host)/],
  ['decode, inbound', /JS:.*gateway\.js/, /socketOnData/],
  ['socket read: ws', /ws\/lib/],
  ['socket read: Node', /onStreamRead|CallJSOnreadMethod|LibuvStreamWrap|EmitRead/],
  ['socket read: system', /uv__read|vfs_read|tcp_recvmsg|ksys_read/],
  ['epoll', /epoll|uv__io_poll/],
]
const otherHops: readonly (readonly [hop: string, frame: RegExp])[] = [
  ['compiling', /Compil|Turbo|Maglev/i],
  ['collecting garbage', /Scaveng|Mark|Sweep|Evacuat/],
  ['journal: flush', /uv__fs_work|uv__fs_write|pwritev/],
]
const rest = 'the rest'
const megabytesMax = 1_024

const [file, microseconds] = process.argv.slice(2)
if (file === undefined) {
  console.error('npx tsx bench/hops.ts PERF_DATA [CPU-µs of a message]')
  process.exit(2)
}
const text = execFileSync('perf', ['script', '-i', file, '-F', 'tid,ip,sym'], { maxBuffer: megabytesMax * 2 ** 20 }).toString()
const samples = text.split('\n\n').map((block) => block.trim().split('\n'))
const threads = countOf(samples.map(([thread = '']) => thread.trim()))
const main = [...threads].sort(([, left], [, right]) => right - left)[0]?.[0]
const hops = countOf(samples.map(([thread = '', ...frames]) => (thread.trim() === main ? mainHop(frames) : otherHop(frames))))
for (const [hop, count] of [...hops].sort(([, left], [, right]) => right - left)) {
  const share = count / samples.length
  const cost = microseconds === undefined ? '' : `${(share * Number(microseconds)).toFixed(2).padStart(8)} µs`
  console.log(`${(share * 100).toFixed(1).padStart(5)} %${cost}  ${hop}`)
}

function mainHop(frames: readonly string[]): string {
  const has = (pattern: RegExp | undefined): boolean => pattern === undefined || frames.some((frame) => pattern.test(frame))
  return mainHops.find(([, frame, other]) => has(frame) && has(other))?.[0] ?? rest
}

function otherHop(frames: readonly string[]): string {
  return otherHops.find(([, frame]) => frames.some((one) => frame.test(one)))?.[0] ?? rest
}

function countOf(names: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const name of names) counts.set(name, (counts.get(name) ?? 0) + 1)
  return counts
}
