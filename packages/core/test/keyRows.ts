/** Keys of messages for tests, and the keys of tables. */
import type { InnerKey, Row } from '../src/rows/generation.ts'
import type { KeyRow } from '../src/rows/rows.ts'
import type { Table } from '../src/rows/table.ts'

/** A key, another for each number. */
export function keyOf(number: number, verdict: number): KeyRow {
  const hash = String.fromCharCode(...Array.from({ length: 16 }, (_, at) => (number * (at + 7)) & 255))
  return {
    hash,
    verdict,
    lane: number % 16,
    seq: number,
    count: number + 2 ** 40,
    timeMs: 1_790_000_000_000 + number,
    deadlineMs: 1_790_000_000_000 + 2 * number,
    receipts: number % 3 === 0,
  }
}

/** A row as it can be compared, wherever it stands. */
export function plain(key: KeyRow | undefined): KeyRow | undefined {
  if (key === undefined) return undefined
  const { hash, verdict, lane, seq, count, timeMs, deadlineMs, receipts } = key
  return { hash, verdict, lane, seq, count, timeMs, deadlineMs, receipts }
}

/** The first key parts of a table's rows in [from, to), in order. */
export function outersOf<R extends Row, K extends InnerKey>(table: Table<R, K>, from: number, to: number): number[] {
  const outers = new Set(table.keysFrom(from, to, 1_000).keys.map(([outer]) => outer))
  return [...outers].sort((left, right) => left - right)
}
