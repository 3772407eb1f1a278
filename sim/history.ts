import type { Status } from '@posthaste/protocol'

/** What a content is: each message that an app ever wrote has a number of its own, which its body carries. */
export interface Content {
  readonly number: number
  readonly user: string
  readonly toKind: 0 | 1
  readonly to: string
  readonly type: number
  readonly priority: number
  readonly receipts: boolean
  readonly expirySeconds: number
  readonly bytes: number
}

/** How a message stood with its sender. */
export interface CountsTold {
  readonly delivered: number
  readonly read: number
  readonly members: number
}

/** Who asks for a change of rights, users or groups. */
export interface Change {
  readonly what: 'memberSet' | 'groupCreate' | 'groupDelete' | 'block' | 'userCreate' | 'userDelete' | 'revoke'
  /** The group, or who blocks or is created or deleted. */
  readonly subject: string
  /** The member, or who is blocked. */
  readonly object: string
  readonly roles: number
}

/**
 * What was seen from outside of the server: what apps asked for and were told, what devices durably held, what handlers got, and what the
 * world did to them. Times are true ones, in ms since the start of the schedule. `tab` tells the pages of a browser apart, by numbers of which no two
 * pages of a schedule have the same; where a device is no browser it is 0.
 */
export type HistoryEvent = { readonly atMs: number } & (
  | {
      readonly kind: 'sendAsked'
      readonly store: number
      readonly tab: number
      readonly content: number
      readonly id: string | undefined
    }
  | {
      readonly kind: 'sendStored'
      readonly store: number
      readonly content: number
      readonly order: number
      readonly id: string
      readonly deadlineMs: number
    }
  /** The app was told that it is safe in the outbox. */
  | { readonly kind: 'sendAnswered'; readonly store: number; readonly content: number; readonly order: number }
  /** Its row is gone: the order may stand for another message from now on. */
  | { readonly kind: 'sendDropped'; readonly store: number; readonly order: number }
  | {
      readonly kind: 'sendRefused'
      readonly store: number
      readonly tab: number
      readonly content: number
      readonly code: string
    }
  | {
      readonly kind: 'told'
      readonly store: number
      readonly tab: number
      /** The number of the machine that told it. */
      readonly run: number
      /** The app has asked, since another machine goes on from what is stored. */
      readonly isLookedUp: boolean
      readonly content: number
      readonly order: number
      readonly id: string
      readonly status: Status
      readonly previous: Status
      readonly counts: CountsTold | undefined
      /** The server's epoch that the device last heard of. */
      readonly epoch: number
      readonly isLive: boolean
      /** What the server's clock showed. */
      readonly serverMs: number
    }
  | {
      readonly kind: 'forgotten'
      readonly store: number
      readonly tab: number
      readonly content: number
      readonly order: number
      readonly id: string
      readonly status: Status
    }
  /** Over HTTP. */
  | { readonly kind: 'submitted'; readonly content: number; readonly id: string; readonly deadlineMs: number }
  | {
      readonly kind: 'submitAnswered'
      readonly content: number
      readonly id: string
      readonly status: Status
      readonly epoch: number
    }
  | {
      readonly kind: 'stored'
      readonly store: number
      readonly epoch: number
      readonly log: number
      readonly lane: number
      readonly seq: number
      readonly sender: number
      readonly senderName: string
      readonly count: number
      readonly toKind: 0 | 1
      readonly to: string
      readonly id: string
      readonly content: number
      readonly bytes: number
      readonly type: number
      readonly receipts: boolean
      readonly deadlineMs: number
      /** The server's clock when the device judged that the entry came in time. */
      readonly judgedMs: number
    }
  | {
      readonly kind: 'handled'
      readonly store: number
      readonly tab: number
      readonly epoch: number
      readonly log: number
      readonly lane: number
      readonly seq: number
      readonly content: number
      readonly isRedelivered: boolean
    }
  | {
      readonly kind: 'handlerEnded'
      readonly store: number
      readonly tab: number
      readonly epoch: number
      readonly log: number
      readonly lane: number
      readonly seq: number
      readonly isDone: boolean
      /** The app is to be given it again when it asks for it. */
      readonly isSetAside: boolean
    }
  | {
      readonly kind: 'echoed'
      readonly store: number
      readonly tab: number
      readonly content: number
      readonly id: string
      readonly lane: number
      readonly seq: number
      readonly epoch: number
      readonly log: number
    }
  | {
      readonly kind: 'readAsked'
      readonly store: number
      readonly epoch: number
      readonly log: number
      readonly lane: number
      readonly seq: number
      readonly sender: number
      readonly count: number
    }
  | { readonly kind: 'realtimeAsked'; readonly store: number; readonly tab: number; readonly content: number }
  /** `refused` by the client: it never went out. */
  | { readonly kind: 'realtimeTold'; readonly content: number; readonly status: Status | 'refused' }
  | {
      readonly kind: 'realtimeGot'
      readonly store: number
      readonly tab: number
      readonly content: number
      readonly id: string
      /** Whether the device had a connection. */
      readonly isLive: boolean
    }
  | {
      readonly kind: 'typingAsked'
      readonly user: string
      readonly toKind: 0 | 1
      readonly to: string
      readonly isActive: boolean
    }
  | {
      readonly kind: 'typingTold'
      readonly store: number
      readonly tab: number
      readonly user: string
      readonly toKind: 0 | 1
      readonly to: string
      readonly isActive: boolean
    }
  | {
      readonly kind: 'watchAsked'
      readonly store: number
      readonly tab: number
      readonly user: string
      readonly isOn: boolean
    }
  | {
      readonly kind: 'presenceTold'
      readonly store: number
      readonly tab: number
      readonly user: string
      readonly state: 'offline' | 'online' | 'unknown'
      /** Whether the device had a connection: else nothing is known. */
      readonly isLive: boolean
    }
  | { readonly kind: 'onceSent'; readonly store: number; readonly content: number }
  | { readonly kind: 'changeAsked'; readonly change: Change; readonly number: number }
  /** 0: done; `undefined`: whether it was done is not known. */
  | { readonly kind: 'changeAnswered'; readonly number: number; readonly code: string | undefined }
  /** A store begins: new, or with what another one held at a time. */
  | {
      readonly kind: 'storeMade'
      readonly store: number
      readonly user: string
      readonly device: string
      readonly parent: number
      readonly asOfMs: number
    }
  | { readonly kind: 'storeLost'; readonly store: number }
  | { readonly kind: 'opened'; readonly store: number }
  | { readonly kind: 'crashed'; readonly store: number }
  | { readonly kind: 'live'; readonly store: number; readonly epoch: number }
  | { readonly kind: 'ended'; readonly store: number; readonly code: string }
  | { readonly kind: 'serverStarted'; readonly epoch: number; readonly isRestored: boolean; readonly backupMs: number }
  /** What its clock showed last. */
  | { readonly kind: 'serverCrashed'; readonly serverMs: number }
  /** A connection has come to the server. Its number tells it from all others of the schedule. */
  | { readonly kind: 'connected'; readonly connection: number; readonly store: number; readonly epoch: number }
  /** The server has written an entry, or a SKIP over some seqs, to a connection. */
  | {
      readonly kind: 'wrote'
      readonly connection: number
      readonly log: number
      readonly lane: number
      readonly from: number
      readonly to: number
      readonly isEntry: boolean
      readonly isEcho: boolean
      readonly content: number
      /** Of its body. */
      readonly bytes: number
    }
  /** An ACK has come to the server. */
  | { readonly kind: 'acked'; readonly connection: number; readonly log: number; readonly lane: number; readonly upTo: number }
  /** The server has written to a connection on which so many bytes lie untaken since long. */
  | { readonly kind: 'untaken'; readonly connection: number; readonly bytes: number }
  /** The server has written how a user is there, or that it types, to somebody's device. */
  | {
      readonly kind: 'shown'
      /** Typing to a group is told apart. */
      readonly what: 'presence' | 'typing' | 'typing to a group'
      readonly store: number
      readonly user: string
    }
  | { readonly kind: 'cancelled'; readonly store: number; readonly content: number }
  /** A page of a browser begins to use its store's client. */
  | { readonly kind: 'tabOpened'; readonly store: number; readonly tab: number }
  /** It takes part no more: it was closed or killed, or its client has ended. */
  | { readonly kind: 'tabEnded'; readonly store: number; readonly tab: number; readonly code: string }
  /** It has a handler from now on. */
  | { readonly kind: 'receiving'; readonly store: number; readonly tab: number }
  /** It wants no handler from now on, or was told that it has none. */
  | { readonly kind: 'receivingStopped'; readonly store: number; readonly tab: number }
  /** Nothing runs in it until then. */
  | { readonly kind: 'frozen'; readonly store: number; readonly tab: number; readonly untilMs: number }
  /** After the heal everything has come to rest once. */
  | { readonly kind: 'rested' }
  /** From here on, and until it ended, a device read nothing of what was written to it. */
  | { readonly kind: 'neighbourBegan'; readonly store: number }
  | { readonly kind: 'neighbourEnded' }
  /** Everything was healed: from here on nothing fails. */
  | { readonly kind: 'healed' }
  /** The server's clock, which was set back, shows at last what it has shown before. */
  | { readonly kind: 'caughtUp'; readonly serverMs: number }
  /** A client with another user's token did, with this store, what it must not. */
  | { readonly kind: 'intruded'; readonly store: number; readonly what: string }
)

/** The event of one kind. */
export type EventOf<K extends HistoryEvent['kind']> = Extract<HistoryEvent, { kind: K }>

/** The whole of what was seen, in order. */
export interface History {
  readonly events: HistoryEvent[]
  /** By number; number 0 is nobody's. */
  readonly contents: Content[]
  /** The limits that decide what may be dropped. */
  readonly isSmall: boolean
  /** More bytes than these may not lie untaken on a connection for long. */
  readonly untakenBytesMax: number
}

/** The events of one kind, in order. */
export function eventsOf<K extends HistoryEvent['kind']>(history: History, kind: K): EventOf<K>[] {
  return history.events.filter((event): event is EventOf<K> => event.kind === kind)
}

/** The number that a body carries: its first four bytes; 0 for a body without. */
export function contentOfBody(body: Uint8Array): number {
  if (body.length < 4) return 0
  return new DataView(body.buffer, body.byteOffset, 4).getUint32(0)
}

/** The body of a content. */
export function bodyOfContent(number: number, bytes: number): Uint8Array {
  const body = new Uint8Array(Math.max(4, bytes))
  new DataView(body.buffer).setUint32(0, number)
  for (let at = 4; at < body.length; at++) body[at] = (number * 31 + at * 7) & 0xff
  return body
}
