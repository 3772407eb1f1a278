import {
  type ClientPacket,
  type ClientPacketOf,
  codeNumber,
  decodeClientMessage,
  encodeServerMessage,
  limits as serverLimits,
  type ServerPacket,
  type ServerPacketOf,
  type Status,
} from '@posthaste/protocol'
import type {
  Ask,
  Draft,
  Effect,
  Entry,
  MachineEvent,
  MachineLimits,
  MachineOptions,
  Notice,
  Position,
} from '../../src/machine/events.ts'
import { Machine } from '../../src/machine/machine.ts'
import { deliver, resultOf, welcome } from '../shell/fakeServer.ts'

export { deliver, resultOf, welcome }

type EffectOf<K extends Effect['kind']> = Extract<Effect, { kind: K }>
type NoticeOf<K extends Notice['kind']> = Extract<Notice, { kind: K }>

/** The server's clock, when the test's clocks begin. */
export const serverStartMs = 1_800_000_000_000

const limits: MachineLimits = { outboxMessages: 100, outboxBytes: 100_000, inboxMessages: 100, inboxBytes: 100_000 }

/** A draft of a message to bob. */
export function draft(fields: Partial<Draft> = {}): Draft {
  const body = new TextEncoder().encode('hello')
  return { toKind: 0, to: 'bob', id: undefined, type: 0, priority: 8, expirySeconds: 3_600, receipts: true, body, ...fields }
}

/** A disk: what is committed survives the machine. */
export class Disk {
  readonly rows = new Map<string, Uint8Array>()

  apply(writes: EffectOf<'commit'>['writes']): void {
    for (const [key, value] of writes) {
      if (value === null) this.rows.delete(hex(key))
      else this.rows.set(hex(key), new Uint8Array(value))
    }
  }

  /** Rows below the memory of keys, in order. */
  open(): [Uint8Array, Uint8Array][] {
    const keys = [...this.rows.keys()].filter((key) => key < '40').sort()
    return keys.map((key) => [bytes(key), this.rows.get(key) ?? new Uint8Array()])
  }

  has(key: Uint8Array): boolean {
    return this.rows.has(hex(key))
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.rows.get(hex(key))
  }

  /** How many rows a table has. */
  count(table: number): number {
    const prefix = table.toString(16).padStart(2, '0')
    return [...this.rows.keys()].filter((key) => key.startsWith(prefix)).length
  }
}

/** A machine with clocks and a disk that the test holds. Commits succeed at once unless `isHolding`. */
export class Rig {
  readonly disk: Disk
  readonly effects: Effect[] = []
  readonly packets: ClientPacket[] = []
  monotonicMs = 1_000
  wallMs = serverStartMs
  isHolding = false
  isCongested = false
  /** The number of the latest socket. */
  socket = 0
  #tokenAttempt = 0
  #machine: Machine
  #held: EffectOf<'commit'>[] = []
  #calls = 0
  /** Calls that have no answer yet. */
  readonly #waiting = new Set<number>()

  constructor(
    disk = new Disk(),
    options: Partial<MachineLimits> = {},
    isTokenFixed = false,
    wire: MachineOptions['wire'] = serverLimits,
  ) {
    this.disk = disk
    const all = { ...limits, ...options }
    this.#machine = new Machine({ limits: all, commitBytes: 1_048_576, wire, agent: 'test', isTokenFixed })
  }

  get machine(): Machine {
    return this.#machine
  }

  /** One event, and what it brings about on the disk. */
  step(event: MachineEvent, random = 0.5): void {
    const { wallMs, monotonicMs, isCongested } = this
    if (event.kind === 'ask') this.#waiting.add(event.call)
    const effects = this.#machine.step(event, { wallMs, monotonicMs, random, isCongested })
    for (const effect of effects) {
      this.effects.push(effect)
      if (effect.kind === 'write') this.packets.push(...decodeClientMessage(effect.bytes))
      if (effect.kind === 'commit') this.#held.push(effect)
      if (effect.kind === 'openSocket') this.socket = effect.socket
      if (effect.kind === 'getToken') this.#tokenAttempt = effect.attempt
      if (effect.kind === 'settle' && !this.#waiting.delete(effect.call)) throw new Error(`nobody waits for ${effect.call}`)
    }
    if (!this.isHolding) this.release()
  }

  /** Lets the held commits succeed. */
  release(): void {
    for (let commit = this.#held.shift(); commit !== undefined; commit = this.#held.shift()) {
      this.disk.apply(commit.writes)
      this.step({ kind: 'committed', commit: commit.commit })
    }
  }

  /** Lets the first of the held commits succeed; what has gathered meanwhile is held. */
  releaseOne(): void {
    const commit = this.#held.shift()
    if (commit === undefined) throw new Error('no commit is under way')
    this.disk.apply(commit.writes)
    this.step({ kind: 'committed', commit: commit.commit })
  }

  /** Lets the held commit fail. */
  fail(code = 'store-failed', retryable = true): void {
    const commit = this.#held.shift()
    if (commit === undefined) throw new Error('no commit is under way')
    this.step({ kind: 'commitFailed', commit: commit.commit, fault: { code, message: 'the disk failed', retryable } })
  }

  /** Opens the store, which is used from then on: the token function does not answer soon enough to be waited for. */
  open(): this {
    this.load()
    this.step({ kind: 'timer', timer: 'connection' })
    return this
  }

  /** Opens the store, and waits for the token function. */
  load(): this {
    this.step({ kind: 'start' })
    this.step({ kind: 'opened', rows: this.disk.open(), newDevice: new Uint8Array(16).fill(7) })
    return this
  }

  /** From the token to HELLO. */
  greet(): ClientPacketOf<'hello'> {
    this.takeToken()
    this.step({ kind: 'socketOpened', socket: this.socket })
    return this.lastPacket('hello')
  }

  /** The token function answers. */
  takeToken(subject?: string, token = 'token'): void {
    this.step({ kind: 'token', attempt: this.#tokenAttempt, token, subject })
  }

  /** The token function throws. */
  refuseToken(isTerminal: boolean): void {
    const fault = { code: isTerminal ? 'token-refused' : 'token-failed', message: 'no', retryable: !isTerminal }
    this.step({ kind: 'tokenFailed', attempt: this.#tokenAttempt, fault, isTerminal })
  }

  /** From nothing to a session. */
  live(fields: Partial<ServerPacketOf<'welcome'>> = {}): this {
    if (this.#machine.connection.status === 'idle') this.open()
    this.greet()
    this.say({ ...welcome, serverTimeMs: this.serverMs, ...fields })
    return this
  }

  /** The connection is lost, and the wait is over. */
  reconnect(fields: Partial<ServerPacketOf<'welcome'>> = {}): this {
    this.step({ kind: 'socketClosed', socket: this.socket, closeCode: 1_006 })
    this.step({ kind: 'timer', timer: 'connection' })
    return this.live(fields)
  }

  /** The server says this. */
  say(...packets: ServerPacket[]): void {
    this.step({ kind: 'socketMessage', socket: this.socket, bytes: encodeServerMessage(packets) })
  }

  /** The server answers the last QUERY, which asked for one message to a group. */
  answerQuery(status: Status, counts: { readonly delivered: number; readonly members: number }): void {
    const { request } = this.lastPacket('query')
    const place = { destination: 300, count: 0, lane: 8, timeMs: serverStartMs, read: 0 }
    this.say({ kind: 'statuses', request, statuses: [{ status: codeNumber(status), ...place, ...counts }] })
  }

  /** The app asks this. @returns the call */
  ask(ask: Ask): number {
    this.#calls += 1
    this.step({ kind: 'ask', call: this.#calls, ask })
    return this.#calls
  }

  send(fields: Partial<Draft> = {}): number {
    return this.ask({ kind: 'send', drafts: [draft(fields)] })
  }

  receive(positions: readonly Position[] = [], isBatched = false): void {
    this.step({ kind: 'receive', positions, isBatched })
  }

  /** The clocks go on. */
  advance(ms: number): void {
    this.wallMs += ms
    this.monotonicMs += ms
  }

  get serverMs(): number {
    return serverStartMs + this.monotonicMs - 1_000
  }

  all<K extends Effect['kind']>(kind: K): EffectOf<K>[] {
    return this.effects.filter((effect): effect is EffectOf<K> => effect.kind === kind)
  }

  last<K extends Effect['kind']>(kind: K): EffectOf<K> {
    const effect = this.all(kind).at(-1)
    if (effect === undefined) throw new Error(`no ${kind} so far`)
    return effect
  }

  sent<K extends ClientPacket['kind']>(kind: K): ClientPacketOf<K>[] {
    return this.packets.filter((packet): packet is ClientPacketOf<K> => packet.kind === kind)
  }

  lastPacket<K extends ClientPacket['kind']>(kind: K): ClientPacketOf<K> {
    const packet = this.sent(kind).at(-1)
    if (packet === undefined) throw new Error(`no ${kind} so far`)
    return packet
  }

  notices<K extends Notice['kind']>(kind: K): NoticeOf<K>[] {
    return this.all('notify').flatMap(({ notice }) => (notice.kind === kind ? [notice as NoticeOf<K>] : []))
  }

  /** What a call was answered with, if it was. */
  answer(call: number): EffectOf<'settle'>['answer'] | undefined {
    return this.all('settle').find((effect) => effect.call === call)?.answer
  }

  /** What was handed to the handler so far. */
  handled(): { entry: Entry; redelivered: boolean; run: number }[] {
    return this.all('handle')
  }

  /** Statuses that observers were told, in order. */
  statuses(): string[] {
    return this.notices('status').map(({ message }) => message.status)
  }

  /** Forgets effects and packets so far. */
  clear(): void {
    this.effects.length = 0
    this.packets.length = 0
  }
}

/** The number of a status or code. */
export const code = codeNumber

function hex(key: Uint8Array): string {
  return Array.from(key, (byte) => byte.toString(16).padStart(2, '0')).join('')
}

function bytes(key: string): Uint8Array {
  return Uint8Array.from(key.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16))
}
