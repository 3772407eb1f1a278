import { connectionsOf, type Write } from '../checker/connections.ts'
import { Facts } from '../checker/facts.ts'
import { type EventOf, eventsOf, type History } from '../history.ts'
import type { Corruption } from './corruption.ts'
import { insertAfter, pick, remove } from './corruption.ts'

/** Entries of a user's own log that certainly waited when the one before them on their connection was written. */
function waiting(history: History, isWanted: (write: Write, before: Write | undefined) => boolean): Write[] {
  const facts = new Facts(history)
  return connectionsOf(facts).flatMap(({ writes }) =>
    writes.filter((write, place) => {
      const { isEntry, isEcho, content } = write.event
      const isOwn = isEntry && !isEcho && facts.content(content)?.toKind === 0
      const before = writes[place - 1]
      return place < 60 && isOwn && write.knownAt < (before?.at ?? write.at) && isWanted(write, before)
    }),
  )
}

/** Writes of another lane or log that were not there, just before a write. */
function insertBefore(history: History, event: EventOf<'wrote'>, count: number, fields: Partial<EventOf<'wrote'>>): void {
  const added = Array.from({ length: count }, (_, at) => ({
    ...event,
    isEntry: false,
    content: 0,
    ...fields,
    from: at + 1,
    to: at + 1,
  }))
  history.events.splice(history.events.indexOf(event), 0, ...added)
}

/** Ways to falsify what the network showed. */
export const networkCorruptions: readonly Corruption[] = [
  {
    name: 'a lower lane goes first',
    caughtAs: ['I7'],
    corrupt: (history, random) => {
      const write = pick(
        random,
        waiting(history, ({ event }) => event.lane < 15),
      )
      if (write !== undefined) insertBefore(history, write.event, 1, { lane: 15 })
      return write !== undefined
    },
  },
  {
    name: 'a lower lane never gets its turn',
    caughtAs: ['I7'],
    corrupt: (history, random) => {
      const write = pick(
        random,
        waiting(history, ({ event }) => event.lane > 0),
      )
      if (write !== undefined) insertBefore(history, write.event, 67, { lane: 0 })
      return write !== undefined
    },
  },
  {
    name: 'a log comes twice while another one waits',
    caughtAs: ['I7'],
    corrupt: (history, random) => {
      const write = pick(
        random,
        waiting(history, () => true),
      )
      if (write !== undefined) insertBefore(history, write.event, 2, { log: 1 })
      return write !== undefined
    },
  },
  {
    name: 'a full window is written to',
    caughtAs: ['I10'],
    corrupt: (history, random) => {
      const event = pick(random, eventsOf(history, 'wrote'))
      if (event !== undefined) insertBefore(history, event, 2, { log: 1, bytes: 1_048_576 })
      return event !== undefined
    },
  },
  {
    name: 'more entries are under way than a window holds',
    caughtAs: ['I10'],
    corrupt: (history, random) => {
      const event = pick(random, eventsOf(history, 'wrote'))
      if (event !== undefined) insertBefore(history, event, 257, { log: 1, bytes: 0 })
      return event !== undefined
    },
  },
  {
    name: 'much lies untaken for long',
    caughtAs: ['I10'],
    corrupt: (history, random) => {
      const event = pick(random, eventsOf(history, 'wrote'))
      if (event === undefined) return false
      const { connection, atMs } = event
      insertAfter(history, event, { kind: 'untaken', connection, atMs, bytes: history.untakenBytesMax + 1 })
      return true
    },
  },
  {
    name: 'a message waits for a device that reads nothing',
    caughtAs: ['I10'],
    corrupt: (history, random) => {
      const began = history.events.findIndex(({ kind }) => kind === 'neighbourBegan')
      const ended = history.events.findIndex(({ kind }) => kind === 'neighbourEnded')
      const neighbour = history.events[began]
      if (neighbour?.kind !== 'neighbourBegan' || ended < 0 || history.isSmall) return false
      const beside = history.events.slice(began, ended)
      const written = new Set(beside.flatMap((event) => (event.kind === 'sendAsked' ? [event.content] : [])))
      const stored = pick(
        random,
        beside.filter(
          (event): event is EventOf<'stored'> =>
            event.kind === 'stored' && event.toKind === 0 && event.store !== neighbour.store && written.has(event.content),
        ),
      )
      if (stored === undefined) return false
      remove(history, (event) => event === stored)
      insertAfter(history, history.events[history.events.length - 1] ?? stored, stored)
      return true
    },
  },
]
