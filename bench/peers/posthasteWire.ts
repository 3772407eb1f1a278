/** Posthaste, spoken as it is on the wire. A confirmation is RESULT `sent`; the receiver acknowledges once for all that came together. */
import { readFileSync } from 'node:fs'
import { codeNumber } from '@posthaste/protocol'
import { ackOf, type Connection, connect, SendTemplate } from '../wire.ts'
import { type Arrivals, numberIn, type Wire } from './wire.ts'

/** How Posthaste is reached. */
export interface PosthasteWireSettings {
  readonly protocol: 'posthaste'
  readonly url: string
  /** Where the tokens of all senders and then of all receivers lie, as JSON. */
  readonly tokensFile: string
}

const expiryMs = 7 * 86_400_000
const sentStatus = codeNumber('sent')
let tokens: readonly string[] | undefined

/** The names of the users of so many pairs, in the order of their tokens. */
export function posthasteUsers(pairs: number): string[] {
  const numbers = Array.from({ length: pairs }, (_, number) => number)
  return [...numbers.map((number) => `sender-${number}`), ...numbers.map(receiverOf)]
}

function receiverOf(number: number): string {
  return `receiver-${number}`
}

/** A pair of Posthaste's. Ids rise like those that the SDK makes. */
export class PosthasteWire implements Wire {
  readonly #settings: PosthasteWireSettings
  readonly #number: number
  readonly #arrivals: Arrivals
  readonly #template: SendTemplate
  readonly #firstId: bigint
  #sender: Connection | undefined

  constructor(settings: PosthasteWireSettings, number: number, body: Uint8Array, arrivals: Arrivals) {
    const nowMs = Date.now()
    this.#settings = settings
    this.#number = number
    this.#arrivals = arrivals
    this.#template = new SendTemplate(receiverOf(number), body.length, nowMs + expiryMs)
    this.#firstId = (BigInt(nowMs) << 22n) | BigInt(number)
  }

  async connect(): Promise<void> {
    tokens ??= JSON.parse(readFileSync(this.#settings.tokensFile, 'utf8')) as string[]
    const { url } = this.#settings
    // The receiver first: a message to a user that nobody has seen yet would be refused.
    await this.#connectReceiver(url, tokens[tokens.length / 2 + this.#number] ?? '')
    this.#sender = await connect(url, tokens[this.#number] ?? '', {
      result: (ref, status) => {
        if (status !== sentStatus) throw new Error(`message ${ref} got status ${status}`)
        this.#arrivals.confirmed(1)
      },
      mark: () => {},
      deliver: () => {
        throw new Error('the sender received a message')
      },
      end: () => this.#arrivals.end(),
    })
  }

  send(first: number, count: number): void {
    this.#sender?.send(this.#template.message(first, this.#firstId + BigInt(first), count))
  }

  async #connectReceiver(url: string, token: string): Promise<void> {
    let log = 0
    let lane = 0
    let upTo = 0
    const receiver = await connect(url, token, {
      result: () => {},
      mark: () => {},
      deliver: (entryLog, entryLane, seq, _id, body) => {
        this.#arrivals.arrived(numberIn(body), body.length)
        log = entryLog
        lane = entryLane
        upTo = seq
      },
      end: () => receiver.send(ackOf(log, lane, upTo)),
    })
  }
}
