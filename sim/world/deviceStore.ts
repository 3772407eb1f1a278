import type { Row, RowWrite } from '../../packages/client/src/machine/events.ts'

/** What one device durably holds, beside its processes: the client's rows, and what its app keeps in a database of its own. */
export class DeviceStore {
  /** Tells it from all other stores of the schedule. */
  readonly number: number
  readonly user: string
  readonly #rows: Map<string, Uint8Array>
  /** By outbox order: the number of the content that was written under it. */
  readonly contents: Map<number, number>
  /** The same by order and id: pages hear late of what was written under an order that stands for another message by then. */
  readonly #written: Map<string, number>
  /** Per lane, the last position that the app has handled, as it knows itself. */
  readonly positions: Map<string, { epoch: number; log: number; lane: number; seq: number }>

  constructor(number: number, user: string, from?: DeviceStore) {
    this.number = number
    this.user = user
    this.#rows = new Map(from === undefined ? [] : from.#rows)
    this.contents = new Map(from?.contents ?? [])
    this.#written = new Map(from === undefined ? [] : from.#written)
    this.positions = new Map(from?.positions ?? [])
  }

  noteWritten(order: number, id: bigint, content: number): void {
    this.#written.set(`${order} ${id}`, content)
  }

  /** The content of an outgoing message, 0 if it never was in the outbox. */
  contentOf(order: number, id: bigint): number {
    return this.#written.get(`${order} ${id}`) ?? this.contents.get(order) ?? 0
  }

  get size(): number {
    return this.#rows.size
  }

  get(key: Uint8Array): Uint8Array | undefined {
    return this.#rows.get(textOf(key))
  }

  /** Rows with `from <= key < to` in the order of their bytes, at most `limit`. */
  scan(from: Uint8Array, to: Uint8Array, limit: number): Row[] {
    const low = textOf(from)
    const high = textOf(to)
    const keys = [...this.#rows.keys()].filter((key) => key >= low && key < high).sort()
    return keys.slice(0, limit).map((key) => [bytesOf(key), (this.#rows.get(key) ?? new Uint8Array(0)).slice()])
  }

  /** All writes or none: there is no state between. */
  apply(writes: readonly RowWrite[]): void {
    for (const [key, value] of writes) {
      if (value === null) this.#rows.delete(textOf(key))
      else this.#rows.set(textOf(key), value.slice())
    }
  }
}

function textOf(key: Uint8Array): string {
  let text = ''
  for (const byte of key) text += String.fromCharCode(byte)
  return text
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(text, (unit) => unit.charCodeAt(0))
}
