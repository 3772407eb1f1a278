/**
 * The client's port towards what is durable: one ordered map of bytes. The SDK keeps its outbox, inbox, cursors and memory of
 * keys in it; an inbox entry and the cursor that passes it are one `commit`. Every implementation passes the one conformance
 * suite in `packages/client/test/conformance`.
 */
import type { TabsFactory } from './engine.ts'

/** One change: a row to put, or with `null` to delete. Keys are 1 to 512 bytes, compared byte by byte. */
export type StoreWrite = readonly [key: Uint8Array, value: Uint8Array | null]

/** A stored row. */
export type StoreRow = readonly [key: Uint8Array, value: Uint8Array]

/** The durable store of one device of one user. */
export interface ClientStore {
  /**
   * Opens the store, creating it when it is not there. Called once, before anything else; no I/O happens earlier.
   * @throws PosthasteError `store-locked` when another process holds it, `store-failed` for anything else
   */
  open(): Promise<void>
  /**
   * Applies all writes or none. Resolves once they survive a crash of the process and the machine (memory: at once).
   * Calls may overlap; they take effect in call order.
   * @throws PosthasteError `store-full` when the disk or the quota is full, `store-lost` when the store was taken away for good,
   * `store-failed` for anything else; nothing is applied then
   */
  commit(writes: readonly StoreWrite[]): Promise<void>
  get(key: Uint8Array): Promise<Uint8Array | undefined>
  /** Rows with `from <= key < to` in ascending byte order, at most `limit` of them. */
  scan(from: Uint8Array, to: Uint8Array, limit: number): Promise<StoreRow[]>
  /** Where tabs of a browser can hold the store at once: how they share one client. */
  readonly tabs?: TabsFactory | undefined
  /** Waits for what is under way, then releases the store. Idempotent. */
  close(): Promise<void>
}
