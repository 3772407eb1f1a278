import type { Context } from './context.ts'
import type { RowWrite } from './events.ts'
import { idAfter } from './ids.ts'
import { metaRow, type MetaRow, rowKey, storeFormat, tables } from './rows.ts'

const metaKey = rowKey(tables.meta)

/** What the store knows of its device: who it is, its session number, the server's epoch, the ids that it made. */
export class Device {
  readonly #context: Context
  #meta: MetaRow = {
    format: storeFormat,
    device: new Uint8Array(16),
    session: 0,
    epoch: 0,
    user: '',
    lastId: 0n,
    skipOnceBeforeMs: 0,
    repeatsUntilMs: 0,
  }
  /** Whom the last token names, which no server has verified. */
  #claimed = ''
  #isDirty = false
  #committing: MetaRow | undefined
  #durableSession = 0

  constructor(context: Context) {
    this.#context = context
  }

  get meta(): MetaRow {
    return this.#meta
  }

  /** Whether the present session number is stored, and so may be used. */
  get isSessionDurable(): boolean {
    return this.#durableSession === this.#meta.session
  }

  /** Takes the stored row, or begins a new device. */
  open(value: Uint8Array | undefined, newDevice: Uint8Array): void {
    if (value === undefined) this.#change({ device: newDevice.slice() })
    else this.#meta = metaRow.read(value)
    this.#meta = { ...this.#meta, device: this.#meta.device.slice() }
    this.#durableSession = this.#meta.session
  }

  /** Takes the next session number, to be stored before it is used. */
  beginSession(): void {
    this.#change({ session: this.#meta.session + 1 })
  }

  /** Whose the store is, as far as can be told; '' where nothing has shown that. */
  get user(): string {
    return this.#meta.user === '' ? this.#claimed : this.#meta.user
  }

  /** A token names that user: who writes something is the one that the store belongs to, and who has not may have mistaken the token. */
  claim(user: string): void {
    this.#claimed = user
  }

  /** Something is written. */
  own(): void {
    this.bind(this.user)
  }

  /** Binds the store to its user. */
  bind(user: string): void {
    if (this.#meta.user !== user) this.#change({ user })
  }

  /** Enters the server's epoch. `isNew`: the server was restored; what it delivers again is told by key, or by time for id 0. */
  enterEpoch(epoch: number, isNew: boolean, serverMs: number, expirySecondsMax: number): void {
    if (!isNew) {
      this.#change({ epoch })
      return
    }
    this.#change({ epoch, skipOnceBeforeMs: serverMs, repeatsUntilMs: serverMs + (expirySecondsMax + 86_400) * 1_000 })
  }

  /**
   * An id above all that were made before: time-ordered, whatever the clock does.
   * @param isKept whether it must be so after a restart too; what is sent in real time has no key, and is not worth a commit
   */
  makeId(isKept = true): bigint {
    const { wallMs, random } = this.#context.now
    const lastId = idAfter(this.#meta.lastId, wallMs, random)
    if (isKept) this.#change({ lastId })
    else this.#meta = { ...this.#meta, lastId }
    return lastId
  }

  prepare(writes: RowWrite[]): void {
    if (!this.#isDirty) return
    this.#isDirty = false
    this.#committing = this.#meta
    writes.push([metaKey, metaRow.write(this.#meta)])
  }

  committed(): void {
    if (this.#committing !== undefined) this.#durableSession = this.#committing.session
    this.#committing = undefined
  }

  failed(): void {
    this.#isDirty ||= this.#committing !== undefined
    this.#committing = undefined
  }

  #change(fields: Partial<MetaRow>): void {
    this.#meta = { ...this.#meta, ...fields }
    this.#isDirty = true
  }
}
