import { type AddressKind, limits, type ServerPacketOf } from '@posthaste/protocol'
import type { Context } from './context.ts'

/** A destination is told at most this often that the user is typing. */
const typingRepeatMs = 5_000
/** Between two words to one destination that typing began, however often it stops; the last one goes out when this is over. */
const typingGapMs = 1_000
/** Who was typing and was not heard of for this long has stopped. */
const typingEndMs = 10_000
/** Users and destinations that are remembered. */
const namesMax = 10_000

/** What a destination was told last, when it was told that typing began, and what the app has said since. */
interface Told {
  readonly toKind: AddressKind
  readonly to: string
  atMs: number
  isActive: boolean
  isWanted: boolean
}

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
  readonly #told = new Map<string, Told>()
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

  /** The user is typing, or has stopped. Told at once, that it has begun at most once a second, and that it goes on every 5 seconds. */
  typing(toKind: AddressKind, to: string, isActive: boolean): void {
    if (!this.#context.isLive) return
    const key = `${toKind} ${to}`
    const told = this.#told.get(key) ?? { toKind, to, atMs: Number.NEGATIVE_INFINITY, isActive: false, isWanted: false }
    told.isWanted = isActive
    if (this.#told.size < namesMax) this.#told.set(key, told)
    this.#tell(told)
    this.#arm()
  }

  #tell(told: Told): void {
    const beganMs = this.#context.now.monotonicMs - told.atMs
    if (told.isWanted ? beganMs < (told.isActive ? typingRepeatMs : typingGapMs) : !told.isActive) return
    if (told.isWanted) told.atMs = this.#context.now.monotonicMs
    told.isActive = told.isWanted
    this.#context.write({ kind: 'typing', toKind: told.toKind, to: told.to, isActive: told.isActive })
  }

  live(): void {
    this.#writeWatch([...this.#watched.keys()], true)
  }

  /** The connection is gone: who is there and who types is not known any more. */
  down(): void {
    this.#told.clear()
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

  /** Tells what has waited for its time, and forgets who was not heard of for long. */
  timer(): void {
    this.#isArmed = false
    for (const [key, told] of this.#told) {
      // What is repeated is what the app says again.
      if (told.isWanted !== told.isActive) this.#tell(told)
      else if (!told.isActive && this.#context.now.monotonicMs - told.atMs >= typingGapMs) this.#told.delete(key)
    }
    for (const [key, typist] of this.#typists) {
      if (typist.untilMs > this.#context.now.monotonicMs) continue
      this.#typists.delete(key)
      this.#tellStopped(typist)
    }
    this.#arm()
  }

  #arm(): void {
    if (this.#isArmed || this.#typists.size + this.#told.size === 0) return
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
