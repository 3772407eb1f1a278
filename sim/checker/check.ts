import type { History } from '../history.ts'
import { checkBounds } from './bounds.ts'
import { checkConflicts } from './conflicts.ts'
import { checkDeadlines } from './deadlines.ts'
import { checkDuplicates, checkEchoes, checkHandlers } from './duplicates.ts'
import { checkEnds } from './ends.ts'
import { checkEphemeral, checkEphemeralAtRest } from './ephemeral.ts'
import { Facts } from './facts.ts'
import { checkLaneOrder, checkSenderOrder } from './laneOrder.ts'
import { checkAfterHeal, checkAnswered, checkEachDevice, checkGoneBack } from './devices.ts'
import { checkHeldFirst, checkLosses, checkOutbox } from './losses.ts'
import { checkPriorities } from './priorities.ts'
import { checkRights } from './rights.ts'
import { checkStatuses } from './statuses.ts'
import {
  checkAllTold,
  checkDoneOnce,
  checkNoneLeftBehind,
  checkOneAtATime,
  checkOwnEnds,
  checkStopped,
  checkWrittenOnce,
} from './tabs.ts'
import { checkDeliveredTold, checkExpiredTold } from './waiting.ts'
import type { Violation } from './violation.ts'

/** What a checker must know of a schedule beside its history. */
export interface CheckOptions {
  /** Whether everything had come to rest at its end, so that what is missing then is missing for ever. */
  readonly isAtRest: boolean
  /** Whether monotonic clocks stood still now and then. */
  readonly hasSleeps: boolean
  /** Whether apps kept their positions themselves. */
  readonly hasPositions: boolean
}

/** Judges a history by what was seen from outside alone. */
export function check(history: History, { isAtRest, hasSleeps, hasPositions }: CheckOptions): Violation[] {
  const facts = new Facts(history)
  return [
    ...checkDuplicates(facts),
    ...checkEnds(facts),
    ...checkEchoes(facts),
    ...checkOutbox(facts),
    ...checkHeldFirst(facts),
    ...checkHandlers(facts, hasPositions),
    ...checkLaneOrder(facts),
    ...checkSenderOrder(facts),
    ...checkDeadlines(facts, hasSleeps),
    ...checkStatuses(facts),
    ...checkConflicts(facts),
    ...checkRights(facts),
    ...checkPriorities(facts),
    ...checkBounds(facts, hasSleeps),
    ...checkEphemeral(facts),
    ...checkOneAtATime(facts),
    ...checkDoneOnce(facts),
    ...checkStopped(facts),
    ...checkOwnEnds(facts),
    ...checkWrittenOnce(facts),
    ...(isAtRest ? checkAtRest(facts, hasSleeps) : []),
  ]
}

/** What is missing once all is at rest. */
function checkAtRest(facts: Facts, hasSleeps: boolean): Violation[] {
  return [
    ...checkLosses(facts),
    ...checkEachDevice(facts),
    ...checkGoneBack(facts),
    ...checkAfterHeal(facts),
    ...checkAnswered(facts),
    ...checkExpiredTold(facts),
    ...checkDeliveredTold(facts),
    ...checkAllTold(facts),
    ...checkNoneLeftBehind(facts),
    ...checkEphemeralAtRest(facts, hasSleeps),
  ]
}
