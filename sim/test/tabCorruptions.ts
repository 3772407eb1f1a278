import { Facts } from '../checker/facts.ts'
import { type EventOf, eventsOf, type History } from '../history.ts'
import { type Corruption, insertAfter, pick, remove, replace } from './corruption.ts'

/** What handlers of pages took while the page took part. */
function handledByPages(history: History): EventOf<'handled'>[] {
  const ended = new Set<number>()
  return history.events.flatMap((event) => {
    if (event.kind === 'tabEnded') ended.add(event.tab)
    return event.kind === 'handled' && event.tab > 0 && !ended.has(event.tab) ? [event] : []
  })
}

/** What is told to the pages of a browser of which there are several to the end, once all has come to rest. */
function toldAtRest(history: History): EventOf<'told'>[] {
  const open = new Map<number, number>()
  for (const event of history.events) {
    if (event.kind === 'rested') break
    if (event.kind === 'tabOpened') open.set(event.tab, event.store)
    if (event.kind === 'tabEnded') open.delete(event.tab)
  }
  for (const { tab } of eventsOf(history, 'tabEnded')) open.delete(tab)
  const rested = history.events.findIndex(({ kind }) => kind === 'rested')
  const isShared = (store: number): boolean => [...open.values()].filter((one) => one === store).length > 1
  return history.events
    .slice(Math.max(0, rested))
    .filter((event): event is EventOf<'told'> => event.kind === 'told' && open.has(event.tab) && isShared(event.store))
}

/** Ways to falsify what pages of a browser see. */
export const tabCorruptions: readonly Corruption[] = [
  {
    name: 'two pages handle one message at a time',
    caughtAs: ['I3'],
    corrupt: (history, random) => {
      const frozen = new Set(eventsOf(history, 'frozen').map(({ tab }) => tab))
      const event = pick(
        random,
        handledByPages(history).filter(({ tab }) => !frozen.has(tab)),
      )
      if (event !== undefined) insertAfter(history, event, { ...event, tab: event.tab + 1_000_000, isRedelivered: true })
      return event !== undefined
    },
  },
  {
    name: 'a message is handled again by another page',
    caughtAs: ['I2'],
    corrupt: (history, random) => {
      const ended = new Set(eventsOf(history, 'tabEnded').map(({ tab }) => tab))
      const frozen = new Set(eventsOf(history, 'frozen').map(({ tab }) => tab))
      const event = pick(
        random,
        eventsOf(history, 'handlerEnded').filter(({ tab, isDone }) => isDone && tab > 0 && !ended.has(tab) && !frozen.has(tab)),
      )
      if (event === undefined) return false
      const { isDone: _isDone, ...place } = event
      insertAfter(history, event, { ...place, kind: 'handled', tab: event.tab + 1_000_000, content: 0, isRedelivered: true })
      return true
    },
  },
  {
    name: 'a message is handled by a page that has stopped',
    caughtAs: ['I2'],
    corrupt: (history, random) => {
      const event = pick(random, handledByPages(history))
      if (event === undefined) return false
      const { store, tab, atMs } = event
      history.events.splice(history.events.indexOf(event), 0, { kind: 'receivingStopped', store, tab, atMs })
      return true
    },
  },
  {
    name: 'what was written once gets another id',
    caughtAs: ['I2'],
    corrupt: (history, random) => {
      const { repeated } = new Facts(history)
      const isOnce = ({ content }: EventOf<'sendStored'>): boolean => content > 0 && !repeated.has(content)
      const event = pick(random, eventsOf(history, 'sendStored').filter(isOnce))
      if (event !== undefined) insertAfter(history, event, { ...event, id: `${event.id}7` })
      return event !== undefined
    },
  },
  {
    name: 'a page is not told of what another one is',
    caughtAs: ['I6'],
    corrupt: (history, random) => {
      const event = pick(random, toldAtRest(history))
      if (event === undefined) return false
      const { tab, order, id, status } = event
      remove(
        history,
        (one) => one.kind === 'told' && one.tab === tab && one.order === order && one.id === id && one.status === status,
      )
      return true
    },
  },
  {
    name: 'a page is told less than another one',
    caughtAs: ['I6'],
    corrupt: (history, random) => {
      const event = pick(
        random,
        toldAtRest(history).filter(({ status }) => status === 'delivered'),
      )
      if (event !== undefined) replace(history, event, { ...event, status: 'sent' })
      return event !== undefined
    },
  },
  {
    name: 'a page is told of an end before its time',
    caughtAs: ['liveness'],
    corrupt: (history, random) => {
      const event = pick(random, eventsOf(history, 'tabOpened'))
      if (event === undefined) return false
      const { store, tab, atMs } = event
      const at = history.events.indexOf(event)
      history.events.splice(at, 0, { kind: 'ended', store, code: 'closed', atMs: atMs - 1 })
      remove(history, (one) => one.kind === 'ended' && one.store === store && one.atMs >= atMs)
      insertAfter(history, event, { kind: 'tabEnded', store, tab, code: 'replaced', atMs })
      return true
    },
  },
  {
    name: 'a message is refused since another page was closed',
    caughtAs: ['liveness'],
    corrupt: (history, random) => {
      const ended = new Set(eventsOf(history, 'tabEnded').map(({ tab }) => tab))
      const event = pick(
        random,
        eventsOf(history, 'sendAsked').filter(({ tab }) => tab > 0 && !ended.has(tab)),
      )
      if (event === undefined) return false
      const { store, tab, content, atMs } = event
      insertAfter(history, event, { kind: 'sendRefused', store, tab, content, code: 'closed', atMs })
      return true
    },
  },
]
