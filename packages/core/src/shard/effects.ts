import type { CodeName } from '@posthaste/protocol'

/** What comes out of applying a record. Every effect can be repeated; none is needed for safety. */
export interface Effects {
  readonly results: SendResult[]
  readonly replies: Reply[]
  readonly sessions: SessionResult[]
  /** Logs and lanes with a new entry, or whose head entries may now be skipped: each once. */
  readonly live: { readonly log: number; readonly lane: number }[]
  readonly marks: MarkMoved[]
  readonly statuses: StatusTold[]
  readonly counts: CountsMoved[]
  readonly readMarks: ReadMarkMoved[]
  readonly acked: { readonly tag: number; readonly log: number; readonly lane: number; readonly upTo: number }[]
  readonly memberships: MembershipChanged[]
  /** These users have blocked a target, or do so no more. */
  readonly blocks: { readonly user: number; readonly target: number }[]
  /** Sessions of these users end: deleted, or their tokens revoked. */
  readonly ended: { readonly user: number; readonly code: CodeName; readonly validAfterMs: number }[]
  readonly forwards: { readonly target: number; readonly number: number; readonly command: Uint8Array }[]
  /** What another shard forwarded was applied up to this number. */
  readonly forwardsApplied: { readonly source: number; readonly number: number }[]
}

/** The verdict on a SEND. */
export interface SendResult {
  readonly tag: number
  readonly ref: number
  /** The number of a status. */
  readonly status: number
  readonly destination: number
  readonly count: number
  readonly timeMs: number
  readonly deadlineMs: number
}

/** The end of a request: 0 or the number of a code. */
export interface Reply {
  readonly tag: number
  readonly ref: number
  readonly code: number
  /** What a caller of the host is told beside: the identity that was made or found, or the time from which on tokens are valid; else 0. */
  readonly value: number
  /** Whether it made something new. */
  readonly isNew: boolean
}

/** A session or an attachment was applied; code 0, or why not. */
export interface SessionResult {
  readonly tag: number
  readonly code: number
  /** The log that it concerns: the user's own, or a group's. */
  readonly log: number
  readonly user: number
  readonly device: string
  readonly session: number
}

/** What a sender has in a lane of a log is delivered and read up to these counts. */
export interface MarkMoved {
  readonly sender: number
  readonly log: number
  readonly lane: number
  readonly delivered: number
  readonly read: number
}

/** The status of one message, for which no mark speaks (or does again). */
export interface StatusTold {
  readonly sender: number
  readonly log: number
  readonly id: bigint
  readonly status: number
}

/** How many members have stored and read a message to a group. */
export interface CountsMoved {
  readonly sender: number
  readonly log: number
  readonly id: bigint
  readonly delivered: number
  readonly read: number
  readonly members: number
}

/** What a user has read of a log: by count of one sender, or in a group's log by seq (sender 0). */
export interface ReadMarkMoved {
  readonly user: number
  readonly log: number
  readonly lane: number
  readonly sender: number
  readonly mark: number
}

/** A user's rights in a group have changed; roles 0: no longer a member. */
export interface MembershipChanged {
  readonly user: number
  readonly group: number
  readonly name: string
  readonly roles: number
}

/** No effects yet. */
export function noEffects(): Effects {
  return {
    results: [],
    replies: [],
    sessions: [],
    live: [],
    marks: [],
    statuses: [],
    counts: [],
    readMarks: [],
    acked: [],
    memberships: [],
    blocks: [],
    ended: [],
    forwards: [],
    forwardsApplied: [],
  }
}
