import { closedFault, type Connection, wrongUserCode } from './connection.ts'
import type { Context } from './context.ts'
import type { Device } from './device.ts'
import type { Ask, Draft, Fault, MachineLimits } from './events.ts'
import type { Groups } from './groups.ts'
import { expiryFault, type Outbox, outboxFull, type ServerLimits, tooLarge } from './outbox.ts'
import { viewOf } from './outboxMessage.ts'
import type { Reads } from './reads.ts'
import type { Receiving } from './receiving.ts'
import type { Requests } from './requests.ts'

type OpenAsk = Exclude<Ask, { kind: 'close' }>

/** Calls that wait until the store may be used. */
export const earlyMax = 10_000

/** Who answers. */
export interface AskTargets {
  readonly context: Context
  readonly connection: Connection
  readonly device: Device
  readonly limits: MachineLimits
  readonly server: ServerLimits
  readonly outbox: Outbox
  readonly receiving: Receiving
  readonly reads: Reads
  readonly groups: Groups
  readonly requests: Requests
}

/** What the app asks for, from the first call on: what comes before the store is open, and known to be the user's, waits for that. */
export class Asks {
  readonly #to: AskTargets
  readonly #early = new Map<number, OpenAsk>()
  /** Of the messages among them, whose outbox nobody has looked into yet. */
  #earlyMessages = 0
  #earlyBytes = 0
  #isOpen = false
  #isAdmitted = false
  #endFault: Fault | undefined
  /** Why nothing can be stored any more. */
  #storeFault: Fault | undefined
  #closeCalls: number[] = []

  constructor(targets: AskTargets) {
    this.#to = targets
  }

  ask(call: number, ask: Ask): void {
    if (ask.kind === 'close') {
      this.#close(call)
      return
    }
    this.#to.context.calls.add(call)
    // After `close` nothing is stored any more, so that nothing may be promised.
    if (this.#endFault !== undefined && (this.isClosed || !this.#isAdmitted || needsServer(ask))) {
      this.#to.context.refuse(call, this.#endFault)
      return
    }
    if (this.#storeFault !== undefined && !isInMemory(ask)) {
      this.#to.context.refuse(call, this.#storeFault)
      return
    }
    if (this.#isAdmitted) {
      this.#take(call, ask)
      return
    }
    if (this.#early.size >= earlyMax) {
      this.#to.context.refuse(call, tooEarly)
      return
    }
    this.#early.set(call, ask)
    this.#countEarly(ask, 1)
    const { outboxMessages, outboxBytes } = this.#to.limits
    if (this.#earlyMessages <= outboxMessages && this.#earlyBytes <= outboxBytes) return
    this.#forgetEarly(call)
    this.#to.context.refuse(call, outboxFull(this.#to.limits))
  }

  /** Nobody waits for that call any more. What is being stored is stored. */
  abort(call: number): void {
    this.#forgetEarly(call)
    this.#to.context.calls.delete(call)
    this.#to.requests.abort(call)
  }

  /** The store is open: from now on the machine says when all is stored. */
  opened(): void {
    this.#isOpen = true
  }

  /** The store may be used. */
  admit(): void {
    this.#isAdmitted = true
    const early = [...this.#early]
    this.#early.clear()
    for (const [call, ask] of early) this.#take(call, ask)
  }

  /** Whether `close` is done: nothing may be stored any more. */
  get isClosed(): boolean {
    return this.#endFault?.code === closedFault.code
  }

  /** Everything is stored: ends a `close` that came after the connection had ended. */
  flushed(): void {
    if (this.#closeCalls.length > 0 && this.#endFault !== undefined) this.ended(closedFault)
  }

  /** The connection has ended for good. */
  ended(fault: Fault): void {
    this.#endFault = fault
    for (const call of this.#early.keys()) this.#to.context.refuse(call, fault)
    this.#early.clear()
    if (fault.code === wrongUserCode) this.#isAdmitted = false
    if (this.isClosed) this.#closed()
  }

  /** Nothing can be stored any more: whoever waits for that, or asks for it, is told so. */
  lost(fault: Fault): void {
    this.#storeFault = fault
    this.#to.outbox.lost(fault)
    for (const call of this.#to.context.calls) this.#to.context.refuse(call, fault)
  }

  #forgetEarly(call: number): void {
    const ask = this.#early.get(call)
    if (ask !== undefined) this.#countEarly(ask, -1)
    this.#early.delete(call)
  }

  #countEarly(ask: OpenAsk, sign: 1 | -1): void {
    const drafts = ask.kind === 'send' ? ask.drafts : ask.kind === 'realtime' ? [ask.draft] : []
    this.#earlyMessages += sign * drafts.length
    for (const { body } of drafts) this.#earlyBytes += sign * body.length
  }

  #take(call: number, ask: OpenAsk): void {
    const { context, outbox } = this.#to
    switch (ask.kind) {
      case 'send':
        outbox.send(call, ask.drafts)
        return
      case 'realtime':
        this.#realtime(call, ask.draft)
        return
      case 'retry':
      case 'find': {
        // What is pending goes out with the next connection: it is not waited for, unless the server has asked for patience.
        if (ask.kind === 'retry') this.#to.connection.take({ kind: 'wake' })
        const message = outbox.find(ask.toKind, ask.to, ask.id)
        context.settle(call, { kind: 'found', message: message === undefined ? undefined : viewOf(message) })
        return
      }
      case 'cancel':
        outbox.cancel(call, ask.toKind, ask.to, ask.id)
        return
      case 'markRead':
        this.#to.reads.markRead(call, ask.position, ask.sender, ask.count, this.#to.device.meta.epoch)
        return
      case 'request':
        this.#to.requests.ask(call, ask.request)
        return
      case 'groups':
        context.settle(call, { kind: 'groups', groups: this.#to.groups.list() })
        return
      case 'pending':
        context.settle(call, { kind: 'pending', pending: outbox.pending() })
        return
      case 'listSetAside':
        context.settle(call, { kind: 'setAside', entries: this.#to.receiving.listSetAside() })
        return
      case 'setAside':
        this.#to.receiving.setAside(call, ask.action, ask.position)
        return
      case 'stopReceiving':
        this.#to.receiving.stop(call)
    }
  }

  #realtime(call: number, draft: Draft): void {
    const { bodyBytesMax, expirySecondsMax } = this.#to.server
    if (draft.body.length > bodyBytesMax) {
      this.#to.context.refuse(call, tooLarge(draft.body.length, bodyBytesMax))
      return
    }
    if (this.#to.server.expiryOf(draft.expirySeconds) > expirySecondsMax) {
      this.#to.context.refuse(call, expiryFault(draft.expirySeconds, expirySecondsMax))
      return
    }
    this.#to.requests.realtime(call, draft, this.#to.device.makeId(false))
  }

  #close(call: number): void {
    this.#closeCalls.push(call)
    if (this.isClosed) {
      this.#closed()
      return
    }
    this.#to.receiving.close()
    // The connection ended by itself: what is being stored is waited for by `flushed`.
    if (this.#endFault !== undefined && !this.#isOpen) this.ended(closedFault)
    this.#to.connection.take({ kind: 'close' })
  }

  #closed(): void {
    this.#to.context.push({ kind: 'closeStore' })
    // What could not be stored, and handlers that still run: nobody answers those calls any more.
    for (const call of this.#to.context.calls) this.#to.context.refuse(call, closedFault)
    for (const call of this.#closeCalls) this.#to.context.push({ kind: 'settle', call, answer: { kind: 'done' } })
    this.#closeCalls = []
  }
}

/** What more of them are told. */
export const tooEarly: Fault = { code: 'busy', message: `${earlyMax} calls wait for the store.`, retryable: true }

/** Whether it is answered from what is known, so that nothing is stored. */
function isInMemory({ kind }: Ask): boolean {
  return kind === 'find' || kind === 'groups' || kind === 'pending' || kind === 'listSetAside'
}

function needsServer(ask: Ask): boolean {
  if (ask.kind === 'retry') return true
  return ask.kind === 'send' || ask.kind === 'realtime' || ask.kind === 'request' || ask.kind === 'markRead'
}
