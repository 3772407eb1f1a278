import { Reader, Writer } from '@posthaste/protocol'
import type { Checkpoint } from '../ports.ts'
import type { Generations, TableEnd } from './generation.ts'
import { KeySegment } from './keySegment.ts'
import { type KeyRow, rowCodecs } from './rows.ts'
import { composeKey, keyScratch } from './tableKey.ts'

/** The first key byte of the table of keys, which the background sweep reads. */
export const keyTableNumber = 5

/**
 * The table of keys: one row for each message, written once and hardly ever read again. So it is kept apart from the other tables: what was
 * written since the last checkpoint is in columns, not in objects, and a checkpoint takes a whole segment. A key is never deleted but by the
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

  /** @param outer the number of the contact, which stands for sender and log */
  get(outer: number, id: bigint): KeyRow | undefined {
    const held = this.#open.get(outer, id) ?? this.#frozen?.get(outer, id)
    if (held !== undefined) return held
    const bytes = this.#generations.tables.get(composeKey(keyScratch, this.number, outer, id))
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
    let done = 0
    for (const outer of yield* segment.sortedOuters(rows)) {
      for (const place of segment.placesOf(outer)) {
        segment.encode(place, rowWriter)
        checkpoint.put(composeKey(keyScratch, this.number, outer, segment.idOf(place)), rowWriter.lend())
        done += 1
        if (done % rows === 0) yield
      }
    }
  }

  // biome-ignore lint/correctness/useYield: one of the tables that take steps; here there is nothing to do in steps
  *release(): Generator<void, void, void> {
    this.#frozen = undefined
  }
}

const rowWriter = new Writer(256)
const keyReader = new Reader(new Uint8Array(0))
