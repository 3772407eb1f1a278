import { limits, type Status } from '@posthaste/protocol'
import { arrayArgument, idArgument, nameArgument, oneOf } from './arguments.ts'
import { answerOf, checked } from './calls.ts'
import type { Answered, Engine } from './engine.ts'
import type { AppAsk, Request } from './machine/events.ts'
import type { GroupRole } from './observers.ts'

/** A call that may be called off. */
export interface CallOptions {
  /** Ends the waiting. What is being stored or asked already goes on: a message whose `send` was called off may still be sent. */
  readonly signal?: AbortSignal | undefined
}

/** A member of a group, with its rights. */
export interface GroupMember {
  readonly user: string
  readonly roles: readonly GroupRole[]
}

/** A group that this user is a member of. */
export interface GroupMembership {
  readonly group: string
  readonly roles: readonly GroupRole[]
}

/** What one member of a group has done with a message. */
export interface GroupReceipt {
  readonly user: string
  readonly status: Status
}

const roleBits: Readonly<Record<GroupRole, number>> = { send: 1, receive: 2, admin: 4 }
const roleNames: readonly GroupRole[] = ['send', 'receive', 'admin']

/** The rights that a number of the wire stands for. */
export function rolesOf(bits: number): readonly GroupRole[] {
  return roleNames.filter((role) => (bits & roleBits[role]) !== 0)
}

/**
 * Groups: all calls wait for a connection, and reject with a PosthasteError: `not-found`, `already-exists`, `invalid-destination` (no such
 * user), `not-allowed`, `not-member`, `too-many`, or `connection-lost` (retryable) when the answer was lost.
 */
export class Groups {
  readonly #engine: Engine

  /** @internal */
  constructor(engine: Engine) {
    this.#engine = engine
  }

  /** Creates a group with this user as its first member and admin. */
  async create(group: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#ask({ kind: 'groupCreate', group: this.#name(group) }, signal)
  }

  /** Deletes a group, with what waits in it. Needs admin. */
  async delete(group: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#ask({ kind: 'groupDelete', group: this.#name(group) }, signal)
  }

  /** Adds a member, changes its rights, or with no roles removes it. Needs admin. */
  async setMember(group: string, user: string, roles: readonly GroupRole[], { signal }: CallOptions = {}): Promise<void> {
    const request = checked(this.#engine, () => {
      arrayArgument(roles, 'roles')
      for (const role of roles) oneOf(role, roleNames, 'roles')
      const bits = roles.reduce((sum, role) => sum | roleBits[role], 0)
      return { kind: 'memberSet', group: this.#name(group), user: nameArgument(user, 'user'), roles: bits } as const
    })
    await this.#ask(request, signal)
  }

  /** Leaves a group. */
  async leave(group: string, { signal }: CallOptions = {}): Promise<void> {
    // '' stands for this user, whom the machine knows for certain once there is a session.
    await this.#ask({ kind: 'memberSet', group: this.#name(group), user: '', roles: 0 }, signal)
  }

  /** The groups that this user is a member of, as of the last connection. */
  async list({ signal }: CallOptions = {}): Promise<readonly GroupMembership[]> {
    const answer = await answerOf(this.#engine, { kind: 'groups' }, signal)
    return answer.groups.map(({ group, roles }) => ({ group, roles: rolesOf(roles) }))
  }

  /** All members of a group, read page by page as they are consumed. */
  async *members(group: string, { signal }: CallOptions = {}): AsyncGenerator<GroupMember> {
    this.#name(group)
    for (let after = ''; ; ) {
      const answer = await this.#ask({ kind: 'members', group, after, limit: limits.items }, signal)
      if (answer.kind !== 'members') return
      for (const { user, roles } of answer.members) yield { user, roles: rolesOf(roles) }
      if (answer.next === '') return
      after = answer.next
    }
  }

  /** What each member has done with a message that this user sent: until its deadline, read page by page as they are consumed. */
  async *receipts(group: string, id: bigint, { signal }: CallOptions = {}): AsyncGenerator<GroupReceipt> {
    this.#name(group)
    checked(this.#engine, () => idArgument(id))
    for (let after = ''; ; ) {
      const answer = await this.#ask({ kind: 'receipts', group, id, after, limit: limits.items }, signal)
      if (answer.kind !== 'receipts') return
      yield* answer.receipts
      if (answer.next === '') return
      after = answer.next
    }
  }

  #name(group: string): string {
    return checked(this.#engine, () => nameArgument(group, 'group'))
  }

  #ask(request: Request, signal: AbortSignal | undefined): Promise<Answered<AppAsk>> {
    return answerOf(this.#engine, { kind: 'request', request }, signal)
  }
}
