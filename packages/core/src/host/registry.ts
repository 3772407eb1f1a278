import type { Session } from './session.ts'

/** Which sessions are there, by connection, user, device and log. */
export class Registry {
  readonly byConnection = new Map<number, Session>()
  // order: of connecting; sessions don't depend on one another.
  #round = this.byConnection.values()
  /** How many there were when the round began. */
  #roundSize = 0
  readonly #byUser = new Map<number, readonly Session[]>()
  readonly #byLog = new Map<number, readonly Session[]>()
  /** By name: who watches a user that does not exist yet sees it come. */
  readonly #watchers = new Map<string, readonly Session[]>()

  /** All sessions. */
  all(): readonly Session[] {
    // order: of connecting.
    return [...this.byConnection.values()]
  }

  /**
   * The next sessions, going on where the last call ended, so that each comes once in `calls` calls.
   * @param least at least so many, if there are
   */
  next(calls: number, least: number): Session[] {
    const found: Session[] = []
    const count = Math.max(least, Math.ceil(Math.max(this.#roundSize, this.byConnection.size) / calls))
    while (found.length < count) {
      const next = this.#round.next()
      if (next.done === true) {
        // order: of connecting; sessions don't depend on one another.
        this.#round = this.byConnection.values()
        this.#roundSize = this.byConnection.size
        break
      }
      found.push(next.value)
    }
    return found
  }

  /** The sessions of a user, in the order in which they began. */
  ofUser(identity: number): readonly Session[] {
    return this.#byUser.get(identity) ?? none
  }

  /** The sessions that read a log. */
  ofLog(identity: number): readonly Session[] {
    return this.#byLog.get(identity) ?? none
  }

  /** The sessions that watch a user. */
  watchersOf(user: string): readonly Session[] {
    return this.#watchers.get(user) ?? none
  }

  join(session: Session): void {
    add(this.#byUser, session.identity, session)
  }

  read(session: Session, log: number): void {
    add(this.#byLog, log, session)
    if (log === session.identity) return
    session.groups ??= new Set()
    session.groups.add(log)
  }

  watch(session: Session, user: string, isOn: boolean): void {
    if (isOn) {
      add(this.#watchers, user, session)
      session.watched ??= new Set()
      session.watched.add(user)
    } else {
      remove(this.#watchers, user, session)
      session.watched?.delete(user)
    }
  }

  leave(session: Session): void {
    this.byConnection.delete(session.connection)
    remove(this.#byUser, session.identity, session)
    remove(this.#byLog, session.identity, session)
    for (const log of list(session.groups)) remove(this.#byLog, log, session)
    for (const user of list(session.watched)) remove(this.#watchers, user, session)
  }
}

const none: readonly Session[] = []

function list<T>(set: ReadonlySet<T> | undefined): T[] {
  // order: that of joining; each is for a log or a user of its own.
  return [...(set ?? [])]
}

/** A new list, so that whoever is running through the old one is not disturbed. */
function add<K>(map: Map<K, readonly Session[]>, key: K, session: Session): void {
  const found = map.get(key)
  if (found === undefined) map.set(key, [session])
  else if (!found.includes(session)) map.set(key, [...found, session])
}

function remove<K>(map: Map<K, readonly Session[]>, key: K, session: Session): void {
  const rest = map.get(key)?.filter((one) => one !== session)
  if (rest === undefined) return
  if (rest.length > 0) map.set(key, rest)
  else map.delete(key)
}
