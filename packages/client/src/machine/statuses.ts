import { limits, type ServerPacketOf, type Status } from '@posthaste/protocol'
import { statusByNumber } from './codes.ts'
import type { Context } from './context.ts'
import type { Outbox } from './outbox.ts'
import { isToGroup, type OutboxMessage, statusOfCounts } from './outboxMessage.ts'

type ServerStatus = ServerPacketOf<'statuses'>['statuses'][number]

/** Lanes without a message whose MARK is remembered. */
const idleLanesMax = 1_000

/** So many QUERYs of a connection go one right after the other, and each further one this long after an answer: else they were a flood. */
const queriesAtOnce = 16
const restMs = 30

/** Messages of one (destination, lane) that MARKs speak for, by count. */
interface MarkedLane {
  readonly messages: OutboxMessage[]
  delivered: number
  read: number
}

/** What becomes of a message after its verdict: MARK, STATUS, COUNTS, and QUERY for what was missed. */
export class Statuses {
  readonly #context: Context
  readonly #outbox: Outbox
  readonly #byDestination = new Map<string, OutboxMessage>()
  /** A MARK may come before the RESULT of what it covers, so that a lane stays known when it has no message. */
  readonly #lanes = new Map<string, MarkedLane>()
  #toQuery: OutboxMessage[] = []
  #queried: readonly OutboxMessage[] | undefined
  #isResting = false
  #queries = 0
  #request = 0

  constructor(context: Context, outbox: Outbox) {
    this.#context = context
    this.#outbox = outbox
  }

  /** The server says where a message stands. A count of 0: no MARK speaks for it. */
  place(message: OutboxMessage, destination: number, count: number, lane: number): void {
    this.remove(message)
    message.isInDoubt = false
    message.destination = destination
    message.count = count
    message.isMarked = count > 0 && lane === message.priority
    this.#outbox.touch(message)
  }

  /** Makes a message findable by what MARK, STATUS and COUNTS name. What is to be sent again only its RESULT speaks for: it would never be sent. */
  index(message: OutboxMessage): void {
    if (message.isEnded || message.isUnanswered || message.destination === 0) return
    this.#byDestination.set(`${message.destination} ${message.id}`, message)
    if (!message.isMarked) return
    const lane = this.#laneOf(message.destination, message.priority)
    const at = lowerBound(lane.messages, message.count)
    if (lane.messages[at] !== message) lane.messages.splice(at, 0, message)
    if (message.count <= lane.read) this.#outbox.advance(message, 'read')
    else if (message.count <= lane.delivered) this.#outbox.advance(message, 'delivered')
  }

  /** Takes a message out of the index. */
  remove(message: OutboxMessage): void {
    this.#byDestination.delete(`${message.destination} ${message.id}`)
    const key = `${message.destination} ${message.priority}`
    const lane = this.#lanes.get(key)
    if (lane === undefined || message.count === 0) return
    const at = lowerBound(lane.messages, message.count)
    if (lane.messages[at] === message) lane.messages.splice(at, 1)
  }

  /**
   * A session has begun. In a new epoch what is not delivered is sent again, and old counts mean nothing. In any session no MARK speaks for what
   * was answered in an earlier one before the server has said where it stands: meanwhile it may have expired, which a MARK passes over, or
   * the counts may be those of another identity of the user.
   */
  live(isNewEpoch: boolean): void {
    this.#queries = 0
    this.#lanes.clear()
    for (const message of this.#outbox.messages.values()) {
      if (isNewEpoch) this.#forgetVerdict(message)
      if (!message.isUnanswered) this.#toQuery.push(message)
    }
    this.#query()
  }

  down(): void {
    this.#toQuery = []
    this.#queried = undefined
    this.#isResting = false
    this.#context.clearTimer('query')
  }

  /** The rest between two QUERYs is over. */
  timer(): void {
    this.#isResting = false
    this.#query()
  }

  mark(packet: ServerPacketOf<'mark'>): void {
    const lane = this.#laneOf(packet.destination, packet.lane)
    this.#raise(lane, lane.delivered, packet.delivered, 'delivered')
    this.#raise(lane, lane.read, packet.read, 'read')
    lane.delivered = Math.max(lane.delivered, packet.delivered)
    lane.read = Math.max(lane.read, packet.read)
  }

  status(packet: ServerPacketOf<'status'>): void {
    const message = this.#byDestination.get(`${packet.destination} ${packet.id}`)
    if (message === undefined) return
    const status = statusByNumber(packet.status)
    message.isMarked = message.count > 0 && status !== 'sent' && status !== 'expired'
    this.#outbox.advance(message, status)
    this.index(message)
    if (status !== 'delivered' || message.count > 0) return
    // MARKs speak for it again, but by a count that this connection was never told: it was a hole when it was asked for.
    this.ask(message)
  }

  /** Asks where a message stands. */
  ask(message: OutboxMessage): void {
    this.#toQuery.push(message)
    this.#query()
  }

  counts(packet: ServerPacketOf<'counts'>): void {
    const message = this.#byDestination.get(`${packet.destination} ${packet.id}`)
    if (message !== undefined) this.#count(message, packet, statusOfCounts(packet))
  }

  statuses(packet: ServerPacketOf<'statuses'>): void {
    const queried = this.#queried
    if (queried === undefined || packet.request !== this.#request) return
    for (const [at, message] of queried.entries()) {
      const answer = packet.statuses[at]
      if (answer !== undefined && !message.isEnded) this.#take(message, answer)
    }
    this.#queried = undefined
    this.#isResting = this.#queries >= queriesAtOnce && this.#toQuery.length > 0
    if (this.#isResting) this.#context.setTimer('query', restMs)
    this.#query()
  }

  #take(message: OutboxMessage, answer: ServerStatus): void {
    const status = statusByNumber(answer.status)
    // The message's key has ended, and its id was used again: this is said of another message.
    const isOfAnother = message.timeMs > 0 && answer.timeMs > 0 && answer.timeMs !== message.timeMs
    if (isOfAnother || status === 'unknown') {
      // What expired may still be told delivered by whoever stored it in time; that nobody knows any more says nothing.
      if (message.status !== 'expired') this.#outbox.advance(message, 'unknown')
      return
    }
    this.place(message, answer.destination, answer.count, answer.lane)
    this.index(message)
    if (isToGroup(message) && answer.members > 0) this.#count(message, answer, status)
    else this.#outbox.advance(message, status)
  }

  #count(message: OutboxMessage, { delivered, read, members }: ServerStatusCounts, status: Status): void {
    const before = message.counts
    const isChanged = before?.delivered !== delivered || before.read !== read || before.members !== members
    message.counts = { delivered, read, members }
    const previous = message.status
    this.#outbox.advance(message, status)
    if (isChanged && message.status === previous) this.#outbox.tell(message)
  }

  #raise(lane: MarkedLane, from: number, to: number, status: Status): void {
    const { messages } = lane
    // A copy, since what ends leaves the list.
    for (const message of messages.slice(lowerBound(messages, from + 1), lowerBound(messages, to + 1))) {
      if (message.isMarked) this.#outbox.advance(message, status)
    }
  }

  #forgetVerdict(message: OutboxMessage): void {
    this.remove(message)
    message.count = 0
    message.counts = undefined
    message.isMarked = false
    message.isUnanswered = message.status === 'sent' || message.status === 'outbox'
    this.#outbox.touch(message)
  }

  #query(): void {
    if (this.#isResting || this.#queried !== undefined) return
    const messages: OutboxMessage[] = []
    while (messages.length < limits.items) {
      const message = this.#toQuery.pop()
      if (message === undefined) break
      if (!message.isEnded) messages.push(message)
    }
    if (messages.length === 0) return
    this.#request += 1
    this.#queries += 1
    this.#queried = messages
    this.#context.write({ kind: 'query', request: this.#request, messages })
  }

  #laneOf(destination: number, priority: number): MarkedLane {
    const key = `${destination} ${priority}`
    const known = this.#lanes.get(key)
    if (known !== undefined) return known
    if (this.#lanes.size >= this.#outbox.messages.size + idleLanesMax) this.#dropIdleLanes()
    const lane: MarkedLane = { messages: [], delivered: 0, read: 0 }
    this.#lanes.set(key, lane)
    return lane
  }

  #dropIdleLanes(): void {
    for (const [key, { messages }] of this.#lanes) if (messages.length === 0) this.#lanes.delete(key)
  }
}

type ServerStatusCounts = Pick<ServerStatus, 'delivered' | 'read' | 'members'>

/** Index of the first message whose count is not below. */
function lowerBound(messages: readonly OutboxMessage[], count: number): number {
  let low = 0
  let high = messages.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if ((messages[middle]?.count ?? 0) < count) low = middle + 1
    else high = middle
  }
  return low
}
