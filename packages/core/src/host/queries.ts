import { type Address, type CodeName, codeNumber, kindOf, nameOf } from '@posthaste/protocol'
import type { Shard } from '../shard/shard.ts'
import { livingKey, seenMs, type ShardState, shardOfIdentity, shardOfName } from '../shard/state.ts'
import { type MessageState, messageState } from '../shard/status.ts'
import { type AddressRow, entryKey, type LogRow, type MemberRow } from '../rows/rows.ts'
import { compareKeys } from '../rows/changes.ts'
import { isMissed, mayRead } from '../shard/passing.ts'

const dayMs = 86_400_000
/** So many members are looked at for a page of receipts of somebody who is none. */
const receiptsLooked = 1_024

/** Who is in a group, and what it may do there. */
export interface GroupMember {
  readonly user: string
  readonly identity: number
  readonly roles: number
}

/** What can be read from the shards without a record: statuses, rights, members. All answers are of the moment. */
export class Queries {
  readonly #shards: readonly Shard[]
  readonly #now: () => number

  /** @param now the host's clock, in ms */
  constructor(shards: readonly Shard[], now: () => number) {
    this.#shards = shards
    this.#now = now
  }

  get shardCount(): number {
    return this.#shards.length
  }

  stateOfName(kind: 0 | 1, name: string): ShardState {
    return this.#state(shardOfName(kind, name, this.#shards.length))
  }

  stateOf(identity: number): ShardState {
    return this.#state(shardOfIdentity(identity, this.#shards.length))
  }

  /** The identity of a user or group that exists, else 0. */
  identityOf(kind: 0 | 1, name: string): number {
    return this.stateOfName(kind, name).addresses.get(kind, name)?.identity ?? 0
  }

  /** Tokens of this user, who must exist, that were issued at or before this time are revoked, in ms. */
  validAfterMs(user: string): number {
    return (this.stateOfName(0, user).addresses.get(0, user) as AddressRow).validAfterMs
  }

  /** Why a sender may not reach a destination now; undefined when it may. */
  refusal(sender: number, kind: 0 | 1, name: string): CodeName | undefined {
    const identity = this.identityOf(kind, name)
    if (identity === 0) return 'invalid-destination'
    const state = this.stateOf(identity)
    if (kind === 0) return state.contacts.get(identity, sender)?.isBlocked === true ? 'blocked' : undefined
    const roles = state.members.get(identity, sender)?.roles ?? 0
    if (roles === 0) return 'not-member'
    return (roles & 1) === 0 ? 'not-allowed' : undefined
  }

  /** Whether a user has blocked another. */
  isBlocked(user: number, sender: number): boolean {
    return this.stateOf(user).contacts.get(user, sender)?.isBlocked === true
  }

  messageState(sender: number, to: Address, id: bigint): MessageState {
    return messageState(this.stateOfName(kindOf(to), nameOf(to)), sender, to, id, this.#now())
  }

  /** How many keys of this sender live in the shard of a destination, give or take a day. Each shard counts for itself. */
  livingKeys(kind: 0 | 1, name: string, sender: number): number {
    const state = this.stateOfName(kind, name)
    const today = Math.floor(Math.max(state.clockMs, this.#now()) / dayMs)
    let count = 0
    for (const { day, count: keys } of state.senders.get(0, sender)?.days ?? []) if (day >= today) count += keys
    return count
  }

  rolesOf(group: number, user: number): number {
    return this.stateOf(group).members.get(group, user)?.roles ?? 0
  }

  /** Up to where a user has read: a sender's messages in a lane of the own log by count, a group's lane by seq; `undefined` for nowhere. */
  readMark(log: number, user: number, lane: number, sender: number): number | undefined {
    const state = this.stateOf(log)
    const row = log === user ? state.contacts.get(log, sender) : state.members.get(log, user)
    return row?.lanes[lane]?.read
  }

  /**
   * Users or groups in byte order of their names, after this name. At most `limit` names are looked at, and those that are deleted left
   * out: a page may have fewer, or none. `next` is the name to go on after, '' when nothing follows.
   */
  names(kind: 0 | 1, after: string, limit: number): { readonly items: readonly string[]; readonly next: string } {
    const from = after === '' ? after : `${after}\0`
    const rows = this.#shards.flatMap(({ state }) => state.addresses.scan(kind, from, undefined, limit + 1))
    rows.sort(([left], [right]) => compareKeys(left, right))
    const page = rows.slice(0, limit)
    const items = page.filter(([, { identity }]) => identity !== 0).map(([name]) => name)
    return { items, next: rows.length > limit ? (page[page.length - 1] as (typeof page)[0])[0] : '' }
  }

  /**
   * Whom a user has blocked, by identity, after this one. So many of those that the user knows of are looked at: a page may have fewer,
   * or none. `next` is the identity to go on after, 0 when nothing follows.
   */
  blocks(user: number, after: number, looked: number): { readonly items: readonly string[]; readonly next: number } {
    const rows = this.stateOf(user).contacts.scan(user, after + 1, undefined, looked + 1)
    const page = rows.slice(0, looked)
    const blocked = page.filter(([other, row]) => row.isBlocked && this.identityOf(0, row.senderName) === other)
    const items = blocked.map(([, { senderName }]) => senderName)
    return { items, next: rows.length > looked ? (page[page.length - 1] as (typeof page)[0])[0] : 0 }
  }

  /** The groups of a user, by identity, after this one. */
  membershipsOf(
    user: number,
    after = 0,
    limit = 1_000,
  ): { readonly identity: number; readonly group: string; readonly roles: number }[] {
    const rows = this.stateOf(user).memberships.scan(user, after + 1, undefined, limit)
    return rows.map(([identity, row]) => ({ identity, group: row.name, roles: row.roles }))
  }

  /** Members of a group in byte order of their names, after this name. */
  members(group: number, after: string, limit: number): GroupMember[] {
    const state = this.stateOf(group)
    const rows = state.memberNames.scan(group, after === '' ? after : `${after}\0`, undefined, limit)
    return rows.map(([user, { identity }]) => ({
      user,
      identity,
      roles: (state.members.get(group, identity) as MemberRow).roles,
    }))
  }

  /**
   * Who has stored and read a message that `sender` sent to a group; undefined when no key answers. Of a member so many others are looked at as
   * the page has places. Who has left must not learn who is a member now (I9): its pages end with a name that is theirs, for which more are looked at,
   * and where one of so many has none, they end.
   */
  receipts(
    group: number,
    sender: number,
    id: bigint,
    after: string,
    limit: number,
  ): { readonly items: { user: string; status: number }[]; readonly next: string; readonly looked: number } | undefined {
    const state = this.stateOf(group)
    const contact = state.contacts.get(group, sender)
    const key = contact === undefined ? undefined : livingKey(state, contact, id, this.#now())
    if (key === undefined || key.seq === 0 || state.entries.get(group, entryKey(key.lane, key.seq)) === undefined)
      return undefined
    const isMember = this.rolesOf(group, sender) !== 0
    const most = isMember ? limit : receiptsLooked
    const page = this.members(group, after, most)
    const items: { user: string; status: number }[] = []
    for (const { user, identity } of page) {
      if (items.length === limit) break
      const member = state.members.get(group, identity) as MemberRow
      if (identity === sender || !mayRead(member, key.lane, key.seq)) continue
      const marks = member.lanes[key.lane]
      const isStored = marks !== undefined && marks.delivered >= key.seq && !isMissed(marks, key.seq)
      const isRead = isStored && marks.read >= key.seq
      const unstored = state.clockMs >= key.deadlineMs ? 'expired' : 'sent'
      items.push({ user, status: codeNumber(isRead ? 'read' : isStored ? 'delivered' : unstored) })
    }
    const isMore = items.length === limit || page.length === most
    const last = isMember ? page[page.length - 1] : items[items.length - 1]
    return { items, next: isMore ? (last?.user ?? '') : '', looked: page.length }
  }

  /** When a device of a user, who must exist, was last connected, in ms; 0 for never. */
  lastSeenMs(user: number): number {
    const state = this.stateOf(user)
    let last = 0
    for (const device of (state.log(user) as LogRow).devices) last = Math.max(last, seenMs(state, device))
    return last
  }

  #state(index: number): ShardState {
    return (this.#shards[index] as Shard).state
  }
}
