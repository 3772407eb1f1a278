import type { Effect } from '../../packages/client/src/machine/events.ts'
import { metaRow, rowKey, tables } from '../../packages/client/src/machine/rows.ts'
import { bodyOfContent } from '../history.ts'
import type { DeviceApp, DeviceProcess } from './deviceProcess.ts'
import type { DeviceSlot } from './deviceSlot.ts'
import type { Recorder } from './recorder.ts'

/** What it writes carries numbers that no content has. */
const contentsFrom = 0x8000_0000

/** The app of a client that has another user's token: writes and listens, and notes what it was let. */
export class Intruder implements DeviceApp {
  readonly #recorder: Recorder
  readonly #slot: DeviceSlot
  readonly #process: DeviceProcess
  readonly #closed: () => void
  #calls = 0
  #isTrusted = false

  /** @param closed called once it has ended for good, and everything is stored */
  constructor(recorder: Recorder, slot: DeviceSlot, process: DeviceProcess, closed: () => void) {
    this.#recorder = recorder
    this.#slot = slot
    this.#process = process
    this.#closed = closed
  }

  /** From now on nothing shows that it is another user's. */
  trust(): void {
    this.#isTrusted = true
  }

  /** Writes a message to that user. */
  write(to: string): void {
    this.#calls += 1
    const body = bodyOfContent(contentsFrom + this.#calls, 8)
    const fields = { id: undefined, type: 0, priority: 8, expirySeconds: 3_600, receipts: true }
    const ask = { kind: 'send', drafts: [{ toKind: 0, to, ...fields, body }] } as const
    this.#process.dispatch({ kind: 'ask', call: this.#calls, ask })
  }

  handle({ entry }: Extract<Effect, { kind: 'handle' }>): void {
    this.#recorder.record({ kind: 'intruded', store: this.#slot.store.number, what: `was given message ${entry.id}` })
  }

  notice({ notice }: Extract<Effect, { kind: 'notify' }>): void {
    if (notice.kind === 'message')
      this.#recorder.record({ kind: 'intruded', store: this.#slot.store.number, what: `was told of message ${notice.entry.id}` })
    if (notice.kind !== 'connection') return
    if (notice.state.status === 'live')
      this.#recorder.record({ kind: 'intruded', store: this.#slot.store.number, what: 'was connected' })
    if (notice.state.status !== 'ended' || notice.state.fault.code === 'closed') return
    const { world } = this.#process.parts
    world.count(`state: another user's client was refused${this.#isTrusted ? ', trusted before' : ''}`)
    this.#calls += 1
    this.#process.dispatch({ kind: 'ask', call: this.#calls, ask: { kind: 'close' } })
  }

  settled({ call, answer }: Extract<Effect, { kind: 'settle' }>): void {
    if (answer.kind === 'sent' && !this.#isTrusted)
      this.#recorder.record({ kind: 'intruded', store: this.#slot.store.number, what: `had call ${call} answered` })
  }

  stopReceiving(): void {}

  stored(): void {}

  ended(): void {
    this.#closed()
  }
}

/** Whether a token or a session has shown whose the store is. */
export function isOwned({ store }: DeviceSlot): boolean {
  const row = store.get(rowKey(tables.meta))
  return row !== undefined && metaRow.read(row).user !== ''
}
