import type { ServerPacketOf } from '@posthaste/protocol'
import type { Context } from './context.ts'
import type { GroupRights, Row } from './events.ts'
import { keyPart, nameRow, rowKey, tables } from './rows.ts'

/** The names and rights of this user's groups. Names are stored: entries may still come of a group that was left since. */
export class Groups {
  readonly #context: Context
  readonly #names = new Map<number, string>()
  readonly #roles = new Map<number, number>()

  constructor(context: Context) {
    this.#context = context
  }

  /** Takes a stored row. */
  load([key, value]: Row): void {
    this.#names.set(keyPart(key, 0), nameRow.read(value))
  }

  /** The name of the group with that identity. */
  nameOf(identity: number): string {
    return this.#names.get(identity) ?? `#${identity}`
  }

  /** The groups that this user is a member of, by name. */
  list(): readonly GroupRights[] {
    const rights = [...this.#roles].map(([identity, roles]) => ({ group: this.nameOf(identity), roles }))
    return rights.sort((a, b) => (a.group < b.group ? -1 : 1))
  }

  live({ groups }: ServerPacketOf<'welcome'>): void {
    const left = new Set(this.#roles.keys())
    for (const { identity, group, roles } of groups) {
      left.delete(identity)
      this.#set(identity, group, roles)
    }
    for (const identity of left) this.#set(identity, this.nameOf(identity), 0)
  }

  group({ identity, group, roles }: ServerPacketOf<'group'>): void {
    this.#set(identity, group, roles)
  }

  #set(identity: number, group: string, roles: number): void {
    if (this.#names.get(identity) !== group) this.#context.rows.add([rowKey(tables.group, identity), nameRow.write(group)])
    this.#names.set(identity, group)
    if ((this.#roles.get(identity) ?? 0) === roles) return
    if (roles === 0) this.#roles.delete(identity)
    else this.#roles.set(identity, roles)
    this.#context.notify({ kind: 'group', rights: { group, roles } })
  }
}
