import { addressOf, kindOf, nameOf, type Status } from '@posthaste/protocol'
import type { Draft, Fault, OutboxView } from './machine/events.ts'
import { SentMessage, type SentMessageOwner } from './sentMessage.ts'

const forgotten: Fault = { code: 'unknown', message: 'The message was forgotten before that was known.', retryable: false }

/** The handles of outgoing messages: one per message as long as somebody holds it. What nobody holds is collected. */
export class SentMessages {
  readonly #owner: SentMessageOwner
  readonly #handles = new Map<string, WeakRef<SentMessage>>()
  readonly #awaited = new Set<SentMessage>()
  #end: Fault | undefined
  readonly #collected = new FinalizationRegistry<string>((key) => {
    if (this.#handles.get(key)?.deref() === undefined) this.#handles.delete(key)
  })

  constructor(owner: Omit<SentMessageOwner, 'hold'>) {
    this.#owner = {
      ...owner,
      hold: (message, isHeld) => {
        if (isHeld) this.#awaited.add(message)
        else this.#awaited.delete(message)
      },
    }
  }

  /** The handle of a message. */
  of(view: OutboxView): SentMessage {
    const key = keyOf(view)
    const known = this.#handles.get(key)?.deref()
    if (known?.isOf(view) === true) return known
    const message = this.#make(view)
    this.#handles.set(key, new WeakRef(message))
    this.#collected.register(message, key)
    return message
  }

  /** The message's status changed. */
  take(view: OutboxView): SentMessage {
    const message = this.of(view)
    message.update(view)
    return message
  }

  /** The message's status will not change any more. */
  forget(view: Pick<OutboxView, 'to' | 'id'>): void {
    const key = keyOf(view)
    this.#handles.get(key)?.deref()?.end(forgotten)
    this.#handles.delete(key)
  }

  /** The handles that somebody holds of messages that have not ended. */
  open(): readonly SentMessage[] {
    const held = [...this.#handles.values()].flatMap((handle) => handle.deref() ?? [])
    return held.filter((message) => !message.hasEnded)
  }

  /** The client has ended: whoever waits is told why. */
  end(fault: Fault): void {
    this.#end ??= fault
    for (const message of [...this.#awaited]) message.end(fault)
    for (const handle of this.#handles.values()) handle.deref()?.end(fault)
  }

  /** The handle of a message that is stored nowhere. */
  unstored({ toKind, to, id = 0n, type, priority, receipts, expirySeconds, body }: Draft, status: Status): SentMessage {
    const content = { to: addressOf(toKind, to), id, type, priority, receipts, expirySeconds, body }
    const view = { ...content, order: 0, status, timeMs: 0, counts: undefined, isIncomplete: false }
    return this.#make(view)
  }

  #make(view: OutboxView): SentMessage {
    const message = new SentMessage(view, this.#owner)
    if (this.#end !== undefined) message.end(this.#end)
    return message
  }
}

function keyOf({ to, id }: Pick<OutboxView, 'to' | 'id'>): string {
  return `${kindOf(to)} ${id} ${nameOf(to)}`
}
