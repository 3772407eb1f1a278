import * as fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { MemoryTables, Shard } from '../src/index.ts'

const hourMs = 3_600_000

/** The heap of an empty shard with its table, and what goes into both. */
function dueOf(): { readonly put: (deadlineMs: number, log: number) => void; readonly state: Shard['state'] } {
  const { state } = new Shard(0, 1, new MemoryTables())
  const put = (deadlineMs: number, log: number): void => {
    state.due.put(deadlineMs, log, { generation: 0, isOnDisk: false, place: 0, isDue: true })
    state.dueHeap.add(deadlineMs, log)
  }
  return { put, state }
}

describe('which log is due next', () => {
  it('[I11] is the one with the earliest deadline, of several the lowest, however they came', () => {
    const one = fc.record({ log: fc.integer({ min: 1, max: 30 }), deadlineMs: fc.integer({ min: 1, max: 20 }) })
    fc.assert(
      fc.property(fc.array(fc.oneof({ arbitrary: one, weight: 4 }, fc.constant('take' as const)), { maxLength: 60 }), (steps) => {
        const { put, state } = dueOf()
        state.dueHeap.nextMs(0)
        const waiting = new Map<number, number>()
        const least = (): readonly [number, number] | undefined =>
          [...waiting].map(([log, deadlineMs]) => [deadlineMs, log] as const).sort((a, b) => a[0] - b[0] || a[1] - b[1])[0]
        for (const step of [...steps, ...new Array<'take'>(31).fill('take')]) {
          const next = least()
          if (step !== 'take') {
            const before = waiting.get(step.log)
            // A log is put in place of its last only when it is due earlier.
            if (before !== undefined && before <= step.deadlineMs) continue
            if (before !== undefined) state.due.delete(before, step.log)
            put(step.deadlineMs, step.log)
            waiting.set(step.log, step.deadlineMs)
            continue
          }
          expect(state.dueHeap.nextMs(0)).toBe(next?.[0])
          const taken = state.dueHeap.take(100)
          expect(taken && [taken.deadlineMs, taken.log]).toEqual(next)
          if (taken === undefined) continue
          state.due.delete(taken.deadlineMs, taken.log)
          waiting.delete(taken.log)
        }
      }),
    )
  })

  it('[I10] is known up to an hour ahead, read once in half an hour, and taken at its deadline', () => {
    const { put, state } = dueOf()
    const reads = vi.spyOn(state.due, 'keysFrom')
    expect(state.dueHeap.nextMs(0)).toBeUndefined()
    put(2 * hourMs, 7)
    for (let ms = 0; ms <= hourMs / 2; ms += hourMs / 8) expect(state.dueHeap.nextMs(ms)).toBeUndefined()
    expect(reads).toHaveBeenCalledTimes(1)
    expect(state.dueHeap.nextMs(hourMs / 2 + 1)).toBeUndefined()
    expect(state.dueHeap.nextMs(hourMs + 2)).toBe(2 * hourMs)
    expect(reads).toHaveBeenCalledTimes(3)
    expect(state.dueHeap.take(2 * hourMs - 1)).toBeUndefined()
    expect(state.dueHeap.take(2 * hourMs)).toEqual({ deadlineMs: 2 * hourMs, log: 7 })
    expect(state.dueHeap.take(2 * hourMs)).toBeUndefined()
  })
})
