import type { EventOf, History } from './history.ts'

/** Named states that a schedule may reach, and that only many schedules reach all of. The world counts those that only it can see. */
export function rareStates(history: History): Map<string, number> {
  const found = new Map<string, number>()
  const reach = (name: string): void => {
    found.set(name, (found.get(name) ?? 0) + 1)
  }
  const seen = new Seen(history)
  for (const event of history.events) {
    if (event.kind === 'told') toldStates(event, seen, reach)
    else if (event.kind === 'stored') storedStates(event, seen, reach)
    else if (event.kind === 'ended') reach(`client ended: ${event.code}`)
    else if (event.kind === 'sendRefused') reach(`send refused: ${event.code}`)
    else if (event.kind === 'realtimeTold') reach(`real-time told ${event.status}`)
    else if (event.kind === 'submitAnswered') reach(`over HTTP: ${event.status}`)
    else if (event.kind === 'changeAnswered')
      reach(`change of rights: ${event.code === undefined ? 'not known' : event.code || 'done'}`)
    else if (event.kind === 'handled' && event.isRedelivered) reach('a handler got a message again')
    else if (event.kind === 'handlerEnded' && !event.isDone) reach('a handler failed')
    else if (event.kind === 'echoed') reach('another device was told of what its user sent')
    else if (event.kind === 'forgotten') reach(`forgotten while ${event.status}`)
    else if (event.kind === 'live' && event.epoch > 1) reach('a session in a later epoch')
    else if (event.kind === 'storeMade' && event.parent > 0) reach('a store that is a copy')
    else if (event.kind === 'serverStarted' && event.isRestored) reach('a restore began an epoch')
  }
  return found
}

/** What is remembered while a history is run through. */
class Seen {
  readonly contents: History['contents']
  readonly crashed = new Set<number>()
  readonly places = new Map<string, EventOf<'stored'>>()
  readonly byContent = new Map<number, EventOf<'stored'>>()
  readonly laneHeads = new Map<string, number>()

  constructor(history: History) {
    this.contents = history.contents
    for (const event of history.events) if (event.kind === 'crashed') this.crashed.add(event.store)
  }
}

function toldStates(event: EventOf<'told'>, seen: Seen, reach: (name: string) => void): void {
  const { status, previous, counts, epoch } = event
  reach(`told ${status} after ${previous}`)
  if (event.isLookedUp) reach(`looked up, since another tab leads: ${status}`)
  if (!event.isLive) reach(`told ${status} without a connection`)
  if (epoch > 1) reach(`told ${status} in a later epoch`)
  if (counts !== undefined && counts.members > 1 && counts.delivered === counts.members) reach('all of several members have it')
  if (counts !== undefined && counts.delivered > 0 && counts.delivered < counts.members) reach('some members have it')
  const stored = seen.byContent.get(event.content)
  if (status === 'expired' && stored !== undefined) reach('told expired of what a device has')
  if (status === 'unknown' && stored !== undefined) reach('told unknown of what a device has')
}

function storedStates(event: EventOf<'stored'>, seen: Seen, reach: (name: string) => void): void {
  const { store, epoch, log, lane, seq, id, deadlineMs, judgedMs } = event
  const place = `${epoch} ${log} ${lane} ${seq}`
  const other = seen.places.get(place)
  if (id === '0') reach('stored with id 0')
  if (seen.crashed.has(store)) reach('stored by a device that crashes')
  if (other !== undefined && other.store !== store) reach('stored by a second device')
  if (other?.store === store) reach('stored again by a device that went back')
  if (deadlineMs - judgedMs < 1_000) reach('stored in the last second')
  if (epoch > 1) reach('stored in a later epoch')
  const before = seen.byContent.get(event.content)
  if (before !== undefined && before.epoch < epoch) reach('stored in two epochs')
  const head = seen.laneHeads.get(`${store} ${log} ${lane}`) ?? 0
  if (head > 0 && seq > head + 1) reach('passed some before it stored the next')
  seen.laneHeads.set(`${store} ${log} ${lane}`, seq)
  seen.places.set(place, event)
  seen.byContent.set(event.content, event)
}
