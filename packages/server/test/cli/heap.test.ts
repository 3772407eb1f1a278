import { afterEach, expect, it, vi } from 'vitest'
import { letHeapGrow } from '../../src/cli/heap.ts'

const v8 = vi.hoisted(() => ({ usedBytes: 0, flags: [] as string[] }))
vi.mock('node:v8', () => ({
  getHeapStatistics: () => ({ used_heap_size: v8.usedBytes }),
  setFlagsFromString: (flag: string) => v8.flags.push(flag),
}))
afterEach(() => vi.useRealTimers())

it('lets a small heap grow, and leaves a large one to V8', () => {
  vi.useFakeTimers()
  v8.usedBytes = 20_000_000
  letHeapGrow()
  v8.usedBytes = 500_000_000
  vi.advanceTimersByTime(10_000)
  v8.usedBytes = 90_000_000
  vi.advanceTimersByTime(10_000)
  expect(v8.flags).toEqual([300, 0, 300].map((percent) => `--heap-growing-percent=${percent}`))
})
