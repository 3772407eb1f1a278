import type { ClientStore } from '../../src/store.ts'

/** A place that one store at a time is opened over. */
export interface StorePlace {
  /** Makes a store object over this place, not opened. */
  store(): ClientStore
  /** Whether what one object committed is there for the next object over the same place. */
  isDurable: boolean
  /** Removes the place. Every store over it is closed by then. */
  remove(): Promise<void>
}

/** One sentence about stores, and what checks it: it rejects when the sentence is false. */
export interface StoreCase {
  readonly name: string
  readonly run: (make: () => Promise<StorePlace>) => Promise<void>
}

/** Runs `body` with an opened store over a place of its own, then closes the one and removes the other. */
export async function withStore(
  make: () => Promise<StorePlace>,
  body: (store: ClientStore, place: StorePlace) => Promise<void>,
): Promise<void> {
  const place = await make()
  const store = place.store()
  try {
    await store.open()
    await body(store, place)
  } finally {
    await store.close()
    await place.remove()
  }
}
