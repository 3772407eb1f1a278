import { skipReasons } from '@posthaste/protocol'
import { type EntryRow, entryKey, type Lane, laneCount, type MemberRow } from './rows/rows.ts'
import { stayOf } from './shard/passing.ts'
import { deviceIndex, type ShardState } from './shard/state.ts'

/** What the pump gets when it asks for the entry after what it has sent. */
export type Reading =
  /** Last when nothing follows it yet: what does wakes its readers. Lent bytes are others after the next reading. */
  | { readonly kind: 'entry'; readonly bytes: Uint8Array; readonly isLast: boolean; readonly isLent: boolean }
  | { readonly kind: 'skip'; readonly to: number; readonly reason: number }
  /** Nothing that may go now: at the head, or its deadline has passed and the record that closes it has not been applied. */
  | { readonly kind: 'wait' }

const wait: Reading = { kind: 'wait' }
/** How far one SKIP looks for more of the same. */
const skipSearch = 1_024
/** How many seqs of a SKIP cost a turn as much as one entry: each may be a look at the tables. */
const seqsPerTurn = 16

/** Who reads a log. */
export interface LogReader {
  readonly user: number
  readonly device: string
}

/**
 * The entry of that seq as this reader may have it. The reading judges the right to it each time, at the entry's place in the order,
 * so that no right is ever remembered from before (I9).
 * @param nowMs the host's clock: what it calls late is withheld
 */
export function readEntry(state: ShardState, log: number, lane: number, seq: number, reader: LogReader, nowMs: number): Reading {
  const row = state.log(log)
  const place = row?.lanes[lane]
  if (row === undefined || place === undefined || row.removedMs > 0 || seq > place.head) return wait
  if (row.kind === 0) return log === reader.user ? readPlace(state, log, lane, place, seq, reader, nowMs) : wait
  const member = state.members.get(log, reader.user)
  if (member === undefined) return wait
  const stay = stayOf(member, lane, seq)
  if (stay === undefined) return skipByRight(place, member, lane, seq)
  const start = member.devices[deviceIndex(member.devices, reader.device)]?.starts[lane] ?? 0
  const end = stay.to?.[lane] ?? Number.POSITIVE_INFINITY
  if (seq <= start) return { kind: 'skip', to: Math.min(start, end), reason: skipReasons.beforeStart }
  return readPlace(state, log, lane, place, seq, reader, nowMs, end)
}

/** @param end the last seq that the reader may learn of */
function readPlace(
  state: ShardState,
  log: number,
  lane: number,
  place: Lane,
  seq: number,
  reader: LogReader,
  nowMs: number,
  end = Number.POSITIVE_INFINITY,
): Reading {
  if (seq <= place.trim) return { kind: 'skip', to: Math.min(place.trim, end), reason: skipReasons.trimmed }
  const entry = entryOf(state, log, lane, seq, reader)
  // The shard closes what is due a few rows a record, and rests after a long search: what it would have closed must not hold up what follows.
  const isBehind = place.scanSeq > 0 || place.restMs > state.clockMs
  const closedMs = isBehind ? nowMs : state.clockMs
  const fault = faultOf(entry, reader, closedMs)
  if (entry !== undefined && fault === 0)
    return entry.deadlineMs <= nowMs ? wait : readingOf(entry, log === reader.user, seq === place.head)
  const last = Math.min(place.head, end, seq + skipSearch)
  let to = seq
  while (to < last && faultOf(entryOf(state, log, lane, to + 1, reader), reader, closedMs) === fault) to += 1
  return { kind: 'skip', to, reason: fault }
}

/** An entry of a user's own log is not held: most often one device reads it, once. Those of a group many do. */
function entryOf({ entries }: ShardState, log: number, lane: number, seq: number, { user }: LogReader): EntryRow | undefined {
  return log === user ? entries.look(log, entryKey(lane, seq)) : entries.get(log, entryKey(lane, seq))
}

/** What was read from the tables and is not held is lent. */
function readingOf({ bytes, generation }: EntryRow, isOwn: boolean, isLast: boolean): Reading {
  return { kind: 'entry', bytes, isLast, isLent: isOwn && generation === 0 }
}

/** Why an entry is not for this reader, 0 when it is. @param closedMs what is due by then counts as closed */
function faultOf(entry: EntryRow | undefined, reader: LogReader, closedMs: number): number {
  if (entry === undefined) return skipReasons.trimmed
  if (entry.isClosed || entry.deadlineMs <= closedMs) return skipReasons.closed
  if (entry.size === 0) return skipReasons.trimmed
  return entry.device === reader.device && entry.sender === reader.user ? skipReasons.own : 0
}

/** Seqs before, between and after the member's stays. After the last one nothing is sent: not even how much there is. */
function skipByRight({ head }: Lane, member: MemberRow, lane: number, seq: number): Reading {
  let next = Number.POSITIVE_INFINITY
  for (const stay of member.stays) {
    const from = stay.from[lane] as number
    const isEmpty = stay.to !== null && (stay.to[lane] as number) <= from
    if (from >= seq && !isEmpty && from < next) next = from
  }
  return next === Number.POSITIVE_INFINITY || next >= head ? wait : { kind: 'skip', to: next, reason: skipReasons.noRight }
}

/** One log in one lane, as a session reads it. */
interface Stream {
  readonly log: number
  readonly lane: number
  /** The last seq written to the session. */
  sent: number
  /** The last seq that this session has acknowledged; 0 before, so that its first ACK always counts. */
  acked: number
  /** Sizes of what is in flight, in order. */
  readonly inFlight: { readonly seq: number; readonly bytes: number }[]
  isWaiting: boolean
}

/** A log that a session reads. */
interface Attached {
  /** Where the streams begin. */
  readonly cursors: readonly number[]
  readonly streams: (Stream | undefined)[]
}

/** The logs of a session. Most have one alone, which needs no map: sessions idle by the thousand. */
class AttachedLogs {
  /** 0 for none, which is no identity. */
  #first = 0
  #attached: Attached | undefined
  #others: Map<number, Attached> | undefined

  get(log: number): Attached | undefined {
    return log === this.#first ? this.#attached : this.#others?.get(log)
  }

  /** Adds one that is not there. */
  set(log: number, attached: Attached): void {
    if (this.#first === 0) {
      this.#first = log
      this.#attached = attached
    } else {
      this.#others ??= new Map()
      this.#others.set(log, attached)
    }
  }

  delete(log: number): void {
    if (log !== this.#first) {
      this.#others?.delete(log)
      return
    }
    this.#first = 0
    this.#attached = undefined
  }
}

function streamOf({ cursors, streams }: Attached, log: number, lane: number): Stream {
  const found = streams[lane]
  if (found !== undefined) return found
  const made: Stream = { log, lane, sent: cursors[lane] as number, acked: 0, inFlight: [], isWaiting: false }
  streams[lane] = made
  return made
}

/** What the pump asks and tells. */
export interface PumpPort {
  read(log: number, lane: number, seq: number): Reading
  /** @param isLent whether the bytes are others after the next reading */
  deliver(bytes: Uint8Array, isLent: boolean): void
  skip(log: number, lane: number, from: number, to: number, reason: number): void
}

/** After this many entries in a row from above, the lane below that waited longest gets one (I7). */
const fairnessRun = 64
const windowEntries = 256
const windowBytesMin = 65_536
const windowBytesMax = 1_048_576
const windowMs = 250

/**
 * What decides which entry a session gets next: strict priority with one exception, within a lane the log that waited longest, and no
 * more than a window in flight, so that a bulk lane never sits before lane 0 in buffers (I7, I10).
 */
export class Pump {
  readonly #logs = new AttachedLogs()
  /** Per lane: the streams with something to send, the longest waiting first. Nothing is here before its first use: most sessions idle. */
  readonly #waiting: (Stream[] | undefined)[] = []
  /** Since when each lane waits, as a count of deliveries; for the 1-in-64 rule. */
  readonly #since: number[] = []
  #waitingStreams = 0
  #inFlightEntries = 0
  #inFlightBytes = 0
  #windowBytes = windowBytesMin
  #ackedBytes = 0
  #measuredMs = 0
  #run = 0
  #turn = 0

  /**
   * Begins a log at these cursors. They are kept, not copied.
   * @param heads where each lane ends: what lies beyond its cursor has something to send. Without them each lane may have.
   */
  attach(log: number, cursors: readonly number[], heads?: readonly number[]): void {
    this.detach(log)
    this.#logs.set(log, { cursors, streams: [] })
    for (let lane = 0; lane < laneCount; lane++) {
      if (heads === undefined || (heads[lane] as number) > (cursors[lane] as number)) this.wake(log, lane)
    }
  }

  /** Ends a log: what is in flight no longer counts. */
  detach(log: number): void {
    for (const stream of this.#logs.get(log)?.streams ?? []) {
      if (stream === undefined) continue
      for (const { bytes } of stream.inFlight) this.#landed(bytes)
      stream.inFlight.length = 0
      if (!stream.isWaiting) continue
      const queue = this.#waiting[stream.lane] as Stream[]
      queue.splice(queue.indexOf(stream), 1)
      this.#waitingStreams -= 1
    }
    this.#logs.delete(log)
  }

  has(log: number): boolean {
    return this.#logs.get(log) !== undefined
  }

  /** A log may have something new in this lane. */
  wake(log: number, lane: number): void {
    const attached = this.#logs.get(log)
    if (attached === undefined) return
    this.#wait(streamOf(attached, log, lane))
  }

  /** Whether a stream may have something to send. */
  get isWaiting(): boolean {
    return this.#waitingStreams > 0
  }

  #wait(stream: Stream): void {
    if (stream.isWaiting) return
    stream.isWaiting = true
    this.#waitingStreams += 1
    const { lane } = stream
    const queue = this.#waiting[lane]
    if (queue === undefined || queue.length === 0) this.#since[lane] = this.#turn
    if (queue === undefined) this.#waiting[lane] = [stream]
    else queue.push(stream)
  }

  /**
   * The device has passed this lane up to `upTo`: for the first time in this session (`moved`), or it has said so before (`again`).
   * `beyond` when it was never sent that far: the peer breaks the protocol.
   */
  acked(log: number, lane: number, upTo: number, nowMs: number): 'moved' | 'again' | 'beyond' {
    const attached = this.#logs.get(log)
    if (attached === undefined) return 'again'
    const stream = streamOf(attached, log, lane)
    if (upTo > stream.sent) return 'beyond'
    const isNew = upTo > stream.acked
    if (isNew) stream.acked = upTo
    for (let first = stream.inFlight[0]; first !== undefined && first.seq <= upTo; first = stream.inFlight[0]) {
      stream.inFlight.shift()
      this.#landed(first.bytes)
      this.#ackedBytes += first.bytes
    }
    const elapsedMs = nowMs - this.#measuredMs
    if (elapsedMs >= windowMs) {
      const rate = (this.#ackedBytes * windowMs) / elapsedMs
      this.#windowBytes = Math.min(windowBytesMax, Math.max(windowBytesMin, 2 * rate, this.#windowBytes / 2))
      this.#ackedBytes = 0
      this.#measuredMs = nowMs
    } else if (2 * this.#ackedBytes > this.#windowBytes) this.#windowBytes = Math.min(windowBytesMax, 2 * this.#ackedBytes)
    return isNew ? 'moved' : 'again'
  }

  /** Writes what fits. @param most at most this many entries and skips, fewer of long skips; true when there is more that would fit */
  run(port: PumpPort, most: number): boolean {
    for (let done = 0; done < most; done++) {
      if (!this.#hasRoom()) return false
      const next = this.#next()
      if (next === undefined) return false
      const { stream, isAbove } = next
      const before = stream.sent
      if (!this.#write(stream, port)) continue
      this.#count(stream.lane, isAbove)
      done += Math.floor((stream.sent - before) / seqsPerTurn)
    }
    return true
  }

  /** With nothing in flight there is always room: for one entry of any size. */
  #hasRoom(): boolean {
    return this.#inFlightEntries < windowEntries && this.#inFlightBytes < this.#windowBytes
  }

  #landed(bytes: number): void {
    this.#inFlightEntries -= 1
    this.#inFlightBytes -= bytes
  }

  /** Takes the next stream: the highest lane, but after a long run from above the lower lane that waited longest. */
  #next(): { readonly stream: Stream; readonly isAbove: boolean } | undefined {
    if (this.#waitingStreams === 0) return undefined
    let top = -1
    let longest = -1
    for (let lane = 0; lane < laneCount; lane++) {
      if ((this.#waiting[lane]?.length ?? 0) === 0) continue
      if (top < 0) top = lane
      else if (longest < 0 || (this.#since[lane] as number) < (this.#since[longest] as number)) longest = lane
    }
    const isLowersTurn = longest >= 0 && this.#run >= fairnessRun
    const stream = (this.#waiting[isLowersTurn ? longest : top] as Stream[]).shift() as Stream
    stream.isWaiting = false
    this.#waitingStreams -= 1
    return { stream, isAbove: longest >= 0 && !isLowersTurn }
  }

  /** A lane was served, before others that wait if `isAbove`. What had nothing to send does not count. */
  #count(lane: number, isAbove: boolean): void {
    this.#run = isAbove ? this.#run + 1 : 0
    this.#turn += 1
    this.#since[lane] = this.#turn
  }

  /** False when there was nothing to write. */
  #write(stream: Stream, port: PumpPort): boolean {
    const seq = stream.sent + 1
    const reading = port.read(stream.log, stream.lane, seq)
    if (reading.kind === 'wait') return false
    if (reading.kind === 'skip') {
      port.skip(stream.log, stream.lane, seq, reading.to, reading.reason)
      this.#sent(stream, reading.to, 0)
    } else {
      port.deliver(reading.bytes, reading.isLent)
      this.#sent(stream, seq, reading.bytes.length)
      if (reading.isLast) return true
    }
    this.#wait(stream)
    return true
  }

  #sent(stream: Stream, seq: number, bytes: number): void {
    stream.sent = seq
    stream.inFlight.push({ seq, bytes })
    this.#inFlightEntries += 1
    this.#inFlightBytes += bytes
  }
}
