import type { PosthasteError } from './errors.ts'
import type { Answer, AppAsk, AppEvent, Ask, ConnectionState, Effect, Fault, Notice } from './machine/events.ts'

/** A call to a handler. */
export type HandleEffect = Extract<Effect, { kind: 'handle' }>
/** What each ask is answered with, but for a fault. */
interface AnswerKinds {
  readonly send: 'sent'
  readonly realtime: 'status'
  readonly find: 'found'
  readonly retry: 'found'
  readonly cancel: 'cancelled'
  readonly markRead: 'done'
  readonly request: 'done' | 'members' | 'receipts'
  readonly groups: 'groups'
  readonly pending: 'pending'
  readonly listSetAside: 'setAside'
  readonly setAside: 'done'
  readonly stopReceiving: 'done'
  readonly close: 'done'
}
/** What an ask came to. */
export type Answered<A extends Ask> = Extract<Answer, { kind: AnswerKinds[A['kind']] }>
/** What the public edge may tell the engine without waiting for an answer. */
export type EngineEvent = AppEvent | { readonly kind: 'start' | 'wake' }

/** What runs below the public edge: the machine in this tab, or a way to the tab that runs it. */
export interface Engine {
  readonly connection: ConnectionState
  dispatch(event: EngineEvent): void
  /**
   * Asks. The answer comes once, perhaps before this returns.
   * @returns what calls it off: nobody waits for the answer any more
   */
  ask(ask: AppAsk, answered: (answer: Answer) => void): () => void
  /** Says in an error of the SDK where help is. @returns the error */
  helped(error: unknown): unknown
  /** The public error of a failure. */
  errorOf(fault: Fault, cause?: unknown): PosthasteError
  /**
   * Stores and acknowledges what is done, closes the connection and the store. Idempotent.
   * @param failed gets the reason where the store could not be closed
   */
  close(closed: () => void, failed: (reason: unknown) => void): void
}

/** An engine that runs the machine in this tab, if it comes to that. */
export interface OwnEngine extends Engine {
  /**
   * Asks the app for a token, to learn whose client this is.
   * @param told gets the user, '' where that can't be told now, and the fault of a token that was refused for good
   */
  identify(told: (user: string, refusal?: Fault) => void): void
}

/** What an engine hands to the public edge. */
export interface EngineOwner {
  notice(notice: Notice): void
  handle(effect: HandleEffect): void
  stopReceiving(): void
  /** Another machine goes on from what is stored: what observers were not told meanwhile has to be looked up. */
  restarted(): void
}

/** Makes one engine for all tabs that share a store. @param make makes the engine that runs the machine in this tab, without I/O */
export type TabsFactory = (owner: EngineOwner, make: (owner: EngineOwner) => OwnEngine) => Engine
