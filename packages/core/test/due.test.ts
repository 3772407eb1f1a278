import * as fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { MemoryTables, Shard } from '../src/index.ts'

const hourMs = 3_600_000

/** The heap of an empty shard with its table, and what goes into both. */
function dueOf() {
  const tables = new MemoryTables()
  const { state } = new Shard(0, 1, tables)
  const put = (deadlineMs: number, log: number): void => {
    state.due.put(deadlineMs, log, { generation: 0, isOnDisk: false, place: 0, isDue: true })
    state.dueHeap.add(deadlineMs, log)
  }
  return { put, state, tables }
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

  it('[I10] is read a page at a time, however many are due within the hour', async () => {
    const { put, state, tables } = dueOf()
    // In the midst more of one time than a page has.
    const deadlineOf = (log: number): number => (log < 1_000 ? log : log < 2_500 ? 1_000 : log - 1_000)
    for (let log = 1; log <= 3_000; log++) put(deadlineOf(log), log)
    const checkpoint = tables.beginCheckpoint()
    state.generations.freeze()
    for (const steps = state.generations.write(checkpoint, 100); steps.next().done !== true; );
    await checkpoint.commit()
    const { state: again } = new Shard(0, 1, tables)
    const reads = vi.spyOn(tables, 'scan')
    const taken: number[] = []
    for (let due = again.dueHeap.take(hourMs); due !== undefined; due = again.dueHeap.take(hourMs)) {
      taken.push(due.log)
      // What is due later than what is known is not forgotten.
      if (due.log === 5) again.due.put(2_500, 9_999, { generation: 0, isOnDisk: false, place: 0, isDue: true })
      if (due.log === 5) again.dueHeap.add(2_500, 9_999)
      if (due.log === 500) expect(reads.mock.calls.map(([, , limit]) => limit)).toEqual([1_000])
    }
    expect([taken.length, taken.at(-1)]).toEqual([3_001, 9_999])
    expect(taken.slice(0, -1)).toEqual(Array.from({ length: 3_000 }, (_, at) => at + 1))
    expect(reads.mock.calls.map(([, , limit]) => limit)).toEqual([1_000, 1_000, 2_000, 1_000])
  })
})
