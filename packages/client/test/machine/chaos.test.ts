import {
  type ClientPacketOf,
  codeNumber,
  decodeClientMessage,
  encodeServerMessage,
  limits,
  type ServerPacket,
} from '@posthaste/protocol'
import { describe, expect, it } from 'vitest'
import type { Effect, MachineEvent } from '../../src/machine/events.ts'
import { Machine } from '../../src/machine/machine.ts'
import { keyPart, type OutboxRow, outboxRow, tables } from '../../src/machine/rows.ts'
import { deliver, Disk, draft, serverStartMs, welcome } from './rig.ts'

/** A small fast generator: the same seed, the same run. */
function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

const laneCount = 3
const entriesPerLane = 40
const sendCount = 60

/** A server with one log of a few lanes, which accepts what is sent once. */
class ModelServer {
  readonly accepted: { id: bigint; priority: number; type: number }[] = []
  readonly #keys = new Map<bigint, { count: number }>()
  readonly #random: () => number
  readonly #session = { cursors: [0, 0, 0], sent: [0, 0, 0], isIgnoring: false, nextRef: 1 }
  highestSession = 0

  constructor(random: () => number) {
    this.#random = random
  }

  hello(packet: ClientPacketOf<'hello'>): ServerPacket[] {
    expect(packet.session).toBeGreaterThan(this.highestSession)
    this.highestSession = packet.session
    const cursors = Array.from(
      { length: laneCount },
      (_, lane) => packet.cursors.find((cursor) => cursor.lane === lane)?.seq ?? 0,
    )
    Object.assign(this.#session, { cursors, sent: [...cursors], isIgnoring: false, nextRef: 1 })
    return [{ ...welcome, serverTimeMs: serverStartMs, heartbeatMs: 1_000_000 }]
  }

  send(packet: ClientPacketOf<'send'>): ServerPacket[] {
    if (this.#session.isIgnoring) return []
    expect(packet.ref).toBe(this.#session.nextRef)
    if (this.#random() < 0.05) {
      this.#session.isIgnoring = true
      return [{ kind: 'refuse', ref: packet.ref, code: codeNumber('busy'), retryAfterMs: 1 }]
    }
    this.#session.nextRef += 1
    const known = this.#keys.get(packet.id)
    const count = known?.count ?? this.accepted.filter(({ priority }) => priority === packet.priority).length + 1
    if (known === undefined) this.accepted.push({ id: packet.id, priority: packet.priority, type: packet.type })
    this.#keys.set(packet.id, { count })
    return [{ kind: 'result', ref: packet.ref, status: codeNumber('sent'), destination: 200, count, timeMs: serverStartMs }]
  }

  resume(packet: ClientPacketOf<'resume'>): ServerPacket[] {
    expect(packet.ref).toBe(this.#session.nextRef)
    this.#session.isIgnoring = false
    return []
  }

  ack({ lane, upTo }: ClientPacketOf<'ack'>): ServerPacket[] {
    expect(upTo).toBeLessThanOrEqual(this.#session.sent[lane] ?? 0)
    this.#session.cursors[lane] = Math.max(this.#session.cursors[lane] ?? 0, upTo)
    return []
  }

  query(packet: ClientPacketOf<'query'>): ServerPacket[] {
    const status = { status: codeNumber('sent'), destination: 200, timeMs: serverStartMs, delivered: 0, read: 0, members: 0 }
    const statuses = packet.messages.map(({ id }) => {
      const accepted = this.accepted.find((message) => message.id === id)
      expect(accepted).toBeDefined()
      return { ...status, count: this.#keys.get(id)?.count ?? 0, lane: accepted?.priority ?? 0 }
    })
    return [{ kind: 'statuses', request: packet.request, statuses }]
  }

  /** What the pump writes next. */
  pump(): ServerPacket[] {
    const lane = Math.floor(this.#random() * laneCount)
    const { sent, cursors } = this.#session
    const seq = (sent[lane] ?? 0) + 1
    if (seq > entriesPerLane || seq > (cursors[lane] ?? 0) + 8) return []
    sent[lane] = seq
    const packet = deliver(seq, { lane, id: BigInt(lane * 1_000 + seq) })
    return this.#random() < 0.1 ? [packet, packet] : [packet]
  }

  get isDone(): boolean {
    return this.#session.cursors.every((cursor) => cursor === entriesPerLane) && this.accepted.length === sendCount
  }
}

/** Runs one client against the model, with lost connections, slow and torn commits, and crashes at any step. */
class Chaos {
  readonly disk = new Disk()
  readonly stored: number[][] = [[], [], []]
  /** By order: what the outbox ever held. */
  readonly written = new Map<number, OutboxRow>()
  readonly firstCalls: string[] = []
  readonly handled = new Set<string>()
  readonly server: ModelServer
  readonly #random: () => number
  readonly #isBatched: boolean
  /** What was called redelivered since the last crash, by lane. */
  #redelivered: number[] = [0, 0, 0]
  #machine: Machine | undefined
  #nowMs = 1_000
  #events: MachineEvent[] = []
  #commit: Extract<Effect, { kind: 'commit' }> | undefined
  #toServer: Uint8Array[] = []
  #toClient: Uint8Array[] = []
  #socket = 0
  /** The socket that still reaches the server, 0 for none. */
  #wired = 0
  #isGreeted = false
  #written = 0
  #calls = 0

  constructor(seed: number, isBatched: boolean) {
    this.#random = randomOf(seed)
    this.#isBatched = isBatched
    this.server = new ModelServer(this.#random)
  }

  run(steps: number): void {
    for (let step = 0; step < steps && !this.#isDone(); step++) this.#turn(step < steps / 2)
  }

  #isDone(): boolean {
    return this.server.isDone && this.handled.size === laneCount * entriesPerLane && this.disk.count(tables.inbox) === 0
  }

  /** @param isWild whether things go wrong */
  #turn(isWild: boolean): void {
    this.#nowMs += 10
    if (this.#machine === undefined) this.#start()
    const choice = this.#random()
    if (isWild && choice < 0.01) {
      this.#crash()
      return
    }
    if (isWild && choice < 0.03) {
      this.#cut()
      return
    }
    if (this.#written < sendCount && choice < 0.15) this.#write()
    if (this.#random() < 0.4) this.#settleCommit()
    if (this.#isGreeted && this.#random() < 0.5) this.#toClient.push(encodeServerMessage(this.server.pump()))
    this.#network()
    const event = this.#events.shift()
    if (event !== undefined) this.#step(event)
  }

  #start(): void {
    this.#machine = new Machine({
      limits: { outboxMessages: 1_000, outboxBytes: 1_000_000, inboxMessages: 10, inboxBytes: 1_000_000 },
      commitBytes: 1_048_576,
      wire: limits,
      agent: 'chaos',
      isTokenFixed: true,
    })
    this.#step({ kind: 'receive', positions: [], isBatched: this.#isBatched })
  }

  /** The process dies; the commit under way was applied as a whole, or not at all. */
  #crash(): void {
    if (this.#commit !== undefined && this.#random() < 0.5) this.#apply(this.#commit)
    this.#commit = undefined
    this.#events = []
    this.#machine = undefined
    this.#redelivered = [0, 0, 0]
    this.#cutWires()
  }

  #cut(): void {
    if (this.#socket > 0) this.#events.push({ kind: 'socketClosed', socket: this.#socket, closeCode: 1_006 })
    this.#cutWires()
  }

  /** What was under way reaches the server, or is lost; nothing comes back. */
  #cutWires(): void {
    if (this.#isGreeted && this.#random() < 0.5) this.#serve(this.#toServer.shift())
    this.#isGreeted = false
    this.#wired = 0
    this.#toServer = []
    this.#toClient = []
  }

  #write(): void {
    this.#written += 1
    this.#calls += 1
    const priority = Math.floor(this.#random() * laneCount)
    const ask = { kind: 'send', drafts: [draft({ id: BigInt(this.#written), type: this.#written, priority })] } as const
    // An app keeps trying until the message is safe: a crash before that loses the call.
    this.#pending.set(this.#calls, ask)
    this.#events.push({ kind: 'ask', call: this.#calls, ask })
  }

  readonly #pending = new Map<number, Extract<MachineEvent, { kind: 'ask' }>['ask']>()

  #settleCommit(): void {
    const commit = this.#commit
    if (commit === undefined) return
    this.#commit = undefined
    this.#apply(commit)
    this.#step({ kind: 'committed', commit: commit.commit })
  }

  #apply({ writes }: Extract<Effect, { kind: 'commit' }>): void {
    this.disk.apply(writes)
    for (const [key, value] of writes) {
      if (key[0] === tables.inbox && value !== null) this.stored[keyPart(key, 2)]?.push(keyPart(key, 3))
      if (key[0] === tables.outbox && value !== null) this.written.set(keyPart(key, 0), outboxRow.read(value))
    }
  }

  #network(): void {
    const bytes = this.#toServer.shift()
    if (bytes !== undefined) this.#serve(bytes)
    const reply = this.#toClient.shift()
    if (reply !== undefined && reply.length > 0) this.#events.push({ kind: 'socketMessage', socket: this.#socket, bytes: reply })
  }

  #serve(bytes: Uint8Array | undefined): void {
    if (bytes === undefined) return
    for (const packet of decodeClientMessage(bytes)) {
      const { server } = this
      const replies =
        packet.kind === 'hello'
          ? server.hello(packet)
          : packet.kind === 'send'
            ? server.send(packet)
            : packet.kind === 'resume'
              ? server.resume(packet)
              : packet.kind === 'ack'
                ? this.#checkAck(packet)
                : packet.kind === 'query'
                  ? server.query(packet)
                  : []
      if (packet.kind === 'hello') this.#isGreeted = true
      this.#toClient.push(encodeServerMessage(replies))
    }
  }

  /** Nothing is acknowledged that is not on the disk. */
  #checkAck(packet: ClientPacketOf<'ack'>): ServerPacket[] {
    expect(Math.max(0, ...(this.stored[packet.lane] ?? []))).toBeGreaterThanOrEqual(packet.upTo)
    return this.server.ack(packet)
  }

  #step(event: MachineEvent): void {
    const now = { wallMs: serverStartMs + this.#nowMs, monotonicMs: this.#nowMs, random: this.#random(), isCongested: false }
    for (const effect of this.#machine?.step(event, now) ?? []) this.#effect(effect)
  }

  #effect(effect: Effect): void {
    if (effect.kind === 'open') this.#events.push({ kind: 'opened', rows: this.disk.open(), newDevice: new Uint8Array(16) })
    else if (effect.kind === 'getToken') {
      this.#events.push({ kind: 'token', attempt: effect.attempt, token: 't', subject: undefined })
    } else if (effect.kind === 'openSocket') {
      this.#cutWires()
      this.#socket = effect.socket
      this.#wired = effect.socket
      this.#events.push({ kind: 'socketOpened', socket: effect.socket })
    } else if (effect.kind === 'write') {
      if (effect.socket === this.#wired) this.#toServer.push(effect.bytes)
    } else if (effect.kind === 'closeSocket') this.#cutWires()
    else if (effect.kind === 'commit') this.#commit = effect
    else if (effect.kind === 'setTimer' && (effect.timer === 'connection' || effect.timer === 'resume')) {
      if (effect.delayMs < 10_000) this.#events.push({ kind: 'timer', timer: effect.timer })
    } else if (effect.kind === 'handle') this.#handle(effect)
    else if (effect.kind === 'settle') {
      expect(effect.answer.kind).toBe('sent')
      this.#pending.delete(effect.call)
    }
  }

  #handle({ run, entry, redelivered }: Extract<Effect, { kind: 'handle' }>): void {
    const { lane } = entry.position
    const key = `${lane}.${entry.position.seq}`
    if (redelivered) this.#redelivered[lane] = (this.#redelivered[lane] ?? 0) + 1
    if (!this.#isBatched) expect(this.#redelivered[lane]).toBeLessThanOrEqual(1)
    if (!redelivered) this.firstCalls.push(key)
    this.handled.add(key)
    this.#events.push({ kind: 'handlerDone', run })
  }

  /** What the app tries again after a crash, in its order. */
  retry(): void {
    for (const [call, ask] of this.#pending) this.#events.push({ kind: 'ask', call, ask })
  }
}

const seeds = Array.from({ length: 60 }, (_, seed) => seed + 1)

describe('a client under chaos', () => {
  it.each(seeds)(
    'stores, hands over and sends everything once and in order, with the seed %i [I1] [I2] [I3] [I4] [I12]',
    (seed) => {
      const chaos = new Chaos(seed, seed % 2 === 0)
      for (let round = 0; round < 20; round++) {
        chaos.run(2_000)
        chaos.retry()
      }
      const all = Array.from({ length: entriesPerLane }, (_, at) => at + 1)
      expect(chaos.stored).toEqual([all, all, all])
      expect(new Set(chaos.firstCalls).size).toBe(chaos.firstCalls.length)
      expect(chaos.handled.size).toBe(laneCount * entriesPerLane)
      expect(chaos.disk.count(tables.inbox)).toBe(0)
      const accepted = (lane: number) => chaos.server.accepted.filter(({ priority }) => priority === lane).map(({ type }) => type)
      const orders = [...chaos.written.keys()].sort((a, b) => a - b).map((order) => chaos.written.get(order))
      expect(chaos.server.accepted).toHaveLength(sendCount)
      for (let lane = 0; lane < laneCount; lane++) {
        expect(accepted(lane)).toEqual(orders.filter((row) => row?.priority === lane).map((row) => row?.type))
      }
    },
  )
})
