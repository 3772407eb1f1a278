/**
 * Measures the durable edge: how long a checkpoint blocks the main thread and what it does to appends, appends alone, and reads.
 * Run: `npx tsx bench/checkpoint.ts [rows]` (115,000 rows by default).
 */
import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileJournal } from '../packages/server/src/storage/journal.ts'
import { LmdbTables } from '../packages/server/src/storage/tables.ts'

const rowCount = Number(process.argv[2] ?? 115_000)
/** The caller's slice: it fills for this long, then lets the event loop turn. */
const SLICE_MS = 2

const root = mkdtempSync(join(tmpdir(), 'posthaste-bench-'))
try {
  await benchAppends()
  await benchCheckpoints()
} finally {
  rmSync(root, { recursive: true, force: true })
}

/** Appends of one, 64 and 512 messages of 240 bytes, one and two in flight. */
async function benchAppends(): Promise<void> {
  for (const [bytes, depth] of [
    [240, 1],
    [240 * 64, 1],
    [240 * 64, 2],
    [240 * 512, 1],
  ] as const) {
    const journal = FileJournal.open(join(root, `append-${bytes}-${depth}`))
    const latenciesMs: number[] = []
    const record = new Uint8Array(bytes).fill(7)
    const startMs = performance.now()
    const appendOn = async (): Promise<void> => {
      while (journal.lastPosition < 2_000) latenciesMs.push(await timed(() => journal.append(journal.lastPosition + 1, record)))
    }
    await Promise.all(Array.from({ length: depth }, appendOn))
    const perSecond = Math.round((latenciesMs.length / (performance.now() - startMs)) * 1_000)
    console.log(`append ${bytes} B, ${depth} in flight: ${quantiles(latenciesMs)}, ${perSecond}/s`)
    await journal.close()
  }
}

/** Checkpoints of `rowCount` rows, with a tick probe and a running journal beside. */
async function benchCheckpoints(): Promise<void> {
  const tables = LmdbTables.open(join(root, 'tables'))
  const journal = FileJournal.open(join(root, 'journal'))
  await measure('idle', journal, () => new Promise((resolve) => setTimeout(resolve, 500)))
  for (const [name, stride] of [
    ['first', 9],
    ['same keys', 9],
    ['same keys', 9],
    ['new keys', 7],
    ['new keys', 5],
  ] as const) {
    await measure(`checkpoint, ${name}`, journal, () => checkpoint(tables, stride))
  }
  const megabytes = Math.round(statSync(join(root, 'tables', 'data.mdb')).size / 1e6)
  console.log(`tables file ${megabytes} MB`)
  benchReads(tables)
  await Promise.all([tables.close(), journal.close()])
}

async function checkpoint(tables: LmdbTables, stride: number): Promise<void> {
  const value = new Uint8Array(300)
  const key = new Uint8Array(24)
  const keyView = new DataView(key.buffer)
  const writer = tables.beginCheckpoint()
  const startMs = performance.now()
  let sliceStartMs = startMs
  let putMs = 0
  for (let row = 1; row <= rowCount; row++) {
    keyView.setUint32(16, row * stride)
    writer.put(key, value.subarray(0, 160 + (row % 140)))
    if (row % 64 !== 0 || performance.now() < sliceStartMs + SLICE_MS) continue
    putMs += performance.now() - sliceStartMs
    await new Promise((resolve) => setImmediate(resolve))
    sliceStartMs = performance.now()
  }
  const filledMs = performance.now() - startMs
  const commitMs = await timed(() => writer.commit())
  console.log(
    `  put ${((putMs * 1_000) / rowCount).toFixed(2)} µs a row, filled in ${filledMs.toFixed(0)} ms, commit ${commitMs.toFixed(0)} ms`,
  )
}

/** Runs `work` beside a 1 ms tick and one append of 15 kB after the other, and prints how late the ticks were and how long the appends took. */
async function measure(name: string, journal: FileJournal, work: () => Promise<void>): Promise<void> {
  const latenessMs: number[] = []
  let lastMs = performance.now()
  const ticks = setInterval(() => {
    const nowMs = performance.now()
    latenessMs.push(Math.max(0, nowMs - lastMs - 1))
    lastMs = nowMs
  }, 1)
  let isDone = false
  const appendsMs: number[] = []
  const appended = (async () => {
    const record = new Uint8Array(240 * 64)
    while (!isDone) appendsMs.push(await timed(() => journal.append(journal.lastPosition + 1, record)))
  })()
  await work()
  isDone = true
  await appended
  clearInterval(ticks)
  console.log(`${name}: event loop late ${quantiles(latenessMs)}; append beside it ${quantiles(appendsMs)}`)
}

function benchReads(tables: LmdbTables): void {
  const keys = Array.from({ length: 100_000 }, () => {
    const key = new Uint8Array(24)
    new DataView(key.buffer).setUint32(16, (1 + Math.floor(Math.random() * rowCount)) * 9)
    return key
  })
  let found = 0
  const startMs = performance.now()
  for (const key of keys) if (tables.get(key) !== undefined) found++
  const getMs = performance.now() - startMs
  const scanStartMs = performance.now()
  const scanned = tables.scan(new Uint8Array(24), new Uint8Array(24).fill(255), 100_000).length
  const scanMs = performance.now() - scanStartMs
  console.log(`get ${((getMs * 1_000) / found).toFixed(2)} µs, scan ${((scanMs * 1_000) / scanned).toFixed(2)} µs a row`)
}

async function timed(work: () => Promise<void>): Promise<number> {
  const startMs = performance.now()
  await work()
  return performance.now() - startMs
}

function quantiles(values: number[]): string {
  const sorted = values.toSorted((left, right) => left - right)
  const at = (share: number): string => (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(2)
  return `p50 ${at(0.5)} p99 ${at(0.99)} max ${at(1)} ms`
}
