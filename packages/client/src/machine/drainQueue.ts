import { limits } from '@posthaste/protocol'
import type { OutboxMessage } from './outboxMessage.ts'

/** What waits to be sent, in drain order: the highest priority first, within it as the app wrote it. */
export class DrainQueue {
  readonly #lanes: OutboxMessage[][] = Array.from({ length: limits.priorityMax + 1 }, () => [])
  readonly #heads: number[] = this.#lanes.map(() => 0)

  /** Adds a message at its place. */
  add(message: OutboxMessage): void {
    if (message.isQueued) return
    const lane = this.#lanes[message.priority] as OutboxMessage[]
    const head = this.#heads[message.priority] as number
    message.isQueued = true
    let at = lane.length
    // What returns after a refusal is older than what came meanwhile.
    while (at > head && (lane[at - 1] as OutboxMessage).order > message.order) at -= 1
    lane.splice(at, 0, message)
  }

  /**
   * The next message, which stays; what has ended or expired meanwhile, and has no body any more, is passed. A lane waits for its first message
   * to be ready, so that nothing overtakes it.
   */
  first(isReady: (message: OutboxMessage) => boolean): OutboxMessage | undefined {
    for (const priority of this.#lanes.keys()) {
      const message = this.#firstOf(priority)
      if (message !== undefined && isReady(message)) return message
    }
    return undefined
  }

  /** Removes the message that `first` returned. */
  shift(message: OutboxMessage): void {
    this.#pass(message)
  }

  clear(): void {
    for (const [priority, lane] of this.#lanes.entries()) {
      for (const message of lane) message.isQueued = false
      lane.length = 0
      this.#heads[priority] = 0
    }
  }

  #firstOf(priority: number): OutboxMessage | undefined {
    const lane = this.#lanes[priority] as OutboxMessage[]
    let message = lane[this.#heads[priority] as number]
    while (message !== undefined && message.body === undefined) {
      this.#pass(message)
      message = lane[this.#heads[priority] as number]
    }
    return message
  }

  #pass(message: OutboxMessage): void {
    const { priority } = message
    const lane = this.#lanes[priority] as OutboxMessage[]
    message.isQueued = false
    const head = (this.#heads[priority] as number) + 1
    this.#heads[priority] = head
    // Each place is moved once at most: half of the array is dropped at a time.
    if (head * 2 < lane.length) return
    lane.splice(0, head)
    this.#heads[priority] = 0
  }
}
