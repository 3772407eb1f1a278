import type { ServerPacketOf } from '@posthaste/protocol'
import { codeByNumber, statusByNumber } from './codes.ts'
import type { Context } from './context.ts'
import type { Answer, Draft, Fault, Request } from './events.ts'

/** Requests that wait for a connection or an answer. */
const waitingMax = 1_000
/** A real-time message that nobody answers for this long has an unknown end. */
const realtimeWaitMs = 30_000

interface WaitingRealtime {
  readonly call: number
  readonly untilMs: number
}

/** Requests that are answered once, and real-time messages. Neither is stored: with the connection they fail, or end `unknown`. */
export class Requests {
  readonly #context: Context
  readonly #owner: { readonly boundUser: string }
  /** Calls that wait for a session. */
  readonly #queue = new Map<number, Request>()
  /** By request number. */
  readonly #asked = new Map<number, { readonly call: number; readonly kind: Request['kind'] }>()
  readonly #realtime = new Map<number, WaitingRealtime>()
  #request = 0

  /** @param owner knows the name of the user, who is meant where a request names nobody */
  constructor(context: Context, owner: { readonly boundUser: string }) {
    this.#context = context
    this.#owner = owner
  }

  /** Asks the server, now or once there is a session. */
  ask(call: number, request: Request): void {
    if (this.#queue.size + this.#asked.size >= waitingMax) {
      this.#context.refuse(call, tooMany)
      return
    }
    if (this.#context.isLive) this.#write(call, request)
    else this.#queue.set(call, request)
  }

  /** Nobody waits for that call any more. */
  abort(call: number): void {
    this.#queue.delete(call)
    for (const [request, asked] of this.#asked) if (asked.call === call) this.#asked.delete(request)
  }

  /** Sends to whoever is connected now; without a session to nobody. */
  realtime(call: number, { toKind, to, id, type, priority, body }: Draft, madeId: bigint): void {
    const isWanted = id !== 0n
    const cannot = !this.#context.isLive || this.#context.now.isCongested || this.#realtime.size >= waitingMax
    if (cannot) {
      this.#context.settle(call, { kind: 'status', status: this.#context.isLive ? 'unknown' : 'expired' })
      return
    }
    this.#request += 1
    this.#context.write({ kind: 'realtime', request: this.#request, toKind, to, id: id ?? madeId, type, priority, body })
    if (!isWanted) {
      this.#context.settle(call, { kind: 'status', status: 'unknown' })
      return
    }
    this.#realtime.set(this.#request, { call, untilMs: this.#context.now.monotonicMs + realtimeWaitMs })
    if (this.#realtime.size === 1) this.#context.setTimer('realtime', realtimeWaitMs)
  }

  live(): void {
    for (const [call, request] of this.#queue) this.#write(call, request)
    this.#queue.clear()
  }

  /** The connection is gone: whether the server acted is not known. */
  down(): void {
    for (const { call } of this.#asked.values()) this.#context.refuse(call, connectionLost)
    this.#asked.clear()
    for (const { call } of this.#realtime.values()) this.#context.settle(call, { kind: 'status', status: 'unknown' })
    this.#realtime.clear()
    this.#context.clearTimer('realtime')
  }

  /** There will be no session any more. */
  ended(fault: Fault): void {
    for (const call of this.#queue.keys()) this.#context.refuse(call, fault)
    this.#queue.clear()
  }

  /** Gives up real-time messages that were never answered. */
  timer(): void {
    let nextMs = Number.POSITIVE_INFINITY
    for (const [request, { call, untilMs }] of this.#realtime) {
      if (untilMs > this.#context.now.monotonicMs) {
        nextMs = Math.min(nextMs, untilMs)
        continue
      }
      this.#realtime.delete(request)
      this.#context.settle(call, { kind: 'status', status: 'unknown' })
    }
    if (nextMs < Number.POSITIVE_INFINITY) this.#context.setTimer('realtime', nextMs - this.#context.now.monotonicMs)
  }

  reply({ request, code }: ServerPacketOf<'reply'>): void {
    if (code === 0) {
      this.#answer(request, { kind: 'done' })
      return
    }
    const { name, isRetryable } = codeByNumber(code)
    const message = `The server answered '${name}' to ${this.#asked.get(request)?.kind}.`
    this.#answer(request, { kind: 'fault', fault: { code: name, message, retryable: isRetryable } })
  }

  members({ request, members, next }: ServerPacketOf<'membersReply'>): void {
    this.#answer(request, { kind: 'members', members, next })
  }

  receipts({ request, receipts, next }: ServerPacketOf<'receiptsReply'>): void {
    const named = receipts.map(({ user, status }) => ({ user, status: statusByNumber(status) }))
    this.#answer(request, { kind: 'receipts', receipts: named, next })
  }

  realtimeResult({ request, status }: ServerPacketOf<'realtimeResult'>): void {
    const waiting = this.#realtime.get(request)
    if (waiting === undefined) return
    this.#realtime.delete(request)
    this.#context.settle(waiting.call, { kind: 'status', status: statusByNumber(status) })
  }

  #answer(request: number, answer: Answer): void {
    const asked = this.#asked.get(request)
    if (asked === undefined) return
    this.#asked.delete(request)
    this.#context.settle(asked.call, answer)
  }

  #write(call: number, request: Request): void {
    this.#request += 1
    this.#asked.set(this.#request, { call, kind: request.kind })
    if (request.kind !== 'memberSet' || request.user !== '') this.#context.write({ ...request, request: this.#request })
    else this.#context.write({ ...request, user: this.#owner.boundUser, request: this.#request })
  }
}

const tooMany: Fault = { code: 'busy', message: `${waitingMax} requests wait already.`, retryable: true }
/** What a request rejects with that nobody answers any more. */
export const connectionLost: Fault = {
  code: 'connection-lost',
  message: 'The connection was lost before the answer came; whether the server acted is not known.',
  retryable: true,
}
