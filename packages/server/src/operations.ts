import type { Address, CodeName, Status } from '@posthaste/protocol'

/** What the HTTP API asks of the running system. The gateway implements it; every write resolves once it is flushed and applied. */
export interface Operations {
  /** Creates a user, or finds it: `isNew` says which. */
  createUser(name: string): Promise<Outcome<{ user: UserInfo; isNew: boolean }>>
  user(name: string): UserInfo | undefined
  /** Deletes a user: its sessions end with `user-removed`, what waits for it ends `removed`, its tokens never re-create it. */
  deleteUser(name: string): Promise<Outcome<undefined>>
  /**
   * Revokes every token issued until this time (ms since the epoch), and ends the sessions that used one. Resolves with the time that
   * holds from then on, which is a later one if that was revoked before.
   */
  revokeTokens(name: string, validAfterMs: number): Promise<Outcome<number>>
  /** Users in byte order of their names, after the name `after` ('' for the start); at most `limit` of them. */
  userPage(after: string, limit: number): Page<UserInfo>
  /** The groups of a user, and its rights there, in the order of their identities, after the identity `after` (0 for the start). */
  membershipPage(user: string, after: number, limit: number): Outcome<Page<MembershipInfo>>
  /** Whom a user has blocked, likewise. */
  blockPage(user: string, after: number, limit: number): Outcome<Page<string>>
  createGroup(name: string): Promise<Outcome<GroupInfo>>
  group(name: string): GroupInfo | undefined
  /** Groups, as {@link userPage} has users. */
  groupPage(after: string, limit: number): Page<GroupInfo>
  deleteGroup(name: string): Promise<Outcome<undefined>>
  /** Sets a member's rights (bits: 1 send, 2 receive, 4 admin); 0 removes it. */
  setMember(group: string, user: string, roles: number): Promise<Outcome<undefined>>
  /** Members in byte order of their names, after the name `after` ('' for the start). */
  members(group: string, after: string, limit: number): Outcome<Page<MemberInfo>>
  setBlock(user: string, target: string, isBlocked: boolean): Promise<Outcome<undefined>>
  /** Sends as a user, which must exist. Resolves with the verdict; retrying with the same id and content is safe until `retryUntilMs`. */
  send(from: string, message: OutgoingMessage): Promise<Outcome<Verdict>>
  /** The status of a message that `from` sent. */
  messageStatus(from: string, to: Address, id: bigint): Outcome<MessageStatus>
  health(): Health
}

/** Success with a value, or a code of the table (`not-found`, `busy`, `disk-full` …). */
export type Outcome<T> = { readonly isOk: true; readonly value: T } | { readonly isOk: false; readonly code: CodeName }

/** Some of a list. It may be short of what was asked for, or empty, and not the last one. */
export interface Page<T> {
  readonly items: readonly T[]
  /** The `after` of the next page; '' when this is the last one. */
  readonly next: string
}

/** A user, as the operator sees it. */
export interface UserInfo {
  readonly name: string
  /** Never used again, not after deletion either. */
  readonly identity: number
  readonly isOnline: boolean
  /** When a device was last connected, in ms since the epoch; 0 for never. */
  readonly lastSeenMs: number
  readonly devices: number
  /** Messages that no device has stored yet. */
  readonly waiting: number
}

/** A group, as the operator sees it. */
export interface GroupInfo {
  readonly name: string
  readonly identity: number
  /** Members with any right. */
  readonly members: number
}

/** A member and its rights: bits 1 send, 2 receive, 4 admin. */
export interface MemberInfo {
  readonly user: string
  readonly roles: number
}

/** A group of a user, and the user's rights there: bits 1 send, 2 receive, 4 admin. */
export interface MembershipInfo {
  readonly group: string
  readonly roles: number
}

/** A message to be sent over HTTP. */
export interface OutgoingMessage {
  readonly to: Address
  readonly id: bigint
  readonly type: number
  readonly priority: number
  /** Seconds from now; the server fixes the deadline at receipt. At least 1; by default 7 days, or what the server allows if that is less. */
  readonly expirySeconds: number | undefined
  readonly receipts: boolean
  readonly body: Uint8Array
}

/** The answer to a send: the status of the message with this key, whether it came now or before. */
export interface Verdict {
  readonly status: Status
  readonly timeMs: number
  /** Until when the same call may be repeated without a second message, in ms since the epoch. */
  readonly retryUntilMs: number
}

/** What the sender may know of a message. */
export interface MessageStatus {
  readonly status: Status
  readonly timeMs: number
  /** 0 when it is not known. */
  readonly deadlineMs: number
  /** For groups: how many of the members with the right to receive have stored and read it; for users 0 or 1 of 1. */
  readonly delivered: number
  readonly read: number
  readonly members: number
}

/** How the server is. */
export interface Health {
  readonly isHealthy: boolean
  readonly version: string
  readonly epoch: number
  readonly shards: number
  readonly sessions: number
  readonly uptimeSeconds: number
  /** Records in the journals that no checkpoint covers yet. */
  readonly journalRecords: number
  readonly freeBytes: number
}
