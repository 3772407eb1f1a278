import { type EventOf, eventsOf, type History } from '../history.ts'
import { type Corruption, insertAfter, pick, replace } from './corruption.ts'

/** What devices that watch a user to the end were told last, where that is that the user is there. */
function lastPresence(history: History): EventOf<'presenceTold'>[] {
  const last = new Map<string, EventOf<'presenceTold'>>()
  const off = new Set(eventsOf(history, 'watchAsked').flatMap(({ store, user, isOn }) => (isOn ? [] : [`${store} ${user}`])))
  const live = new Set<number>()
  for (const event of history.events) {
    if (event.kind === 'live') live.add(event.store)
    if (event.kind === 'crashed' || event.kind === 'ended' || event.kind === 'opened' || event.kind === 'storeLost') {
      live.delete(event.store)
      for (const [key, { store }] of last) if (store === event.store) last.delete(key)
    }
    if (event.kind === 'presenceTold') last.set(`${event.store} ${event.user}`, event)
  }
  return [...last].flatMap(([key, event]) => (live.has(event.store) && !off.has(key) && event.state === 'online' ? [event] : []))
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
      insertAfter(history, event, { kind: 'typingTold', store, atMs, user: 'mallory', toKind: 0, to, isActive: true })
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
