import { limits, type ServerPacketOf } from '@posthaste/protocol'
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
  /** The last seq that came on this connection. */
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
  /** Lanes in which duplicates came. */
  readonly #repeated = new Set<LaneCursor>()
  #committing: readonly LaneCursor[] = []

  constructor(context: Context) {
    this.#context = context
  }

  /** Takes a stored row. */
  load([key, value]: Row): void {
    const cursor = this.lane(keyPart(key, 0), keyPart(key, 1))
    cursor.durable = cursorRow.read(value)
    cursor.built = cursor.durable
    cursor.seq = cursor.durable.seq
  }

  /** The cursor of a lane, 0 where nothing was passed. */
  lane(log: number, lane: number): LaneCursor {
    const lanes = this.#logs.get(log) ?? []
    if (lanes.length === 0) this.#logs.set(log, lanes)
    const known = lanes[lane]
    if (known !== undefined) return known
    const none = { seq: 0, notStored: [] }
    const cursor: LaneCursor = { log, lane, seq: 0, built: none, durable: none, told: 0 }
    lanes[lane] = cursor
    return cursor
  }

  /** What HELLO says; from here on only what is durable counts. */
  hello(): { log: number; lane: number; seq: number; notStored: readonly Range[] }[] {
    const cursors: { log: number; lane: number; seq: number; notStored: readonly Range[] }[] = []
    for (const cursor of this.#all()) {
      cursor.seq = cursor.durable.seq
      cursor.built = cursor.durable
      cursor.told = 0
      if (cursor.seq === 0 || cursors.length === limits.cursors) continue
      const { upTo, notStored } = firstPart(cursor.durable.notStored, 0, cursor.durable.seq)
      cursor.told = upTo
      cursors.push({ log: cursor.log, lane: cursor.lane, seq: upTo, notStored })
    }
    return cursors
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

  /** A session has begun: what did not fit into HELLO is told now. */
  live(): void {
    for (const cursor of this.#all()) if (cursor.durable.seq > cursor.told) this.#acknowledge(cursor)
  }

  /** Has the row written with the commit being made. */
  touch(cursor: LaneCursor): void {
    this.#touched.add(cursor)
  }

  /** A duplicate came: the acknowledgement may have been lost. */
  acknowledgeAgain(cursor: LaneCursor): void {
    this.#repeated.add(cursor)
  }

  /** Writes the acknowledgements of duplicates, once per step however many came. */
  acknowledgeDue(): void {
    for (const cursor of this.#repeated) if (cursor.durable.seq > 0) this.#acknowledge(cursor)
    this.#repeated.clear()
  }

  acked(packet: ServerPacketOf<'acked'>): void {
    const cursor = this.lane(packet.log, packet.lane)
    if (cursor.durable.notStored.length === 0) return
    cursor.durable = { seq: cursor.durable.seq, notStored: clipRanges(cursor.durable.notStored, packet.upTo) }
    cursor.built = { seq: cursor.built.seq, notStored: clipRanges(cursor.built.notStored, packet.upTo) }
    this.#lazy.add(cursor)
  }

  /** @param isUsed whether the commit has other changes, so that what can wait may come along */
  prepare(writes: RowWrite[], isUsed: boolean): void {
    if (isUsed) for (const cursor of this.#lazy) this.#touched.add(cursor)
    if (isUsed) this.#lazy.clear()
    this.#committing = [...this.#touched]
    this.#touched = new Set()
    for (const { log, lane, built } of this.#committing) writes.push([rowKey(tables.cursor, log, lane), cursorRow.write(built)])
  }

  committed(): void {
    for (const cursor of this.#committing) {
      cursor.durable = { seq: cursor.built.seq, notStored: cursor.built.notStored }
      if (cursor.durable.seq > cursor.told) this.#acknowledge(cursor)
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

  #acknowledge(cursor: LaneCursor): void {
    if (!this.#context.isLive) return
    const { log, lane, durable } = cursor
    do {
      const { upTo, notStored } = firstPart(durable.notStored, cursor.told, durable.seq)
      this.#context.write({ kind: 'ack', log, lane, upTo, notStored })
      cursor.told = upTo
    } while (cursor.told < durable.seq)
  }

  *#all(): Generator<LaneCursor> {
    for (const lanes of this.#logs.values()) for (const cursor of lanes) if (cursor !== undefined) yield cursor
  }
}

/** Adds a range above all others, joined with the last where they touch. */
export function addRange(ranges: readonly Range[], range: Range): readonly Range[] {
  const last = ranges.at(-1)
  if (last === undefined || last.to + 1 < range.from) return [...ranges, range]
  return [...ranges.slice(0, -1), { from: last.from, to: range.to }]
}

/** What of the ranges lies above a seq. */
export function clipRanges(ranges: readonly Range[], upTo: number): readonly Range[] {
  return ranges.filter(({ to }) => to > upTo).map(({ from, to }) => ({ from: Math.max(from, upTo + 1), to }))
}

/** As many ranges above `told` as one packet may have, and up to where they then tell of everything. */
function firstPart(ranges: readonly Range[], told: number, seq: number): { upTo: number; notStored: readonly Range[] } {
  const untold = clipRanges(ranges, told)
  const next = untold[limits.ranges]
  return { upTo: next === undefined ? seq : next.from - 1, notStored: untold.slice(0, limits.ranges) }
}
