/** What tabs that share a store tell each other over a BroadcastChannel. The tab that runs the machine is the leader. */
import type { Answer, AppAsk, ConnectionState, FailureDecision, Notice, Position } from '../machine/events.ts'
import type { EngineEvent, HandleEffect } from '../engine.ts'

/** How a handler ended. */
export type Outcome = 'done' | FailureDecision | 'release'

/** How a tab receives. */
export interface Receiving {
  readonly positions: readonly Position[]
  readonly isBatched: boolean
}

/** What a tab tells the leader. */
export type ToLeader =
  /** Here is a tab. `runs` are the handlers that it runs, or has lately run for a leader that may not have stored how they ended. */
  | {
      readonly kind: 'join'
      /** Whose tab it is, '' where nothing has shown that. */
      readonly user: string
      readonly receiving: Receiving | undefined
      readonly runs: readonly (readonly [key: string, outcome: Outcome | undefined])[]
      readonly watched: readonly string[]
    }
  /** Whose tab it is, which nothing had shown when it joined. */
  | { readonly kind: 'user'; readonly user: string }
  /** Is there a leader? */
  | { readonly kind: 'hello' }
  | { readonly kind: 'ask'; readonly call: number; readonly ask: AppAsk }
  | { readonly kind: 'abort'; readonly call: number }
  | { readonly kind: 'event'; readonly event: EngineEvent }
  | { readonly kind: 'ended'; readonly key: string; readonly outcome: Outcome }
  | { readonly kind: 'leave' }

/** What the leader tells a tab, or all of them. */
export type ToTab =
  /** There is a new leader: join it. */
  | { readonly kind: 'lead' }
  | { readonly kind: 'welcome'; readonly connection: ConnectionState }
  | { readonly kind: 'notice'; readonly notice: Notice }
  | { readonly kind: 'answer'; readonly call: number; readonly answer: Answer }
  /** `key` tells what is handled in every tab; the run is the leader's. */
  | (HandleEffect & { readonly key: string })
  | { readonly kind: 'stopReceiving' }
  /** The leader's page is being put into the back/forward cache. */
  | { readonly kind: 'cached' }

/** A message on the channel. */
export interface Envelope {
  /** The tab that sent it. */
  readonly from: string
  /** The tab that it is for; '' for all. */
  readonly to: string
  /** By the wall clock, in ms. */
  readonly sentMs: number
  readonly body: ToLeader | ToTab
}

/** Keeps the list of whom a tab watches, each as often as it does. */
export function noteWatched(watched: string[], user: string, isOn: boolean): void {
  const at = watched.indexOf(user)
  if (isOn) watched.push(user)
  else if (at >= 0) watched.splice(at, 1)
}

/** The lock that a tab holds as long as it lives; without an id, what all of them begin with. @param leader the lock of the leader */
export function tabLock(leader: string, tab = ''): string {
  return `${leader}/tab/${tab}`
}
