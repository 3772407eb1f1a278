import type { JournalRecord } from '@posthaste/core'

/**
 * A shard's journal, which outlives its process. As the port promises (`packages/core/src/ports.ts`): records are durable in their order, so
 * that a crash leaves a prefix of what was not flushed yet, of any length; a record is there whole or not at all.
 */
export class SimJournal {
  #records: JournalRecord[] = []
  #unflushed: JournalRecord[] = []
  #trimmedPosition = 0
  /** Every record that was ever durable, so that the state can be made again from nothing. */
  #archive: JournalRecord[] = []

  /** What was flushed, with what was trimmed, as a backup has it. */
  copy(): SimJournal {
    const copy = new SimJournal()
    copy.#records = [...this.#records]
    copy.#archive = [...this.#archive]
    copy.#trimmedPosition = this.#trimmedPosition
    return copy
  }

  get flushed(): readonly JournalRecord[] {
    return this.#records
  }

  get archive(): readonly JournalRecord[] {
    return this.#archive
  }

  get unflushedCount(): number {
    return this.#unflushed.length
  }

  /** The last record that is durable. */
  get lastPosition(): number {
    return this.#records.at(-1)?.position ?? this.#trimmedPosition
  }

  append(position: number, bytes: Uint8Array): void {
    const last = this.#unflushed.at(-1)?.position ?? this.lastPosition
    if (position <= last) throw new RangeError(`position ${position} is not above ${last}`)
    this.#unflushed.push({ position, bytes })
  }

  /** The first `count` records that were not flushed are durable from now on. @returns their positions */
  flush(count: number): number[] {
    const done = this.#unflushed.splice(0, count)
    this.#records.push(...done)
    this.#archive.push(...done)
    return done.map(({ position }) => position)
  }

  /** The process has died. @param survivors how many records that nobody was told of are on the disk all the same, the first ones first */
  crash(survivors: number): void {
    this.flush(survivors)
    this.#unflushed = []
  }

  /** Removes records up to a position. */
  trim(upTo: number): void {
    this.#trimmedPosition = Math.max(this.#trimmedPosition, Math.min(upTo, this.lastPosition))
    this.#records = this.#records.filter(({ position }) => position > this.#trimmedPosition)
  }
}
