/** Somebody in a crowd, who comes and goes with one device and receives from one sender. */
import { passed } from '../ground.ts'
import { ackOf, noArrivals, stampOf } from '../wire.ts'
import { LeanSession, newDevice } from './socket.ts'

const lane = 8
/** It waits up to so long before it connects again. */
const retryMs = 500

/** Checks that everything comes once, in order and with its own body, over any number of connections. */
export class Member {
  received = 0
  /** How many messages it is to have by now. */
  expected = 0
  /** Messages that came twice, out of order or with another body. */
  wrong = 0
  /** How often it had to connect again. */
  retries = 0
  readonly #port: number
  readonly #token: string
  readonly #number: number
  readonly #device = newDevice()
  #session: LeanSession | undefined
  #sessions = 0
  #epoch = 0
  #log = 0
  #onAll: () => void = () => {}

  /** @param number of the member, which its messages carry */
  constructor(port: number, token: string, number: number) {
    this.#port = port
    this.#token = token
    this.#number = number
  }

  /** Connects, again and again until it may; resolves at WELCOME. */
  async connect(): Promise<void> {
    for (;;) {
      try {
        return await this.#connectOnce()
      } catch {
        this.retries += 1
        await passed(Math.random() * retryMs)
      }
    }
  }

  async #connectOnce(): Promise<void> {
    this.#sessions += 1
    const cursors = this.#log === 0 ? [] : [{ log: this.#log, lane, seq: this.received }]
    let hasNew = false
    let session: LeanSession | undefined
    const acknowledge = (): void => {
      if (session === undefined || !hasNew) return
      hasNew = false
      session.send(ackOf(this.#log, lane, this.received))
    }
    const hello = {
      port: this.#port,
      token: this.#token,
      device: this.#device,
      session: this.#sessions,
      epoch: this.#epoch,
      cursors,
    }
    session = await LeanSession.open(hello, {
      ...noArrivals,
      deliver: (log, _lane, seq, _id, body) => {
        this.#log = log
        if (seq !== this.received + 1 || stampOf(body) !== this.#number) this.wrong += 1
        this.received += 1
        hasNew = true
      },
      end: () => {
        acknowledge()
        if (this.received >= this.expected) this.#onAll()
      },
    })
    this.#session = session
    this.#epoch = session.epoch
    // What came with WELCOME.
    acknowledge()
  }

  /** Resolves once it has what it is to have. */
  hasAll(): Promise<void> {
    return new Promise((resolve) => {
      this.#onAll = resolve
      if (this.received >= this.expected) resolve()
    })
  }

  cut(): void {
    this.#session?.cut()
  }
}
