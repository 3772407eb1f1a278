import { laneCount, type LogRow } from '../rows/rows.ts'
import { setDue } from './log.ts'
import type { ShardState } from './state.ts'

/** Makes a log and gives its name a new identity. The name must have none. */
export function createLog(state: ShardState, kind: 0 | 1, name: string): { identity: number; log: LogRow } {
  const identity = state.newIdentity()
  const address = state.addresses.get(kind, name)
  if (address === undefined)
    state.addresses.put(kind, name, {
      generation: 0,
      isOnDisk: false,
      place: 0,
      identity,
      past: [],
      validAfterMs: 0,
    })
  else {
    state.addresses.touch(kind, name, address)
    address.identity = identity
  }
  const log = state.logs.put(0, identity, {
    generation: 0,
    isOnDisk: false,
    place: 0,
    kind,
    name,
    lanes: new Array(laneCount).fill(undefined),
    waiting: 0,
    waitingBytes: 0,
    kept: 0,
    keptBytes: 0,
    echoes: 0,
    echoBytes: 0,
    dueMs: 0,
    devices: [],
    members: 0,
    receivers: 0,
    madeDay: 0,
    madeGroups: 0,
    removedMs: 0,
    ending: 0,
    endingAt: 0,
  })
  return { identity, log }
}

/** Ends the identity of a name, at once; a user's tokens up to `validAfterMs` are revoked. What waits in its log is removed, and its senders and members are told, in the records that follow (`ending.ts`). */
export function removeLog(
  state: ShardState,
  kind: 0 | 1,
  name: string,
  validAfterMs = 0,
): { identity: number; log: LogRow } | undefined {
  const address = state.addresses.get(kind, name)
  if (address === undefined || address.identity === 0) return undefined
  const { identity } = address
  const log = state.log(identity) as LogRow
  state.addresses.touch(kind, name, address)
  address.past = [identity, ...address.past].slice(0, 16)
  address.identity = 0
  address.validAfterMs = Math.max(address.validAfterMs, validAfterMs)
  state.changeLog(identity, log)
  log.removedMs = state.clockMs
  setDue(state, identity, log, state.clockMs)
  return { identity, log }
}

/** Makes a user; gives its identity. */
export function createUser(state: ShardState, name: string): number {
  return createLog(state, 0, name).identity
}
