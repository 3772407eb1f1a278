import { codeNumber } from '@posthaste/protocol'
import { entryKey, type LogRow } from '../rows/rows.ts'
import { encodeCommand } from './commands.ts'
import type { Due } from './due.ts'
import { dropBody, isKeyOver, setDue } from './log.ts'
import { endMs, type ShardState } from './state.ts'
import { isWaitedFor } from './status.ts'
import { forward } from './verbs/forward.ts'
import { setMember } from './verbs/group.ts'

/**
 * The end of deleted users and groups (section 5.8 of the design), a limited number of rows per record: what waits in their logs is
 * removed and their members are told; once no key of theirs lives, all that is left of them goes, in their own shard and then in the others.
 */

/** What has become of a deleted log, in this order: its entries are removed, its members told, the rest waits for its end. */
const stages = { removing: 0, telling: 1, waiting: 2 }
/** As how many rows a member counts that is told: about what a command for another shard takes. */
const tellRows = 8
/** How many commands may wait for another shard before members are told more slowly, and how long that waits, in ms. */
const forwardsMax = 10_000
const pauseMs = 100

/** Goes on to end a deleted log; gives how many rows it looked at. Its due row must be gone, the log be touched. */
export function endLog(state: ShardState, identity: number, log: LogRow, budget: number): number {
  let looked = 1
  if (log.ending === stages.removing) looked += removeEntries(state, identity, log, budget)
  if (log.ending === stages.telling && looked < budget) looked += tellMembers(state, identity, log, budget - looked)
  if (log.ending >= stages.waiting) {
    const atMs = endMs(log)
    if (atMs <= state.clockMs) return looked + deleteRows(state, identity, log, budget - looked)
    setDue(state, identity, log, atMs)
  } else setDue(state, identity, log, state.clockMs + (areForwardsFull(state) ? pauseMs : 0))
  return looked
}

/** Drops what is in a deleted log, and tells the sender of whatever waited for somebody, as `statusOfKey` says it. */
function removeEntries(state: ShardState, identity: number, log: LogRow, budget: number): number {
  let looked = 0
  for (let lane = 0; lane < log.lanes.length; lane++) {
    const place = log.lanes[lane]
    if (place === undefined) continue
    for (; place.trim < place.head; place.trim += 1, looked += 1) {
      if (looked >= budget) return looked
      removeEntry(state, identity, log, entryKey(lane, place.trim + 1))
    }
  }
  log.ending = stages.telling
  return looked
}

function removeEntry(state: ShardState, identity: number, log: LogRow, key: number): void {
  const entry = state.entries.get(identity, key)
  if (entry === undefined) return
  // One whose deadline had passed when the log was deleted, though no record had closed it yet, was expired before.
  const isLate = log.removedMs >= entry.deadlineMs
  const status = codeNumber(isLate ? 'expired' : 'removed')
  const isWaiting = log.kind === 1 && !isLate ? isWaitedFor(entry) : !entry.isStored
  if (isWaiting && !entry.isClosed && entry.id !== 0n && !entry.isEcho && !isKeyOver(state, entry))
    state.effects.statuses.push({ sender: entry.sender, log: identity, id: entry.id, status })
  state.entries.touch(identity, key, entry)
  dropBody(log, entry)
  if (log.kind === 0) state.entries.delete(identity, key)
}

/** Tells the members of a deleted group, by identity, that they no longer are. */
function tellMembers(state: ShardState, group: number, log: LogRow, budget: number): number {
  const asked = log.kind === 1 ? Math.ceil(budget / tellRows) : 0
  const members = state.members.scan(group, log.endingAt, undefined, asked)
  for (const [user, { name, roles }] of members) {
    if (areForwardsFull(state)) return budget
    // The row of who is none any more need not be held.
    if (roles !== 0) setMember(state, group, log, { user, name, roles: 0 })
    log.endingAt = user + 1
  }
  if (members.length === asked && asked > 0) return budget
  log.ending = stages.waiting
  log.endingAt = 0
  return members.length * tellRows
}

function areForwardsFull(state: ShardState): boolean {
  const { forwarded, acknowledged } = state.meta
  return forwarded.some((number, target) => number - (acknowledged[target] as number) >= forwardsMax)
}

/** The time has come at which a deleted log is as if it had never been. */
function deleteRows(state: ShardState, identity: number, log: LogRow, budget: number): number {
  forgetName(state, identity, log)
  const tables = [state.contacts, state.members, state.memberships, state.entries]
  let looked = 0
  for (let table = tables[log.ending - stages.waiting]; table !== undefined; table = tables[log.ending - stages.waiting]) {
    if (looked >= budget) {
      setDue(state, identity, log, state.clockMs)
      return looked
    }
    const rows = table.scan(identity, log.endingAt, undefined, budget - looked)
    for (const [inner] of rows) {
      table.delete(identity, inner)
      if (table === state.contacts || table === state.members) state.traces.delete(inner, identity)
      log.endingAt = inner + 1
    }
    looked += rows.length
    if (looked >= budget) continue
    log.ending += 1
    log.endingAt = 0
  }
  state.logs.delete(0, identity)
  if (log.kind === 0) tellUserEnd(state, identity)
  return looked
}

/** The name no longer leads to the identity. One that leads to nothing any more is as if it had never been. */
function forgetName(state: ShardState, identity: number, log: LogRow): void {
  const address = state.addresses.get(log.kind, log.name)
  if (address === undefined || !address.past.includes(identity)) return
  state.addresses.touch(log.kind, log.name, address)
  address.past = address.past.filter((past) => past !== identity)
  if (address.identity === 0 && address.past.length === 0) state.addresses.delete(log.kind, log.name)
}

function tellUserEnd(state: ShardState, user: number): void {
  for (let target = 0; target < state.shards; target++) {
    if (target === state.index) beginUserEnd(state, user)
    else forward(state, target, encodeCommand({ kind: 'userEnd', user }))
  }
}

/** A user's identity has ended: what it has left in the logs of this shard goes, from the next look at what is due on. */
export function beginUserEnd(state: ShardState, user: number): void {
  state.due.put(state.clockMs, user, { generation: 0, isOnDisk: false, place: 0, isDue: true })
  state.dueHeap.add(state.clockMs, user)
}

/** Goes on to delete what an ended user has left; gives how many rows it looked at. */
export function endUser(state: ShardState, due: Due, budget: number): number {
  state.due.delete(due.deadlineMs, due.log)
  const user = due.log
  const traces = state.traces.scan(user, state.endedTo.get(user) ?? 0, undefined, budget)
  for (const [log] of traces) {
    const row = state.log(log)
    const member = state.members.get(log, user)
    if (member !== undefined && row !== undefined) setMember(state, log, row, { user, name: member.name, roles: 0 })
    state.members.delete(log, user)
    state.contacts.delete(log, user)
    state.traces.delete(user, log)
    state.endedTo.set(user, log + 1)
  }
  if (traces.length >= budget) beginUserEnd(state, user)
  else {
    state.senders.delete(0, user)
    state.endedTo.delete(user)
  }
  return 1 + traces.length
}
