import type { Content, EventOf, HistoryEvent } from '../history.ts'
import { type Facts, keyText } from './facts.ts'
import type { Violation } from './violation.ts'

const accepted = new Set(['sent', 'delivered', 'read'])
const refused = new Set(['inbox-full', 'blocked', 'not-member', 'not-allowed', 'too-large'])
const keyGraceMs = 86_400_000

/** I8: two contents under one key are never both accepted, and one key is never stored with two contents. */
export function checkConflicts(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const byKey = new Map<string, EventOf<'stored'>>()
  for (const event of facts.stored) {
    if (event.id === '0') continue
    const key = `${event.epoch} ${keyText(event)}`
    const before = byKey.get(key)
    if (before !== undefined && before.content !== event.content && event.judgedMs < before.deadlineMs + keyGraceMs)
      violations.push({ invariant: 'I8', text: 'two contents were stored under one key', proof: [before, event] })
    byKey.set(key, event)
  }
  return [...violations, ...checkAccepted(facts), ...checkVerdicts(facts)]
}

/** The first verdict of a key stands: an accepted message is not refused later, nor the other way round. Some refusals leave no key. */
function checkVerdicts(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const first = new Map<string, { readonly isAccepted: boolean; readonly event: HistoryEvent }>()
  for (const event of facts.history.events) {
    if (event.kind !== 'told' && event.kind !== 'submitAnswered') continue
    const content = facts.content(event.content)
    const isAccepted = accepted.has(event.status)
    if (content === undefined || (!isAccepted && !refused.has(event.status))) continue
    const key = `${event.epoch} ${content.user} ${content.toKind} ${content.to} ${event.id} ${content.number}`
    const before = first.get(key)
    if (before === undefined) first.set(key, { isAccepted, event })
    else if (before.isAccepted !== isAccepted && event.atMs - before.event.atMs < keyGraceMs && isSameIdentity(facts, content))
      violations.push({ invariant: 'I2', text: 'the verdict of a key changed', proof: [before.event, event] })
  }
  return violations
}

/** Whether neither side was deleted: a re-created name shares no keys with its past. */
function isSameIdentity(facts: Facts, { toKind, to, user }: Content): boolean {
  return !facts.wasDeleted(toKind === 0 ? 'userDelete' : 'groupDelete', to, 0) && !facts.wasDeleted('userDelete', user, 0)
}

/** Both told as accepted, while no end of the destination or of the key lies between. */
function checkAccepted(facts: Facts): Violation[] {
  const violations: Violation[] = []
  const told = new Map<string, { readonly content: number; readonly event: HistoryEvent }>()
  for (const event of facts.history.events) {
    if (event.kind !== 'told' && event.kind !== 'submitAnswered') continue
    const content = facts.content(event.content)
    if (content === undefined || !accepted.has(event.status)) continue
    const key = `${event.epoch} ${content.user} ${content.toKind} ${content.to} ${event.id}`
    const before = told.get(key)
    told.set(key, { content: event.content, event })
    if (before === undefined || before.content === event.content) continue
    const isRecent = event.atMs - before.event.atMs < keyGraceMs
    if (isRecent && isSameIdentity(facts, content))
      violations.push({ invariant: 'I8', text: 'two contents under one key were both accepted', proof: [before.event, event] })
  }
  return violations
}
