import { randomBytes } from 'node:crypto'
import { Posthaste } from '@posthaste/client'
import { type ClientPacketOf, type ServerPacket, statusByNumber } from '@posthaste/protocol'
import { type Place, pause, until } from './place.ts'
import { RawClient } from './raw.ts'

const lanes = 16
const unansweredMax = 128

/** What one sender was told, in the order of sending: bodies are `lane number`. */
export interface SendingParty {
  /** Sends a message in this lane, once there is room. */
  send(lane: number): Promise<void>
  /** Bodies of which the server said that they are sent. */
  readonly told: ReadonlySet<string>
  /** Statuses that no message may have here. */
  readonly wrong: readonly string[]
  readonly unanswered: number
  end(): Promise<void>
}

/** What one receiver got, per lane in the order of arrival. */
export interface ReceivingParty {
  readonly received: readonly (readonly string[])[]
  /** What breaks the rules of the protocol. */
  readonly wrong: readonly string[]
  end(): Promise<void>
}

/** What is wrong between what was told to a sender and what its receiver has: losses, doubles and disorder. */
export function faultsBetween(sender: SendingParty, receiver: ReceivingParty): string[] {
  const faults = [...sender.wrong, ...receiver.wrong]
  const all = new Set<string>()
  for (const [lane, bodies] of receiver.received.entries()) {
    let last = 0
    for (const body of bodies) {
      const [bodyLane, number] = body.split(' ').map(Number)
      if (bodyLane !== lane) faults.push(`${body} came in lane ${lane}`)
      if (all.has(body)) faults.push(`${body} came twice`)
      else if ((number ?? 0) < last) faults.push(`${body} came after ${lane} ${last}`)
      last = Math.max(last, number ?? 0)
      all.add(body)
    }
  }
  for (const body of sender.told) if (!all.has(body)) faults.push(`${body} was told sent and is lost`)
  return faults
}

/** Gives each message its body: the number in its lane, from 1. */
class Numbering {
  readonly #numbers: number[] = new Array(lanes).fill(0)

  next(lane: number): string {
    this.#numbers[lane] = (this.#numbers[lane] ?? 0) + 1
    return `${lane} ${this.#numbers[lane]}`
  }
}

/** A sender with the SDK. */
export class SdkSender implements SendingParty {
  readonly told = new Set<string>()
  readonly wrong: string[] = []
  readonly #client: Posthaste
  readonly #to: string
  readonly #numbering = new Numbering()
  unanswered = 0

  constructor(place: Place, user: string, to: string) {
    this.#client = sdkClient(place, user)
    this.#to = to
  }

  async send(lane: number): Promise<void> {
    await until(
      () => this.unanswered < unansweredMax,
      () => `no answer to ${this.unanswered} messages of the SDK`,
      60_000,
    )
    const body = this.#numbering.next(lane)
    this.unanswered++
    const sent = await this.#client.send({ to: this.#to, body, priority: lane })
    sent.waitFor('sent').then(
      () => {
        this.unanswered--
        this.told.add(body)
      },
      (error: unknown) => this.wrong.push(`${body}: ${error}`),
    )
  }

  async end(): Promise<void> {
    await this.#client.close()
  }
}

/** A receiver with the SDK. */
export class SdkReceiver implements ReceivingParty {
  readonly received = Array.from({ length: lanes }, (): string[] => [])
  readonly wrong: string[] = []
  readonly #client: Posthaste

  constructor(place: Place, user: string) {
    this.#client = sdkClient(place, user)
    this.#client.receive((message) => {
      if (message.redelivered) this.wrong.push(`${message.text()} was redelivered`)
      this.received[message.priority]?.push(message.text())
    })
  }

  async end(): Promise<void> {
    await this.#client.close()
  }
}

/** A client that comes back within 200 ms, however often the server is killed. */
function sdkClient(place: Place, user: string): Posthaste {
  const random = { fraction: () => Math.random() / 150, bytes: (count: number) => new Uint8Array(randomBytes(count)) }
  return new Posthaste({ url: place.url, token: () => place.token(user), random })
}

/** A connection that is made anew as long as it is wanted. */
abstract class Reconnecting {
  protected connection: RawClient | undefined
  readonly #place: Place
  readonly #user: string
  readonly #device = randomBytes(16)
  #session = 0
  #isWanted = true
  readonly #running: Promise<void>

  constructor(place: Place, user: string) {
    this.#place = place
    this.#user = user
    this.#running = this.#run()
  }

  protected abstract hello(): Partial<ClientPacketOf<'hello'>>
  protected abstract live(packet: ServerPacket): void
  protected abstract joined(epoch: number): void

  async end(): Promise<void> {
    this.#isWanted = false
    this.connection?.cut()
    await this.#running
  }

  async #run(): Promise<void> {
    while (this.#isWanted) {
      try {
        this.#session++
        const token = this.#place.token(this.#user)
        const client = await RawClient.open(this.#place.url, this.#device)
        client.onPacket = (packet) => {
          if (packet.kind !== 'welcome') return this.live(packet)
          this.connection = client
          this.joined(packet.epoch)
        }
        client.hello(token, { session: this.#session, ...this.hello() })
        await client.closed
      } catch {
        // The server is down.
      }
      this.connection = undefined
      await pause(20)
    }
  }
}

/** A sender without an SDK: keeps what is unanswered, and sends it again on every connection, in order. */
export class RawSender extends Reconnecting implements SendingParty {
  readonly told = new Set<string>()
  readonly wrong: string[] = []
  readonly #to: string
  readonly #numbering = new Numbering()
  readonly #unanswered = new Map<bigint, Omit<ClientPacketOf<'send'>, 'ref'>>()
  #byRef: bigint[] = []
  #id = 0n

  constructor(place: Place, user: string, to: string) {
    super(place, user)
    this.#to = to
  }

  get unanswered(): number {
    return this.#unanswered.size
  }

  async send(lane: number): Promise<void> {
    await until(
      () => this.unanswered < unansweredMax,
      () => `no answer to ${this.unanswered} messages`,
      60_000,
    )
    this.#id++
    const body = Buffer.from(this.#numbering.next(lane))
    const rest = { toKind: 0, to: this.#to, type: 0, receipts: true, deadlineMs: Date.now() + 3_600_000 } as const
    const packet = { kind: 'send', id: this.#id, priority: lane, body, ...rest } as const
    this.#unanswered.set(this.#id, packet)
    this.#write(packet)
  }

  protected override hello(): Partial<ClientPacketOf<'hello'>> {
    return {}
  }

  protected override joined(): void {
    this.#byRef = []
    for (const packet of this.#unanswered.values()) this.#write(packet)
  }

  protected override live(packet: ServerPacket): void {
    if (packet.kind === 'refuse') this.connection?.cut()
    if (packet.kind !== 'result') return
    const id = this.#byRef[packet.ref - 1] ?? 0n
    const body = Buffer.from(this.#unanswered.get(id)?.body ?? []).toString()
    const status = statusByNumber(packet.status)
    if (status === 'sent' || status === 'delivered') this.told.add(body)
    else this.wrong.push(`${body}: ${status}`)
    this.#unanswered.delete(id)
  }

  #write(packet: Omit<ClientPacketOf<'send'>, 'ref'>): void {
    if (this.connection?.isOpen !== true) return
    this.#byRef.push(packet.id)
    this.connection.send({ ...packet, ref: this.#byRef.length })
  }
}

/** A receiver without an SDK: it remembers its cursors and no keys, so that a message stored twice would be seen twice. */
export class RawReceiver extends Reconnecting implements ReceivingParty {
  readonly received = Array.from({ length: lanes }, (): string[] => [])
  readonly wrong: string[] = []
  readonly #cursors = new Map<number, { log: number; seq: number }>()
  #epoch = 0

  protected override hello(): Partial<ClientPacketOf<'hello'>> {
    const cursors = [...this.#cursors].map(([lane, { log, seq }]) => ({ log, lane, seq, notStored: [] }))
    return { epoch: this.#epoch, cursors }
  }

  protected override joined(epoch: number): void {
    this.#epoch = epoch
  }

  protected override live(packet: ServerPacket): void {
    if (packet.kind === 'skip') this.wrong.push(`lane ${packet.lane} skips ${packet.from} to ${packet.to}`)
    if (packet.kind !== 'deliver') return
    const { log, lane, seq } = packet
    const cursor = this.#cursors.get(lane)?.seq ?? 0
    if (seq > cursor + 1) this.wrong.push(`lane ${lane} jumps from ${cursor} to ${seq}`)
    if (seq === cursor + 1) {
      this.received[lane]?.push(Buffer.from(packet.body).toString())
      this.#cursors.set(lane, { log, seq })
    }
    this.connection?.send({ kind: 'ack', log, lane, upTo: this.#cursors.get(lane)?.seq ?? seq, notStored: [] })
  }
}
