/** What a log holds at a seq: so many bytes, something to skip, or what may not go yet. */
export type Held = number | 'skip' | 'late'

/** The logs that a pump reads, as lists. */
export class Logs {
  readonly #entries = new Map<string, Held[]>()

  lane(log: number, lane: number): Held[] {
    const key = `${log}/${lane}`
    const found = this.#entries.get(key) ?? []
    this.#entries.set(key, found)
    return found
  }
}

/** One log in one lane. */
interface Stream {
  readonly log: number
  readonly lane: number
  sent: number
  acked: number
}

const windowEntries = 256

/**
 * What I7 says, as one would say it: everything that waits is in one list, in the order in which it began to wait, and each choice looks
 * through all of it. It knows of no bytes: its entries are so small that their number decides.
 */
export class ReferencePump {
  readonly written: string[] = []
  readonly #logs: Logs
  readonly #streams = new Map<string, Stream>()
  #waiting: Stream[] = []
  #inFlight: { readonly stream: Stream; readonly seq: number }[] = []
  /** The lanes that wait, each with how much had been written when it began to or was last served. */
  #lanes: { readonly lane: number; readonly since: number }[] = []
  #fromAbove = 0

  constructor(logs: Logs) {
    this.#logs = logs
  }

  attach(log: number): void {
    this.detach(log)
    for (let lane = 0; lane < 16; lane++) {
      const stream = { log, lane, sent: 0, acked: 0 }
      this.#streams.set(`${log}/${lane}`, stream)
      this.wake(log, lane)
    }
  }

  detach(log: number): void {
    this.#waiting = this.#waiting.filter((stream) => stream.log !== log)
    this.#inFlight = this.#inFlight.filter(({ stream }) => stream.log !== log)
    for (let lane = 0; lane < 16; lane++) this.#streams.delete(`${log}/${lane}`)
    this.#lanes = this.#lanes.filter(({ lane }) => this.#waits(lane))
  }

  wake(log: number, lane: number): void {
    const stream = this.#streams.get(`${log}/${lane}`)
    if (stream === undefined || this.#waiting.includes(stream)) return
    this.#waiting.push(stream)
    if (!this.#lanes.some((one) => one.lane === lane)) this.#lanes.push({ lane, since: this.written.length })
  }

  acked(log: number, lane: number, upTo: number): 'moved' | 'again' | 'beyond' {
    const stream = this.#streams.get(`${log}/${lane}`)
    if (stream === undefined) return 'again'
    if (upTo > stream.sent) return 'beyond'
    this.#inFlight = this.#inFlight.filter((one) => one.stream !== stream || one.seq > upTo)
    const isNew = upTo > stream.acked
    stream.acked = Math.max(stream.acked, upTo)
    return isNew ? 'moved' : 'again'
  }

  run(most: number): void {
    for (let left = most; left > 0 && this.#inFlight.length < windowEntries; left--) {
      const lanes = [...new Set(this.#waiting.map(({ lane }) => lane))].sort((one, other) => one - other)
      const [top, ...below] = lanes
      if (top === undefined) return
      const isBelowsTurn = below.length > 0 && this.#fromAbove >= 64
      const lane = isBelowsTurn ? this.#longest(below) : top
      const stream = this.#waiting.find((one) => one.lane === lane)
      if (stream === undefined) throw new Error('a lane waits without a stream')
      this.#waiting = this.#waiting.filter((one) => one !== stream)
      if (!this.#writes(stream)) {
        this.#lanes = this.#lanes.filter((one) => this.#waits(one.lane))
        continue
      }
      this.#fromAbove = below.length > 0 && !isBelowsTurn ? this.#fromAbove + 1 : 0
      this.#lanes = this.#lanes.filter((one) => one.lane !== lane)
      if (this.#waits(lane)) this.#lanes.push({ lane, since: this.written.length })
      // What was the last entry is followed by a wake once it no longer is.
      if (!this.#hasSentAll(stream)) this.wake(stream.log, lane)
    }
  }

  #hasSentAll({ log, lane, sent }: Stream): boolean {
    const entries = this.#logs.lane(log, lane)
    return sent === entries.length && entries[sent - 1] !== 'skip'
  }

  /** Of lanes that have waited equally long it is the higher one. */
  #longest(lanes: readonly number[]): number {
    const waiting = this.#lanes.filter(({ lane }) => lanes.includes(lane))
    const [longest] = waiting.sort((one, other) => one.since - other.since || one.lane - other.lane)
    return longest?.lane ?? -1
  }

  #waits(lane: number): boolean {
    return this.#waiting.some((stream) => stream.lane === lane)
  }

  #writes(stream: Stream): boolean {
    const { log, lane } = stream
    const seq = stream.sent + 1
    const held = this.#logs.lane(log, lane)[seq - 1]
    if (held === undefined || held === 'late') return false
    stream.sent = seq
    this.#inFlight.push({ stream, seq })
    this.written.push(held === 'skip' ? `skip ${log}/${lane}/${seq}` : `${log}/${lane}/${seq}`)
    return true
  }
}
