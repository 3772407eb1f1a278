import type { Context } from './context.ts'
import type { Entry, FailureDecision, Fault, MachineLimits, Position, Row, RowWrite } from './events.ts'
import type { InboxOwner } from './inbox.ts'
import { entryKey, entryOfRow, entryRow, keyPart, numberRow, rowKey, tables } from './rows.ts'

/** How many entries of a lane are marked as started ahead when handlers need not wait for commits. */
const startAheadMax = 64
/** Entries that handlers could not take and that are kept aside; beyond it they are retried instead. */
const setAsideMax = 1_000

/** Entries of one (log, lane) that no handler has acknowledged, in order; at most the first one is with the handler. */
interface HandlerLane {
  readonly entries: Entry[]
  run: number
  attempts: number
  /** By the monotonic clock: not before, after a failure. */
  notBeforeMs: number
}

/** Up to which entry of an (epoch, log, lane) a handler may have been started: in memory and in the store. */
interface StartedMark {
  readonly key: Uint8Array
  /** As the store had it when it was opened: what a crash may have interrupted. */
  readonly openedAt: number
  built: number
  durable: number
  /** What was really started: a clean close stores this. */
  started: number
}

/**
 * From the inbox to the app's handler: per (log, lane) one at a time and in order. Before a handler is started, the store says that
 * it may have been; so after a crash the entry is handed over as redelivered.
 *
 * The next handler of a lane starts once the acknowledgement before it is durable; the mark of the next entry is in that commit, so
 * that only the message whose handler ran can come again. An app that wants speed may have handlers start without waiting: marks
 * then run up to 64 entries ahead, and after a crash all that were not durable come again, called redelivered.
 */
export class Receiving implements InboxOwner {
  readonly #context: Context
  readonly #limits: MachineLimits
  readonly #lanes = new Map<string, HandlerLane>()
  readonly #running = new Map<number, HandlerLane>()
  readonly #marks = new Map<string, StartedMark>()
  #touchedMarks = new Set<StartedMark>()
  /** Entries of a lane that are in the commit being made. */
  readonly #arriving = new Map<string, number>()
  /** Lanes whose last acknowledgement is not in a commit yet, and those whose commit is not durable yet. */
  #settling = new Set<HandlerLane>()
  #committingLanes: ReadonlySet<HandlerLane> = new Set()
  #isBatched = false
  #committingMarks: readonly { readonly mark: StartedMark; readonly upTo: number }[] = []
  readonly #setAside = new Map<string, Entry>()
  /** Handed over again after they were set aside. */
  readonly #retried = new Set<Entry>()
  readonly #positions = new Map<string, Position>()
  #isReceiving = false
  #isClosed = false
  /** Who waits until these runs have ended. */
  #stopCalls: { readonly call: number; readonly runs: readonly number[] }[] = []
  #stoppedCalls: readonly number[] = []
  #runs = 0
  #entries = 0
  #bytes = 0

  constructor(context: Context, limits: MachineLimits) {
    this.#context = context
    this.#limits = limits
  }

  /** Takes a stored row of the tables inbox, started or set aside; `started` rows come after those of the inbox. */
  load([key, value]: Row): void {
    if (key[0] === tables.inbox) this.#hold(entryOfRow(key, value))
    else if (key[0] === tables.setAside) this.#keepAside(entryOfRow(key, value))
    else {
      const upTo = numberRow.read(value)
      const mark = { key, openedAt: upTo, built: upTo, durable: upTo, started: upTo }
      this.#marks.set(`${keyPart(key, 0)} ${keyPart(key, 1)} ${keyPart(key, 2)}`, mark)
    }
  }

  /** Whether this device stores anything: one that only sends passes all, and leaves it to others. */
  get takesAny(): boolean {
    return this.#limits.inboxMessages > 0
  }

  hasRoom(bytes: number): boolean {
    return this.#entries < this.#limits.inboxMessages && (this.#entries === 0 || this.#bytes + bytes <= this.#limits.inboxBytes)
  }

  willStore(entry: Entry): void {
    this.#entries += 1
    this.#bytes += entry.body.length
    const key = laneKey(entry.position)
    const arriving = this.#arriving.get(key) ?? 0
    this.#arriving.set(key, arriving + 1)
    const waiting = arriving + (this.#lanes.get(key)?.entries.length ?? 0)
    if (this.#isReceiving && waiting < this.#startAhead) this.#raise(entry.position)
  }

  /** The commit of the entry failed. */
  wasNotStored(entry: Entry): void {
    this.#entries -= 1
    this.#bytes -= entry.body.length
    this.#arriving.clear()
  }

  /** The entry is durable. */
  stored(entry: Entry): void {
    this.#arriving.clear()
    this.#queue(entry)
  }

  /** A handler is there. What lies at or below the app's own positions is done. */
  receive(positions: readonly Position[], isBatched: boolean): void {
    // The marks have fallen back: who is handed anything after that is told nothing of it the next time.
    if (this.#isClosed) return
    // When the one before wanted to try again is not this handler's.
    if (!this.#isReceiving) for (const lane of this.#lanes.values()) lane.notBeforeMs = 0
    this.#isReceiving = true
    this.#isBatched = isBatched
    for (const position of positions) {
      const known = this.#positions.get(laneKey(position))
      // Several of one lane may come, of several tabs too: the last one counts.
      if (known === undefined || !isCovered(position, known)) this.#positions.set(laneKey(position), position)
    }
  }

  /** No further handler is started. The call is answered once the running ones have ended, and that is stored. */
  stop(call: number | undefined): void {
    this.#isReceiving = false
    this.#positions.clear()
    if (call !== undefined) this.#stopCalls.push({ call, runs: [...this.#running.keys()] })
  }

  done(run: number): void {
    const lane = this.#running.get(run)
    const entry = lane?.entries[0]
    if (lane === undefined || entry === undefined) return
    this.#running.delete(run)
    this.#finish(lane, entry)
  }

  handlerFailed(run: number, decision: FailureDecision | 'release'): void {
    const lane = this.#running.get(run)
    const entry = lane?.entries[0]
    if (lane === undefined || entry === undefined) return
    this.#running.delete(run)
    lane.run = 0
    if (decision === 'release') return
    if (decision === 'stop') {
      this.stop(undefined)
      this.#context.push({ kind: 'stopReceiving' })
      return
    }
    if (decision === 'set-aside' && this.#setAside.size < setAsideMax) {
      this.#keepAside(entry)
      this.#retried.delete(entry)
      this.#context.rows.add([rowOf(tables.setAside, entry.position), entryRow.write(entry)])
      this.#finish(lane, entry)
      return
    }
    if (decision === 'set-aside') this.#context.warn(setAsideFull)
    lane.notBeforeMs = this.#context.now.monotonicMs + (decision === 'set-aside' ? 60_000 : decision.retryInMs)
  }

  listSetAside(): readonly Entry[] {
    return [...this.#setAside.values()]
  }

  /** What was set aside is handed over again, or dropped, which is answered once it is durable. */
  setAside(call: number, action: 'retry' | 'drop', position: Position): void {
    const entry = this.#setAside.get(entryKey(position))
    if (entry === undefined) {
      this.#context.refuse(call, notSetAside)
      return
    }
    this.#setAside.delete(entryKey(entry.position))
    if (action === 'drop') {
      this.#context.rows.add([rowOf(tables.setAside, entry.position), null], call)
      return
    }
    // Its row stays until the handler has taken it: after a crash it is set aside as before, so that nothing has to be stored.
    this.#retried.add(entry)
    this.#hold(entry)
    this.#context.settle(call, { kind: 'done' })
  }

  /** Starts the handlers that may be started now, and asks for the marks that others wait for. */
  pump(): void {
    if (!this.#isReceiving) return
    let nextMs = Number.POSITIVE_INFINITY
    for (const [key, lane] of this.#lanes) {
      if (lane.run > 0 || this.#isSettling(lane)) continue
      if (lane.notBeforeMs > this.#context.now.monotonicMs) nextMs = Math.min(nextMs, lane.notBeforeMs)
      else this.#pumpLane(key, lane)
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#context.setTimer('handlers', nextMs - this.#context.now.monotonicMs)
  }

  /** A clean close: the marks fall back to what was really started. */
  close(): void {
    this.#isClosed = true
    this.stop(undefined)
    for (const mark of this.#marks.values()) {
      if (mark.built <= mark.started) continue
      mark.built = mark.started
      this.#touchedMarks.add(mark)
    }
  }

  prepare(writes: RowWrite[]): void {
    this.#committingMarks = [...this.#touchedMarks].map((mark) => ({ mark, upTo: mark.built }))
    this.#touchedMarks = new Set()
    for (const { mark, upTo } of this.#committingMarks) writes.push([mark.key, numberRow.write(upTo)])
    this.#committingLanes = this.#settling
    this.#settling = new Set()
    const isRunning = ({ runs }: { readonly runs: readonly number[] }): boolean => runs.some((run) => this.#running.has(run))
    this.#stoppedCalls = this.#stopCalls.filter((stop) => !isRunning(stop)).map(({ call }) => call)
    this.#stopCalls = this.#stopCalls.filter(isRunning)
  }

  committed(): void {
    for (const { mark, upTo } of this.#committingMarks) mark.durable = upTo
    this.#committingMarks = []
    this.#committingLanes = new Set()
    for (const call of this.#stoppedCalls) this.#context.settle(call, { kind: 'done' })
    this.#stoppedCalls = []
  }

  failed(fault: Fault): void {
    for (const { mark } of this.#committingMarks) this.#touchedMarks.add(mark)
    this.#committingMarks = []
    for (const lane of this.#committingLanes) this.#settling.add(lane)
    this.#committingLanes = new Set()
    for (const call of this.#stoppedCalls) this.#context.refuse(call, fault)
    this.#stoppedCalls = []
  }

  #pumpLane(key: string, lane: HandlerLane): void {
    for (let entry = lane.entries[0]; entry !== undefined && this.#wasHandled(entry); entry = lane.entries[0]) {
      this.#finish(lane, entry)
    }
    const entry = lane.entries[0]
    if (entry === undefined) {
      this.#lanes.delete(key)
      return
    }
    const { seq } = entry.position
    const mark = this.#markOf(entry.position)
    if (mark.durable < seq) {
      this.#raiseAhead(lane, mark)
      return
    }
    const redelivered = seq <= mark.openedAt || lane.attempts > 0 || this.#retried.has(entry)
    mark.started = Math.max(mark.started, seq)
    this.#runs += 1
    lane.run = this.#runs
    lane.attempts += 1
    this.#running.set(lane.run, lane)
    this.#context.push({ kind: 'handle', run: lane.run, entry, redelivered, attempt: lane.attempts })
  }

  get #startAhead(): number {
    return this.#isBatched ? startAheadMax : 1
  }

  #isSettling(lane: HandlerLane): boolean {
    return !this.#isBatched && (this.#settling.has(lane) || this.#committingLanes.has(lane))
  }

  #wasHandled(entry: Entry): boolean {
    const { position } = entry
    const handled = this.#positions.get(laneKey(position))
    return handled !== undefined && !this.#retried.has(entry) && isCovered(position, handled)
  }

  #finish(lane: HandlerLane, entry: Entry): void {
    lane.entries.shift()
    lane.run = 0
    lane.attempts = 0
    lane.notBeforeMs = 0
    this.#entries -= 1
    this.#bytes -= entry.body.length
    this.#settling.add(lane)
    this.#context.rows.add([rowOf(tables.inbox, entry.position), null])
    if (this.#retried.delete(entry)) this.#context.rows.add([rowOf(tables.setAside, entry.position), null])
    const next = lane.entries[0]
    if (next !== undefined && this.#isReceiving && !this.#isBatched) this.#raise(next.position)
  }

  #hold(entry: Entry): void {
    this.#entries += 1
    this.#bytes += entry.body.length
    this.#queue(entry)
  }

  #queue(entry: Entry): void {
    const key = laneKey(entry.position)
    const lane = this.#lanes.get(key)
    if (lane !== undefined) lane.entries.push(entry)
    else this.#lanes.set(key, { entries: [entry], run: 0, attempts: 0, notBeforeMs: 0 })
  }

  #keepAside(entry: Entry): void {
    this.#setAside.set(entryKey(entry.position), entry)
  }

  #raiseAhead(lane: HandlerLane, mark: StartedMark): void {
    if (mark.built > mark.durable) return
    const { epoch } = lane.entries[0]?.position ?? { epoch: 0 }
    const ahead = lane.entries.slice(0, this.#startAhead).filter(({ position }) => position.epoch === epoch)
    for (const { position } of ahead) this.#raise(position)
  }

  #raise(position: Position): void {
    const mark = this.#markOf(position)
    if (mark.built >= position.seq) return
    mark.built = position.seq
    this.#touchedMarks.add(mark)
  }

  #markOf({ epoch, log, lane }: Position): StartedMark {
    const key = `${epoch} ${log} ${lane}`
    const known = this.#marks.get(key)
    if (known !== undefined) return known
    const mark = { key: rowKey(tables.started, epoch, log, lane), openedAt: 0, built: 0, durable: 0, started: 0 }
    this.#marks.set(key, mark)
    return mark
  }
}

const setAsideFull: Fault = {
  code: 'set-aside-full',
  message: `${setAsideMax} messages are set aside already; the next one is tried again in a minute.`,
  retryable: true,
}
const notSetAside: Fault = { code: 'not-found', message: 'No such message is set aside.', retryable: false }

/** Whether a position of a lane lies at or below another one of it. */
function isCovered(position: Position, handled: Position): boolean {
  return position.epoch < handled.epoch || (position.epoch === handled.epoch && position.seq <= handled.seq)
}

function laneKey({ log, lane }: Position): string {
  return `${log} ${lane}`
}

function rowOf(table: typeof tables.inbox | typeof tables.setAside, { epoch, log, lane, seq }: Position): Uint8Array {
  return rowKey(table, epoch, log, lane, seq)
}
