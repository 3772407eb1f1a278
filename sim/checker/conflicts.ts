import type { EventOf, HistoryEvent } from '../history.ts'
import { type Facts, keyText } from './facts.ts'
import type { Violation } from './violation.ts'

const accepted = new Set(['sent', 'delivered', 'read'])
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
  return [...violations, ...checkAccepted(facts)]
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
    const isSameIdentity =
      !facts.wasDeleted(content.toKind === 0 ? 'userDelete' : 'groupDelete', content.to, 0) &&
      !facts.wasDeleted('userDelete', content.user, 0)
    if (isRecent && isSameIdentity)
      violations.push({ invariant: 'I8', text: 'two contents under one key were both accepted', proof: [before.event, event] })
  }
  return violations
}
