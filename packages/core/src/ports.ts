/**
 * The ports of the core towards what is durable. Each has one conformance suite that every implementation passes
 * (`packages/core/test/conformance`). Implementations do I/O; the core only sees these shapes.
 */

/** The number of a record in its journal: 1, 2, 3 …, never reused within an epoch. An integer below 2^53. */
export type Position = number

/** A record as it is stored. */
export interface JournalRecord {
  readonly position: Position
  readonly bytes: Uint8Array
}

/** The durable order of one shard: the only thing that must be durable before anybody is told *sent* (I1, I12). */
export interface Journal {
  /** The position of the last record in the journal, 0 when it never held one. Trimming does not lower it. */
  readonly lastPosition: Position
  /**
   * Appends a record. Resolves once it and every record before it are flushed to disk (survive a power loss), never earlier.
   * Appends may overlap; they are stored in call order. A rejection means *unknown*: the caller must stop the process.
   *
   * @param position must be `lastPosition + 1`, or greater after a restore (a gap is never filled later)
   * @throws RangeError when the position is not above the last one
   */
  append(position: Position, bytes: Uint8Array): Promise<void>
  /**
   * The records from `from` on, in order, a stable snapshot at the time of the call. Only what is flushed is yielded. Their bytes stay as
   * they are: a shard that replays them keeps parts of them.
   */
  read(from: Position): Iterable<JournalRecord>
  /** Removes the records up to and including `upTo`. Resolves when done; a crash meanwhile removes a prefix or nothing. */
  trim(upTo: Position): Promise<void>
  /** Bytes free on the journal's file system, for refusing sends before the disk is full. */
  freeBytes(): number
  /** Waits for what is under way, then releases the files. */
  close(): Promise<void>
}

/** A row as it is stored: keys and values are plain bytes; keys are compared byte by byte. Keys are 1 to 512 bytes. */
export type TableRow = readonly [key: Uint8Array, value: Uint8Array]

/** Rows of the table of keys on their way to where they are written, in the order of their keys: as they are in memory, to be encoded there. */
export interface KeyBatch {
  readonly count: number
  /** `KeyRecords`, of which the first `count` are meant. */
  readonly records: ArrayBuffer
  /** The first parts of their keys. */
  readonly outers: Float64Array<ArrayBuffer>
}

/** What one checkpoint writes. Nothing of it is visible before `commit` resolves, all of it after (atomic). */
export interface Checkpoint {
  /** Keys must come in ascending byte order over `put` and `delete` together. The arrays are not kept after the call. */
  put(key: Uint8Array, value: Uint8Array): void
  delete(key: Uint8Array): void
  /** Puts the rows of a batch, `keyRowsOf` it, whose keys ascend among the others. The batch is kept: another thread may encode them. */
  putKeys(batch: KeyBatch): void
  /** Resolves when the whole checkpoint is visible to `get` and `scan`, and flushed to disk. */
  commit(): Promise<void>
}

/** The rows as of the last checkpoint: a byte-ordered map with synchronous reads and atomic checkpoints. */
export interface Tables {
  /** The returned bytes are lent: whoever needs them after the next call copies them. */
  get(key: Uint8Array): Uint8Array | undefined
  /** Rows with `from <= key < to` in ascending byte order, at most `limit` of them, as of the time of the call. They are the caller's to keep. */
  scan(from: Uint8Array, to: Uint8Array, limit: number): TableRow[]
  /** Begins a checkpoint. One at a time: throws when another one is open. */
  beginCheckpoint(): Checkpoint
  /**
   * Looks at so many rows of the table of keys, from this one on or from the first, and deletes those past their time at `clockMs`, which nothing can
   * observe any more. Between checkpoints.
   * @returns where to go on; null when the last one was looked at
   */
  sweepKeys(from: Uint8Array | null, clockMs: number, rows: number): Promise<Uint8Array | null>
  close(): Promise<void>
}
