import { type Address, type CodeName, kindOf, nameOf, type Status } from '@posthaste/protocol'
import type {
  GroupInfo,
  Health,
  MemberInfo,
  MembershipInfo,
  MessageStatus,
  Operations,
  Outcome,
  OutgoingMessage,
  Page,
  UserInfo,
  Verdict,
} from '../../src/operations.ts'

const done: Outcome<undefined> = { isOk: true, value: undefined }
const refused = (code: CodeName): { isOk: false; code: CodeName } => ({ isOk: false, code })
const compareBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

interface Sent {
  readonly content: string
  readonly status: Status
  readonly timeMs: number
}

/** A running system in a few Maps, just enough for the routes; its records are open to tests. */
export class MemoryOperations implements Operations {
  readonly users = new Map<string, UserInfo>()
  readonly groups = new Map<string, Map<string, number>>()
  readonly blocks = new Set<string>()
  readonly validAfterMs = new Map<string, number>()
  readonly messages: OutgoingMessage[] = []
  isHealthy = true
  /** What every write is refused with, when set. */
  refusal: CodeName | undefined
  /** The verdict on sends, when it is not to follow from the state. */
  verdict: Status | undefined
  readonly #sent = new Map<string, Sent>()
  #identity = 0

  /** Back to the beginning: the users alice and bob, and the group team. */
  async reset(): Promise<void> {
    for (const rows of [this.users, this.groups, this.blocks, this.validAfterMs, this.#sent]) rows.clear()
    this.messages.length = 0
    this.isHealthy = true
    this.refusal = undefined
    this.verdict = undefined
    this.#identity = 0
    await this.createUser('alice')
    await this.createUser('bob')
    await this.createGroup('team')
  }

  async createUser(name: string): Promise<Outcome<{ user: UserInfo; isNew: boolean }>> {
    if (this.refusal !== undefined) return refused(this.refusal)
    const found = this.users.get(name)
    if (found !== undefined) return { isOk: true, value: { user: found, isNew: false } }
    const user = { name, identity: ++this.#identity, isOnline: false, lastSeenMs: 0, devices: 0, waiting: 0 }
    this.users.set(name, user)
    return { isOk: true, value: { user, isNew: true } }
  }

  user(name: string): UserInfo | undefined {
    return this.users.get(name)
  }

  async deleteUser(name: string): Promise<Outcome<undefined>> {
    return this.users.delete(name) ? done : refused('not-found')
  }

  async revokeTokens(name: string, validAfterMs: number): Promise<Outcome<number>> {
    if (!this.users.has(name)) return refused('not-found')
    const held = Math.max(validAfterMs, this.validAfterMs.get(name) ?? 0)
    this.validAfterMs.set(name, held)
    return { isOk: true, value: held }
  }

  userPage(after: string, limit: number): Page<UserInfo> {
    const { items, next } = pageOf([...this.users.keys()], after, limit)
    return { items: items.map((name) => this.users.get(name) as UserInfo), next }
  }

  membershipPage(user: string, after: number, limit: number): Outcome<Page<MembershipInfo>> {
    if (!this.users.has(user)) return refused('not-found')
    const found = [...this.groups].map(([group, members], at) => ({ group, roles: members.get(user) ?? 0, identity: at + 1 }))
    const rest = found.filter(({ roles, identity }) => roles > 0 && identity > after)
    const page = rest.slice(0, limit)
    const next = rest.length > limit ? String(page.at(-1)?.identity) : ''
    return { isOk: true, value: { items: page.map(({ group, roles }) => ({ group, roles })), next } }
  }

  blockPage(user: string, after: number, limit: number): Outcome<Page<string>> {
    if (!this.users.has(user)) return refused('not-found')
    const prefix = `${user} blocks `
    const blocked = [...this.blocks].filter((row) => row.startsWith(prefix)).map((row) => row.slice(prefix.length))
    const rest = blocked
      .map((name) => ({ name, identity: this.users.get(name)?.identity ?? 0 }))
      .filter(({ identity }) => identity > after)
      .sort((a, b) => a.identity - b.identity)
    const page = rest.slice(0, limit)
    const next = rest.length > limit ? String(page.at(-1)?.identity) : ''
    return { isOk: true, value: { items: page.map(({ name }) => name), next } }
  }

  async createGroup(name: string): Promise<Outcome<GroupInfo>> {
    if (this.refusal !== undefined) return refused(this.refusal)
    if (this.groups.has(name)) return refused('already-exists')
    this.groups.set(name, new Map())
    return { isOk: true, value: { name, identity: ++this.#identity, members: 0 } }
  }

  group(name: string): GroupInfo | undefined {
    const members = this.groups.get(name)
    return members === undefined ? undefined : { name, identity: 1, members: members.size }
  }

  async deleteGroup(name: string): Promise<Outcome<undefined>> {
    return this.groups.delete(name) ? done : refused('not-found')
  }

  async setMember(group: string, user: string, roles: number): Promise<Outcome<undefined>> {
    if (this.refusal !== undefined) return refused(this.refusal)
    const members = this.groups.get(group)
    if (members === undefined || !this.users.has(user)) return refused('not-found')
    if (roles === 0) members.delete(user)
    else members.set(user, roles)
    return done
  }

  groupPage(after: string, limit: number): Page<GroupInfo> {
    const { items, next } = pageOf([...this.groups.keys()], after, limit)
    return { items: items.map((name) => this.group(name) as GroupInfo), next }
  }

  members(group: string, after: string, limit: number): Outcome<Page<MemberInfo>> {
    const members = this.groups.get(group)
    if (members === undefined) return refused('not-found')
    const { items, next } = pageOf([...members.keys()], after, limit)
    return { isOk: true, value: { items: items.map((user) => ({ user, roles: members.get(user) ?? 0 })), next } }
  }

  async setBlock(user: string, target: string, isBlocked: boolean): Promise<Outcome<undefined>> {
    if (!this.users.has(user) || !this.users.has(target)) return refused('not-found')
    if (isBlocked) this.blocks.add(`${user} blocks ${target}`)
    else this.blocks.delete(`${user} blocks ${target}`)
    return done
  }

  async send(from: string, message: OutgoingMessage): Promise<Outcome<Verdict>> {
    if (this.refusal !== undefined) return refused(this.refusal)
    if (!this.users.has(from)) return refused('not-found')
    this.messages.push(message)
    const key = keyOf(from, message.to, message.id)
    const content = JSON.stringify([message.type, message.priority, message.receipts, Buffer.from(message.body).toString('hex')])
    const sent = this.#sent.get(key) ?? { content, status: this.#judge(from, message.to), timeMs: 1_767_225_600_000 }
    this.#sent.set(key, sent)
    const status = sent.content === content ? sent.status : 'conflict'
    return {
      isOk: true,
      value: { status, timeMs: sent.timeMs, retryUntilMs: sent.timeMs + (message.expirySeconds ?? 604_800) * 1_000 },
    }
  }

  messageStatus(from: string, to: Address, id: bigint): Outcome<MessageStatus> {
    const isThere = 'user' in to ? this.users.has(to.user) : this.groups.has(to.group)
    if (!this.users.has(from) || !isThere) return refused('not-found')
    const sent = this.#sent.get(keyOf(from, to, id))
    const { status, timeMs } = sent ?? { status: 'unknown', timeMs: 0 }
    return {
      isOk: true,
      value: { status, timeMs, deadlineMs: timeMs === 0 ? 0 : timeMs + 1_000, delivered: 0, read: 0, members: 1 },
    }
  }

  health(): Health {
    const { isHealthy } = this
    return {
      isHealthy,
      version: '1.2.3',
      epoch: 1,
      shards: 1,
      sessions: 2,
      uptimeSeconds: 3,
      journalRecords: 4,
      freeBytes: 2 ** 40,
    }
  }

  #judge(from: string, to: Address): Status {
    if (this.verdict !== undefined) return this.verdict
    if ('group' in to) return this.groups.has(to.group) ? 'sent' : 'invalid-destination'
    if (!this.users.has(to.user)) return 'invalid-destination'
    return this.blocks.has(`${to.user} blocks ${from}`) ? 'blocked' : 'sent'
  }
}

function pageOf(names: readonly string[], after: string, limit: number): Page<string> {
  const rest = names.filter((name) => compareBytes(name, after) > 0).sort(compareBytes)
  const items = rest.slice(0, limit)
  return { items, next: rest.length > limit ? (items.at(-1) ?? '') : '' }
}

function keyOf(from: string, to: Address, id: bigint): string {
  return JSON.stringify([from, kindOf(to), nameOf(to), `${id}`])
}
