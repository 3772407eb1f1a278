import type { LogRow } from '../rows/rows.ts'
import { encodeCommand } from './commands.ts'
import type { Due } from './due.ts'
import { setDue } from './log.ts'
import { endMs, type ShardState } from './state.ts'
import { forward } from './verbs/forward.ts'
import { setMember } from './verbs/group.ts'

/**
 * The end of deleted users and groups (section 5.8 of the design): once no key of theirs lives, all that is left of them goes, a
 * limited number of rows per record, in their own shard and then in the others.
 */

/** Goes on to end a deleted log, if its time has come; gives how many rows it looked at. Its due row must be gone, the log be touched. */
export function endLog(state: ShardState, identity: number, log: LogRow, budget: number): number {
  const atMs = endMs(state, log)
  if (state.clockMs < atMs) {
    setDue(state, identity, log, atMs)
    return 1
  }
  forgetName(state, identity, log)
  const tables = [state.contacts, state.members, state.memberships, state.entries]
  let looked = 1
  for (let table = tables[log.endingTable]; table !== undefined; table = tables[log.endingTable]) {
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
    log.endingTable += 1
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
  if (state.due.get(due.deadlineMs, due.log) === undefined) return 1
  state.due.delete(due.deadlineMs, due.log)
  const user = due.log
  const traces = state.traces.scan(user, 0, undefined, budget)
  for (const [log] of traces) {
    const row = state.log(log)
    const member = state.members.get(log, user)
    if (member !== undefined && row !== undefined) setMember(state, log, row, { user, name: member.name, roles: 0 })
    state.members.delete(log, user)
    state.contacts.delete(log, user)
    state.traces.delete(user, log)
  }
  if (traces.length >= budget) beginUserEnd(state, user)
  else state.senders.delete(0, user)
  return 1 + traces.length
}
