import type { Journal, JournalRecord, Position } from '../ports.ts'

/** How a journal in memory behaves. */
export interface MemoryJournalOptions {
  /** `manual` keeps appended records unflushed until `flush` is called, so that a crash can fall in between. Default `automatic`. */
  readonly flushing?: 'automatic' | 'manual'
  /** What `freeBytes` says at first. Default 1 TiB. */
  readonly freeBytes?: number
}

interface Unflushed {
  readonly position: Position
  readonly bytes: Uint8Array
  readonly resolve: () => void
  readonly reject: (error: Error) => void
}

/**
 * A journal in memory, for tests and the simulator. What is flushed survives `crash`; what isn't is lost, or kept as far as the
 * caller says, as on a disk. Like a real one it reads the bytes of a record when it flushes it, not before.
 */
export class MemoryJournal implements Journal {
  readonly #flushing: 'automatic' | 'manual'
  #freeBytes: number
  #records: JournalRecord[] = []
  #unflushed: Unflushed[] = []
  #lastPosition: Position = 0
  #trimmedPosition: Position = 0
  #failure: Error | undefined

  constructor(options: MemoryJournalOptions = {}) {
    this.#flushing = options.flushing ?? 'automatic'
    this.#freeBytes = options.freeBytes ?? 2 ** 40
  }

  get lastPosition(): Position {
    return this.#lastPosition
  }

  /** The number of records that wait for `flush`. */
  get unflushedCount(): number {
    return this.#unflushed.length
  }

  append(position: Position, bytes: Uint8Array): Promise<void> {
    if (!Number.isSafeInteger(position) || position <= this.#lastPosition) {
      return Promise.reject(new RangeError(`Position ${position} is not above the journal's last, ${this.#lastPosition}`))
    }
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    this.#lastPosition = position
    const flushed = new Promise<void>((resolve, reject) => {
      this.#unflushed.push({ position, bytes, resolve, reject })
    })
    if (this.#flushing === 'automatic') this.flush()
    return flushed
  }

  /** Flushes the first `count` unflushed records, all by default, and resolves their appends. */
  flush(count = this.#unflushed.length): void {
    for (const { position, bytes, resolve } of this.#unflushed.splice(0, count)) {
      this.#records.push({ position, bytes: bytes.slice() })
      resolve()
    }
  }

  /**
   * What a process finds that starts after this one died at this moment. This journal is dead then: its unflushed appends stay
   * unanswered for ever, as they do in a process that died, and later ones are refused.
   *
   * @param survivorCount how many of the unflushed records reached the disk unacknowledged, first ones first
   */
  crash(survivorCount = 0): MemoryJournal {
    const next = new MemoryJournal({ flushing: this.#flushing, freeBytes: this.#freeBytes })
    const survivors = this.#unflushed.slice(0, survivorCount).map(({ position, bytes }) => ({ position, bytes: bytes.slice() }))
    next.#records = [...this.#records, ...survivors]
    next.#trimmedPosition = this.#trimmedPosition
    next.#lastPosition = next.#records.at(-1)?.position ?? this.#trimmedPosition
    this.#failure = new Error('The process of this journal has crashed')
    this.#unflushed = []
    return next
  }

  /** Rejects what is unflushed, and every append and trim from now on, as a disk does that fails. */
  fail(error: Error): void {
    this.#failure = error
    for (const { reject } of this.#unflushed.splice(0)) reject(error)
  }

  read(from: Position): Iterable<JournalRecord> {
    return this.#records
      .filter(({ position }) => position >= from)
      .map(({ position, bytes }) => ({ position, bytes: bytes.slice() }))
  }

  trim(upTo: Position): Promise<void> {
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    const flushedPosition = this.#records.at(-1)?.position ?? this.#trimmedPosition
    this.#trimmedPosition = Math.max(this.#trimmedPosition, Math.min(upTo, flushedPosition))
    this.#records = this.#records.filter(({ position }) => position > this.#trimmedPosition)
    return Promise.resolve()
  }

  freeBytes(): number {
    return this.#freeBytes
  }

  /** Sets what `freeBytes` says. */
  setFreeBytes(bytes: number): void {
    this.#freeBytes = bytes
  }

  close(): Promise<void> {
    this.flush()
    this.#failure ??= new Error('The journal is closed')
    return Promise.resolve()
  }
}
