import { type Answer, type Command, type Host, keyGraceMs } from '@posthaste/core'
import { type Address, type CodeName, codeByNumber, kindOf, nameOf, statusByNumber } from '@posthaste/protocol'
import type { Gateway } from './gateway.ts'
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
} from './operations.ts'

/** How long a message may wait if nothing is said of it, and the server allows it. */
const expirySecondsDefault = 604_800
/** What lies beyond a deadline by this much is beyond all that a shard grants to clocks that differ. */
const beyondAllMs = keyGraceMs

interface Origin {
  readonly tag: number
  readonly ref: number
}

/** The operations of the HTTP API on the running host. */
export class HostOperations implements Operations {
  readonly #host: Host
  readonly #gateway: Pick<Gateway, 'host' | 'wake'>
  readonly #version: string
  readonly #journalRecords: () => number
  readonly #processMs: () => number
  readonly #startedMs: number
  /** How far the server's time is ahead of this process's clock: at least this much. */
  #aheadMs = Number.NEGATIVE_INFINITY

  /** @param processMs this process's clock: ms since the epoch, and monotonic */
  constructor(
    gateway: Pick<Gateway, 'host' | 'wake'>,
    version: string,
    journalRecords: () => number,
    processMs: () => number = () => performance.timeOrigin + performance.now(),
  ) {
    this.#gateway = gateway
    this.#host = gateway.host
    this.#version = version
    this.#journalRecords = journalRecords
    this.#processMs = processMs
    this.#startedMs = processMs()
    this.#nowMs()
  }

  async createUser(name: string): Promise<Outcome<{ user: UserInfo; isNew: boolean }>> {
    const known = this.user(name)
    if (known !== undefined) return { isOk: true, value: { user: known, isNew: false } }
    const busy = this.#host.busyCode()
    if (busy !== undefined) return refused(busy)
    const answer = await this.#submit(0, name, (origin) => ({ kind: 'userCreate', ...origin, user: name }))
    if (answer.kind !== 'reply') return refused('internal')
    // As it was when it was made: it may be deleted by now.
    const made = { name, identity: answer.value, isOnline: false, lastSeenMs: 0, devices: 0, waiting: 0 }
    return { isOk: true, value: { user: this.user(name) ?? made, isNew: answer.isNew } }
  }

  userPage(after: string, limit: number): Page<UserInfo> {
    const { items, next } = this.#host.queries.names(0, after, limit)
    return { items: items.map((name) => this.user(name) as UserInfo), next }
  }

  membershipPage(user: string, after: number, limit: number): Outcome<Page<MembershipInfo>> {
    const { queries } = this.#host
    const identity = queries.identityOf(0, user)
    if (identity === 0) return refused('not-found')
    const found = queries.membershipsOf(identity, after, limit + 1)
    const page = found.slice(0, limit)
    const next = found.length > limit ? String(page.at(-1)?.identity) : ''
    return { isOk: true, value: { items: page.map(({ group, roles }) => ({ group, roles })), next } }
  }

  blockPage(user: string, after: number, limit: number): Outcome<Page<string>> {
    const { queries } = this.#host
    const identity = queries.identityOf(0, user)
    if (identity === 0) return refused('not-found')
    const { items, next } = queries.blocks(identity, after, limit)
    return { isOk: true, value: { items, next: next === 0 ? '' : String(next) } }
  }

  user(name: string): UserInfo | undefined {
    const { queries, registry } = this.#host
    const identity = queries.identityOf(0, name)
    const log = identity === 0 ? undefined : queries.stateOf(identity).log(identity)
    if (log === undefined) return undefined
    return {
      name,
      identity,
      isOnline: registry.ofUser(identity).length > 0,
      lastSeenMs: queries.lastSeenMs(identity),
      devices: log.devices.length,
      waiting: log.waiting,
    }
  }

  async deleteUser(name: string): Promise<Outcome<undefined>> {
    return done(
      await this.#always(0, name, (origin) => ({ kind: 'userDelete', ...origin, user: name, validAfterMs: Date.now() })),
    )
  }

  revokeTokens(name: string, validAfterMs: number): Promise<Outcome<number>> {
    return this.#always(0, name, (origin) => ({ kind: 'revoke', ...origin, user: name, validAfterMs: Math.floor(validAfterMs) }))
  }

  async createGroup(name: string): Promise<Outcome<GroupInfo>> {
    const outcome = await this.#request(1, name, (origin) => ({ kind: 'groupCreate', ...origin, group: name, by: 0, byName: '' }))
    if (!outcome.isOk) return outcome
    return { isOk: true, value: this.group(name) ?? { name, identity: outcome.value, members: 0 } }
  }

  groupPage(after: string, limit: number): Page<GroupInfo> {
    const { items, next } = this.#host.queries.names(1, after, limit)
    return { items: items.map((name) => this.group(name) as GroupInfo), next }
  }

  group(name: string): GroupInfo | undefined {
    const { queries } = this.#host
    const identity = queries.identityOf(1, name)
    const log = identity === 0 ? undefined : queries.stateOf(identity).log(identity)
    return log === undefined ? undefined : { name, identity, members: log.members }
  }

  async deleteGroup(name: string): Promise<Outcome<undefined>> {
    return done(await this.#always(1, name, (origin) => ({ kind: 'groupDelete', ...origin, group: name, by: 0 })))
  }

  async setMember(group: string, user: string, roles: number): Promise<Outcome<undefined>> {
    const { queries } = this.#host
    const before = queries.rolesOf(queries.identityOf(1, group), queries.identityOf(0, user))
    const command = (origin: Origin) => ({ kind: 'memberSet', ...origin, group, user, roles, by: 0 }) as const
    const isLess = (roles & before) === roles
    return done(await (isLess ? this.#always(0, user, command) : this.#request(0, user, command)))
  }

  members(group: string, after: string, limit: number): Outcome<Page<MemberInfo>> {
    const { queries } = this.#host
    const identity = queries.identityOf(1, group)
    if (identity === 0) return refused('not-found')
    const found = queries.members(identity, after, limit + 1).map(({ user, roles }) => ({ user, roles }))
    const items = found.slice(0, limit)
    return { isOk: true, value: { items, next: found.length > limit ? (items.at(-1) as MemberInfo).user : '' } }
  }

  async setBlock(user: string, target: string, isBlocked: boolean): Promise<Outcome<undefined>> {
    const { queries } = this.#host
    const identity = queries.identityOf(0, user)
    const other = queries.identityOf(0, target)
    if (identity === 0 || other === 0) return refused('not-found')
    const block = { kind: 'block', user: identity, target: other, targetName: target, isBlocked } as const
    const command = (origin: Origin) => ({ ...block, ...origin })
    return done(await (isBlocked ? this.#request(0, user, command) : this.#always(0, user, command)))
  }

  async send(from: string, message: OutgoingMessage): Promise<Outcome<Verdict>> {
    const { queries, edge } = this.#host
    const sender = queries.identityOf(0, from)
    if (sender === 0) return refused('not-found')
    const busy = this.#host.busyCode()
    if (busy !== undefined) return refused(busy)
    const { to, id, type, priority, receipts, body } = message
    const isFull = id !== 0n && queries.livingKeys(kindOf(to), nameOf(to), sender) >= this.#host.limits.keysPerSender
    if (isFull) return refused('too-many-keys')
    const { bodyBytes, expirySecondsMax } = queries.stateOf(sender).settings
    const isTooLarge = body.length > bodyBytes
    const expirySeconds = message.expirySeconds ?? Math.min(expirySecondsDefault, expirySecondsMax)
    // The clock is the server's own, so that nothing is to be granted; judged by the shard, since the first verdict of an id stands.
    const beyondMs = expirySeconds > expirySecondsMax ? beyondAllMs : 0
    const deadlineMs = Math.floor(this.#nowMs() + expirySeconds * 1_000 + beyondMs)
    const answer = await this.#submit(kindOf(to), nameOf(to), (origin) => ({
      kind: 'send',
      ...origin,
      sender,
      senderName: from,
      device: '',
      toKind: kindOf(to),
      to: nameOf(to),
      id,
      type,
      priority,
      deadlineMs,
      receipts,
      isTooLarge,
      hash: edge.hash(type, priority, receipts, body),
      body: isTooLarge ? body.subarray(0, 0) : body,
    }))
    if (answer.kind !== 'result') return refused('internal')
    const { result } = answer
    const retryUntilMs = result.deadlineMs + keyGraceMs
    return { isOk: true, value: { status: statusByNumber(result.status), timeMs: result.timeMs, retryUntilMs } }
  }

  messageStatus(from: string, to: Address, id: bigint): Outcome<MessageStatus> {
    const sender = this.#host.queries.identityOf(0, from)
    if (sender === 0) return refused('not-found')
    const { status, timeMs, deadlineMs, delivered, read, members } = this.#host.queries.messageState(sender, to, id)
    return { isOk: true, value: { status: statusByNumber(status), timeMs, deadlineMs, delivered, read, members } }
  }

  health(): Health {
    const { epoch, batchers, registry, edge } = this.#host
    return {
      isHealthy: !this.#host.isStopping && this.#host.busyCode() !== 'disk-full',
      version: this.#version,
      epoch,
      shards: batchers.length,
      sessions: registry.byConnection.size,
      uptimeSeconds: Math.floor((this.#processMs() - this.#startedMs) / 1000),
      journalRecords: this.#journalRecords(),
      freeBytes: edge.freeBytes(),
    }
  }

  /**
   * The server's time. The host's own is that of its last turn, up to a tick ago: the process's clock goes on from the least old one that was
   * seen, so that this is never ahead of the next record's.
   */
  #nowMs(): number {
    const processMs = this.#processMs()
    this.#aheadMs = Math.max(this.#aheadMs, this.#host.nowMs - processMs)
    return processMs + this.#aheadMs
  }

  /** What adds something is refused while nothing more may be journaled. */
  async #request(kind: 0 | 1, name: string, command: (origin: Origin) => Command): Promise<Outcome<number>> {
    const busy = this.#host.busyCode()
    return busy === undefined ? await this.#always(kind, name, command) : refused(busy)
  }

  /** What takes away is never refused: it makes room, or shuts somebody out who must not come in. */
  async #always(kind: 0 | 1, name: string, command: (origin: Origin) => Command): Promise<Outcome<number>> {
    const answer = await this.#submit(kind, name, command)
    if (answer.kind !== 'reply') return refused('internal')
    return answer.code === 0 ? { isOk: true, value: answer.value } : refused(codeByNumber(answer.code).name as CodeName)
  }

  #submit(kind: 0 | 1, name: string, command: (origin: Origin) => Command): Promise<Answer> {
    return new Promise((resolve) => {
      this.#host.submit(command, this.#host.shardOf(kind, name), resolve)
      this.#gateway.wake()
    })
  }
}

function done(outcome: Outcome<number>): Outcome<undefined> {
  return outcome.isOk ? { isOk: true, value: undefined } : outcome
}

function refused(code: CodeName): { readonly isOk: false; readonly code: CodeName } {
  return { isOk: false, code }
}
