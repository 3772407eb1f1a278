/** A publisher and a consumer of RabbitMQ. A confirmation is the publisher's confirm; the consumer acknowledges by hand, once for all that came together. */
import { AmqpClient, AmqpPublication } from './amqp.ts'
import { type Arrivals, numberIn, type Wire } from './wire.ts'

/** How RabbitMQ is reached. */
export interface AmqpWireSettings {
  readonly protocol: 'amqp'
  readonly port: number
  readonly queueType: 'classic' | 'quorum'
}

/** How many messages may wait for the consumer's acknowledgement. */
const prefetch = 250

/** A pair of AMQP clients, with a durable queue between them. */
export class AmqpWire implements Wire {
  readonly #settings: AmqpWireSettings
  readonly #queue: string
  readonly #arrivals: Arrivals
  readonly #publication: AmqpPublication
  #publisher: AmqpClient | undefined
  /** Every publication up to this one is confirmed, and these after it. */
  #confirmedTo = 0
  readonly #confirmedAhead = new Set<number>()

  constructor(settings: AmqpWireSettings, number: number, body: Uint8Array, arrivals: Arrivals) {
    this.#settings = settings
    this.#queue = `to-${number}`
    this.#arrivals = arrivals
    this.#publication = new AmqpPublication(this.#queue, body)
  }

  async connect(): Promise<void> {
    const { port, queueType } = this.#settings
    await this.#connectConsumer(port, queueType)
    this.#publisher = await AmqpClient.connect(port, {
      ack: (tag, isMultiple) => this.#confirm(tag, isMultiple),
      deliver: () => {
        throw new Error('the publisher received a message')
      },
      end: () => this.#arrivals.end(),
    })
    await this.#publisher.confirmSelect()
  }

  send(first: number, count: number): void {
    this.#publisher?.send(this.#publication.messages(first, count))
    this.#publisher?.flush()
  }

  async #connectConsumer(port: number, queueType: string): Promise<void> {
    let lastTag = 0
    const consumer = await AmqpClient.connect(port, {
      ack: () => {},
      deliver: (tag, body) => {
        this.#arrivals.arrived(numberIn(body), body.length)
        lastTag = tag
      },
      end: () => {
        if (lastTag > 0) consumer.ackUpTo(lastTag)
        lastTag = 0
      },
    })
    await consumer.declareQueue(this.#queue, queueType)
    await consumer.consume(this.#queue, prefetch)
  }

  /** Publications are numbered from 1; their confirmations may come in any order. */
  #confirm(tag: number, isMultiple: boolean): void {
    const before = this.#confirmedTo + this.#confirmedAhead.size
    if (isMultiple) {
      for (const ahead of this.#confirmedAhead) if (ahead <= tag) this.#confirmedAhead.delete(ahead)
      this.#confirmedTo = Math.max(this.#confirmedTo, tag)
    } else this.#confirmedAhead.add(tag)
    while (this.#confirmedAhead.delete(this.#confirmedTo + 1)) this.#confirmedTo += 1
    this.#arrivals.confirmed(this.#confirmedTo + this.#confirmedAhead.size - before)
  }
}
