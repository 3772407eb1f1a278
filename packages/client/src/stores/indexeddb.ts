/** The durable store of a device in a browser: one IndexedDB database with one object store, written with strict durability. */
import { type DBSchema, type IDBPDatabase, openDB } from 'idb'
import { PosthasteError } from '../errors.ts'
import type { ClientStore, StoreRow } from '../store.ts'
import { sharedBetweenTabs } from '../tabs/browser.ts'
import { OrderedStore, type OwnBytes, type OwnWrite, type StoreEngine, storeFailed } from './ordered.ts'

/**
 * Makes a store in the IndexedDB database `name` of the page's origin. All tabs of the origin can hold it at once.
 * Browsers may evict a site's data under pressure unless it asked for `navigator.storage.persist()`.
 */
export function indexedDbStore(name: string): ClientStore {
  return Object.assign(new OrderedStore(new IndexedDbEngine(name)), { tabs: sharedBetweenTabs(name) })
}

const version = 1
const table = 'rows'
/** How long a failure waits for word that the database is lost. */
const lossMsMax = 1_000

interface Rows extends DBSchema {
  /** Keys go in as bytes, and come out as an `ArrayBuffer`. */
  [table]: { key: OwnBytes | ArrayBuffer; value: OwnBytes }
}
type Database = IDBPDatabase<Rows>

class IndexedDbEngine implements StoreEngine {
  readonly #name: string
  #database: Database | undefined
  /** Why the browser took the database away, once it did. */
  #lost: PosthasteError | undefined
  /** Ends what is under way. */
  readonly #underWay = new Set<(error: unknown) => void>()

  constructor(name: string) {
    this.#name = name
  }

  async open(): Promise<void> {
    this.#lost = undefined
    if (typeof indexedDB === 'undefined') throw storeFailed('There is no IndexedDB here', false)
    try {
      this.#database = await this.#connect()
    } catch (error) {
      throw this.#failure('open', error)
    }
  }

  write(writes: readonly OwnWrite[]): Promise<void> {
    return this.#use('write to', (database) => writeStrictly(database, writes))
  }

  get(key: OwnBytes): Promise<Uint8Array | undefined> {
    return this.#use('read', async (database) => {
      const { store, done } = database.transaction(table)
      const [value] = await Promise.all([store.get(key), done])
      return value
    })
  }

  scan(from: OwnBytes, to: OwnBytes, limit: number): Promise<StoreRow[]> {
    return this.#use('read', async (database) => {
      const { store, done } = database.transaction(table)
      const range = IDBKeyRange.bound(from, to, false, true)
      const [keys, values] = await Promise.all([store.getAllKeys(range, limit), store.getAll(range, limit), done])
      return keys.map((key, index) => [new Uint8Array(key), values[index] ?? new Uint8Array()])
    })
  }

  async close(): Promise<void> {
    this.#database?.close()
    this.#database = undefined
  }

  #connect(): Promise<Database> {
    return new Promise((resolve, reject) => {
      let isBlocked = false
      const opening = openDB<Rows>(this.#name, version, {
        upgrade: (database) => void database.createObjectStore(table),
        blocked: () => {
          isBlocked = true
          reject(storeFailed(`Another tab keeps an older version of the database ${this.#name} open`, true))
        },
        blocking: () => this.#lose('another tab is deleting or upgrading it'),
        terminated: () => this.#lose('the browser closed it'),
      })
      opening.then((database) => (isBlocked ? database.close() : resolve(database)), reject)
    })
  }

  /** Uses the database until it is lost: what is under way then never ends in some browsers. */
  async #use<T>(verb: string, action: (database: Database) => Promise<T>): Promise<T> {
    if (this.#lost !== undefined) throw this.#lost
    const database = this.#database
    if (database === undefined) throw storeFailed(`The database ${this.#name} is not open`, false)
    let giveUp: (error: unknown) => void = () => {}
    const lost = new Promise<never>((_resolve, reject) => {
      giveUp = reject
    })
    this.#underWay.add(giveUp)
    try {
      return await Promise.race([action(database), lost])
    } catch (error) {
      const failure = this.#failure(verb, error)
      // A browser that takes the database away may let this fail a moment before it says so.
      if (failure.code === 'store-failed') await Promise.race([lost, pause()])
      throw failure
    } finally {
      this.#underWay.delete(giveUp)
    }
  }

  /**
   * Not opened again by itself: what comes back may be another, empty database, and only a new client asks the server about that. So
   * this one ends.
   */
  #lose(reason: string): void {
    const message = `The database ${this.#name} is gone: ${reason}. Make a new client.`
    this.#lost ??= new PosthasteError({ code: 'store-lost', message, retryable: false })
    this.#database?.close()
    for (const giveUp of this.#underWay) giveUp(this.#lost)
  }

  #failure(verb: string, error: unknown): PosthasteError {
    if (error instanceof PosthasteError) return error
    if (this.#lost !== undefined) return this.#lost
    const kind = error instanceof Error ? error.name : ''
    if (kind === 'QuotaExceededError') {
      const message = `The browser's quota is used up: can't ${verb} the database ${this.#name}`
      return new PosthasteError({ code: 'store-full', message, retryable: true, cause: error })
    }
    const reason = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    // An abort that no request asked for is the browser's: it is taking the database away.
    return storeFailed(`Can't ${verb} the database ${this.#name}: ${reason}`, kind === 'AbortError', error)
  }
}

function pause(): Promise<void> {
  return new Promise((over) => setTimeout(over, lossMsMax))
}

async function writeStrictly(database: Database, writes: readonly OwnWrite[]): Promise<void> {
  const transaction = database.transaction(table, 'readwrite', { durability: 'strict' })
  const { store, done } = transaction
  try {
    const requests = writes.map(([key, value]) => (value === null ? store.delete(key) : store.put(value, key)))
    transaction.commit()
    await Promise.all([...requests, done])
  } catch (error) {
    // What was asked for when a transaction is aborted fails with an AbortError; why it was is the transaction's own error.
    throw transaction.error ?? error
  }
}
