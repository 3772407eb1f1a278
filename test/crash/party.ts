/**
 * A process with one client on a store on disk, to be killed and started again: `party CONFIG`, JSON of {@link PartyConfig}. It reads
 * `stop` and `end` from standard input, and says on standard output when it is `live`, `drained` or `complete`.
 */
import { createInterface } from 'node:readline'
import { Posthaste } from '@posthaste/client'
import { nodeStore } from '@posthaste/client/node'
import { randomOf } from '../process/place.ts'
import { bodyOf, type Note, NoteFile, partsOf } from './history.ts'

/** What a party is told to be. */
export interface PartyConfig {
  readonly user: string
  readonly url: string
  readonly token: string
  /** Paths of its store and of its notes. */
  readonly store: string
  readonly notes: string
  readonly seed: number
  /** Whom it sends to, groups as `group:NAME`; none: it receives. */
  readonly destinations: readonly string[]
  /** How many messages that are the last in their lane a receiver waits for. */
  readonly lastCount: number
  readonly acknowledge: 'strict' | 'batched'
}

const lanes = 16
const unansweredMax = 512
const batchMax = 64
const pauseMs = 4
/** Every so many messages one asks for no receipts, and its id is used again. */
const reusedEvery = 32

const addressOf = (to: string) => (to.startsWith('group:') ? { group: to.slice(6) } : { user: to })
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))

async function main(config: PartyConfig): Promise<void> {
  const notes = new NoteFile(config.notes)
  const earlier = notes.read()
  notes.add(['run', earlier.filter(([kind]) => kind === 'run').length + 1])
  const random = randomOf(config.seed + earlier.length)
  const client = new Posthaste({
    url: config.url,
    token: config.token,
    store: nodeStore(config.store),
    // Comes back within 200 ms, however often the server is killed.
    random: { fraction: () => random() / 150, bytes: (count) => crypto.getRandomValues(new Uint8Array(count)) },
  })
  client.on('connection', ({ status }) => {
    if (status === 'live') process.stdout.write('live\n')
  })
  client.connect()
  const commands = createInterface({ input: process.stdin })
  const sender = config.destinations.length > 0 ? new Sender(config, client, notes, earlier, random) : undefined
  if (sender === undefined) receive(config, client, notes, earlier)
  commands.on('line', async (command) => {
    if (command === 'stop') await sender?.stop()
    if (command !== 'end') return
    await client.close()
    process.exit(0)
  })
  await sender?.run()
}

function receive(config: PartyConfig, client: Posthaste, notes: NoteFile, earlier: readonly Note[]): void {
  const last = new Set<string>()
  const noteLast = (body: string): void => {
    if (!partsOf(body).isLast) return
    last.add(body)
    if (last.size === config.lastCount) process.stdout.write('complete\n')
  }
  for (const note of earlier) if (note[0] === 'handled') noteLast(note[2])
  client.receive(
    async (message) => {
      // As the store has it: without the deadline.
      notes.add(['handled', message.key.replace(/-\d{13}$/, ''), message.text(), message.priority, message.redelivered])
      if (message.id % 16n === 0n) await client.markRead(message)
      if (message.id % 64n === 1n) await pause(pauseMs)
      noteLast(message.text())
    },
    { acknowledge: config.acknowledge },
  )
}

/** Sends batches as fast as they are answered, until it is stopped. Ids count up; every 32nd message asks for no receipts. */
class Sender {
  readonly #config: PartyConfig
  readonly #client: Posthaste
  readonly #notes: NoteFile
  readonly #random: () => number
  /** Destination and lane of messages without receipts, whose ids will be used again. */
  readonly #places = new Map<number, { readonly to: string; readonly lane: number }>()
  #id = 0
  #unanswered = 0
  #isStopped = false

  constructor(config: PartyConfig, client: Posthaste, notes: NoteFile, earlier: readonly Note[], random: () => number) {
    this.#config = config
    this.#client = client
    this.#notes = notes
    this.#random = random
    for (const note of earlier) {
      if (note[0] === 'attempt') this.#attempted(note[1], note[2], note[3])
      if (note[0] === 'impostor') this.#places.delete(note[1])
    }
    client.on('status', ({ message: { id, status }, previous }) => {
      notes.add(['status', Number(id), status])
      if (previous === 'outbox') this.#unanswered -= 1
      // Its row is gone from the outbox now, so that the server has to notice that the id was used.
      if (status === 'sent' && Number(id) % reusedEvery === 0) void this.#impersonate(Number(id))
    })
  }

  async run(): Promise<void> {
    this.#unanswered = (await this.#client.pending()).messages
    while (!this.#isStopped) {
      if (this.#unanswered < unansweredMax) await this.#sendBatch(1 + Math.floor(this.#random() * batchMax), false)
      else await pause(pauseMs)
    }
  }

  /** Sends the last message of each lane to each destination, and waits until nothing is unanswered. */
  async stop(): Promise<void> {
    this.#isStopped = true
    for (let lane = 0; lane < lanes; lane++) await this.#sendBatch(this.#config.destinations.length, true, lane)
    while ((await this.#client.pending()).messages > 0) await pause(20)
    process.stdout.write('drained\n')
  }

  async #sendBatch(count: number, isLast: boolean, lastLane = 0): Promise<void> {
    const { user, destinations } = this.#config
    const first = this.#id + 1
    const batch = Array.from({ length: count }, (_, at) => {
      const id = first + at
      const lane = isLast ? lastLane : Math.floor(this.#random() * lanes)
      const to = destinations[isLast ? at : Math.floor(this.#random() * destinations.length)] ?? ''
      return { id, to, lane }
    })
    this.#unanswered += count
    for (const { id, to, lane } of batch) this.#attempted(id, to, lane)
    this.#notes.add(...batch.map(({ id, to, lane }): Note => ['attempt', id, to, lane]))
    await this.#client.sendMany(
      batch.map(({ id, to, lane }) => ({
        to: addressOf(to),
        id: BigInt(id),
        priority: lane,
        body: bodyOf(user, to, lane, id, isLast),
        receipts: id % reusedEvery !== 0,
      })),
    )
    this.#notes.add(['written', first, first + count - 1])
  }

  #attempted(id: number, to: string, lane: number): void {
    this.#id = Math.max(this.#id, id)
    if (id % reusedEvery === 0) this.#places.set(id, { to, lane })
  }

  async #impersonate(id: number): Promise<void> {
    const place = this.#places.get(id)
    if (place === undefined) return
    this.#places.delete(id)
    this.#notes.add(['impostor', id])
    this.#unanswered += 1
    const { to, lane } = place
    await this.#client.send({ to: addressOf(to), id: BigInt(id), priority: lane, body: 'an impostor', receipts: false })
  }
}

await main(JSON.parse(process.argv[2] ?? '{}'))
