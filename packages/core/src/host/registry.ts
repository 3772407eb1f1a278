import type { Session } from './session.ts'

/** Which sessions are there, by connection, user, device and log. */
export class Registry {
  readonly byConnection = new Map<number, Session>()
  readonly #byUser = new Map<number, Set<Session>>()
  readonly #byLog = new Map<number, Set<Session>>()
  readonly #watchers = new Map<number, Set<Session>>()

  /** All sessions. */
  all(): readonly Session[] {
    // order: of connecting.
    return [...this.byConnection.values()]
  }

  /** The sessions of a user, in the order in which they began. */
  ofUser(identity: number): readonly Session[] {
    return list(this.#byUser.get(identity))
  }

  /** The sessions that read a log. */
  ofLog(identity: number): readonly Session[] {
    return list(this.#byLog.get(identity))
  }

  /** The sessions that watch a user. */
  watchersOf(identity: number): readonly Session[] {
    return list(this.#watchers.get(identity))
  }

  join(session: Session): void {
    add(this.#byUser, session.identity, session)
  }

  read(session: Session, log: number): void {
    add(this.#byLog, log, session)
    if (log !== session.identity) session.groups.add(log)
  }

  watch(session: Session, identity: number, isOn: boolean): void {
    if (isOn) {
      add(this.#watchers, identity, session)
      session.watched.add(identity)
    } else {
      remove(this.#watchers, identity, session)
      session.watched.delete(identity)
    }
  }

  leave(session: Session): void {
    this.byConnection.delete(session.connection)
    remove(this.#byUser, session.identity, session)
    remove(this.#byLog, session.identity, session)
    for (const log of list(session.groups)) remove(this.#byLog, log, session)
    for (const identity of list(session.watched)) remove(this.#watchers, identity, session)
  }
}

function list<T>(set: ReadonlySet<T> | undefined): T[] {
  // order: that of joining, and sessions don't depend on one another.
  return set === undefined ? [] : [...set]
}

function add(map: Map<number, Set<Session>>, key: number, session: Session): void {
  const found = map.get(key)
  if (found === undefined) map.set(key, new Set([session]))
  else found.add(session)
}

function remove(map: Map<number, Set<Session>>, key: number, session: Session): void {
  const found = map.get(key)
  if (found?.delete(session) === true && found.size === 0) map.delete(key)
}
