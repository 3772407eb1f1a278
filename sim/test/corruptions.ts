import { Facts } from '../checker/facts.ts'
import { type EventOf, eventsOf, type History, type HistoryEvent } from '../history.ts'
import { type Corruption, insertAfter, pick, remove, replace } from './corruption.ts'
import { ephemeralCorruptions } from './ephemeralCorruptions.ts'
import { networkCorruptions } from './networkCorruptions.ts'
import { tabCorruptions } from './tabCorruptions.ts'

type Stored = EventOf<'stored'>

/** Entries of messages with an id that was used once. */
function plain(history: History): Stored[] {
  const { repeated, stored } = new Facts(history)
  return stored.filter(({ id, content }) => id !== '0' && !repeated.has(content))
}

/** All ways. */
export const corruptions: readonly Corruption[] = [
  ...networkCorruptions,
  ...ephemeralCorruptions,
  ...tabCorruptions,
  {
    name: 'an entry comes twice',
    caughtAs: ['I2'],
    corrupt: (history, random) => {
      const event = pick(random, plain(history))
      if (event !== undefined) insertAfter(history, event, { ...event, seq: event.seq + 1_000_000, atMs: event.atMs + 1 })
      return event !== undefined
    },
  },
  {
    name: 'two devices disagree on a place',
    caughtAs: ['I3'],
    corrupt: (history, random) => {
      const stored = plain(history)
      const event = pick(
        random,
        stored.filter((one) => stored.some((other) => other !== one && isSamePlace(one, other))),
      )
      if (event !== undefined) replace(history, event, { ...event, deadlineMs: event.deadlineMs + 1 })
      return event !== undefined
    },
  },
  {
    name: 'an entry stands behind a later one',
    caughtAs: ['I3'],
    corrupt: (history, random) => {
      const stored = plain(history)
      const event = pick(
        random,
        stored.filter((one) =>
          stored.some((other) => isSameLane(one, other) && one.store === other.store && other.seq > one.seq),
        ),
      )
      const later = stored.find(
        (other) => event !== undefined && isSameLane(event, other) && event.store === other.store && other.seq > event.seq,
      )
      if (event === undefined || later === undefined) return false
      remove(history, (one) => one === event)
      insertAfter(history, later, { ...event, atMs: later.atMs })
      return true
    },
  },
  {
    name: 'two messages of one device change places',
    caughtAs: ['I4'],
    corrupt: (history, random) => {
      const asked = eventsOf(history, 'sendAsked')
      const firstOf = (content: number): EventOf<'sendAsked'> | undefined => asked.find((one) => one.content === content)
      const facts = new Facts(history)
      const stored = plain(history)
      for (let tries = 0; tries < 50; tries++) {
        const event = pick(random, stored)
        const other = stored.find(
          (one) => event !== undefined && isSameLane(event, one) && one.store === event.store && one.seq > event.seq,
        )
        const [first, second] = [event && firstOf(event.content), other && firstOf(other.content)]
        if (first === undefined || second === undefined || first.tab !== second.tab) continue
        if (first.store !== second.store || event === undefined || event.sender !== other?.sender) continue
        // Of what was sent before its destination was made again, the order is nobody's promise.
        if (facts.wasDeleted(event.toKind === 0 ? 'userDelete' : 'groupDelete', event.to, 0)) continue
        replace(history, first, { ...first, content: second.content, id: second.id })
        replace(history, second, { ...second, content: first.content, id: first.id })
        return true
      }
      return false
    },
  },
  {
    name: 'an entry is stored late',
    caughtAs: ['I5'],
    corrupt: (history, random) => {
      const event = pick(random, plain(history))
      if (event !== undefined) replace(history, event, { ...event, judgedMs: event.deadlineMs + 3_000 })
      return event !== undefined
    },
  },
  {
    name: 'a deadline moves',
    caughtAs: ['I5'],
    corrupt: (history, random) => {
      const sent = new Set(
        eventsOf(history, 'sendStored')
          .filter(({ deadlineMs }) => deadlineMs > 0)
          .map(({ content }) => content),
      )
      const event = pick(
        random,
        plain(history).filter(({ content }) => sent.has(content)),
      )
      if (event === undefined) return false
      for (const one of history.events)
        if (one.kind === 'stored' && one.content === event.content)
          replace(history, one, { ...one, deadlineMs: one.deadlineMs + 7 })
      return true
    },
  },
  {
    name: 'nobody has what was delivered',
    caughtAs: ['I6'],
    corrupt: (history, random) => {
      const told = eventsOf(history, 'told').filter(
        ({ status, content }) => status === 'delivered' && history.contents[content]?.toKind === 0,
      )
      const event = pick(random, told)
      if (event !== undefined) remove(history, (one) => one.kind === 'stored' && one.content === event.content)
      return event !== undefined
    },
  },
  {
    name: 'a status goes back',
    caughtAs: ['I6'],
    corrupt: (history, random) => {
      const event = pick(
        random,
        eventsOf(history, 'told').filter(({ status }) => status === 'delivered'),
      )
      if (event !== undefined) insertAfter(history, event, { ...event, previous: 'delivered', status: 'sent' })
      return event !== undefined
    },
  },
  {
    name: 'nobody has read what was told read',
    caughtAs: ['I6'],
    corrupt: (history) => {
      if (!history.events.some((event) => event.kind === 'told' && event.status === 'read')) return false
      remove(history, (event) => event.kind === 'readAsked')
      return true
    },
  },
  {
    name: 'what was sent is lost',
    caughtAs: ['I1'],
    corrupt: (history, random) => {
      const endMs = Math.max(...eventsOf(history, 'told').map(({ serverMs }) => serverMs))
      const lastEpoch = eventsOf(history, 'serverStarted').at(-1)?.epoch
      const deleted = new Set(
        eventsOf(history, 'changeAsked').flatMap(({ change }) => (change.what === 'userDelete' ? [change.subject] : [])),
      )
      const sent = eventsOf(history, 'told').filter(({ status, content, epoch }) => {
        const { toKind, to } = history.contents[content] ?? { toKind: 1, to: '' }
        return status === 'sent' && toKind === 0 && epoch === lastEpoch && !deleted.has(to)
      })
      const lasting = sent.filter(({ content }) =>
        history.events.some((one) => one.kind === 'sendStored' && one.content === content && one.deadlineMs > endMs + 10_000),
      )
      const event = pick(random, lasting)
      if (event === undefined) return false
      const isGone = (one: HistoryEvent): boolean =>
        (one.kind === 'stored' && one.content === event.content) ||
        (one.kind === 'told' && one.content === event.content && one !== event) ||
        (one.kind === 'submitAnswered' && one.content === event.content)
      remove(history, isGone)
      return true
    },
  },
  {
    name: 'an entry comes to a stranger',
    caughtAs: ['I9'],
    corrupt: (history, random) => {
      const stores = eventsOf(history, 'storeMade')
      const userOf = (store: number): string | undefined => stores.find((one) => one.store === store)?.user
      const event = pick(
        random,
        plain(history).filter(({ toKind }) => toKind === 0),
      )
      const stranger = stores.find(({ user }) => event !== undefined && user !== userOf(event.store))
      if (event !== undefined && stranger !== undefined) replace(history, event, { ...event, store: stranger.store })
      return event !== undefined && stranger !== undefined
    },
  },
  {
    name: 'an entry is of somebody who never wrote it',
    caughtAs: ['I9'],
    corrupt: (history, random) => {
      const event = pick(random, plain(history))
      if (event !== undefined) replace(history, event, { ...event, senderName: 'mallory' })
      return event !== undefined
    },
  },
  {
    name: 'a conflict is swallowed',
    caughtAs: ['I8'],
    corrupt: (history, random) => {
      const deleted = history.events.some((event) => event.kind === 'changeAsked' && /Delete$/.test(event.change.what))
      const event = pick(
        random,
        eventsOf(history, 'told').filter(({ status, content }) => status === 'sent' && content > 0),
      )
      const content = event === undefined ? undefined : history.contents[event.content]
      if (event === undefined || content === undefined || deleted) return false
      const number = history.contents.length
      history.contents.push({ ...content, number })
      insertAfter(history, event, { ...event, content: number, order: event.order + 1_000_000 })
      return true
    },
  },
  {
    name: 'a handler is called again in silence',
    caughtAs: ['I2'],
    corrupt: (history, random) => {
      const event = pick(random, eventsOf(history, 'handled'))
      if (event !== undefined) insertAfter(history, event, { ...event, isRedelivered: false })
      return event !== undefined
    },
  },
  {
    name: 'an outbox forgets what it was said to hold',
    caughtAs: ['I1'],
    corrupt: (history, random) => {
      const { repeated, told } = new Facts(history)
      // What expired before it could go out need not have been stored.
      const unseen = new Set(
        told.flatMap(({ store, order, status, previous }) =>
          status === 'expired' && previous === 'outbox' ? [`${store} ${order}`] : [],
        ),
      )
      const event = pick(
        random,
        eventsOf(history, 'sendAnswered').filter(
          ({ content, store, order }) => !repeated.has(content) && !unseen.has(`${store} ${order}`),
        ),
      )
      if (event !== undefined)
        remove(history, (one) => one.kind === 'sendStored' && one.store === event.store && one.order === event.order)
      return event !== undefined
    },
  },
]

function isSameLane(left: Stored, right: Stored): boolean {
  return left.epoch === right.epoch && left.log === right.log && left.lane === right.lane
}

function isSamePlace(left: Stored, right: Stored): boolean {
  return isSameLane(left, right) && left.seq === right.seq
}
