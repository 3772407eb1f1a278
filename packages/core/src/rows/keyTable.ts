import { Reader } from '@posthaste/protocol'
import type { Checkpoint } from '../ports.ts'
import type { Generations, TableEnd } from './generation.ts'
import { KeyRecords, keyTableNumber } from './keyRecords.ts'
import { KeySegment } from './keySegment.ts'
import { type KeyRow, rowCodecs } from './rows.ts'
import { composeKey } from './tableKey.ts'

/** Keys of a batch. */
const batchKeys = 1_024
/** How many keys are copied in the time that encoding a row takes. */
const copiesPerRow = 8

/**
 * The table of keys: one row for each message, written once and hardly ever read again. So it is kept apart from the other tables: what was
 * written since the last checkpoint is in records side by side, not in objects, and a checkpoint takes a whole segment. A key is never deleted but by the
 * sweep, which nothing can observe.
 */
export class KeyTable implements TableEnd {
  readonly number = keyTableNumber
  readonly #generations: Generations
  #open = new KeySegment()
  /** What a checkpoint is writing. It no longer changes. */
  #frozen: KeySegment | undefined

  constructor(generations: Generations) {
    this.#generations = generations
    generations.register(this)
  }

  /** How many keys were written since the last checkpoint began. */
  get written(): number {
    return this.#open.length
  }

  /** @param outer the number of the contact, which stands for sender and log */
  get(outer: number, id: bigint): KeyRow | undefined {
    const held = this.#open.get(outer, id) ?? this.#frozen?.get(outer, id)
    if (held !== undefined) return held
    const bytes = this.#generations.tables.get(composeKey(this.number, outer, id))
    return bytes === undefined ? undefined : this.decode(bytes)
  }

  put(outer: number, id: bigint, key: KeyRow): void {
    this.#open.put(outer, id, key)
    this.#generations.changed += 1
  }

  /** Changes the verdict of a key. @param key the row that is there */
  setVerdict(outer: number, id: bigint, key: KeyRow, verdict: number): void {
    if (this.#open.setVerdict(outer, id, verdict)) return
    const { hash, lane, seq, count, timeMs, deadlineMs, receipts } = key
    this.put(outer, id, { hash, verdict, lane, seq, count, timeMs, deadlineMs, receipts })
  }

  decode(bytes: Uint8Array): KeyRow {
    return rowCodecs.key.read(keyReader.begin(bytes), 'key')
  }

  freeze(): void {
    this.#frozen = this.#open
    this.#open = new KeySegment()
  }

  *write(checkpoint: Checkpoint, rows: number): Generator<void, void, void> {
    const segment = this.#frozen as KeySegment
    const size = rows * copiesPerRow
    let records = new KeyRecords(batchKeys)
    let outers = new Float64Array(batchKeys)
    let count = 0
    let done = 0
    for (const outer of yield* segment.sortedOuters(rows)) {
      for (const place of segment.placesOf(outer)) {
        if (count === batchKeys) {
          checkpoint.putKeys({ count, records: records.buffer, outers })
          records = new KeyRecords(batchKeys)
          outers = new Float64Array(batchKeys)
          count = 0
        }
        segment.copy(place, records, count)
        outers[count++] = outer
        done += 1
        if (done % size === 0) yield
      }
    }
    if (count > 0) checkpoint.putKeys({ count, records: records.buffer, outers })
  }

  // biome-ignore lint/correctness/useYield: one of the tables that take steps; here there is nothing to do in steps
  *release(): Generator<void, void, void> {
    this.#frozen = undefined
  }
}

const keyReader = new Reader(new Uint8Array(0))
