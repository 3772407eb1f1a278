import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { indexedDbStore } from '../../src/stores/indexeddb.ts'
import type { ClientStore } from '../../src/store.ts'

interface Callbacks {
  readonly terminated: () => void
  readonly blocking: () => void
}

/** What a test does to the database: how its requests fail, if they end at all, and that the browser takes it away. */
const fake = vi.hoisted(() => ({
  callbacks: undefined as Callbacks | undefined,
  isClosed: false,
  answer: (): Promise<unknown> => Promise.resolve(),
}))

vi.mock('idb', () => ({
  openDB: (_name: string, _version: number, callbacks: Callbacks) => {
    fake.callbacks = callbacks
    const request = (): Promise<unknown> => fake.answer()
    const store = { get: request, getAll: request, getAllKeys: request, put: request, delete: request }
    const transaction = () => ({ store, done: fake.answer(), commit: () => {}, error: null })
    const close = (): void => {
      fake.isClosed = true
    }
    return Promise.resolve({ transaction, close })
  },
}))

let store: ClientStore
const key = Uint8Array.of(1)
const uses = {
  commit: () => store.commit([[key, key]]),
  get: () => store.get(key),
  scan: () => store.scan(key, Uint8Array.of(2), 1),
}
const lost = { code: 'store-lost', retryable: false, message: expect.stringContaining('device') }

beforeEach(async () => {
  vi.useFakeTimers()
  vi.stubGlobal('indexedDB', {})
  vi.stubGlobal('IDBKeyRange', { bound: () => ({}) })
  store = indexedDbStore('device')
  fake.isClosed = false
  await store.open()
})

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('a database in IndexedDB that the browser takes away', () => {
  it.each(Object.entries(uses))('ends a %s that is under way, which the browser never does, and a close', async (_name, use) => {
    fake.answer = () => new Promise(() => {})
    const used = use()
    const closing = store.close()
    await vi.advanceTimersByTimeAsync(0)
    fake.callbacks?.terminated()
    await expect(used).rejects.toMatchObject(lost)
    await closing
    expect(fake.isClosed).toBe(true)
  })

  it.each(Object.entries(uses))('is lost also where a %s fails a moment before', async (_name, use) => {
    fake.answer = () => Promise.reject(new DOMException('Internal error', 'UnknownError'))
    const used = use()
    const seen = expect(used).rejects.toMatchObject(lost)
    await vi.advanceTimersByTimeAsync(900)
    fake.callbacks?.blocking()
    await seen
  })

  it.each(Object.entries(uses))('is not lost where a %s fails and nothing more is heard', async (_name, use) => {
    fake.answer = () => Promise.reject(new DOMException('disk', 'AbortError'))
    const seen = expect(use()).rejects.toMatchObject({ code: 'store-failed', retryable: true })
    await vi.advanceTimersByTimeAsync(1_000)
    await seen
    fake.answer = () => Promise.resolve([])
    await uses.commit()
  })

  it('tells at once that the quota is used up', async () => {
    fake.answer = () => Promise.reject(new DOMException('', 'QuotaExceededError'))
    await expect(uses.commit()).rejects.toMatchObject({ code: 'store-full', retryable: true })
  })
})
