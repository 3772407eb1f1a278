/** A pair whose sender is told when to send, and which times its messages. */
import { codeNumber } from '@posthaste/protocol'
import { ackOf, noArrivals, SendTemplate, stampOf } from '../wire.ts'
import { LeanSession, newDevice } from './socket.ts'

const expiryMs = 86_400_000
const sentStatus = codeNumber('sent')

/** Who a pair is. */
export interface TimedPairSettings {
  readonly port: number
  readonly receiver: string
  readonly tokens: readonly [sender: string, receiver: string]
  readonly bodyBytes: number
}

/** Sends, receives, acknowledges, and checks that every message comes once and in order. */
export class TimedPair {
  sent = 0
  received = 0
  delivered = 0
  /** Messages that came twice, out of order or with another body. */
  wrong = 0
  /** From the time at which a message was due to its receiver: where these go. */
  latenciesMs: number[] = []
  readonly #dueMs: number[] = []
  readonly #firstId: bigint
  readonly #template: SendTemplate
  #toServer: LeanSession | undefined

  private constructor(number: number, { receiver, bodyBytes }: TimedPairSettings) {
    this.#firstId = (BigInt(Date.now()) << 22n) | BigInt(number)
    this.#template = new SendTemplate(receiver, bodyBytes, Date.now() + expiryMs)
  }

  /** Connects both. @param number of the pair, from 0 */
  static async open(number: number, settings: TimedPairSettings): Promise<TimedPair> {
    const pair = new TimedPair(number, settings)
    await pair.#receive(settings)
    const { port, tokens } = settings
    pair.#toServer = await LeanSession.open(
      { port, token: tokens[0], device: newDevice(), session: 1 },
      {
        ...noArrivals,
        result: (ref, status) => {
          if (status !== sentStatus) throw new Error(`message ${ref} got status ${status}`)
        },
        mark: (_destination, delivered) => {
          pair.delivered = delivered
        },
      },
    )
    return pair
  }

  /** Sends one message. @param dueMs when it was to be sent */
  send(dueMs: number): void {
    this.sent += 1
    this.#dueMs.push(dueMs)
    this.#toServer?.send(this.#template.message(this.sent, this.#firstId + BigInt(this.sent), 1))
  }

  async #receive({ port, tokens }: TimedPairSettings): Promise<void> {
    let upTo = 0
    let ofLog = 0
    let ofLane = 0
    const receiver = await LeanSession.open(
      { port, token: tokens[1], device: newDevice(), session: 1 },
      {
        ...noArrivals,
        deliver: (log, lane, seq, id, body) => {
          const number = this.received + 1
          if (seq !== number || id !== this.#firstId + BigInt(number) || stampOf(body) !== number) this.wrong += 1
          else this.latenciesMs.push(performance.now() - (this.#dueMs[number - 1] ?? 0))
          this.received += 1
          upTo = seq
          ofLog = log
          ofLane = lane
        },
        end: () => {
          if (upTo > 0) receiver.send(ackOf(ofLog, ofLane, upTo))
          upTo = 0
        },
      },
    )
  }
}
