import type { HistoryEvent } from '../history.ts'
import { timeText } from '../world/trace.ts'

/** The invariants that a history can break. */
export type Invariant = 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'I8' | 'I9' | 'I10' | 'I11' | 'I12' | 'liveness'

/** A broken invariant, with the few events that prove it. */
export interface Violation {
  readonly invariant: Invariant
  readonly text: string
  readonly proof: readonly HistoryEvent[]
}

/** A violation in lines for people. */
export function violationLines({ invariant, text, proof }: Violation): string[] {
  return [`${invariant}: ${text}`, ...proof.map((event) => `    ${eventText(event)}`)]
}

/** An event in one line. */
export function eventText(event: HistoryEvent): string {
  const { atMs, kind, ...fields } = event
  const parts = Object.entries(fields).map(
    ([name, value]) => `${name} ${typeof value === 'object' ? JSON.stringify(value) : String(value)}`,
  )
  return `${timeText(atMs)} ${kind} ${parts.join(', ')}`
}
