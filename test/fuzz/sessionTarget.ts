import { codeOf, encodeClientMessage } from '@posthaste/protocol'
import { decodeRecord, Host, MemoryTables, Shard } from '../../packages/core/src/index.ts'
import { dump, World } from '../../packages/core/test/harness.ts'
import { Choices } from './choices.ts'
import { HonestPair } from './honestPair.ts'
import { HostileClient } from './hostileClient.ts'
import { HostilePackets } from './hostilePackets.ts'
import { mutate, parse, Sink } from './messagePack.ts'
import { type Stopwatch, type Target, Violation } from './target.ts'

const stepsMax = 48
/** A message is repeated up to so many packets. */
const floodPackets = 2_000

/** Who is hostile. Two of the clients have one device between them, as after a copy of its store. */
const hostileDevices = [
  ['mallory', 1],
  ['mallory', 1],
  ['mallory', 2],
  ['trudy', 1],
] as const

/**
 * The gateway's logic on a shard in memory: some hostile connections say what a genome says, right, nearly right and wrong, while honest
 * clients exchange messages. Nothing throws, nothing takes long, the honest ones notice nothing, and a replay of the journal gives the
 * same rows.
 */
export const sessionTarget = (stopwatch: Stopwatch): Target => ({
  name: 'session',
  genomeBytesMax: 1_500,
  batchInputs: 8,
  isWatched: (url) => /\/packages\/core\/src\//.test(url),
  run: (genome) => new Play(new Choices(genome), stopwatch, () => undefined).run(),
  describe(genome) {
    const lines: string[] = []
    try {
      new Play(new Choices(genome), stopwatch, (line) => lines.push(line)).run()
    } catch {
      lines.push('and here it breaks')
    }
    return lines.join('\n')
  },
})

/** One run of a genome. */
class Play {
  readonly #choices: Choices
  readonly #stopwatch: Stopwatch
  readonly #tell: (line: string) => void
  readonly #world: World
  readonly #honest: HonestPair
  readonly #hostile: readonly HostileClient[]
  readonly #sink = new Sink()
  #packets = 0

  constructor(choices: Choices, stopwatch: Stopwatch, tell: (line: string) => void) {
    this.#choices = choices
    this.#stopwatch = stopwatch
    this.#tell = tell
    const limits = choices.pick([
      {},
      {},
      { sendsPerSecond: 8 },
      { packetsPerSecond: 64 },
      { recordsInFlight: 1, recordBytes: 1_000 },
    ])
    const world = new World({ shards: choices.pick([1, 1, 4]), limits })
    this.#world = world
    this.#honest = new HonestPair(world)
    const hostile = ([user, device]: readonly [string, number]): HostileClient => new HostileClient(world, user, device, {})
    this.#hostile = hostileDevices.map(hostile)
    for (const client of this.#hostile.slice(1)) client.connect()
    world.settle()
    world.group('room', 'mallory', 'trudy', 'alice')
    for (let message = 0; message < 3; message++) this.#honest.send('#room')
  }

  run(): number {
    for (let step = 0; step < stepsMax && !this.#choices.isDone; step++) this.#step()
    this.#world.isFlushing = true
    this.#world.settle()
    for (const client of this.#hostile) client.disconnect()
    this.#world.pass(1_000)
    this.#honest.reconnect()
    // The ACKs of groups are folded for a while.
    this.#world.pass(1_000)
    this.#honest.check()
    this.#checkWorld()
    return this.#packets
  }

  #step(): void {
    const { world, choices } = { world: this.#world, choices: this.#choices }
    const client = choices.pick(this.#hostile)
    switch (choices.below(16)) {
      case 0:
        return this.#connect(client)
      case 1:
        return this.#does(`${client.user} hangs up`, () => client.disconnect())
      case 2:
        return this.#does('time passes', () => world.pass(choices.pick([10, 100, 1_000, 61_000])))
      case 3:
        return this.#does('alice sends', () => this.#honest.send(choices.pick(['bob', '#club', '#room'])))
      case 4:
        return this.#does('records wait', () => {
          world.isFlushing = choices.oneIn(2)
        })
      case 5:
        return choices.oneIn(4) ? this.#flood(client) : this.#crash()
      case 6:
        return choices.oneIn(16) ? this.#cuts(client) : this.#wrong(client)
      case 7:
      case 8:
        return this.#wrong(client)
      default:
        return this.#right(client)
    }
  }

  #does(what: string, act: () => void): void {
    this.#tell(what)
    this.#stopwatch.time(what, act)
    this.#watch(what)
    this.#world.settle()
  }

  /** What follows something is many steps: each turn of the host, and each record that is flushed. */
  #watch(what: string): void {
    const { host } = this.#world
    const [turn, flushed] = [Host.prototype.turn.bind(host), Host.prototype.flushed.bind(host)]
    host.turn = (nowMs) => this.#stopwatch.time(`a turn after ${what}`, () => turn(nowMs))
    host.flushed = (...flush) => this.#stopwatch.time(`a record after ${what}`, () => flushed(...flush))
  }

  #connect(client: HostileClient): void {
    client.disconnect()
    client.connect(client.user)
    if (this.#choices.oneIn(4)) {
      // Another HELLO than the one that an honest client would say.
      client.lost()
      client.phase = 'greeting'
      this.#receive(client, encodeClientMessage([new HostilePackets(this.#choices, client).hello()]))
    } else this.#does(`${client.user} connects`, () => client.speak())
  }

  #right(client: HostileClient): void {
    const make = new HostilePackets(this.#choices, client)
    const packets = Array.from({ length: 1 + this.#choices.below(16) }, () => make.any())
    this.#receive(client, encodeClientMessage(packets), packets.length)
  }

  #wrong(client: HostileClient): void {
    const make = new HostilePackets(this.#choices, client)
    this.#sink.length = 0
    const packets = 1 + this.#choices.below(8)
    for (let packet = 0; packet < packets; packet++) {
      for (const value of parse(encodeClientMessage([make.any()])))
        this.#sink.write(this.#choices.oneIn(3) ? value : mutate(value, this.#choices))
    }
    this.#receive(client, this.#sink.written.slice(), packets)
  }

  #flood(client: HostileClient): void {
    const packet = new HostilePackets(this.#choices, client).any()
    if (packet.kind === 'send' || packet.kind === 'hello') return
    const size = encodeClientMessage([packet]).length
    const count = Math.min(floodPackets, Math.floor(327_680 / size))
    this.#receive(client, encodeClientMessage(Array.from({ length: count }, () => packet)), count)
  }

  /** A message, cut off at every byte, each on a connection of its own. */
  #cuts(client: HostileClient): void {
    const bytes = encodeClientMessage([new HostilePackets(this.#choices, client).any()])
    for (let length = 0; length < Math.min(bytes.length, 64); length++) {
      if (client.phase === 'offline') client.connect(client.user)
      client.speak()
      this.#world.settle()
      const { connection } = client
      this.#receive(client, bytes.slice(0, length))
      const { isFlushing, paused } = this.#world
      // Of a user that has sent too much it waits, and is not read yet.
      if (isFlushing && !paused.has(connection) && client.connection === connection && client.phase === 'live')
        throw new Violation(`a message of ${bytes.length} bytes was taken cut off after ${length}`)
    }
  }

  #crash(): void {
    this.#does('the server crashes', () => {
      this.#world.isFlushing = true
      this.#world.crash(this.#choices.below(3))
    })
    this.#honest.reconnect()
  }

  #receive(client: HostileClient, bytes: Uint8Array, packets = 1): void {
    if (client.phase === 'offline') return
    this.#packets += packets
    const { connection } = client
    this.#does(`${client.user} says ${Buffer.from(bytes).toString('hex').slice(0, 2_000)}`, () =>
      this.#world.host.received(connection, bytes, this.#world.nowMs),
    )
    const code = this.#world.closes.get(connection)
    if (code !== undefined && !codeOf(code).isClosing) throw new Violation(`closed with ${code}`)
  }

  #checkWorld(): void {
    const { host, journals, shards, tables } = this.#world
    if (!host.isIdle) throw new Violation('commands wait for ever')
    const { size } = host.registry.byConnection
    if (size !== 3) throw new Violation(`${size} sessions are left of 3`)
    for (const [index, shard] of shards.entries()) {
      const replayed = new Shard(index, shards.length, tables[index] ?? new MemoryTables())
      for (const { position, bytes } of journals[index]?.read(1) ?? []) replayed.replay(position, decodeRecord(bytes))
      const empty = new MemoryTables()
      if (dump(replayed, empty).join('\n') !== dump(shard, empty).join('\n')) throw new Violation('a replay gives other rows')
    }
  }
}
