import { entryKey, keyGraceMs, type Lane, type LogRow, laneCount } from '../rows/rows.ts'
import { endLog, endUser } from './ending.ts'
import { closeEntry, earlier, isStub, isStubOver, laneDueMs, setDue, trimLane } from './log.ts'
import type { ShardState } from './state.ts'
import { dropUnseen } from './verbs/session.ts'

/** How many entries one record may look at when it closes what is due. */
const closingBudget = 2_000

/** Closes what is due at the shard's clock, at most a fixed number of rows: the rest waits for the next record. */
export function closeDue(state: ShardState): void {
  let budget = closingBudget
  while (budget > 0) {
    const due = state.dueHeap.take(state.clockMs)
    if (due === undefined) return
    const log = state.log(due.log)
    if (log === undefined) {
      budget -= endUser(state, due, budget)
      continue
    }
    state.changeLog(due.log, log)
    state.due.delete(due.deadlineMs, due.log)
    log.dueMs = 0
    budget -= log.removedMs > 0 ? endLog(state, due.log, log, budget) : closeLog(state, due.log, log, budget)
  }
}

/** Looks through a log's lanes for what is due; gives how many entries it looked at. */
function closeLog(state: ShardState, identity: number, log: LogRow, budget: number): number {
  let looked = 1
  let next = dropUnseen(state, log)
  for (let lane = 0; lane < laneCount; lane++) {
    const place = log.lanes[lane]
    if (place === undefined) continue
    const dueMs = laneDueMs(place)
    if (dueMs !== 0 && dueMs <= state.clockMs) looked += closeLane(state, identity, log, lane, place, budget - looked)
    const stubs = dropStubs(state, identity, log, lane, place, budget - looked)
    looked += stubs.looked
    if (place.scanSeq === 0 && place.trim === place.head) place.dueMs = 0
    if (place.scanSeq > 0 || looked >= budget) {
      setDue(state, identity, log, state.clockMs)
      return looked
    }
    next = earlier(next, earlier(laneDueMs(place), stubs.nextMs))
  }
  if (next !== 0) setDue(state, identity, log, next)
  return looked
}

/** How long stubs whose keys have ended may stay, so that one search is for many. */
const stubsMs = 3_600_000

/** Entries that may be looked at per ms: a lane rests after a search as long as this makes it. */
const searchedPerMs = 100

function closeLane(state: ShardState, identity: number, log: LogRow, lane: number, place: Lane, budget: number): number {
  let looked = 0
  const first = place.trim + 1
  // Stubs that nothing open lies before go by themselves, from the lowest on.
  let isHeld = place.scanSeq > first
  for (let seq = Math.max(place.scanSeq, first); seq <= place.head; seq++) {
    if (looked >= budget) {
      place.scanSeq = seq
      return looked
    }
    looked += 1
    const entry = state.entries.get(identity, entryKey(lane, seq))
    if (entry === undefined) continue
    if (!entry.isClosed && entry.deadlineMs <= state.clockMs) closeEntry(state, identity, log, lane, seq, entry)
    if (!entry.isClosed) {
      isHeld = true
      place.scanDueMs = earlier(place.scanDueMs, entry.deadlineMs)
    } else if (isStubOver(state, entry)) state.entries.delete(identity, entryKey(lane, seq))
    else if (isHeld && isStub(entry)) place.scanDueMs = earlier(place.scanDueMs, entry.deadlineMs + keyGraceMs + stubsMs)
  }
  place.dueMs = place.scanDueMs
  place.scanSeq = 0
  place.scanDueMs = 0
  place.restMs = state.clockMs + Math.floor((place.head - place.trim) / searchedPerMs)
  return looked
}

/**
 * Trims a lane, and deletes stubs whose keys have ended, from the lowest on: a group's below its trim point, a user's that a device still
 * lags behind.
 * Gives how many entries it looked at, and when the next one ends, 0 for none.
 */
function dropStubs(
  state: ShardState,
  identity: number,
  log: LogRow,
  lane: number,
  place: Lane,
  budget: number,
): { readonly looked: number; readonly nextMs: number } {
  let looked = 0
  looked += trimLane(state, identity, log, lane, Math.max(1, budget))
  if (log.kind === 0) {
    const entry = state.entries.get(identity, entryKey(lane, place.trim + 1))
    return { looked, nextMs: entry?.isClosed === true ? entry.deadlineMs + keyGraceMs : 0 }
  }
  while (place.sweptSeq < place.trim && looked < budget) {
    const entry = state.entries.get(identity, entryKey(lane, place.sweptSeq + 1))
    if (entry !== undefined) {
      if (!isStubOver(state, entry)) return { looked, nextMs: entry.deadlineMs + keyGraceMs }
      state.entries.delete(identity, entryKey(lane, place.sweptSeq + 1))
    }
    place.sweptSeq += 1
    looked += 1
  }
  return { looked, nextMs: 0 }
}
