import type { Outcome, Verdict } from './run.ts'

/** A schedule that failed. */
export interface Failure {
  readonly seed: number
  readonly verdict: Verdict
  /** In one line. */
  readonly text: string
}

/** What many schedules came to. */
export interface Totals {
  schedules: number
  /** Simulated. */
  ms: number
  events: number
  /** Of processor time. */
  workMs: number
  readonly counts: Map<string, number>
  /** Of the traces of all, in whatever order they ran: two runs of the same seeds have the same. Below 2^64. */
  traces: bigint
  readonly failures: Failure[]
}

/** Nothing yet. */
export function emptyTotals(): Totals {
  return { schedules: 0, ms: 0, events: 0, workMs: 0, counts: new Map(), traces: 0n, failures: [] }
}

/** Adds one schedule. */
export function addOutcome(totals: Totals, outcome: Outcome): void {
  const { seed, verdict, text, violations, hash, ms, events, counts } = outcome
  totals.schedules += 1
  totals.ms += ms
  totals.events += events
  // An odd factor for each seed, so that two schedules that swap their traces are seen.
  addTraces(totals, BigInt(`0x${hash}`) * (2n * BigInt(seed) + 1n))
  for (const [name, count] of counts) totals.counts.set(name, (totals.counts.get(name) ?? 0) + count)
  if (verdict === 'passed') return
  const [first] = violations
  const line = first === undefined ? (text.split('\n')[0] ?? '') : `${first.invariant} ${first.text}`
  totals.failures.push({ seed, verdict, text: line })
}

/** Adds what another thread has done. */
export function addTotals(totals: Totals, others: Totals): void {
  totals.schedules += others.schedules
  totals.ms += others.ms
  totals.events += others.events
  totals.workMs += others.workMs
  addTraces(totals, others.traces)
  for (const [name, count] of others.counts) totals.counts.set(name, (totals.counts.get(name) ?? 0) + count)
  totals.failures.push(...others.failures)
}

function addTraces(totals: Totals, traces: bigint): void {
  totals.traces = BigInt.asUintN(64, totals.traces + traces)
}
