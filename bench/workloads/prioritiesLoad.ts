/** The load generator of `priorities`: senders of two lanes and their one receiver. Started by `Child`. */
import { codeNumber } from '@posthaste/protocol'
import { answerAll, settingsOf } from '../answering.ts'
import { quantileOf } from '../quantiles.ts'
import { ackOf, noArrivals, SendTemplate, stampOf } from '../wire.ts'
import { LeanSession, newDevice } from './socket.ts'
import { allWithin, Metronome } from './waiting.ts'

/** What this load generator is started with. */
export interface PrioritiesSettings {
  readonly port: number
  /** The receiver's, the urgent sender's, the flooders'. */
  readonly tokens: readonly string[]
  readonly bodyBytes: number
  readonly urgentPerSecond: number
  /** How long lane 0 is measured: as long without the flood as with it. */
  readonly seconds: number
  /** How many messages each flooder has undelivered, all the time. */
  readonly floodWindow: number
}

/** What it came to: p50 and p99 of each. */
export interface PrioritiesReport {
  readonly aloneMs: readonly number[]
  readonly floodedMs: readonly number[]
  readonly floodMs: readonly number[]
  readonly floodPerSecond: number
  readonly wrong: number
  readonly cpu: number
}

const settings = settingsOf<PrioritiesSettings>()
const arriveMs = 60_000
const expiryMs = 86_400_000
const settleMs = 2_000
const sentStatus = codeNumber('sent')
const lanes = { urgent: 0, flood: 15 } as const

/** A sender and when it sent what. The first 4 bytes of a body are its number and who sent it. */
class Source {
  sent = 0
  received = 0
  delivered = 0
  isFlooding = false
  readonly sentMs: number[] = []
  readonly #number: number
  readonly #firstId: bigint
  readonly #template: SendTemplate
  #session: LeanSession | undefined

  constructor(number: number, priority: number) {
    this.#number = number
    this.#firstId = (BigInt(Date.now()) << 22n) | BigInt(number)
    this.#template = new SendTemplate('receiver', settings.bodyBytes, Date.now() + expiryMs, { priority })
  }

  async connect(token: string): Promise<void> {
    this.#session = await LeanSession.open(
      { port: settings.port, token, device: newDevice(), session: 1 },
      {
        ...noArrivals,
        result: (ref, status) => {
          if (status !== sentStatus) throw new Error(`message ${ref} got status ${status}`)
        },
        mark: (_destination, delivered) => {
          this.delivered = delivered
        },
        end: () => this.flood(),
      },
    )
  }

  send(count: number, atMs: number): void {
    const { length } = this.#template
    const bytes = Buffer.allocUnsafe(length * count)
    for (let index = 0; index < count; index++) {
      this.sent += 1
      this.sentMs.push(atMs)
      const stamp = this.sent * sources.length + this.#number
      this.#template.write(bytes, index * length, this.sent, this.#firstId + BigInt(this.sent), stamp)
    }
    this.#session?.send(bytes)
  }

  /** Fills the window. */
  flood(): void {
    const room = settings.floodWindow - (this.sent - this.delivered)
    if (this.isFlooding && room > 0) this.send(room, performance.now())
  }
}

const sources = settings.tokens.slice(1).map((_, number) => new Source(number, number === 0 ? lanes.urgent : lanes.flood))
const [urgent = new Source(0, lanes.urgent), ...flooders] = sources
let wrong = 0
let urgentMs: number[] = []
let floodMs: number[] = []
await receive()
for (const [number, source] of sources.entries()) await source.connect(settings.tokens[number + 1] ?? '')
const metronome = new Metronome()
answerAll({ run })

async function receive(): Promise<void> {
  const seqs = new Map<number, number>()
  const toAck = new Map<number, number>()
  const receiver = await LeanSession.open(
    { port: settings.port, token: settings.tokens[0] ?? '', device: newDevice(), session: 1 },
    {
      ...noArrivals,
      deliver: (_log, lane, seq, _id, body) => {
        const stamp = stampOf(body)
        const source = sources[stamp % sources.length]
        const number = Math.floor(stamp / sources.length)
        if (source === undefined || seq !== (seqs.get(lane) ?? 0) + 1 || number !== source.received + 1) wrong += 1
        seqs.set(lane, seq)
        toAck.set(lane, seq)
        if (source === undefined) return
        source.received = number
        const times = source === urgent ? urgentMs : floodMs
        times.push(performance.now() - (source.sentMs[number - 1] ?? 0))
      },
      end: () => {
        for (const [lane, seq] of toAck) receiver.send(ackOf(receiver.identity, lane, seq))
        toAck.clear()
      },
    },
  )
}

async function run(): Promise<PrioritiesReport> {
  await sendUrgent(settleMs)
  urgentMs = []
  await sendUrgent(settings.seconds * 1_000)
  const aloneMs = quantilesOf(urgentMs)
  for (const flooder of flooders) {
    flooder.isFlooding = true
    flooder.flood()
  }
  await sendUrgent(settleMs)
  urgentMs = []
  floodMs = []
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  await sendUrgent(settings.seconds * 1_000)
  const ms = performance.now() - startMs
  const { user, system } = process.cpuUsage(cpu)
  const floodPerSecond = (floodMs.length / ms) * 1_000
  for (const flooder of flooders) flooder.isFlooding = false
  const floodQuantiles = quantilesOf(floodMs)
  await allWithin(arriveMs, () => sources.every(({ sent, received, delivered }) => received === sent && delivered === sent))
  const lost = sources.reduce((sum, { sent, received }) => sum + Math.abs(sent - received), 0)
  return {
    aloneMs,
    floodedMs: quantilesOf(urgentMs),
    floodMs: floodQuantiles,
    floodPerSecond,
    wrong: wrong + lost,
    cpu: (user + system) / 1_000 / ms,
  }
}

/** Sends in lane 0 at fixed times. */
async function sendUrgent(forMs: number): Promise<void> {
  const startMs = performance.now()
  const everyMs = 1_000 / settings.urgentPerSecond
  for (let dueMs = startMs; dueMs < startMs + forMs; dueMs += everyMs) {
    await metronome.at(dueMs)
    urgent.send(1, dueMs)
  }
}

function quantilesOf(values: readonly number[]): number[] {
  return [quantileOf(values, 0.5), quantileOf(values, 0.99)]
}
