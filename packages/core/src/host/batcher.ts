import { Writer } from '@posthaste/protocol'
import { type Command, encodeRecord, type ShardRecord } from '../shard/commands.ts'
import type { Effects } from '../shard/effects.ts'
import type { Shard } from '../shard/shard.ts'
import type { HostEdge, HostLimits } from './edge.ts'

/** The bytes that a command takes beside its body, cursors and ranges, and what each of those takes: estimates for limits. */
const commandBytes = 96
const rangeBytes = 18
const cursorBytes = 16

/**
 * Gathers the commands of one shard into records: while one is being flushed, the next one grows. Only flushed records are applied, in
 * order.
 */
export class Batcher {
  readonly shard: Shard
  readonly #index: number
  readonly #edge: HostEdge
  readonly #limits: HostLimits
  readonly #writer = new Writer(65_536)
  readonly #inFlight: { readonly position: number; readonly record: ShardRecord }[] = []
  #pending: Command[] = []
  #position: number
  #clockMs: number
  #incarnation: number
  #number = 0
  pendingBytes = 0

  constructor(
    index: number,
    shard: Shard,
    edge: HostEdge,
    limits: HostLimits,
    place: { position: number; clockMs: number; incarnation: number },
  ) {
    this.#index = index
    this.shard = shard
    this.#edge = edge
    this.#limits = limits
    this.#position = place.position
    this.#clockMs = place.clockMs
    this.#incarnation = place.incarnation
  }

  get isIdle(): boolean {
    return this.#pending.length === 0 && this.#inFlight.length === 0
  }

  submit(command: Command): void {
    this.#pending.push(command)
    this.pendingBytes += sizeOf(command)
  }

  /** Appends what has gathered, if there is room in flight; an empty record when something is due. */
  cut(nowMs: number): void {
    const isDue =
      this.#pending.length === 0 &&
      this.#inFlight.length === 0 &&
      (this.shard.nextDueMs(nowMs) ?? Number.POSITIVE_INFINITY) <= nowMs
    while (this.#inFlight.length < this.#limits.recordsInFlight && (this.#pending.length > 0 || isDue)) {
      this.#append(nowMs)
      if (isDue) return
    }
  }

  #append(nowMs: number): void {
    this.#clockMs = Math.max(this.#clockMs, Math.floor(nowMs))
    this.#position += 1
    this.#number += 1
    const commands = this.#take()
    const record = { clockMs: this.#clockMs, incarnation: this.#incarnation, number: this.#number, commands }
    this.#inFlight.push({ position: this.#position, record })
    this.#edge.append(this.#index, this.#position, encodeRecord(record, this.#writer))
  }

  #take(): Command[] {
    if (this.pendingBytes <= this.#limits.recordBytes) {
      const all = this.#pending
      this.#pending = []
      this.pendingBytes = 0
      return all
    }
    let bytes = 0
    let count = 0
    for (const command of this.#pending) {
      if (bytes >= this.#limits.recordBytes) break
      bytes += sizeOf(command)
      count += 1
    }
    this.pendingBytes -= bytes
    return this.#pending.splice(0, count)
  }

  /** The record of this position is on disk, and all before it: applies them in order. */
  flushed(position: number, route: (effects: Effects) => void): void {
    for (let next = this.#inFlight[0]; next !== undefined && next.position <= position; next = this.#inFlight[0]) {
      this.#inFlight.shift()
      route(this.shard.apply(next.position, next.record))
    }
  }
}

function sizeOf(command: Command): number {
  if (command.kind === 'send' || command.kind === 'echo') return commandBytes + command.body.length
  if (command.kind === 'ack') return commandBytes + rangeBytes * command.notStored.length
  if (command.kind === 'session' || command.kind === 'attach') {
    let bytes = commandBytes
    for (const { notStored } of command.cursors) bytes += cursorBytes + rangeBytes * notStored.length
    return bytes
  }
  return command.kind === 'forwarded' ? commandBytes + command.command.length : commandBytes
}
