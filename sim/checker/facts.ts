import { type Change, type Content, type EventOf, eventsOf, type History, type HistoryEvent } from '../history.ts'

/** One store, as the history tells it. */
export interface StoreFacts {
  readonly number: number
  readonly user: string
  /** The store that it was copied from, and when; `undefined` for one that began empty. */
  readonly parent: StoreFacts | undefined
  readonly asOfMs: number
  /** How much the other one had taken itself when this one was made. */
  readonly ofParent: number
  /** What it took itself, in order. */
  readonly stored: EventOf<'stored'>[]
  /** When it was wiped or replaced. */
  lostMs: number
}

/** When a change of rights was asked for and answered. */
export interface ChangeFacts {
  readonly change: Change
  readonly askedMs: number
  /** Infinity while nobody knows whether it was done. */
  answeredMs: number
  /** `''`: done. `undefined`: not known. */
  code: string | undefined
}

/** What all checks need of a history, gathered once. */
export class Facts {
  readonly history: History
  readonly stores = new Map<number, StoreFacts>()
  readonly stored: readonly EventOf<'stored'>[]
  readonly told: readonly EventOf<'told'>[]
  readonly changes: readonly ChangeFacts[]
  /** By content: who stored it. */
  readonly storedBy = new Map<number, EventOf<'stored'>[]>()
  /** The times at which a new epoch began. */
  readonly epochsMs: readonly {
    readonly epoch: number
    readonly atMs: number
    readonly backupMs: number
    readonly isRestored: boolean
  }[]
  readonly epoch: number
  /** Contents whose id was written more than once, by whatever device. */
  readonly repeated = new Set<number>()

  constructor(history: History) {
    this.history = history
    this.#gatherStores()
    this.stored = eventsOf(history, 'stored')
    this.told = eventsOf(history, 'told')
    for (const event of this.stored) {
      this.stores.get(event.store)?.stored.push(event)
      const list = this.storedBy.get(event.content)
      if (list === undefined) this.storedBy.set(event.content, [event])
      else list.push(event)
    }
    this.changes = changesOf(history)
    const started = eventsOf(history, 'serverStarted')
    this.epochsMs = started
    this.epoch = started.at(-1)?.epoch ?? 0
    this.#findRepeated()
  }

  content(number: number): Content | undefined {
    return number === 0 ? undefined : this.history.contents[number]
  }

  user(store: number): string {
    return this.stores.get(store)?.user ?? ''
  }

  /** What a store holds or held at some time, with what it took over from the one that it was copied from. */
  held(store: StoreFacts, ownMax?: number): EventOf<'stored'>[] {
    const own = store.stored.slice(0, ownMax)
    if (store.parent === undefined) return own
    return [...this.held(store.parent, store.ofParent).filter(({ atMs }) => atMs <= store.asOfMs), ...own]
  }

  /** Whether another store holds or held what this one does, with the same device's id. */
  isCopied(store: number): boolean {
    if (this.stores.get(store)?.parent !== undefined) return true
    for (const { parent } of this.stores.values()) if (parent?.number === store) return true
    return false
  }

  /**
   * Whether another content came under the same key in an earlier epoch than the last: the restored server has forgotten the key, and the device
   * that has it passes what comes under it again.
   */
  isShadowed(number: number, id: string): boolean {
    const content = this.content(number)
    return this.stored.some((event) => {
      const other = this.content(event.content)
      const isSameKey = event.id === id && other?.user === content?.user && other?.to === content?.to
      return isSameKey && event.content !== number && event.epoch < this.epoch
    })
  }

  /** Whether a user, group or membership was ever changed by somebody in a way that ends rights. */
  wasDeleted(what: 'userDelete' | 'groupDelete', subject: string, sinceMs: number): boolean {
    return this.changes.some(
      ({ change, answeredMs }) => change.what === what && change.subject === subject && answeredMs >= sinceMs,
    )
  }

  #gatherStores(): void {
    const taken = new Map<number, number>()
    for (const event of this.history.events) {
      if (event.kind === 'stored') taken.set(event.store, (taken.get(event.store) ?? 0) + 1)
      else if (event.kind === 'storeMade') {
        const parent = this.stores.get(event.parent)
        const { store: number, user, asOfMs } = event
        const ofParent = taken.get(event.parent) ?? 0
        this.stores.set(number, { number, user, parent, asOfMs, ofParent, stored: [], lostMs: Number.POSITIVE_INFINITY })
      } else if (event.kind === 'storeLost') {
        const store = this.stores.get(event.store)
        if (store !== undefined) store.lostMs = event.atMs
      }
    }
  }

  #findRepeated(): void {
    const asked = new Set<number>()
    const byKey = new Map<string, number>()
    for (const event of this.history.events) {
      if (event.kind !== 'sendAsked' && event.kind !== 'submitted' && event.kind !== 'sendStored') continue
      if (event.kind !== 'sendStored') {
        if (asked.has(event.content)) this.repeated.add(event.content)
        asked.add(event.content)
      }
      const content = this.content(event.content)
      if (content === undefined || event.id === undefined) continue
      const key = `${content.user} ${content.toKind} ${content.to} ${event.id}`
      const other = byKey.get(key)
      if (other !== undefined && other !== event.content) this.repeated.add(other).add(event.content)
      byKey.set(key, event.content)
    }
  }
}

function changesOf(history: History): ChangeFacts[] {
  const found = new Map<number, ChangeFacts>()
  for (const event of history.events) {
    if (event.kind === 'changeAsked') {
      found.set(event.number, {
        change: event.change,
        askedMs: event.atMs,
        answeredMs: Number.POSITIVE_INFINITY,
        code: undefined,
      })
    } else if (event.kind === 'changeAnswered') {
      const facts = found.get(event.number)
      if (facts === undefined) continue
      facts.code = event.code
      if (event.code !== undefined) facts.answeredMs = event.atMs
    }
  }
  return [...found.values()]
}

/** The stores whose devices are connected at the end of a history that ends at rest. */
export function liveStores(events: readonly HistoryEvent[]): Set<number> {
  const live = new Set<number>()
  for (const event of events) {
    if (event.kind === 'live') live.add(event.store)
    else if (event.kind === 'crashed' || event.kind === 'storeLost' || event.kind === 'ended') live.delete(event.store)
  }
  return live
}

/** Whether with this event all ends that a client knew: of a page when that ends, of another device with its process. */
export function endsClient(event: HistoryEvent, { store, tab }: { readonly store: number; readonly tab: number }): boolean {
  if (tab > 0) return event.kind === 'tabEnded' && event.tab === tab
  return (event.kind === 'crashed' || event.kind === 'opened' || event.kind === 'ended') && event.store === store
}

/** What tells a message in the inboxes of one log. */
export function keyText(event: EventOf<'stored'>): string {
  return `${event.log} ${event.sender} ${event.id}`
}

/** A place in a log. */
export function placeText(event: {
  readonly epoch: number
  readonly log: number
  readonly lane: number
  readonly seq: number
}): string {
  return `${event.epoch} ${event.log} ${event.lane} ${event.seq}`
}
