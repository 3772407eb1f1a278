import type { Address, Status } from '@posthaste/protocol'
import { invalid, oneOf } from './arguments.ts'
import { PosthasteError } from './errors.ts'
import type { ConnectionState } from './machine/events.ts'
import type { Message, RealtimeMessage } from './message.ts'
import type { SentMessage } from './sentMessage.ts'

/** What can be observed with `on`, and what observers get. */
export interface PosthasteEvents {
  /** A message was stored; or, with `outgoing`, another device of this user sent one. Observing does not acknowledge. */
  message: Message
  /** A message that is stored nowhere. */
  realtime: RealtimeMessage
  /** An outgoing message's status, or its counts, changed. */
  status: { readonly message: SentMessage; readonly previous: Status }
  connection: ConnectionState
  /** Something failed that no call could be told of: a handler, the store, a connection. */
  error: PosthasteError
  typing: { readonly from: { readonly user: string }; readonly to: Address; readonly isActive: boolean }
  /** This user's rights in a group changed; no roles: no longer a member. */
  group: { readonly group: string; readonly roles: readonly GroupRole[] }
  /** This user has read, on any device, up to `mark`: by the sender's count in the own log, by seq in a group's (sender 0). */
  read: { readonly log: number; readonly lane: number; readonly sender: number; readonly mark: number }
}

/** A right in a group. */
export type GroupRole = 'send' | 'receive' | 'admin'

const eventNames: readonly string[] = Object.keys({
  message: 0,
  realtime: 0,
  status: 0,
  connection: 0,
  error: 0,
  typing: 0,
  group: 0,
  read: 0,
} satisfies Record<keyof PosthasteEvents, 0>)

type Observer<K extends keyof PosthasteEvents> = (event: PosthasteEvents[K]) => void

/** Who observes what. An observer that throws disturbs nobody else. */
export class Observers {
  readonly #helped: (error: unknown) => unknown
  readonly #observers = new Map<keyof PosthasteEvents, Set<(event: never) => void>>()

  /** @param helped says in an error where help is */
  constructor(helped: (error: unknown) => unknown) {
    this.#helped = helped
  }

  /** @returns what ends it @throws PosthasteError `invalid-argument` */
  add<K extends keyof PosthasteEvents>(event: K, observer: Observer<K>): () => void {
    oneOf(event, eventNames, 'event')
    if (typeof observer !== 'function') throw invalid('observer', 'must be a function')
    // An object of its own, so that the same function may observe twice and end once.
    const own: Observer<K> = (value) => observer(value)
    const known = this.#observers.get(event) ?? new Set()
    this.#observers.set(event, known)
    known.add(own)
    return () => {
      known.delete(own)
    }
  }

  has(event: keyof PosthasteEvents): boolean {
    return (this.#observers.get(event)?.size ?? 0) > 0
  }

  tell<K extends keyof PosthasteEvents>(event: K, value: PosthasteEvents[K]): void {
    if (event === 'error') {
      this.#helped(value)
      // Nobody would ever see why a message comes again and again.
      const { code } = value as PosthasteError
      if (!this.has(event) && (code === 'handler-failed' || code === 'observer-failed')) console.error(value)
    }
    for (const observer of [...(this.#observers.get(event) ?? [])]) {
      this.guard(event, () => (observer as Observer<K>)(value))
    }
  }

  /** Calls an observer; when it throws, observers of errors are told. */
  guard(event: string, call: () => unknown): void {
    const failed = (cause: unknown): void => {
      if (event !== 'error') this.tell('error', observerFailed(event, cause))
    }
    try {
      const result = call()
      // An async function is an observer too; nobody else looks at its promise.
      if (result instanceof Promise) result.catch(failed)
    } catch (cause) {
      failed(cause)
    }
  }
}

function observerFailed(event: string, cause: unknown): PosthasteError {
  const message = `An observer of '${event}' threw: ${cause instanceof Error ? cause.message : String(cause)}`
  return new PosthasteError({ code: 'observer-failed', message, retryable: false, cause })
}
