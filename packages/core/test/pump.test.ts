import { describe, expect, it } from 'vitest'
import { Pump, type PumpPort, type Reading } from '../src/index.ts'
import { laneCount } from '../src/rows/rows.ts'

/** Logs whose lanes hold entries of these sizes, and what a pump has written. */
class Source implements PumpPort {
  readonly entries = new Map<string, (number | 'late')[]>()
  readonly written: string[] = []
  reads = 0

  put(log: number, lane: number, ...sizes: readonly (number | 'late')[]): void {
    const key = `${log}/${lane}`
    this.entries.set(key, [...(this.entries.get(key) ?? []), ...sizes])
  }

  read(log: number, lane: number, seq: number): Reading {
    this.reads += 1
    const sizes = this.entries.get(`${log}/${lane}`)
    const size = sizes?.[seq - 1]
    if (size === undefined || size === 'late') return { kind: 'wait' }
    if (size < 0) return { kind: 'skip', to: seq, reason: 4 }
    const bytes = new Uint8Array(3 + size)
    bytes.set([log, lane, seq])
    return { kind: 'entry', bytes, isLast: seq === sizes?.length, isLent: false }
  }

  deliver(bytes: Uint8Array): void {
    this.written.push(`${bytes[0]}/${bytes[1]}/${bytes[2]}`)
  }

  skip(log: number, lane: number, from: number, to: number): void {
    this.written.push(`skip ${log}/${lane}/${from}-${to}`)
  }
}

function begin(...logs: readonly number[]): { pump: Pump; source: Source } {
  const pump = new Pump()
  for (const log of logs) pump.attach(log, fromTheStart)
  return { pump, source: new Source() }
}

/** The cursors of a device that has none. */
const fromTheStart = new Array<number>(laneCount).fill(0)

const many = (count: number, size = 1): number[] => new Array<number>(count).fill(size)

describe('the pump', () => {
  it('[I7] writes the highest priority first, however low lanes wait', () => {
    const { pump, source } = begin(1)
    source.put(1, 9, 1, 1)
    source.put(1, 2, 1)
    source.put(1, 0, 1)
    pump.run(source, 100)
    expect(source.written).toEqual(['1/0/1', '1/2/1', '1/9/1', '1/9/2'])
  })

  it('[I7] takes the log that waited longest within a lane', () => {
    const { pump, source } = begin(1, 2, 3)
    for (const log of [1, 2, 3]) source.put(log, 5, ...many(3))
    pump.run(source, 100)
    expect(source.written).toEqual(['1/5/1', '2/5/1', '3/5/1', '1/5/2', '2/5/2', '3/5/2', '1/5/3', '2/5/3', '3/5/3'])
  })

  it('[I7] gives the longest waiting lower lane one entry after 64 in a row from above', () => {
    const { pump, source } = begin(1)
    source.put(1, 0, ...many(200))
    source.put(1, 7, ...many(3))
    source.put(1, 8, ...many(3))
    pump.run(source, 10_000)
    const low = source.written.flatMap((entry, at) => (entry.startsWith('1/0/') ? [] : [`${at}: ${entry}`]))
    expect(low.slice(0, 4)).toEqual(['64: 1/7/1', '129: 1/8/1', '194: 1/7/2', '203: 1/7/3'])
  })

  it('[I7] counts only what was written: lanes that wake for nothing give none of their turns away', () => {
    const { pump, source } = begin(1, 2)
    source.put(1, 7, ...many(2))
    source.put(1, 0, ...many(70))
    for (let at = 0; at < 63; at++) pump.run(source, 1)
    for (let round = 0; round < 100; round++) {
      pump.wake(2, 0)
      pump.wake(2, 1)
    }
    pump.run(source, 10_000)
    expect(source.written.indexOf('1/7/1')).toBe(64)
  })

  it('[I10] has at most 256 entries in flight, and goes on as they are acknowledged', () => {
    const { pump, source } = begin(1)
    source.put(1, 3, ...many(400))
    expect(pump.run(source, 1_000)).toBe(false)
    expect(source.written).toHaveLength(256)
    expect(pump.acked(1, 3, 10, 0)).toBe('moved')
    pump.run(source, 1_000)
    expect(source.written).toHaveLength(266)
  })

  it('[I10] has at most 64 KiB in flight at first, and one entry of any size when there is nothing', () => {
    const { pump, source } = begin(1)
    source.put(1, 3, 1_000_000, 40_000, 30_000, 30_000)
    pump.run(source, 1_000)
    expect(source.written).toEqual(['1/3/1'])
    pump.acked(1, 3, 1, 0)
    pump.run(source, 1_000)
    expect(source.written).toHaveLength(4)
    const other = begin(1)
    other.source.put(1, 3, 40_000, 30_000, 30_000)
    other.pump.run(other.source, 1_000)
    expect(other.source.written).toHaveLength(2)
  })

  it('[I10] the window grows with what is acknowledged to 1 MiB at most, and shrinks again', () => {
    const { pump, source } = begin(1)
    source.put(1, 3, ...many(4_000, 10_000))
    let acked = 0
    let most = 0
    const step = (nowMs: number): number => {
      const before = source.written.length
      pump.run(source, 1_000)
      most = Math.max(most, source.written.length - acked)
      acked = source.written.length
      pump.acked(1, 3, acked, nowMs)
      return source.written.length - before
    }
    expect(step(0)).toBe(7)
    for (let ms = 1; ms < 200; ms += 10) step(ms)
    expect(most * 10_000).toBeLessThan(1_048_576 + 10_004)
    expect(most).toBeGreaterThan(90)
    for (let ms = 1_000; ms < 20_000; ms += 1_000) pump.acked(1, 3, acked, ms)
    expect(step(21_000)).toBe(7)
  })

  it('[I5] leaves what is late where it is, goes on with other lanes, and with this one once it is woken', () => {
    const { pump, source } = begin(1)
    source.put(1, 0, 'late')
    source.put(1, 4, 1)
    pump.run(source, 100)
    expect(source.written).toEqual(['1/4/1'])
    source.entries.set('1/0', [-1, 1])
    pump.run(source, 100)
    expect(source.written).toEqual(['1/4/1'])
    pump.wake(1, 0)
    pump.run(source, 100)
    expect(source.written).toEqual(['1/4/1', 'skip 1/0/1-1', '1/0/2'])
  })

  it('refuses an ACK beyond what was written, and takes one of a log that it does not read', () => {
    const { pump, source } = begin(1)
    source.put(1, 0, 1)
    pump.run(source, 10)
    expect([pump.acked(1, 0, 2, 0), pump.acked(1, 0, 1, 0), pump.acked(9, 0, 5, 0)]).toEqual(['beyond', 'moved', 'again'])
  })

  it('[I10] a log that ends frees its part of the window', () => {
    const { pump, source } = begin(1, 2)
    source.put(1, 0, ...many(300))
    pump.run(source, 1_000)
    source.put(2, 1, 1)
    pump.wake(2, 1)
    pump.run(source, 1_000)
    expect(source.written).toHaveLength(256)
    pump.detach(1)
    pump.run(source, 1_000)
    expect(source.written.at(-1)).toBe('2/1/1')
  })

  it('[I10] the window is twice what was acknowledged in 250 ms, taken over the time since it was last measured', () => {
    // Bytes acknowledged, after how many ms, and the window then: no less than 64 KiB.
    for (const [bytes, elapsedMs, window] of [
      [100_000, 500, 100_000],
      [100_000, 250, 200_000],
      [100_000, 249, 200_000],
      [100_000, 1_000, 65_536],
      [400_000, 1_000, 200_000],
    ] as const) {
      const { pump, source } = begin(1)
      source.put(1, 3, 0)
      pump.run(source, 100)
      pump.acked(1, 3, 1, 1_000)
      source.put(1, 3, bytes - 3)
      pump.wake(1, 3)
      pump.run(source, 100)
      source.put(1, 3, ...many(300, 997))
      pump.acked(1, 3, 2, 1_000 + elapsedMs)
      pump.wake(1, 3)
      pump.run(source, 1_000)
      expect([bytes, elapsedMs, source.written.length - 2]).toEqual([bytes, elapsedMs, Math.ceil(window / 1_000)])
    }
  })

  it('[I10] is full at exactly its window', () => {
    const { pump, source } = begin(1)
    source.put(1, 3, 65_536 - 3, 1)
    pump.run(source, 10)
    expect(source.written).toEqual(['1/3/1'])
  })

  it('an ACK that says less than the one before is none, nor is it forgotten what that one said', () => {
    const { pump, source } = begin(1)
    source.put(1, 0, 1, 1)
    pump.run(source, 10)
    expect([2, 1, 2].map((upTo) => pump.acked(1, 0, upTo, 0))).toEqual(['moved', 'again', 'again'])
  })

  it('looks at each lane once when it does not know where they end, and at none that has nothing', () => {
    const { pump, source } = begin(1)
    pump.attach(2, fromTheStart.with(4, 1), fromTheStart.with(4, 1))
    pump.run(source, 100)
    expect(source.reads).toBe(laneCount)
  })

  it('a log that is read in a few lanes ends as a whole, whether they wait or were only acknowledged', () => {
    const { pump, source } = begin()
    const heads = fromTheStart.with(3, 2)
    pump.attach(1, fromTheStart, heads)
    pump.attach(2, fromTheStart, heads)
    source.put(1, 3, 1, 1)
    source.put(2, 3, 1, 1)
    expect(pump.acked(1, 5, 0, 0)).toBe('again')
    pump.detach(1)
    pump.run(source, 100)
    expect([source.written, pump.has(1), pump.has(2)]).toEqual([['2/3/1', '2/3/2'], false, true])
    expect(source.reads).toBe(2)
  })

  it('[I10] looks for what to skip no longer than it is asked to at a time', () => {
    const { pump } = begin(1)
    let seqs = 0
    const port: PumpPort = {
      read: (_log, lane, seq) => (lane === 3 ? { kind: 'skip', to: seq + 1_023, reason: 1 } : { kind: 'wait' }),
      deliver: () => undefined,
      skip: (_log, _lane, from, to) => {
        seqs += to - from + 1
      },
    }
    for (let turn = 0; turn < 3; turn++) expect(pump.run(port, 256)).toBe(true)
    expect(seqs).toBeLessThanOrEqual(3 * 5 * 1_024)
    expect(seqs).toBeGreaterThanOrEqual(3 * 1_024)
  })

  it('[I10] does no more than it is asked to at a time', () => {
    const { pump, source } = begin(1)
    source.put(1, 0, ...many(100))
    expect(pump.run(source, 10)).toBe(true)
    expect(source.written).toHaveLength(10)
  })
})
