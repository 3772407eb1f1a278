/** What runs inside the page in the tests of the IndexedDB store: the conformance suite, and stores that the test drives by name. */
import type { PosthasteError } from '../../src/errors.ts'
import type { ClientStore } from '../../src/store.ts'
import { indexedDbStore } from '../../src/stores/indexeddb.ts'
import { clientStoreConformance } from '../conformance/client-store.ts'

let places = 0

const cases = clientStoreConformance(async () => {
  const name = `conformance-${places++}`
  return { store: () => indexedDbStore(name), isDurable: true, remove: () => deleteDatabase(name) }
})

const stores = new Map<string, ClientStore>()
const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const decode = (data: Uint8Array | undefined): string | undefined => data && new TextDecoder().decode(data)

/** How a call ended: its result, or what its error says. */
export type Outcome<T> = { value: T } | { code: string; retryable: boolean; message: string }

async function outcome<T>(call: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { value: await call() }
  } catch (error) {
    const { code, retryable, message } = error as PosthasteError
    return { code, retryable, message }
  }
}

function opened(name: string): ClientStore {
  const store = stores.get(name)
  if (store === undefined) throw new Error(`No store ${name} in this page`)
  return store
}

function deleteDatabase(name: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.deleteDatabase(name)
    request.onsuccess = () => resolve()
    request.onerror = () => reject(request.error)
  })
}

/** Opens the database without the store, in another version or to stand in its way. */
function openPlain(name: string, version: number): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(name, version)
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}

/** Everything that a test can ask of the page. Texts stand for their UTF-8. */
export const storePage = {
  caseNames: (): string[] => cases.map(({ name }) => name),
  runCase: async (name: string): Promise<void> => {
    const found = cases.find((one) => one.name === name)
    if (found === undefined) throw new Error(`No case "${name}"`)
    await found.run()
  },
  open: (name: string) =>
    outcome(async () => {
      const store = indexedDbStore(name)
      await store.open()
      stores.set(name, store)
    }),
  close: (name: string) => outcome(() => opened(name).close()),
  put: (name: string, key: string, value: string) => outcome(() => opened(name).commit([[encode(key), encode(value)]])),
  /** One commit of rows of 64 KiB that don't compress. */
  putNoise: (name: string, keys: string[]) =>
    outcome(() => opened(name).commit(keys.map((key) => [encode(key), crypto.getRandomValues(new Uint8Array(65_536))]))),
  /** Commits `prefix 0`, `prefix 1`, …, all overlapping. */
  putMany: (name: string, prefix: string, count: number) =>
    outcome(async () => {
      await Promise.all(
        Array.from({ length: count }, (_, index) => opened(name).commit([[encode(`${prefix} ${index}`), encode('x')]])),
      )
    }),
  get: (name: string, key: string) => outcome(async () => decode(await opened(name).get(encode(key))) ?? null),
  count: (name: string) => outcome(async () => (await opened(name).scan(encode(' '), encode('~'), 100_000)).length),
  deleteDatabase: (name: string) => outcome(() => deleteDatabase(name)),
  openVersion: (name: string, version: number) => outcome(async () => (await openPlain(name, version)).close()),
  /** Commits once: the durability that each transaction for writing asked for. */
  durabilities: async (name: string): Promise<string[]> => {
    const seen: string[] = []
    const original = IDBDatabase.prototype.transaction
    IDBDatabase.prototype.transaction = function (...given) {
      const transaction = original.apply(this, given)
      if (transaction.mode === 'readwrite') seen.push(transaction.durability)
      return transaction
    }
    try {
      await opened(name).commit([[encode('key'), encode('value')]])
      return seen
    } finally {
      IDBDatabase.prototype.transaction = original
    }
  },
  /** Commits a second in sequence, and a second overlapping by `width`: commits per second of both. */
  measure: async (name: string, width: number): Promise<{ sequential: number; overlapping: number }> => {
    const value = new Uint8Array(300)
    const rate = async (lanes: number): Promise<number> => {
      const start = performance.now()
      let count = 0
      const lane = async (): Promise<void> => {
        while (performance.now() - start < 1000) await opened(name).commit([[encode(`row ${count++}`), value]])
      }
      await Promise.all(Array.from({ length: lanes }, lane))
      return Math.round((count * 1000) / (performance.now() - start))
    }
    return { sequential: await rate(1), overlapping: await rate(width) }
  },
}

declare global {
  interface Window {
    storePage: typeof storePage
  }
}
window.storePage = storePage
