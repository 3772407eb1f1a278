import type { PosthasteError } from './errors.ts'
import type { Answer, AppEvent, Ask, ConnectionState, Effect, Fault, Notice } from './machine/events.ts'

/** A call to a handler. */
export type HandleEffect = Extract<Effect, { kind: 'handle' }>
/** What an ask came to. */
export type Answered = Exclude<Answer, { kind: 'fault' }>
/** What the public edge may tell the engine without waiting for an answer. */
export type EngineEvent = AppEvent | { readonly kind: 'start' }

/** What runs below the public edge: the machine in this tab, or a way to the tab that runs it. */
export interface Engine {
  readonly connection: ConnectionState
  /** Whether so much waits to be written that what is sent at most once is dropped. */
  readonly isCongested: boolean
  dispatch(event: EngineEvent): void
  /** @throws PosthasteError when the answer is a fault; the signal's reason once that is aborted */
  ask(ask: Ask, signal?: AbortSignal): Promise<Answered>
  /** The public error of a failure. */
  errorOf(fault: Fault, cause?: unknown): PosthasteError
  /** Waits until the store is closed. */
  closed(): Promise<void>
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
export type TabsFactory = (owner: EngineOwner, make: (owner: EngineOwner) => Engine) => Engine
