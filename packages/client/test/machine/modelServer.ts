import { type ClientPacket, type ClientPacketOf, codeNumber, type ServerPacket, type Status } from '@posthaste/protocol'
import { deliver, serverStartMs, welcome } from './rig.ts'

export const lanes = [0, 8]
/** The identity of whoever the client writes to. */
const peer = 200

/** A message that the server has accepted, and what is true of it. */
export interface Accepted {
  readonly id: bigint
  readonly lane: number
  readonly count: number
  readonly receipts: boolean
  isStored: boolean
  isHole: boolean
  isExpired: boolean
}

/** One lane of the client's own log. */
interface OwnLane {
  readonly entries: ('entry' | 'skip')[]
  sent: number
  acked: number
}

/** A server as PROTOCOL.md has it, with one log to read and one destination to write to. What it would tell waits in `out`, and is lost with the connection. */
export class ModelServer {
  readonly accepted: Accepted[] = []
  readonly logs = new Map<number, OwnLane>(lanes.map((lane) => [lane, { entries: [], sent: 0, acked: 0 }]))
  readonly readMarks = new Map<number, number>()
  readonly #passed = new Map<number, number>()
  readonly #read = new Map<number, number>()
  out: ServerPacket[] = []
  isLive = false
  #session = 0
  #nextRef = 1
  #isIgnoring = false

  /** The connection is gone. */
  cut(): void {
    this.isLive = false
    this.out = []
  }

  lane(lane: number): OwnLane {
    const found = this.logs.get(lane)
    if (found === undefined) throw new RangeError(`no lane ${lane}`)
    return found
  }

  /** What is true of a message now. */
  truth({ isStored, isExpired, receipts, lane, count }: Accepted): Status {
    if (!isStored) return isExpired ? 'expired' : 'sent'
    if (!receipts) return 'sent'
    return count <= (this.#read.get(lane) ?? 0) ? 'read' : 'delivered'
  }

  /** The peer passes messages of a lane, and stores them or not. */
  peerPasses(lane: number, count: number, isStoring: boolean): void {
    const from = this.#passed.get(lane) ?? 0
    const passed = this.accepted.filter((one) => one.lane === lane && one.count > from && one.count <= from + count)
    const last = passed.at(-1)
    if (last === undefined) return
    this.#passed.set(lane, last.count)
    for (const message of passed) {
      if (isStoring && !message.isHole) message.isStored = true
      else if (!message.isHole && !message.isStored) this.#makeHole(message, 'sent')
    }
    if (isStoring) this.#mark(lane)
  }

  /** What nobody has stored has passed its deadline. */
  expire(lane: number): void {
    for (const message of this.accepted) {
      if (message.lane !== lane || message.isStored || message.isExpired) continue
      message.isExpired = true
      this.#makeHole(message, 'expired')
    }
  }

  /** Another device of the peer had stored it in time, and says so. */
  fill(at: number): void {
    const holes = this.accepted.filter(({ isHole, isStored }) => isHole && !isStored)
    const message = holes[at % Math.max(1, holes.length)]
    if (message === undefined || !message.receipts) return
    message.isStored = true
    message.isHole = false
    this.#mark(message.lane)
    this.#tell({ kind: 'status', destination: peer, id: message.id, status: codeNumber('delivered') })
  }

  peerReads(lane: number): void {
    this.#read.set(lane, this.#delivered(lane))
    this.#mark(lane)
  }

  comes(lane: number, kind: 'entry' | 'skip', count: number): void {
    this.lane(lane).entries.push(...new Array<typeof kind>(count).fill(kind))
  }

  /** Writes the next of a lane. @param isRepeated once more, as after an ACK that was lost */
  pump(lane: number, isRepeated: boolean): void {
    const place = this.lane(lane)
    const kind = place.entries[place.sent]
    if (!this.isLive || kind === undefined) return
    place.sent += 1
    const packet = this.#entry(lane, place.sent, kind)
    this.out.push(packet)
    if (isRepeated) this.out.push(packet)
  }

  #entry(lane: number, seq: number, kind: 'entry' | 'skip'): ServerPacket {
    if (kind === 'skip') return { kind: 'skip', log: 100, lane, from: seq, to: seq, reason: 1 }
    return deliver(seq, { lane, id: BigInt(lane * 1_000 + seq + 1), deadlineMs: serverStartMs + 10 ** 11 })
  }

  /** What the client wrote. @param isBusy a SEND is refused for now */
  take(packet: ClientPacket, nowMs: number, isBusy: boolean): void {
    switch (packet.kind) {
      case 'hello':
        return this.#hello(packet, nowMs)
      case 'send':
        return this.#send(packet, isBusy)
      case 'resume':
        this.#isIgnoring = false
        return
      case 'ack':
        return this.#ack(packet)
      case 'query':
        return this.#query(packet)
      case 'read':
        // It takes effect only for what this session has acknowledged.
        if (packet.seq > this.lane(packet.lane).acked) return
        this.readMarks.set(packet.lane, Math.max(packet.count, this.readMarks.get(packet.lane) ?? 0))
        return this.#tell({ ...packet, kind: 'readMark', mark: this.readMarks.get(packet.lane) ?? 0 })
      case 'ping':
        return this.#tell({ kind: 'pong', clientTime: packet.clientTime, serverTimeMs: nowMs })
      default:
    }
  }

  #hello(packet: ClientPacketOf<'hello'>, nowMs: number): void {
    if (packet.session <= this.#session) throw new Error(`session ${packet.session} was used before`)
    this.#session = packet.session
    this.#nextRef = 1
    this.#isIgnoring = false
    for (const [lane, place] of this.logs) {
      place.sent = packet.cursors.find((cursor) => cursor.lane === lane)?.seq ?? 0
      place.acked = Math.max(place.acked, place.sent)
    }
    this.isLive = true
    this.#tell({ ...welcome, serverTimeMs: nowMs, heartbeatMs: 1_000_000 })
  }

  #send(packet: ClientPacketOf<'send'>, isBusy: boolean): void {
    if (this.#isIgnoring) return
    if (packet.ref !== this.#nextRef) throw new Error(`ref ${packet.ref} instead of ${this.#nextRef}`)
    if (isBusy) {
      this.#isIgnoring = true
      return this.#tell({ kind: 'refuse', ref: packet.ref, code: codeNumber('busy'), retryAfterMs: 1 })
    }
    this.#nextRef += 1
    const { id, priority: lane, receipts } = packet
    const known = this.accepted.find((message) => message.id === id)
    const count = this.accepted.filter((message) => message.lane === lane).length + 1
    const message = known ?? { id, lane, count, receipts, isStored: false, isHole: false, isExpired: false }
    if (known === undefined) this.accepted.push(message)
    const told = { status: codeNumber(this.truth(message)), destination: peer, count: message.isHole ? 0 : message.count }
    this.#tell({ kind: 'result', ref: packet.ref, ...told, timeMs: serverStartMs })
  }

  #ack({ lane, upTo, notStored }: ClientPacketOf<'ack'>): void {
    const place = this.lane(lane)
    if (upTo > place.sent) throw new Error(`acknowledged ${upTo}, of which nobody knows`)
    place.acked = Math.max(place.acked, upTo)
    if (notStored.length > 0) this.#tell({ kind: 'acked', log: 100, lane, upTo })
  }

  #query({ request, messages }: ClientPacketOf<'query'>): void {
    const statuses = messages.map(({ id }) => {
      const message = this.accepted.find((one) => one.id === id)
      const none = {
        status: codeNumber('unknown'),
        destination: 0,
        count: 0,
        lane: 0,
        timeMs: 0,
        delivered: 0,
        read: 0,
        members: 1,
      }
      if (message === undefined) return none
      const { lane, count, isHole } = message
      return {
        ...none,
        status: codeNumber(this.truth(message)),
        destination: peer,
        count: isHole ? 0 : count,
        lane,
        timeMs: serverStartMs,
      }
    })
    this.#tell({ kind: 'statuses', request, statuses })
  }

  #makeHole(message: Accepted, status: 'sent' | 'expired'): void {
    message.isHole = true
    this.#tell({ kind: 'status', destination: peer, id: message.id, status: codeNumber(status) })
  }

  #delivered(lane: number): number {
    return Math.max(0, ...this.accepted.filter((one) => one.lane === lane && one.isStored).map(({ count }) => count))
  }

  #mark(lane: number): void {
    this.#tell({ kind: 'mark', destination: peer, lane, delivered: this.#delivered(lane), read: this.#read.get(lane) ?? 0 })
  }

  #tell(packet: ServerPacket): void {
    if (this.isLive) this.out.push(packet)
  }
}
