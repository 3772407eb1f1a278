import { rankOf } from '../../packages/client/src/machine/outboxMessage.ts'
import type { EventOf } from '../history.ts'
import { endsClient, type Facts, placeText } from './facts.ts'
import type { Violation } from './violation.ts'

/** A new leader waits so long for a page that lives and says nothing, less what posts may take. */
const joinWaitMs = 4_000

/**
 * I3, handlers: of one (log, lane) at most one runs at a time, in whichever page of a browser. Left out are the handlers of a page that was
 * frozen for so long that a new leader could not wait for it, and of one whose client has ended.
 */
export function checkOneAtATime(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const running = new Map<string, EventOf<'handled'>>()
  const frozen = new Map<number, number>()
  const ended = new Set<number>()
  for (const event of facts.history.events) {
    if (event.kind === 'frozen' && event.untilMs - event.atMs >= joinWaitMs) frozen.set(event.tab, event.untilMs)
    if (event.kind === 'handlerEnded') {
      const key = laneText(event)
      const before = running.get(key)
      if (before?.seq === event.seq && before.epoch === event.epoch && before.tab === event.tab) running.delete(key)
    }
    if (event.kind === 'tabEnded' || event.kind === 'crashed' || event.kind === 'ended' || event.kind === 'opened') {
      for (const [key, handled] of running) if (endsClient(event, handled)) running.delete(key)
    }
    if (event.kind === 'tabEnded') ended.add(event.tab)
    if (event.kind !== 'handled') continue
    const key = laneText(event)
    const before = running.get(key)
    if (!ended.has(event.tab)) running.set(key, event)
    if (before === undefined || (frozen.get(before.tab) ?? 0) >= before.atMs) continue
    violations.push({ invariant: 'I3', text: 'a handler was called while another one of its lane ran', proof: [before, event] })
  }
  return violations
}

/** I2, handlers: what the handler of a page has done, no handler is called for while that page stays, whoever leads. */
export function checkDoneOnce(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const done = new Map<string, EventOf<'handlerEnded'>>()
  const frozen = new Map<number, number>()
  const ended = new Set<number>()
  for (const event of facts.history.events) {
    if (event.kind === 'frozen') frozen.set(event.tab, event.untilMs)
    if (event.kind === 'tabEnded') {
      ended.add(event.tab)
      for (const [key, { tab }] of done) if (tab === event.tab) done.delete(key)
    }
    if (event.kind === 'handlerEnded' && event.isDone && event.tab > 0 && !ended.has(event.tab)) done.set(entryText(event), event)
    if (event.kind !== 'handled') continue
    const before = done.get(entryText(event))
    // A new leader does not wait for ever for what a frozen page has to say.
    if (before === undefined || (frozen.get(before.tab) ?? Number.NEGATIVE_INFINITY) + joinWaitMs >= before.atMs) continue
    violations.push({
      invariant: 'I2',
      text: 'a handler was called for what a page that is still there had done',
      proof: [before, event],
    })
  }
  return violations
}

function entryText(event: EventOf<'handled'> | EventOf<'handlerEnded'>): string {
  return `${event.store} ${placeText(event)}`
}

function laneText({ store, log, lane }: EventOf<'handled'> | EventOf<'handlerEnded'>): string {
  return `${store} ${log} ${lane}`
}

/** I2, the outbox: what was written once has one id there, however often a page had to ask its leaders. */
export function checkWrittenOnce(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const first = new Map<number, EventOf<'sendStored'>>()
  for (const event of facts.history.events) {
    if (event.kind !== 'sendStored' || facts.repeated.has(event.content) || event.content === 0) continue
    const before = first.get(event.content)
    if (before !== undefined && before.id !== event.id)
      violations.push({ invariant: 'I2', text: 'a message that was written once is in the outbox twice', proof: [before, event] })
    else first.set(event.content, event)
  }
  return violations
}

/** I6, at rest: once all had come to rest, what one page of a browser is told of its messages, all its pages are told that stay. */
export function checkAllTold(facts: Facts): Violation[] {
  const { events } = facts.history
  const rested = events.findIndex(({ kind }) => kind === 'rested')
  if (rested < 0) return []
  const later = events.slice(rested)
  const tabs = new Map<number, number>()
  for (const event of events.slice(0, rested)) {
    if (event.kind === 'tabOpened') tabs.set(event.tab, event.store)
    else if (event.kind === 'tabEnded') tabs.delete(event.tab)
  }
  for (const event of later) if (event.kind === 'tabEnded') tabs.delete(event.tab)
  const told = later.filter((event): event is EventOf<'told'> => event.kind === 'told' && event.tab > 0)
  // What one page hears late another one may have heard before.
  const known = new Set(events.flatMap((event) => (event.kind === 'told' ? [`${event.tab} ${messageText(event)}`] : [])))
  return told.flatMap((event) => {
    const untold = [...tabs].find(([tab, store]) => store === event.store && !known.has(`${tab} ${messageText(event)}`))
    const text = `tab ${event.tab} was told ${event.status}, and tab ${untold?.[0]} of the same browser never`
    return untold === undefined ? [] : [{ invariant: 'I6' as const, text, proof: [event] }]
  })
}

function messageText({ order, id, status }: EventOf<'told'>): string {
  return `${order} ${id} ${status}`
}

/** I6, at rest: what became of its messages a page learns that was not told, since its leader died: it looks it up. */
export function checkNoneLeftBehind(facts: Facts): Violation[] {
  const most = new Map<string, EventOf<'told'>>()
  const last = new Map<string, EventOf<'told'>>()
  const dropped = new Set<string>()
  for (const event of facts.history.events) {
    if (event.kind === 'sendDropped') dropped.add(`${event.store} ${event.order}`)
    // Another message stands in a place of the outbox that was free: what became of the one before says nothing of it.
    if (event.kind === 'sendStored' && dropped.delete(`${event.store} ${event.order}`)) {
      most.delete(`${event.store} ${event.order} ${event.id}`)
      for (const [key, { store, order, id }] of last)
        if (store === event.store && order === event.order && id === event.id) last.delete(key)
    }
    if (event.kind === 'tabEnded') for (const [key, { tab }] of last) if (tab === event.tab) last.delete(key)
    if (event.kind === 'forgotten') last.delete(`${event.tab} ${event.order} ${event.id}`)
    if (event.kind !== 'told' || event.tab === 0 || event.epoch !== facts.epoch) continue
    const message = `${event.store} ${event.order} ${event.id}`
    if (rankOf(event.status) >= rankOf(most.get(message)?.status ?? 'outbox')) most.set(message, event)
    last.set(`${event.tab} ${event.order} ${event.id}`, event)
  }
  return [...last.values()].flatMap((event) => {
    const other = most.get(`${event.store} ${event.order} ${event.id}`) ?? event
    const text = `tab ${event.tab} was last told ${event.status}, and another one of the same browser ${other.status}`
    // What was told and not yet stored when a leader died, the next one may not learn any more.
    return event.status === 'unknown' || rankOf(event.status) >= rankOf(other.status)
      ? []
      : [{ invariant: 'I6' as const, text, proof: [event, other] }]
  })
}

/** Handlers: none is called in a page that has stopped receiving. */
export function checkStopped(facts: Facts): Violation[] {
  const stopped = new Map<number, EventOf<'receivingStopped'>>()
  return facts.history.events.flatMap((event): Violation[] => {
    if (event.kind === 'receivingStopped') stopped.set(event.tab, event)
    if (event.kind === 'receiving') stopped.delete(event.tab)
    const before = event.kind === 'handled' ? stopped.get(event.tab) : undefined
    if (before === undefined) return []
    return [{ invariant: 'I2', text: 'a handler was called in a page that had stopped receiving', proof: [before, event] }]
  })
}

/** Liveness: that another page was closed, or that the client had ended before it was opened, is no page's concern. */
export function checkOwnEnds(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const opened = new Map<number, EventOf<'tabOpened'>>()
  const ended = new Set<number>()
  const machines = new Map<number, EventOf<'ended'>>()
  const refused: EventOf<'sendRefused'>[] = []
  for (const event of facts.history.events) {
    if (event.kind === 'tabOpened') opened.set(event.tab, event)
    else if (event.kind === 'ended') machines.set(event.store, event)
    else if (event.kind === 'sendRefused' && event.code === 'closed' && event.tab > 0) refused.push(event)
    else if (event.kind === 'tabEnded') {
      ended.add(event.tab)
      const sinceMs = opened.get(event.tab)?.atMs ?? 0
      const cause = machines.get(event.store)
      const isOwn = event.code === 'killed' || event.code === 'closed' || (cause?.atMs ?? sinceMs) >= sinceMs
      const text = `tab ${event.tab} was told of an end that came before it was opened`
      if (!isOwn) violations.push({ invariant: 'liveness', text, proof: [...(cause === undefined ? [] : [cause]), event] })
    }
  }
  const text = 'a message was refused because another page was closed'
  for (const event of refused) if (!ended.has(event.tab)) violations.push({ invariant: 'liveness', text, proof: [event] })
  return violations
}
