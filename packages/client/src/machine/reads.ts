import type { ServerPacketOf } from '@posthaste/protocol'
import type { Context } from './context.ts'
import type { Cursors } from './cursors.ts'
import type { Fault, Position, Row, RowWrite } from './events.ts'
import { keyPart, readRow, rowKey, tables } from './rows.ts'

/** Marks that wait for their confirmation; one per (log, lane, sender). The oldest is given up first. */
const intentsMax = 10_000

interface Intent {
  readonly key: Uint8Array
  readonly log: number
  readonly lane: number
  /** 0 in a group's log. */
  readonly sender: number
  seq: number
  count: number
  isDurable: boolean
  calls: number[]
}

/** What the app has marked read: stored until READ_MARK confirms it, and sent only after the ACK that it rests on. */
export class Reads {
  readonly #context: Context
  readonly #cursors: Cursors
  readonly #intents = new Map<string, Intent>()
  #dirty = new Set<Intent>()
  #committing: readonly Intent[] = []
  #unsent = new Set<Intent>()

  constructor(context: Context, cursors: Cursors) {
    this.#context = context
    this.#cursors = cursors
  }

  /** Takes a stored row. */
  load([key, value]: Row): void {
    const intent = { ...readRow.read(value), key, log: keyPart(key, 0), lane: keyPart(key, 1), sender: keyPart(key, 2) }
    this.#intents.set(intentKey(intent.log, intent.lane, intent.sender), { ...intent, isDurable: true, calls: [] })
  }

  /** Marks read everything of this sender in this lane up to the message. Answered once that is stored. */
  markRead(call: number, { epoch, log, lane, seq }: Position, sender: number, count: number, presentEpoch: number): void {
    // A message of an older epoch, or one without a count, has no mark that could be told.
    if (epoch !== presentEpoch || (sender !== 0 && count === 0)) {
      this.#context.settle(call, { kind: 'done' })
      return
    }
    const intent = this.#intentOf(log, lane, sender)
    if (seq <= intent.seq && intent.isDurable) {
      this.#context.settle(call, { kind: 'done' })
      return
    }
    intent.calls.push(call)
    if (seq <= intent.seq) return
    intent.seq = seq
    intent.count = count
    intent.isDurable = false
    this.#dirty.add(intent)
  }

  /** A session has begun: everything unconfirmed is sent again. In a new epoch old counts mean nothing. */
  live(isNewEpoch: boolean): void {
    if (isNewEpoch) for (const intent of [...this.#intents.values()]) this.#remove(intent)
    for (const intent of this.#intents.values()) this.#unsent.add(intent)
  }

  down(): void {
    this.#unsent.clear()
  }

  /** Writes the READs whose messages were acknowledged on this connection. */
  pump(): void {
    if (!this.#context.isLive) return
    for (const intent of this.#unsent) {
      const { log, lane, seq, sender, count } = intent
      if (!intent.isDurable || this.#cursors.lane(log, lane).told < seq) continue
      this.#unsent.delete(intent)
      this.#context.write({ kind: 'read', log, lane, seq, sender, count })
    }
  }

  readMark(packet: ServerPacketOf<'readMark'>): void {
    const intent = this.#intents.get(intentKey(packet.log, packet.lane, packet.sender))
    if (intent !== undefined && packet.mark >= (intent.sender === 0 ? intent.seq : intent.count)) this.#remove(intent)
    this.#context.notify({ kind: 'read', log: packet.log, lane: packet.lane, sender: packet.sender, mark: packet.mark })
  }

  prepare(writes: RowWrite[]): void {
    this.#committing = [...this.#dirty]
    this.#dirty = new Set()
    for (const intent of this.#committing) writes.push([intent.key, readRow.write(intent)])
  }

  committed(): void {
    for (const intent of this.#committing) {
      if (this.#dirty.has(intent) || !this.#isKept(intent)) continue
      intent.isDurable = true
      for (const call of intent.calls) this.#context.settle(call, { kind: 'done' })
      intent.calls = []
      if (this.#context.isLive) this.#unsent.add(intent)
    }
    this.#committing = []
  }

  failed(fault: Fault): void {
    for (const intent of this.#committing) {
      for (const call of intent.calls) this.#context.refuse(call, fault)
      intent.calls = []
      if (this.#isKept(intent)) this.#dirty.add(intent)
    }
    this.#committing = []
  }

  /** Whether it was not removed while its row was being stored. */
  #isKept(intent: Intent): boolean {
    return this.#intents.get(intentKey(intent.log, intent.lane, intent.sender)) === intent
  }

  #intentOf(log: number, lane: number, sender: number): Intent {
    const known = this.#intents.get(intentKey(log, lane, sender))
    if (known !== undefined) return known
    const [oldest] = this.#intents.values()
    if (this.#intents.size >= intentsMax && oldest !== undefined) this.#remove(oldest)
    const key = rowKey(tables.read, log, lane, sender)
    const intent = { key, log, lane, sender, seq: 0, count: 0, isDurable: false, calls: [] }
    this.#intents.set(intentKey(log, lane, sender), intent)
    return intent
  }

  #remove(intent: Intent): void {
    for (const call of intent.calls) this.#context.settle(call, { kind: 'done' })
    intent.calls = []
    this.#intents.delete(intentKey(intent.log, intent.lane, intent.sender))
    this.#dirty.delete(intent)
    this.#unsent.delete(intent)
    this.#context.rows.add([intent.key, null])
  }
}

function intentKey(log: number, lane: number, sender: number): string {
  return `${log} ${lane} ${sender}`
}
