/** Somebody who sends to many users as fast as it is answered. */
import { codeNumber } from '@posthaste/protocol'
import { noArrivals, SendTemplate } from '../wire.ts'
import { LeanSession, newDevice } from './socket.ts'

/** Who a sender is. */
export interface SenderSettings {
  readonly port: number
  readonly token: string
  /** Of the sender, from 0. */
  readonly number: number
  /** To whom it sends. */
  readonly names: readonly string[]
  readonly bodyBytes: number
}

const windowMessages = 256
/** It sends when so many may go at once, so that a message over the wire carries many. */
const batchMessages = 64
const expiryMs = 7 * 86_400_000
const sentStatus = codeNumber('sent')

/** Sends to each of its users in turn. The stamp of a message is the number of its user in the crowd. */
export class Sender {
  sent = 0
  accepted = 0
  readonly #firstId: bigint
  readonly #templates: readonly SendTemplate[]
  readonly #stamp: (user: number) => number
  /** What each destination has, by its identity. */
  readonly #marks = new Map<number, number>()
  #session: LeanSession | undefined
  #delivered = 0
  #left = 0
  #onAccepted: () => void = () => {}

  private constructor({ number, names, bodyBytes }: SenderSettings, stamp: (user: number) => number) {
    this.#firstId = (BigInt(Date.now()) << 22n) | BigInt(number)
    this.#templates = names.map((name) => new SendTemplate(name, bodyBytes, Date.now() + expiryMs))
    this.#stamp = stamp
  }

  /** Connects. @param stamp what the messages to a user carry, the user by its place in `names` */
  static async open(settings: SenderSettings, stamp: (user: number) => number): Promise<Sender> {
    const sender = new Sender(settings, stamp)
    const { port, token } = settings
    sender.#session = await LeanSession.open(
      { port, token, device: newDevice(), session: 1 },
      {
        ...noArrivals,
        result: (ref, status) => {
          if (status !== sentStatus || ref !== sender.accepted + 1) throw new Error(`message ${ref} got status ${status}`)
          sender.accepted += 1
        },
        mark: (destination, delivered) => {
          sender.#delivered += delivered - (sender.#marks.get(destination) ?? 0)
          sender.#marks.set(destination, delivered)
        },
        end: () => sender.#fill(),
      },
    )
    return sender
  }

  /** How many of its messages are delivered, as it was told. */
  get delivered(): number {
    return this.#delivered
  }

  /** Sends so many messages to each of its users; resolves once all are on disk. */
  sendEach(count: number): Promise<void> {
    this.#left += count * this.#templates.length
    return new Promise((resolve) => {
      this.#onAccepted = resolve
      this.#fill()
    })
  }

  #fill(): void {
    const room = windowMessages - (this.sent - this.accepted)
    const count = Math.min(room, this.#left)
    if (this.#left === 0 && this.sent === this.accepted) this.#onAccepted()
    if (count <= 0 || (count < batchMessages && this.#left > count)) return
    const { length } = this.#templates
    let bytes = 0
    for (let index = 0; index < count; index++) bytes += this.#templates[(this.sent + index) % length]?.length ?? 0
    const message = Buffer.allocUnsafe(bytes)
    let at = 0
    for (let index = 0; index < count; index++) {
      const user = this.sent % length
      this.sent += 1
      const template = this.#templates[user]
      template?.write(message, at, this.sent, this.#firstId + BigInt(this.sent), this.#stamp(user))
      at += template?.length ?? 0
    }
    this.#left -= count
    this.#session?.send(message)
  }
}
