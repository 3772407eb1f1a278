/** A publisher and a subscriber of an MQTT broker. A confirmation is the broker's last answer: MQTT knows nothing of delivery. */
import { type MqttArrivals, MqttClient, PublishTemplate, type Qos, types } from './mqtt.ts'
import { type Arrivals, numberIn, type Wire } from './wire.ts'

/** How a broker is reached. */
export interface MqttWireSettings {
  readonly protocol: 'mqtt'
  readonly port: number
  readonly qos: Qos
  /** Where the users are at home, if the broker wants to know users. */
  readonly domain?: string
}

/** A pair of MQTT clients with persistent sessions. */
export class MqttWire implements Wire {
  readonly #settings: MqttWireSettings
  readonly #number: number
  readonly #arrivals: Arrivals
  readonly #template: PublishTemplate
  #publisher: MqttClient | undefined
  #subscriber: MqttClient | undefined

  constructor(settings: MqttWireSettings, number: number, body: Uint8Array, arrivals: Arrivals) {
    this.#settings = settings
    this.#number = number
    this.#arrivals = arrivals
    this.#template = new PublishTemplate(`pair/${number}`, settings.qos, body)
  }

  async connect(): Promise<void> {
    const { qos } = this.#settings
    this.#subscriber = await this.#connectClient(`subscriber-${this.#number}`, {
      publish: (packet, payload) => {
        this.#arrivals.arrived(numberIn(payload), payload.length)
        this.#subscriber?.answer(qos === 1 ? types.puback : types.pubrec, packet)
      },
      answer: (type, packet) => {
        if (type === types.pubrel) this.#subscriber?.answer(types.pubcomp, packet)
      },
      end: () => {},
    })
    await this.#subscriber.subscribe(`pair/${this.#number}`, qos)
    const last = qos === 1 ? types.puback : types.pubcomp
    this.#publisher = await this.#connectClient(`publisher-${this.#number}`, {
      publish: () => {
        throw new Error('the publisher received a message')
      },
      answer: (type, packet) => {
        if (type === types.pubrec) this.#publisher?.answer(types.pubrel, packet)
        else if (type === last) this.#arrivals.confirmed(1)
      },
      end: () => this.#arrivals.end(),
    })
  }

  send(first: number, count: number): void {
    this.#publisher?.send(this.#template.messages(first, count))
    this.#publisher?.flush()
  }

  #connectClient(name: string, arrivals: MqttArrivals): Promise<MqttClient> {
    const { port, domain } = this.#settings
    return MqttClient.connect(port, name, domain === undefined ? undefined : `${name}@${domain}`, arrivals)
  }
}
