import { type AddressKind, limits, type ServerPacketOf } from '@posthaste/protocol'
import type { Context } from './context.ts'

/** A destination is told at most this often that the user is typing. */
const typingRepeatMs = 5_000
/** Who was typing and was not heard of for this long has stopped. */
const typingEndMs = 10_000
/** Users and destinations that are remembered. */
const namesMax = 10_000

interface Typist {
  readonly user: string
  readonly toKind: AddressKind
  readonly to: string
  readonly untilMs: number
}

/** Presence and typing: known only while there is a connection, never stored. */
export class Ephemeral {
  readonly #context: Context
  /** How often each user is watched. */
  readonly #watched = new Map<string, number>()
  /** When a destination was last told that this user is typing. */
  readonly #toldMs = new Map<string, number>()
  readonly #typists = new Map<string, Typist>()
  #isArmed = false

  constructor(context: Context) {
    this.#context = context
  }

  /** Begins or ends to be told of these users' presence. */
  watch(users: readonly string[], isOn: boolean): void {
    const changed: string[] = []
    for (const user of users) {
      const before = this.#watched.get(user) ?? 0
      const after = Math.max(0, before + (isOn ? 1 : -1))
      if (after === 0) this.#watched.delete(user)
      else this.#watched.set(user, after)
      if ((before === 0) !== (after === 0)) changed.push(user)
    }
    this.#writeWatch(changed, isOn)
  }

  /** The user is typing, or has stopped. Told at once, then at most every 5 seconds. */
  typing(toKind: AddressKind, to: string, isActive: boolean): void {
    if (!this.#context.isLive) return
    const key = `${toKind} ${to}`
    const nowMs = this.#context.now.monotonicMs
    const toldMs = this.#toldMs.get(key)
    if (!isActive && toldMs === undefined) return
    if (isActive && toldMs !== undefined && nowMs - toldMs < typingRepeatMs) return
    if (isActive && (toldMs !== undefined || this.#toldMs.size < namesMax)) this.#toldMs.set(key, nowMs)
    if (!isActive) this.#toldMs.delete(key)
    this.#context.write({ kind: 'typing', toKind, to, isActive })
  }

  live(): void {
    this.#writeWatch([...this.#watched.keys()], true)
  }

  /** The connection is gone: who is there and who types is not known any more. */
  down(): void {
    this.#toldMs.clear()
    for (const user of this.#watched.keys()) {
      this.#context.notify({ kind: 'presence', user, state: 'unknown', lastSeenMs: 0 })
    }
    for (const typist of this.#typists.values()) this.#tellStopped(typist)
    this.#typists.clear()
    this.#isArmed = false
    this.#context.clearTimer('typing')
  }

  typingEvent({ senderName, toKind, to, isActive }: ServerPacketOf<'typingEvent'>): void {
    const key = `${toKind} ${senderName} ${to}`
    const typist = { user: senderName, toKind, to, untilMs: this.#context.now.monotonicMs + typingEndMs }
    if (!isActive) this.#typists.delete(key)
    else if (this.#typists.has(key) || this.#typists.size < namesMax) this.#typists.set(key, typist)
    this.#context.notify({ kind: 'typing', user: senderName, toKind, to, isActive })
    this.#arm()
  }

  presence({ user, state, lastSeenMs }: ServerPacketOf<'presence'>): void {
    if (!this.#watched.has(user)) return
    this.#context.notify({
      kind: 'presence',
      user,
      state: state === 1 ? 'online' : state === 0 ? 'offline' : 'unknown',
      lastSeenMs,
    })
  }

  /** Forgets who was not heard of for long. */
  timer(): void {
    this.#isArmed = false
    for (const [key, typist] of this.#typists) {
      if (typist.untilMs > this.#context.now.monotonicMs) continue
      this.#typists.delete(key)
      this.#tellStopped(typist)
    }
    this.#arm()
  }

  #arm(): void {
    if (this.#isArmed || this.#typists.size === 0) return
    this.#isArmed = true
    this.#context.setTimer('typing', typingEndMs / 10)
  }

  #tellStopped({ user, toKind, to }: Typist): void {
    this.#context.notify({ kind: 'typing', user, toKind, to, isActive: false })
  }

  #writeWatch(users: readonly string[], isOn: boolean): void {
    if (!this.#context.isLive) return
    for (let at = 0; at < users.length; at += limits.items) {
      this.#context.write({ kind: 'watch', users: users.slice(at, at + limits.items), isOn })
    }
  }
}
