import type { EventOf } from '../history.ts'
import { type ConnectionFacts, connectionsOf } from './connections.ts'
import { type Facts, liveStores } from './facts.ts'
import type { Violation } from './violation.ts'

const windowEntries = 256
const windowBytesMin = 65_536
const windowBytesMax = 1_048_576
/** What an entry is in bytes beside its body, at most. */
const entryBytes = 512

/**
 * I10, as the network shows it: what is under way to a device that does not acknowledge, and what lies untaken for one that does not read. Who
 * reads nothing holds up nobody else.
 */
export function checkBounds(facts: Facts, hasSleeps: boolean): Violation[] {
  return [...connectionsOf(facts).flatMap(checkWindow), ...checkUntaken(facts), ...checkNeighbours(facts, hasSleeps)]
}

/** No more than 256 entries and SKIPs are under way, and nothing is written to a window that is full of bytes. */
function checkWindow({ traffic }: ConnectionFacts): Violation[] {
  const violations: Violation[] = []
  const streams = new Map<string, EventOf<'wrote'>[]>()
  let entries = 0
  let bytes = 0
  let ackedBytes = 0
  for (const event of traffic) {
    const stream = streams.get(`${event.log} ${event.lane}`) ?? []
    if (event.kind === 'wrote') {
      const room = Math.min(windowBytesMax, Math.max(windowBytesMin, 2 * ackedBytes))
      const isFull = entries >= windowEntries || (entries > 0 && bytes >= room)
      if (isFull)
        violations.push({ invariant: 'I10', text: `written to a window with ${entries} entries, ${bytes} bytes`, proof: [event] })
      entries += 1
      bytes += event.bytes
      stream.push(event)
      streams.set(`${event.log} ${event.lane}`, stream)
      continue
    }
    while ((stream[0]?.to ?? Number.POSITIVE_INFINITY) <= event.upTo) {
      const landed = stream.shift()?.bytes ?? 0
      entries -= 1
      bytes -= landed
      ackedBytes += landed + entryBytes
    }
  }
  return violations
}

/** A connection on which too much lies untaken for long is closed, not written to. */
function checkUntaken({ history }: Facts): Violation[] {
  return history.events.flatMap((event): Violation[] => {
    if (event.kind !== 'untaken' || event.bytes <= history.untakenBytesMax) return []
    return [
      { invariant: 'I10', text: `written to a connection on which ${event.bytes} bytes lie untaken since long`, proof: [event] },
    ]
  })
}

/** What was written to a user while some device read nothing came to all others of that user meanwhile: nobody waits for who does not read. */
function checkNeighbours(facts: Facts, hasSleeps: boolean): Violation[] {
  const { events, isSmall } = facts.history
  const began = events.findIndex(({ kind }) => kind === 'neighbourBegan')
  const ended = events.findIndex(({ kind }) => kind === 'neighbourEnded')
  const neighbour = events[began]
  if (neighbour?.kind !== 'neighbourBegan' || ended < 0 || isSmall) return []
  const beside = events.slice(began, ended)
  const isBack = events.slice(began).some((event) => event.kind === 'live' && event.store === neighbour.store)
  const live = liveStores(events.slice(0, began))
  const accepted = new Set(facts.told.flatMap(({ status, content }) => (status === 'sent' ? [content] : [])))
  return beside.flatMap((asked): Violation[] => {
    const content = asked.kind === 'sendAsked' ? facts.content(asked.content) : undefined
    if (asked.kind !== 'sendAsked' || content?.toKind !== 0 || !accepted.has(asked.content)) return []
    // It does not read either that its connection was closed, as when its token expires, and it may be asleep: what it sends itself may wait.
    if (asked.store === neighbour.store && (isBack || hasSleeps)) return []
    const missing = [...live].filter((store) => {
      const isReceiver = store !== neighbour.store && facts.user(store) === content.to
      return (
        isReceiver && !beside.some((event) => event.kind === 'stored' && event.store === store && event.content === asked.content)
      )
    })
    const text = `a message waited for a device that reads nothing, beside which it went to store ${missing[0]}`
    return missing.length === 0 ? [] : [{ invariant: 'I10', text, proof: [neighbour, asked] }]
  })
}
