import {
  type ClientPacket,
  decodeClientMessage,
  encodeServerMessage,
  type ServerPacket,
  type Status,
  limits as wire,
} from '@posthaste/protocol'
import { expect } from 'vitest'
import type { Ask, Effect, MachineEvent, Notice, Position, TimerName } from '../../src/machine/events.ts'
import { Machine } from '../../src/machine/machine.ts'
import { keyPart, tables } from '../../src/machine/rows.ts'
import { lanes, ModelServer } from './modelServer.ts'
import { Disk, draft, serverStartMs } from './rig.ts'

const ranks: Partial<Record<Status, number>> = { outbox: 0, sent: 1, cancelled: 2, expired: 2, delivered: 3, read: 4 }

/** What an app has asked to be sent, and what it was told. */
interface Asked {
  readonly id: bigint
  readonly receipts: boolean
  readonly lane: number
  /** Whether `send` was answered: it is safe. */
  isSafe: boolean
  isCancelled: boolean
  /** Whether it was asked back, and nobody has said what came of it. */
  isInDoubt: boolean
  told: Status
  /** Told for the last time. */
  isEnded: boolean
  /** A restart since: the same may be told again. */
  isForgetful: boolean
}

/** A machine on a disk and before a server, and an app that believes what it is told. */
export class MachineRun {
  readonly disk = new Disk()
  readonly server = new ModelServer()
  readonly asked: Asked[] = []
  /** Seqs on the disk, and those that a handler was called with for the first time, by lane. */
  readonly stored = new Map<number, number[]>(lanes.map((lane) => [lane, []]))
  readonly handed = new Map<number, number[]>(lanes.map((lane) => [lane, []]))
  readonly #running = new Map<number, Position>()
  readonly #calls = new Map<number, (answer: Extract<Effect, { kind: 'settle' }>['answer']) => void>()
  readonly #timers = new Map<TimerName, number>()
  #machine = this.#newMachine()
  #commit: Extract<Effect, { kind: 'commit' }> | undefined
  #toServer: ClientPacket[] = []
  #ports: MachineEvent[] = []
  #socket = 0
  #call = 0
  #nowMs = 1_000
  #wantedMarks = new Map<number, number>()
  isCommitting = true

  constructor() {
    this.#begin()
  }

  #newMachine(): Machine {
    const limits = { outboxMessages: 100, outboxBytes: 100_000, inboxMessages: 5, inboxBytes: 100_000 }
    return new Machine({ limits, commitBytes: 1_048_576, wire, agent: 'model', isTokenFixed: true })
  }

  #begin(): void {
    this.step({ kind: 'receive', positions: [], isBatched: false })
    this.step({ kind: 'start' })
  }

  /** One event, what the ports answer to it, and what the commit makes of it. */
  step(event: MachineEvent): readonly Effect[] {
    const now = { wallMs: serverStartMs + this.#nowMs, monotonicMs: this.#nowMs, random: 0.5, isCongested: false }
    const effects = this.#machine.step(event, now)
    for (const effect of effects) this.#take(effect)
    for (let next = this.#ports.shift(); next !== undefined; next = this.#ports.shift()) this.step(next)
    if (this.isCommitting) this.commit('done')
    return effects
  }

  #take(effect: Effect): void {
    if (effect.kind === 'open') this.#ports.push({ kind: 'opened', rows: this.disk.open(), newDevice: new Uint8Array(16) })
    else if (effect.kind === 'getToken')
      this.#ports.push({ kind: 'token', attempt: effect.attempt, token: 't', subject: undefined })
    else if (effect.kind === 'openSocket') this.#opened(effect.socket)
    else if (effect.kind === 'closeSocket') this.#cutWires()
    else if (effect.kind === 'write') this.#toServer.push(...decodeClientMessage(effect.bytes))
    else if (effect.kind === 'commit') this.#commit = effect
    else if (effect.kind === 'setTimer') this.#timers.set(effect.timer, effect.delayMs)
    else if (effect.kind === 'clearTimer') this.#timers.delete(effect.timer)
    else if (effect.kind === 'settle') this.#calls.get(effect.call)?.(effect.answer)
    else if (effect.kind === 'handle') this.#handle(effect)
    else if (effect.kind === 'notify') this.#told(effect.notice)
  }

  #opened(socket: number): void {
    this.#cutWires()
    this.#socket = socket
    this.#ports.push({ kind: 'socketOpened', socket })
  }

  #cutWires(): void {
    this.#toServer = []
    this.server.cut()
  }

  /** The commit under way succeeds or fails. */
  commit(outcome: 'done' | 'failed'): void {
    const commit = this.#commit
    if (commit === undefined) return
    this.#commit = undefined
    if (outcome === 'done') this.#apply(commit)
    const fault = { code: 'store-failed', message: 'the disk failed', retryable: true }
    this.step(
      outcome === 'done' ? { kind: 'committed', commit: commit.commit } : { kind: 'commitFailed', commit: commit.commit, fault },
    )
  }

  #apply({ writes }: Extract<Effect, { kind: 'commit' }>): void {
    this.disk.apply(writes)
    for (const [key, value] of writes)
      if (key[0] === tables.inbox && value !== null) this.stored.get(keyPart(key, 2))?.push(keyPart(key, 3))
  }

  /** The process dies, and starts again from its store. */
  crash(isCommitApplied: boolean): void {
    if (this.#commit !== undefined && isCommitApplied) this.#apply(this.#commit)
    this.#commit = undefined
    this.#cutWires()
    this.#ports = []
    this.#timers.clear()
    this.#running.clear()
    this.#calls.clear()
    for (const one of this.asked) one.isForgetful = true
    this.#machine = this.#newMachine()
    this.#begin()
  }

  ask(ask: Ask, answered: (answer: Extract<Effect, { kind: 'settle' }>['answer']) => void): void {
    this.#call += 1
    this.#calls.set(this.#call, answered)
    this.step({ kind: 'ask', call: this.#call, ask })
  }

  send(lane: number, receipts: boolean): void {
    const id = BigInt(this.asked.length + 1)
    const one: Asked = {
      id,
      receipts,
      lane,
      isSafe: false,
      isCancelled: false,
      isInDoubt: false,
      told: 'outbox',
      isEnded: false,
      isForgetful: false,
    }
    this.asked.push(one)
    this.ask({ kind: 'send', drafts: [draft({ id, priority: lane, receipts, expirySeconds: 2_592_000 })] }, (answer) => {
      if (answer.kind === 'sent') one.isSafe = true
    })
  }

  /** The app takes a message back; once it was told so, the server never has it. */
  cancel(at: number): void {
    const one = this.asked[at % Math.max(1, this.asked.length)]
    if (one === undefined) return
    const wasInDoubt = one.isInDoubt
    one.isInDoubt = true
    this.ask({ kind: 'cancel', toKind: 0, to: 'bob', id: one.id }, (answer) => {
      one.isInDoubt = wasInDoubt
      if (answer.kind === 'cancelled' && answer.isCancelled) one.isCancelled = true
    })
  }

  #told(notice: Notice): void {
    if (notice.kind !== 'status' && notice.kind !== 'forgotten') return
    const { id, status } = notice.message
    const one = this.asked.find((asked) => asked.id === id)
    if (one === undefined) throw new Error(`nobody sent ${id}`)
    // An ending is told once, and for good; before that the status only moves forward.
    expect([id, status, one.isEnded]).toEqual([id, status, false])
    const [rank, before] = [ranks[status] ?? -1, ranks[one.told] ?? -1]
    expect([id, one.told, status, one.isForgetful ? rank >= before : rank > before]).toEqual([id, one.told, status, true])
    this.#justify(id, status)
    one.told = status
    one.isForgetful = false
    one.isEnded = status === 'read' || status === 'cancelled' || !one.receipts || notice.kind === 'forgotten'
  }

  /** Nothing is told that the server does not know. */
  #justify(id: bigint, status: Status): void {
    const message = this.server.accepted.find((accepted) => accepted.id === id)
    if (status === 'cancelled') return expect(message).toBe(undefined)
    if (message === undefined) throw new Error(`${id} is ${status}, and no server has it`)
    const truth = ranks[this.server.truth(message)] ?? -1
    const most = status === 'expired' && message.isExpired ? 2 : truth
    expect([id, status, (ranks[status] ?? 9) <= most]).toEqual([id, status, true])
  }

  #handle({ run, entry, redelivered }: Extract<Effect, { kind: 'handle' }>): void {
    const { lane, seq } = entry.position
    const handed = this.handed.get(lane) ?? []
    expect(this.stored.get(lane)).toContain(seq)
    if (!redelivered) expect(seq).toBeGreaterThan(handed.at(-1) ?? 0)
    if (!redelivered) handed.push(seq)
    else expect(seq).toBeLessThanOrEqual(Math.max(handed.at(-1) ?? 0, ...(this.stored.get(lane) ?? [])))
    this.#running.set(run, entry.position)
  }

  /** The oldest running handler ends. */
  handled(isDone: boolean): void {
    const [first] = this.#running
    if (first === undefined) return
    this.#running.delete(first[0])
    if (isDone) this.step({ kind: 'handlerDone', run: first[0] })
    else this.step({ kind: 'handlerFailed', run: first[0], decision: { retryInMs: 10 } })
  }

  markRead(lane: number, back: number): void {
    const seq = (this.handed.get(lane) ?? []).at(-1 - back)
    if (seq === undefined) return
    const position = { epoch: 7, log: 100, lane, seq }
    this.ask({ kind: 'markRead', position, sender: 200, count: seq }, (answer) => {
      if (answer.kind === 'done') this.#wantedMarks.set(lane, Math.max(seq, this.#wantedMarks.get(lane) ?? 0))
    })
  }

  /** A timer is due. */
  timer(timer: TimerName): void {
    const delayMs = this.#timers.get(timer)
    if (delayMs === undefined || delayMs > 60_000) return
    this.#nowMs += Math.ceil(delayMs)
    this.#timers.delete(timer)
    this.step({ kind: 'timer', timer })
  }

  /** The server takes what was written to it. */
  serve(count: number, isBusy: boolean): void {
    this.#nowMs += 1
    for (const packet of this.#toServer.splice(0, count)) {
      // Nothing is acknowledged that is not on the disk.
      if (packet.kind === 'ack') this.#checkAck(packet)
      this.server.take(packet, serverStartMs + this.#nowMs, isBusy)
    }
  }

  #checkAck({ lane, upTo, notStored }: Extract<ClientPacket, { kind: 'ack' }>): void {
    const { entries } = this.server.lane(lane)
    for (let seq = 1; seq <= upTo; seq++) {
      const isStored = this.stored.get(lane)?.includes(seq) ?? false
      expect([lane, seq, isStored]).toEqual([lane, seq, entries[seq - 1] === 'entry'])
      if (notStored.some(({ from, to }) => seq >= from && seq <= to)) expect(isStored).toBe(false)
    }
  }

  /** The client takes what was told. */
  deliver(count: number): void {
    const packets = this.server.out.splice(0, count)
    if (packets.length > 0) this.say(encodeServerMessage(packets))
  }

  say(bytes: Uint8Array): readonly Effect[] {
    return this.step({ kind: 'socketMessage', socket: this.#socket, bytes })
  }

  /** The server breaks the protocol: the connection ends, and nothing of it is taken. */
  break(packet: ServerPacket | undefined): void {
    if (!this.server.isLive) return
    this.deliver(1_000)
    if (!this.server.isLive || this.#machine.connection.status !== 'live') return
    const effects = this.say(packet === undefined ? Uint8Array.of(0xc1) : encodeServerMessage([packet]))
    expect(effects.map(({ kind }) => kind)).toContain('closeSocket')
    this.hangUp()
  }

  /** What belongs to nothing changes nothing: statuses are justified all the same. */
  mutter(packet: ServerPacket): void {
    if (this.server.isLive && this.#machine.connection.status === 'live') this.say(encodeServerMessage([packet]))
  }

  hangUp(): void {
    this.#cutWires()
    this.step({ kind: 'socketClosed', socket: this.#socket, closeCode: 1_006 })
  }

  /** Everything goes well for as long as it takes. */
  heal(): void {
    this.isCommitting = true
    this.commit('done')
    for (let round = 0; round < 150; round++) {
      for (const timer of ['connection', 'resume', 'handlers', 'store'] as const)
        if (!this.#isLive || timer !== 'connection') this.timer(timer)
      this.serve(1_000, false)
      for (const lane of lanes) this.server.pump(lane, false)
      this.deliver(1_000)
      this.handled(true)
    }
  }

  get #isLive(): boolean {
    return this.#machine.connection.status === 'live'
  }

  /** All is where it belongs. */
  checkEnd(): void {
    expect(this.#machine.connection.status).toBe('live')
    for (const one of this.asked) this.#checkMessage(one)
    for (const lane of lanes) {
      const { entries, acked } = this.server.lane(lane)
      const wanted = entries.flatMap((kind, at) => (kind === 'entry' ? [at + 1] : []))
      expect(this.stored.get(lane)).toEqual(wanted)
      expect(acked).toBe(entries.length)
      expect(this.server.readMarks.get(lane) ?? 0).toBeGreaterThanOrEqual(this.#wantedMarks.get(lane) ?? 0)
    }
    expect(this.disk.count(tables.inbox)).toBe(0)
    for (const lane of lanes) {
      const mine = this.server.accepted.filter((message) => message.lane === lane).map(({ id }) => id)
      expect(mine).toEqual([...mine].sort((one, other) => Number(one - other)))
    }
  }

  #checkMessage(one: Asked): void {
    const accepted = this.server.accepted.filter(({ id }) => id === one.id)
    const [message] = accepted
    expect(accepted.length).toBeLessThanOrEqual(1)
    if (one.isCancelled) return expect(accepted).toEqual([])
    if (one.isSafe && !one.isInDoubt) expect([one.id, accepted.length]).toEqual([one.id, 1])
    if (message === undefined) return
    const truth = this.server.truth(message)
    let found: Status | undefined
    this.ask({ kind: 'find', toKind: 0, to: 'bob', id: one.id }, (answer) => {
      if (answer.kind === 'found') found = answer.message?.status
    })
    // A crash between the commit of an ending and its word: nobody is told any more, and nobody finds it.
    const isUntold = found === undefined && one.isForgetful && !one.isEnded
    if (isUntold) return expect([one.id, truth === 'read' || !one.receipts]).toEqual([one.id, true])
    if (one.receipts) expect([one.id, found ?? one.told]).toEqual([one.id, truth])
    // It has ended, and how it ended is the last that was told.
    if (found === undefined) expect([one.id, one.isEnded]).toEqual([one.id, true])
    if (truth === 'read') expect([one.id, found]).toEqual([one.id, undefined])
  }
}
