/** One sender and one receiver, which check that every message comes exactly once and in order, and that its receipt comes. */
import { codeNumber } from '@posthaste/protocol'
import type { LoadPair } from './loading.ts'
import { ackOf, type Arrivals, SendTemplate } from './wire.ts'
import { LeanSession, newDevice } from './workloads/socket.ts'

/** What frees a place in a sender's window: the message's RESULT, or the MARK that calls it delivered. */
export type WindowEnd = 'sent' | 'delivered'

/** How a pair sends. */
export interface PairSettings {
  readonly url: string
  readonly sender: string
  readonly receiver: string
  readonly tokens: readonly [sender: string, receiver: string]
  /** How many messages may wait for their end. */
  readonly window: number
  readonly windowEnd: WindowEnd
  readonly bodyBytes: number
  /** How many messages are sent; Infinity until `stop`. */
  readonly messages: number
}

const expiryMs = 7 * 86_400_000

/** A pair under load. Ids rise like those that the SDK makes. */
export class Pair implements LoadPair {
  sent = 0
  accepted = 0
  received = 0
  delivered = 0
  /** Messages that came twice, out of order or with another body. */
  wrong = 0
  #messages: number
  readonly #firstId: bigint
  readonly #settings: PairSettings
  readonly #template: SendTemplate
  #toServer: LeanSession | undefined
  #fromServer: LeanSession | undefined
  #isStarted = false
  #onEnd: () => void = () => {}

  /** @param number of the pair, from 0 */
  constructor(number: number, settings: PairSettings, nowMs: number) {
    this.#settings = settings
    this.#messages = settings.messages
    this.#firstId = (BigInt(Math.floor(nowMs)) << 22n) | BigInt(number)
    this.#template = new SendTemplate(settings.receiver, settings.bodyBytes, Math.floor(nowMs) + expiryMs)
  }

  /** Connects both. */
  async connect(): Promise<void> {
    const { url, tokens } = this.#settings
    // The receiver first: a message to a user that nobody has seen yet would be refused.
    const hello = { port: Number(new URL(url).port), session: 1 }
    this.#fromServer = await LeanSession.open({ ...hello, token: tokens[1], device: newDevice() }, this.#receiverArrivals())
    this.#toServer = await LeanSession.open({ ...hello, token: tokens[0], device: newDevice() }, this.#senderArrivals())
  }

  /** Fills the window. */
  start(): void {
    this.#isStarted = true
    this.#fill()
  }

  /** Sends nothing new; resolves once everything that was sent is delivered and its receipt is there. */
  stop(): Promise<void> {
    this.#messages = Math.min(this.#messages, this.sent)
    return this.ended()
  }

  /** Resolves once everything is sent, delivered, and its receipt is there. */
  ended(): Promise<void> {
    return new Promise((resolve) => {
      this.#onEnd = resolve
      this.#checkEnd()
    })
  }

  close(): void {
    for (const session of [this.#toServer, this.#fromServer]) session?.cut()
  }

  #checkEnd(): void {
    const all = this.#messages
    if (this.delivered >= all && this.accepted >= all && this.received >= all) this.#onEnd()
  }

  #fill(): void {
    const { window, windowEnd } = this.#settings
    const ended = windowEnd === 'sent' ? this.accepted : this.delivered
    const count = Math.min(window - (this.sent - ended), this.#messages - this.sent)
    if (count <= 0) return
    const firstRef = this.sent + 1
    this.sent += count
    this.#toServer?.send(this.#template.message(firstRef, this.#firstId + BigInt(firstRef), count))
  }

  #senderArrivals(): Arrivals {
    const sentStatus = codeNumber('sent')
    return {
      result: (ref, status) => {
        if (status !== sentStatus || ref !== this.accepted + 1) throw new Error(`message ${ref} got status ${status}`)
        this.accepted += 1
      },
      mark: (_destination, delivered) => {
        if (delivered < this.delivered || delivered > this.sent) throw new Error('a receipt for what was not sent')
        this.delivered = delivered
      },
      deliver: () => {
        throw new Error('the sender received a message')
      },
      end: () => {
        if (this.#isStarted) this.#fill()
        this.#checkEnd()
      },
    }
  }

  #receiverArrivals(): Arrivals {
    let log = 0
    let lane = 0
    let upTo = 0
    return {
      result: () => {},
      mark: () => {},
      deliver: (entryLog, entryLane, seq, id, body) => {
        const number = this.received + 1
        const stamp = Buffer.from(body.buffer, body.byteOffset, 4).readUInt32BE(0)
        if (seq !== number || id !== this.#firstId + BigInt(number) || stamp !== number) this.wrong += 1
        this.received += 1
        log = entryLog
        lane = entryLane
        upTo = seq
      },
      end: () => {
        if (upTo > 0) this.#fromServer?.send(ackOf(log, lane, upTo))
        upTo = 0
        this.#checkEnd()
      },
    }
  }
}
