import type { OutboxView } from '../../packages/client/src/machine/events.ts'
import { isFinal, rankOf } from '../../packages/client/src/machine/outboxMessage.ts'

/** The messages whose ends an app waits for, as it knows them: what the handles of the SDK are (`sentMessages.ts`). */
export class OpenMessages {
  readonly #known = new Map<string, OutboxView>()

  /** In the order in which they were heard of. */
  get all(): readonly OutboxView[] {
    return [...this.#known.values()]
  }

  /** The app hears of a message. @returns whether that is not behind what it knew */
  note(view: OutboxView): boolean {
    const key = keyOf(view)
    const before = this.#known.get(key)
    if (before !== undefined && rankOf(view.status) < rankOf(before.status)) return false
    if (isFinal(view.status)) this.#known.delete(key)
    else this.#known.set(key, view)
    return true
  }

  forget(view: OutboxView): void {
    this.#known.delete(keyOf(view))
  }
}

function keyOf({ order, id }: OutboxView): string {
  return `${order} ${id}`
}
