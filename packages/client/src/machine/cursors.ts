import type { ServerPacketOf } from '@posthaste/protocol'
import type { Context } from './context.ts'
import type { Row, RowWrite } from './events.ts'
import { type CursorRow, cursorRow, keyPart, rowKey, tables } from './rows.ts'

/** A range of seqs, both ends included. */
export interface Range {
  readonly from: number
  readonly to: number
}

/** One lane of one log, as this device has passed it. */
export interface LaneCursor {
  readonly log: number
  readonly lane: number
  /** The last seq that was taken. */
  seq: number
  /** As of the last commit that was begun; `notStored` are the ranges that ACKED has not confirmed. */
  built: CursorRow
  /** As of the last commit that is durable. */
  durable: CursorRow
  /** Up to where the server was told on this connection. */
  told: number
}

/** Cursors and ranges, their rows, ACK and ACKED. */
export class Cursors {
  readonly #context: Context
  readonly #logs = new Map<number, LaneCursor[]>()
  #touched = new Set<LaneCursor>()
  /** Rows that only lost ranges: they go with the next commit. */
  readonly #lazy = new Set<LaneCursor>()
  /** Lanes in which duplicates came, and up to where. */
  readonly #repeated = new Map<LaneCursor, number>()
  #committing: readonly LaneCursor[] = []

  constructor(context: Context) {
    this.#context = context
  }

  /** Takes a stored row. */
  load([key, value]: Row): void {
    this.lane(keyPart(key, 0), keyPart(key, 1)).durable = cursorRow.read(value)
  }

  /** The cursor of a lane, 0 where nothing was passed. */
  lane(log: number, lane: number): LaneCursor {
    const lanes = this.#logs.get(log) ?? []
    this.#logs.set(log, lanes)
    const none = { seq: 0, notStored: [] }
    lanes[lane] ??= { log, lane, seq: 0, built: none, durable: none, told: 0 }
    return lanes[lane]
  }

  /**
   * What HELLO says; from here on only what is durable counts. A cursor whose ranges have no room falls back to before the first of those:
   * what follows comes again, and is acknowledged as it comes.
   */
  hello(): { log: number; lane: number; seq: number; notStored: readonly Range[] }[] {
    const named: LaneCursor[] = []
    let room = this.#context.wire.cursors
    for (const cursor of this.#all()) {
      cursor.seq = cursor.durable.seq
      cursor.built = cursor.durable
      cursor.told = 0
      if (cursor.seq === 0) continue
      if (named.length < room) named.push(cursor)
      // All of it comes again, also what was not stored and ACKED has confirmed, which is known no longer.
      else cursor.built = cursor.durable = { seq: cursor.seq, notStored: [{ from: 1, to: cursor.seq }] }
    }
    room -= named.length
    return named.map((cursor) => {
      const part = this.#nextPart(cursor, cursor.seq, room)
      room -= part.notStored.length
      return { ...part, seq: part.upTo }
    })
  }

  /** A new epoch: all cursors are void. */
  drop(): void {
    for (const { log, lane } of this.#all()) this.#context.rows.add([rowKey(tables.cursor, log, lane), null])
    this.#logs.clear()
    // Their rows may be in a commit that is under way; nothing of them may come back with the next one.
    this.#committing = []
    this.#touched.clear()
    this.#lazy.clear()
    this.#repeated.clear()
  }

  /** Has the row written with the commit being made. */
  touch(cursor: LaneCursor): void {
    this.#touched.add(cursor)
  }

  /** What was passed before came again: its acknowledgement was lost, or had no room in HELLO. */
  acknowledgeAgain(cursor: LaneCursor, seq: number): void {
    this.#repeated.set(cursor, seq)
  }

  /** Writes the acknowledgements of duplicates, once per step however many came. */
  acknowledgeDue(): void {
    for (const [cursor, seq] of this.#repeated) {
      this.#acknowledge(cursor, Math.min(cursor.durable.seq, Math.max(seq, cursor.told)))
    }
    this.#repeated.clear()
  }

  acked(packet: ServerPacketOf<'acked'>): void {
    const cursor = this.lane(packet.log, packet.lane)
    if (cursor.durable.notStored.length === 0) return
    const confirmed = ({ seq, notStored }: CursorRow): CursorRow => ({ seq, notStored: clipRanges(notStored, packet.upTo) })
    cursor.durable = confirmed(cursor.durable)
    cursor.built = confirmed(cursor.built)
    this.#lazy.add(cursor)
  }

  /** @param isUsed whether the commit has other changes, so that what can wait may come along */
  prepare(writes: RowWrite[], isUsed: boolean): void {
    if (isUsed) {
      for (const cursor of this.#lazy) this.#touched.add(cursor)
      this.#lazy.clear()
    }
    this.#committing = [...this.#touched]
    this.#touched = new Set()
    for (const { log, lane, built } of this.#committing) writes.push([rowKey(tables.cursor, log, lane), cursorRow.write(built)])
  }

  committed(): void {
    for (const cursor of this.#committing) {
      const isMoved = cursor.built.seq > cursor.durable.seq
      cursor.durable = cursor.built
      // Where it has not moved, what lies above HELLO's cursor may not have come on this connection yet.
      if (isMoved) this.#acknowledge(cursor)
    }
    this.#committing = []
  }

  failed(): void {
    for (const cursor of this.#committing) {
      cursor.built = cursor.durable
      this.#lazy.add(cursor)
    }
    this.#committing = []
  }

  /** @param end nothing beyond what was sent on this connection is acknowledged: other servers don't believe it, or don't listen yet */
  #acknowledge(cursor: LaneCursor, end = cursor.durable.seq): void {
    if (!this.#context.isLive || end === 0) return
    do this.#context.write({ kind: 'ack', ...this.#nextPart(cursor, end) })
    while (cursor.told < end)
  }

  /**
   * What the server is to be told next of a lane, which is passed up to `end`: as many ranges as one packet may have and there is room for, and
   * up to where they tell all.
   */
  #nextPart(
    cursor: LaneCursor,
    end: number,
    room = end,
  ): { log: number; lane: number; upTo: number; notStored: readonly Range[] } {
    const { log, lane, durable, told } = cursor
    const untold = clipRanges(durable.notStored, told, end)
    const notStored = untold.slice(0, Math.min(room, this.#context.wire.ranges))
    const upTo = (untold[notStored.length]?.from ?? end + 1) - 1
    cursor.told = upTo
    return { log, lane, upTo, notStored }
  }

  *#all(): Generator<LaneCursor> {
    // Not those that are missing.
    for (const lanes of this.#logs.values()) yield* Object.values(lanes)
  }
}

/** Adds a range above all others, joined with the last where they touch. */
export function addRange(ranges: readonly Range[], range: Range): readonly Range[] {
  const last = ranges.at(-1)
  if (last === undefined || last.to + 1 < range.from) return [...ranges, range]
  return [...ranges.slice(0, -1), { from: last.from, to: range.to }]
}

/** What of the ranges lies above a seq, and up to another. */
function clipRanges(ranges: readonly Range[], after: number, upTo = Number.POSITIVE_INFINITY): readonly Range[] {
  return ranges
    .map(({ from, to }) => ({ from: Math.max(from, after + 1), to: Math.min(to, upTo) }))
    .filter(({ from, to }) => from <= to)
}
