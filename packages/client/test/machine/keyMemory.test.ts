import { describe, expect, it } from 'vitest'
import type { Row } from '../../src/machine/events.ts'
import { keyRange, numberRow, rowKey, tables } from '../../src/machine/rows.ts'
import { deliver, Rig, serverStartMs } from './rig.ts'

/** What a sweep finds: the memory of that many keys, none of them at its deadline yet. */
const rows = (count: number): Row[] =>
  Array.from({ length: count }, (_, at) => [rowKey(tables.key, 100, 200, BigInt(at)), numberRow.write(serverStartMs + 10 ** 9)])
const delays = (rig: Rig): number[] => rig.all('setTimer').flatMap(({ timer, delayMs }) => (timer === 'keys' ? [delayMs] : []))
const sweep = (rig: Rig, found: Row[]): void => {
  rig.step({ kind: 'timer', timer: 'keys' })
  rig.step({ kind: 'scanned', rows: found })
}

describe('the sweep of the memory of keys', () => {
  it('begins a minute after the store was opened', () => {
    expect(delays(new Rig().open())).toEqual([60_000])
  })

  it('asks for nothing before the server has said what time it is, and tries again a minute later', () => {
    const rig = new Rig().open()
    rig.clear()
    rig.step({ kind: 'timer', timer: 'keys' })
    expect(rig.effects).toEqual([{ kind: 'setTimer', timer: 'keys', delayMs: 60_000 }])
  })

  it('goes in steps of a thousand rows, a second apart, and begins a new round ten minutes after the last [I10]', () => {
    const rig = new Rig().live()
    rig.clear()
    sweep(rig, rows(1_000))
    sweep(rig, rows(999))
    sweep(rig, [])
    expect(delays(rig)).toEqual([60_000, 1_000, 60_000, 600_000, 60_000, 600_000])
    const last = rowKey(tables.key, 100, 200, 999n)
    expect(rig.all('scan').map(({ from, limit }) => [from, limit])).toEqual([
      [keyRange.from, 1_000],
      [Uint8Array.of(...last, 0), 1_000],
      [keyRange.from, 1_000],
    ])
  })

  it('forgets a key at the deadline of its entry by the earliest that the server’s clock can show [I2]', () => {
    const rig = new Rig().live()
    rig.say(deliver(1), deliver(2))
    const found = [0, 1].map((ms): Row => [rowKey(tables.key, 100, 200, BigInt(1_001 + ms)), numberRow.write(serverStartMs + ms)])
    sweep(rig, found)
    expect(found.map(([key]) => rig.disk.has(key))).toEqual([false, true])
  })
})
