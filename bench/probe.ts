/** What the server process tells of itself while it is measured. */
import { readFileSync } from 'node:fs'
import type { FileJournal } from '../packages/server/dist/storage/journal.js'
import type { LmdbTables } from '../packages/server/dist/storage/tables.js'
import { quantileOf } from './quantiles.ts'

/** What a server did from one look to the next. */
export interface ServerReport {
  readonly ms: number
  /** Time of all threads of the process, in ms. */
  readonly cpuMs: number
  readonly rssBytes: number
  /** The part of it that is memory of its own, not pages of files that are mapped; 0 where it can't be known. */
  readonly anonymousBytes: number
  readonly records: number
  readonly recordBytes: number
  /** From the append of a record to its return from the disk, in ms: the median. */
  readonly flushMs: number
  readonly checkpoints: number
  readonly checkpointMs: number
  /** How late a timer of 1 ms was, in ms, outside and inside of checkpoints. */
  readonly pauses: Pauses
  readonly checkpointPauses: Pauses
}

/** How late a timer was. */
export interface Pauses {
  readonly count: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
}

const probeMs = 1

/** Watches the journal, the checkpoints and the event loop of this process. */
export class Probe {
  #startedMs = performance.now()
  #cpu = process.cpuUsage()
  #records = 0
  #recordBytes = 0
  #flushesMs: number[] = []
  #openCheckpoints = 0
  #checkpointBeganMs = 0
  #checkpoints = 0
  #checkpointMs = 0
  #wasCheckpointing = false
  #pauses: number[] = []
  #checkpointPauses: number[] = []

  /** Begins to watch: counts what goes through these classes from now on. */
  constructor(journals: { prototype: FileJournal }, tables: { prototype: LmdbTables }) {
    this.#watchJournals(journals.prototype)
    this.#watchCheckpoints(tables.prototype, journals.prototype)
    let lastMs = performance.now()
    setInterval(() => {
      const nowMs = performance.now()
      const isInCheckpoint = this.#openCheckpoints > 0 || this.#wasCheckpointing
      const pauses = isInCheckpoint ? this.#checkpointPauses : this.#pauses
      pauses.push(Math.max(0, nowMs - lastMs - probeMs))
      this.#wasCheckpointing = this.#openCheckpoints > 0
      lastMs = nowMs
    }, probeMs)
  }

  /** What happened since the last report. */
  report(): ServerReport {
    const { user, system } = process.cpuUsage(this.#cpu)
    const report: ServerReport = {
      ms: performance.now() - this.#startedMs,
      cpuMs: (user + system) / 1_000,
      rssBytes: process.memoryUsage.rss(),
      anonymousBytes: anonymousBytes(),
      records: this.#records,
      recordBytes: this.#recordBytes,
      flushMs: quantileOf(this.#flushesMs, 0.5),
      checkpoints: this.#checkpoints,
      checkpointMs: this.#checkpointMs,
      pauses: pausesOf(this.#pauses),
      checkpointPauses: pausesOf(this.#checkpointPauses),
    }
    this.#startedMs = performance.now()
    this.#cpu = process.cpuUsage()
    this.#records = this.#recordBytes = this.#checkpoints = this.#checkpointMs = 0
    this.#flushesMs = []
    this.#pauses = []
    this.#checkpointPauses = []
    return report
  }

  #watchJournals(journal: FileJournal): void {
    const append = journal.append
    const appended = (bytes: number, ms: number): void => {
      this.#records += 1
      this.#recordBytes += bytes
      this.#flushesMs.push(ms)
    }
    journal.append = function (position, bytes) {
      const startMs = performance.now()
      const flushed = append.call(this, position, bytes)
      flushed.then(
        () => appended(bytes.length, performance.now() - startMs),
        () => {},
      )
      return flushed
    }
  }

  /** A checkpoint begins with its transaction, and ends when the journal is trimmed. */
  #watchCheckpoints(tables: LmdbTables, journal: FileJournal): void {
    const { beginCheckpoint } = tables
    const { trim } = journal
    const began = (): void => {
      this.#openCheckpoints += 1
      this.#checkpointBeganMs = performance.now()
    }
    const ended = (): void => {
      this.#openCheckpoints -= 1
      this.#checkpoints += 1
      this.#checkpointMs += performance.now() - this.#checkpointBeganMs
    }
    tables.beginCheckpoint = function () {
      began()
      return beginCheckpoint.call(this)
    }
    journal.trim = async function (upTo) {
      await trim.call(this, upTo)
      ended()
    }
  }
}

function anonymousBytes(): number {
  try {
    return Number(/^RssAnon:\s*(\d+) kB/m.exec(readFileSync('/proc/self/status', 'utf8'))?.[1] ?? 0) * 1_024
  } catch {
    return 0
  }
}

function pausesOf(values: readonly number[]): Pauses {
  return {
    count: values.length,
    p50Ms: quantileOf(values, 0.5),
    p99Ms: quantileOf(values, 0.99),
    maxMs: quantileOf(values, 1),
  }
}
