import { type ClientPacket, writeClientPacket, Writer } from '@posthaste/protocol'
import type { Answer, Effect, Fault, MachineOptions, Notice, Now, TimerName } from './events.ts'
import { RowWrites } from './rowWrites.ts'

/** A message to the server is cut after this, so that with one more packet it stays within what every server takes. */
const messageBytes = 32_768
const messagePackets = 1_024

/** What the parts of the machine share within one step: the clocks, the effects so far, and the packets to be written. */
export class Context {
  now: Now = { wallMs: 0, monotonicMs: 0, random: 0, isCongested: false }
  /** Whether there is a session: WELCOME came and the connection stands. */
  isLive = false
  /** The number of the socket, 0 for none. */
  socket = 0
  /** When something was last written, by the monotonic clock. */
  writtenMs = 0
  /** Calls that have no answer yet. */
  readonly calls = new Set<number>()
  /** Rows of all parts. */
  readonly rows = new RowWrites((call) => this.settle(call, { kind: 'done' }))
  /** About how many bytes of messages go into one commit. */
  readonly commitBytes: number
  readonly wire: MachineOptions['wire']
  #effects: Effect[] = []
  readonly #writer = new Writer(4_096)
  #packets = 0

  constructor(commitBytes: number, wire: MachineOptions['wire']) {
    this.commitBytes = commitBytes
    this.wire = wire
  }

  /** Begins a step. */
  begin(now: Now): void {
    this.now = now
    this.#effects = []
  }

  /** Ends the step. */
  end(): readonly Effect[] {
    this.cut()
    return this.#effects
  }

  /** Adds an effect. */
  push(effect: Effect): void {
    this.#effects.push(effect)
  }

  /** Writes a packet, together with others of this step. Does nothing without a socket. */
  write(packet: ClientPacket): void {
    if (this.socket === 0) return
    writeClientPacket(this.#writer, packet)
    this.#packets += 1
    this.writtenMs = this.now.monotonicMs
    if (this.#writer.length >= messageBytes || this.#packets >= messagePackets) this.cut()
  }

  /** Hands over what was written so far. */
  cut(): void {
    if (this.#packets === 0) return
    this.#packets = 0
    this.push({ kind: 'write', socket: this.socket, bytes: this.#writer.take() })
  }

  setTimer(timer: TimerName, delayMs: number): void {
    this.push({ kind: 'setTimer', timer, delayMs: Math.max(0, Math.ceil(delayMs)) })
  }

  clearTimer(timer: TimerName): void {
    this.push({ kind: 'clearTimer', timer })
  }

  notify(notice: Notice): void {
    this.push({ kind: 'notify', notice })
  }

  /** Tells observers of a failure that no call can be told of. */
  warn(fault: Fault): void {
    this.notify({ kind: 'error', fault })
  }

  /** Answers a call, once: who was told that the store is lost is told nothing more. */
  settle(call: number, answer: Answer): void {
    if (this.calls.delete(call)) this.push({ kind: 'settle', call, answer })
  }

  refuse(call: number, fault: Fault): void {
    this.settle(call, { kind: 'fault', fault })
  }
}
