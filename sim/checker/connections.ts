import type { EventOf, HistoryEvent } from '../history.ts'
import { type Facts, placeText } from './facts.ts'

/** Something that the server wrote to a connection, and since when it can't have been absent from its log. */
export interface Write {
  readonly event: EventOf<'wrote'>
  /** Its place in the history. */
  readonly at: number
  /** The place in the history of the first sign that the entry had its place in the log; infinity where there was none before. */
  readonly knownAt: number
}

/** All that happened on one connection, in order. */
export interface ConnectionFacts {
  readonly writes: readonly Write[]
  /** Writes, and ACKs that came. */
  readonly traffic: readonly (EventOf<'wrote'> | EventOf<'acked'>)[]
}

/** Every connection on which something was written. */
export function connectionsOf(facts: Facts): ConnectionFacts[] {
  const { events } = facts.history
  const epochs = new Map<number, number>()
  const known = new Map<string, number>()
  const accepted = new Map<string, number>()
  const found = new Map<number, { writes: Write[]; traffic: (EventOf<'wrote'> | EventOf<'acked'>)[] }>()
  for (const [at, event] of events.entries()) {
    if (event.kind === 'connected') epochs.set(event.connection, event.epoch)
    else if (event.kind === 'told' || event.kind === 'submitAnswered') {
      const place = acceptedText(facts, event)
      if (place !== '' && !accepted.has(place)) accepted.set(place, at)
    } else if (event.kind === 'wrote') {
      const { connection, log, lane, from: seq, isEntry, isEcho, content } = event
      const epoch = epochs.get(connection) ?? 0
      const place = placeText({ epoch, log, lane, seq })
      const toldAt = isEntry && !isEcho ? (accepted.get(`${epoch} ${content}`) ?? at) : at
      const knownAt = Math.min(toldAt, known.get(place) ?? at)
      if (!known.has(place) && isEntry) known.set(place, at)
      const facts = found.get(connection) ?? { writes: [], traffic: [] }
      if (facts.writes.length === 0) found.set(connection, facts)
      facts.writes.push({ event, at, knownAt })
      facts.traffic.push(event)
    } else if (event.kind === 'acked') found.get(event.connection)?.traffic.push(event)
  }
  return [...found.values()]
}

/** The content that was told as accepted, in its epoch; '' where it may have more than one place. */
function acceptedText(facts: Facts, event: Extract<HistoryEvent, { kind: 'told' | 'submitAnswered' }>): string {
  if (event.status !== 'sent' || facts.repeated.has(event.content)) return ''
  return facts.wasDeleted('userDelete', facts.content(event.content)?.user ?? '', 0) ? '' : `${event.epoch} ${event.content}`
}
