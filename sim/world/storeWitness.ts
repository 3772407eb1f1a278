import type { RowWrite } from '../../packages/client/src/machine/events.ts'
import { entryOfRow, keyPart, outboxRow, tables } from '../../packages/client/src/machine/rows.ts'
import { contentOfBody } from '../history.ts'
import type { Recorder } from './recorder.ts'
import type { Slot } from './slot.ts'

/** Writes down what can be seen from outside of what one run of a machine commits. */
export class StoreWitness {
  readonly #recorder: Recorder
  readonly #slot: Slot
  readonly #deadlines = new Map<number, number>()

  constructor(recorder: Recorder, slot: Slot) {
    this.#recorder = recorder
    this.#slot = slot
  }

  /** @param judgedMs what the server's clock showed when the machine decided it */
  stored(writes: readonly RowWrite[], judgedMs: number): void {
    for (const [key, value] of writes) {
      if (value === null) continue
      if (key[0] === tables.body) this.#slot.store.contents.set(keyPart(key, 0), contentOfBody(value))
    }
    for (const [key, value] of writes) {
      if (value === null && key[0] === tables.outbox) this.#outboxDropped(keyPart(key, 0))
      if (value === null) continue
      if (key[0] === tables.inbox) this.#inboxRow(key, value, judgedMs)
      else if (key[0] === tables.outbox) this.#outboxRow(keyPart(key, 0), value)
    }
  }

  #inboxRow(key: Uint8Array, value: Uint8Array, judgedMs: number): void {
    const { position, id, body, timeMs: _timeMs, ...entry } = entryOfRow(key, value)
    this.#recorder.record({
      kind: 'stored',
      store: this.#slot.store.number,
      ...position,
      ...entry,
      id: `${id}`,
      content: contentOfBody(body),
      bytes: body.length,
      judgedMs,
    })
  }

  #outboxDropped(order: number): void {
    this.#deadlines.delete(order)
    // The next message under it may come without a body: it has expired before it was stored.
    this.#slot.store.contents.delete(order)
    this.#recorder.record({ kind: 'sendDropped', store: this.#slot.store.number, order })
  }

  #outboxRow(order: number, value: Uint8Array): void {
    const { store } = this.#slot
    const content = store.contents.get(order) ?? 0
    const { deadlineMs, id } = outboxRow.read(value)
    store.noteWritten(order, id, content)
    if (this.#deadlines.get(order) === deadlineMs) return
    this.#deadlines.set(order, deadlineMs)
    this.#recorder.record({ kind: 'sendStored', store: store.number, content, order, id: `${id}`, deadlineMs })
  }
}
