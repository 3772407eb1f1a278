/** The durable store of a device in a browser: one IndexedDB database with one object store, written with strict durability. */
import { PosthasteError } from '../errors.ts'
import type { ClientStore, StoreRow } from '../store.ts'
import { sharedBetweenTabs } from '../tabs/tab.ts'
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

class IndexedDbEngine implements StoreEngine {
  readonly #name: string
  #database: IDBDatabase | undefined
  /** Why the browser took the database away, once it did. */
  #lost: PosthasteError | undefined

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

  async write(writes: readonly OwnWrite[]): Promise<void> {
    const database = this.#requireDatabase()
    try {
      await writeStrictly(database, writes)
    } catch (error) {
      throw this.#failure('write to', error)
    }
  }

  async get(key: OwnBytes): Promise<Uint8Array | undefined> {
    const database = this.#requireDatabase()
    try {
      return await settled<Uint8Array | undefined>(database.transaction(table).objectStore(table).get(key))
    } catch (error) {
      throw this.#failure('read', error)
    }
  }

  async scan(from: OwnBytes, to: OwnBytes, limit: number): Promise<StoreRow[]> {
    const database = this.#requireDatabase()
    try {
      const store = database.transaction(table).objectStore(table)
      const range = IDBKeyRange.bound(from, to, false, true)
      const [keys, values] = await Promise.all([
        settled(store.getAllKeys(range, limit)),
        settled<Uint8Array[]>(store.getAll(range, limit)),
      ])
      return keys.map((key, index) => [new Uint8Array(key as ArrayBuffer), values[index] as Uint8Array])
    } catch (error) {
      throw this.#failure('read', error)
    }
  }

  async close(): Promise<void> {
    this.#database?.close()
    this.#database = undefined
  }

  #connect(): Promise<IDBDatabase> {
    return new Promise((resolve, reject) => {
      let isBlocked = false
      const opening = indexedDB.open(this.#name, version)
      opening.onupgradeneeded = () => {
        opening.result.createObjectStore(table)
      }
      opening.onblocked = () => {
        isBlocked = true
        reject(storeFailed(`Another tab keeps an older version of the database ${this.#name} open`, true))
      }
      opening.onerror = () => reject(opening.error)
      opening.onsuccess = () => {
        const database = opening.result
        if (isBlocked) database.close()
        database.onversionchange = () => this.#lose('another tab is deleting or upgrading it')
        database.onclose = () => this.#lose('the browser closed it')
        resolve(database)
      }
    })
  }

  /** Not opened again by itself: what comes back may be another, empty database, and only a new start asks the server about that. */
  #lose(reason: string): void {
    this.#lost = storeFailed(`The database ${this.#name} is gone: ${reason}`, true)
    this.#database?.close()
  }

  #requireDatabase(): IDBDatabase {
    if (this.#lost !== undefined) throw this.#lost
    if (this.#database === undefined) throw storeFailed(`The database ${this.#name} is not open`, false)
    return this.#database
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

/** The result of a read. */
function settled<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

function writeStrictly(database: IDBDatabase, writes: readonly OwnWrite[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(table, 'readwrite', { durability: 'strict' })
    transaction.addEventListener('complete', () => resolve())
    transaction.addEventListener('abort', () =>
      reject(transaction.error ?? new DOMException('The transaction ended', 'AbortError')),
    )
    try {
      const rows = transaction.objectStore(table)
      for (const [key, value] of writes) {
        if (value === null) rows.delete(key)
        else rows.put(value, key)
      }
      transaction.commit()
    } catch (error) {
      reject(error)
      transaction.abort()
    }
  })
}
