import type { EventOf } from '../history.ts'
import type { Facts } from './facts.ts'
import type { Violation } from './violation.ts'

/** A sleep that is shorter goes unnoticed: the wall clock has not gained enough on the monotonic one. */
const unseenSleepMs = 2_000

/** I5: no device stores an entry after its deadline, by the server's clock as it was when the device judged. A deadline never moves. */
export function checkDeadlines(facts: Facts, hasSleeps: boolean): Violation[] {
  const violations: Violation[] = []
  const toleranceMs = hasSleeps ? unseenSleepMs : 0
  for (const event of facts.stored) {
    if (event.judgedMs >= event.deadlineMs + toleranceMs)
      violations.push({
        invariant: 'I5',
        text: `stored ${Math.round(event.judgedMs - event.deadlineMs)} ms after its deadline`,
        proof: [event],
      })
  }
  const fixed = new Map<string, EventOf<'sendStored'>>()
  for (const event of facts.history.events) {
    if (event.kind === 'sendDropped') fixed.delete(`${event.store} ${event.order}`)
    if (event.kind !== 'sendStored' || event.deadlineMs === 0) continue
    const key = `${event.store} ${event.order}`
    const before = fixed.get(key)
    if (before !== undefined && before.deadlineMs !== event.deadlineMs)
      violations.push({ invariant: 'I5', text: 'the deadline of a message moved', proof: [before, event] })
    fixed.set(key, event)
  }
  return [...violations, ...checkSame(facts)]
}

/** The deadline of an entry is the one that its sender fixed before the first attempt. */
function checkSame(facts: Facts): Violation[] {
  const fixed = new Map<number, EventOf<'sendStored'>[]>()
  for (const event of facts.history.events) {
    if (event.kind !== 'sendStored' || event.deadlineMs === 0) continue
    fixed.set(event.content, [...(fixed.get(event.content) ?? []), event])
  }
  return facts.stored.flatMap((event) => {
    // Copies of a device fix one each.
    const sent = fixed.get(event.content) ?? []
    const isFixed = sent.length === 0 || sent.some(({ deadlineMs }) => deadlineMs === event.deadlineMs)
    if (isFixed || event.id === '0' || facts.repeated.has(event.content)) return []
    return [{ invariant: 'I5' as const, text: 'an entry has another deadline than its sender fixed', proof: [...sent, event] }]
  })
}
