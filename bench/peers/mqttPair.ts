/** One publisher and one subscriber of an MQTT broker, which check what comes as the pairs of Posthaste do. */
import { randomBytes } from 'node:crypto'
import type { LoadPair } from '../loading.ts'
import { MqttClient, PublishTemplate, type Qos, types } from './mqtt.ts'

/** How a pair publishes. */
export interface MqttSettings {
  readonly port: number
  readonly pairs: number
  readonly qos: Qos
  /** How many messages may wait for the broker's last answer. */
  readonly window: number
  readonly bodyBytes: number
}

/** A pair under load. */
export class MqttPair implements LoadPair {
  sent = 0
  accepted = 0
  received = 0
  /** Messages that came twice, out of order or not at all. */
  wrong = 0
  #isSending = false
  readonly #number: number
  readonly #settings: MqttSettings
  readonly #template: PublishTemplate
  #publisher: MqttClient | undefined
  #subscriber: MqttClient | undefined
  #onEnd: () => void = () => {}

  constructor(number: number, settings: MqttSettings) {
    this.#number = number
    this.#settings = settings
    this.#template = new PublishTemplate(`pair/${number}`, settings.qos, randomBytes(settings.bodyBytes))
  }

  async connect(): Promise<void> {
    const { port, qos } = this.#settings
    this.#subscriber = await MqttClient.connect(port, `subscriber-${this.#number}`, {
      publish: (packet, payload) => this.#publish(packet, payload),
      answer: (type, packet) => {
        if (type === types.pubrel) this.#subscriber?.answer(types.pubcomp, packet)
      },
      end: () => this.#checkEnd(),
    })
    await this.#subscriber.subscribe(`pair/${this.#number}`, qos)
    const last = qos === 1 ? types.puback : types.pubcomp
    this.#publisher = await MqttClient.connect(port, `publisher-${this.#number}`, {
      publish: () => {
        this.wrong += 1
      },
      answer: (type, packet) => {
        if (type === types.pubrec) this.#publisher?.answer(types.pubrel, packet)
        else if (type === last) this.accepted += 1
      },
      end: () => {
        this.#fill()
        this.#checkEnd()
      },
    })
  }

  start(): void {
    this.#isSending = true
    this.#fill()
    this.#publisher?.flush()
  }

  /** MQTT has no receipts of delivery. */
  get delivered(): number {
    return this.received
  }

  /** Publishes nothing new; resolves once everything has arrived. */
  stop(): Promise<void> {
    this.#isSending = false
    return this.ended()
  }

  /** Resolves once nothing is published any more and everything has arrived. */
  ended(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEnd = resolve
      this.#checkEnd()
    })
  }

  close(): void {
    this.#publisher?.close()
    this.#subscriber?.close()
  }

  #publish(packet: number, payload: Uint8Array): void {
    const number = Buffer.from(payload.buffer, payload.byteOffset, 4).readUInt32BE(0)
    if (number !== this.received + 1) this.wrong += 1
    this.received += 1
    this.#subscriber?.answer(this.#settings.qos === 1 ? types.puback : types.pubrec, packet)
  }

  #fill(): void {
    if (!this.#isSending) return
    while (this.sent - this.accepted < this.#settings.window) this.#publisher?.send(this.#template.message(++this.sent))
  }

  #checkEnd(): void {
    if (!this.#isSending && this.accepted >= this.sent && this.received >= this.sent) this.#onEnd()
  }
}
