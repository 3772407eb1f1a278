import { endsClient, liveStores } from '../checker/facts.ts'
import { type EventOf, eventsOf, type History } from '../history.ts'
import { type Corruption, insertAfter, pick, replace } from './corruption.ts'

/** What devices that watch a user to the end were told last, where that is that the user is there. */
function lastPresence(history: History): EventOf<'presenceTold'>[] {
  const last = new Map<string, EventOf<'presenceTold'>>()
  const keyOf = ({ store, tab, user }: EventOf<'presenceTold'> | EventOf<'watchAsked'>): string => `${store} ${tab} ${user}`
  const asked = eventsOf(history, 'watchAsked')
  const off = new Set(asked.flatMap((event) => (event.isOn ? [] : [keyOf(event)])))
  // All pages of a browser are told of whom one of them watches.
  const on = new Set(asked.map(keyOf))
  for (const event of history.events) {
    for (const [key, told] of last) if (endsClient(event, told)) last.delete(key)
    if (event.kind === 'presenceTold') last.set(keyOf(event), event)
  }
  const live = liveStores(history.events)
  return [...last].flatMap(([key, event]) => {
    const isWatching = live.has(event.store) && on.has(key) && !off.has(key)
    return isWatching && event.state === 'online' ? [event] : []
  })
}

/** Ways to falsify what is never stored. */
export const ephemeralCorruptions: readonly Corruption[] = [
  {
    name: 'a real-time message comes twice',
    caughtAs: ['I2'],
    corrupt: (history, random) => {
      const event = pick(random, eventsOf(history, 'realtimeGot'))
      if (event !== undefined) insertAfter(history, event, event)
      return event !== undefined
    },
  },
  {
    name: 'a real-time message comes without a connection',
    caughtAs: ['I5'],
    corrupt: (history, random) => {
      const event = pick(random, eventsOf(history, 'realtimeGot'))
      if (event !== undefined) replace(history, event, { ...event, isLive: false })
      return event !== undefined
    },
  },
  {
    name: 'a real-time message is stored',
    caughtAs: ['I5'],
    corrupt: (history, random) => {
      const event = pick(random, eventsOf(history, 'realtimeGot'))
      const stored = pick(random, eventsOf(history, 'stored'))
      if (event === undefined || stored === undefined) return false
      insertAfter(history, event, { ...stored, content: event.content })
      return true
    },
  },
  {
    name: 'a real-time message comes to a stranger',
    caughtAs: ['I9'],
    corrupt: (history, random) => {
      const event = pick(random, eventsOf(history, 'realtimeGot'))
      const asked = eventsOf(history, 'realtimeAsked').find(({ content }) => content === event?.content)
      if (event !== undefined && asked !== undefined) replace(history, event, { ...event, store: asked.store })
      return event !== undefined && asked !== undefined
    },
  },
  {
    name: 'a real-time message is told expired though it came',
    caughtAs: ['I6'],
    corrupt: (history, random) => {
      const told = eventsOf(history, 'realtimeTold').filter(({ status }) => status === 'delivered')
      const event = pick(random, told)
      if (event !== undefined) replace(history, event, { ...event, status: 'expired' })
      return event !== undefined
    },
  },
  {
    name: 'a real-time message is told delivered that nobody got',
    caughtAs: ['I6'],
    corrupt: (history, random) => {
      const got = new Set(eventsOf(history, 'realtimeGot').map(({ content }) => content))
      const told = eventsOf(history, 'realtimeTold').filter(({ content }) => !got.has(content))
      const event = pick(random, told)
      if (event !== undefined) replace(history, event, { ...event, status: 'delivered' })
      return event !== undefined
    },
  },
  {
    name: 'somebody is told to type who does not',
    caughtAs: ['I9'],
    corrupt: (history, random) => {
      const event = pick(random, eventsOf(history, 'live'))
      if (event === undefined) return false
      const { store, atMs } = event
      const to = eventsOf(history, 'storeMade').find((made) => made.store === store)?.user ?? ''
      insertAfter(history, event, { kind: 'typingTold', store, tab: 0, atMs, user: 'mallory', toKind: 0, to, isActive: true })
      return true
    },
  },
  {
    name: 'the last that is told of somebody who is there is not so',
    caughtAs: ['liveness'],
    corrupt: (history, random) => {
      const blocked = eventsOf(history, 'changeAsked').some(
        ({ change }) => change.what === 'block' || change.what === 'userDelete',
      )
      const event = blocked ? undefined : pick(random, lastPresence(history))
      if (event !== undefined) insertAfter(history, event, { ...event, state: 'offline' })
      return event !== undefined
    },
  },
]
