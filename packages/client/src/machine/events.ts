/**
 * What goes into the machine and what comes out: the whole of its contract with the shell around it. All of it is data, so that
 * a simulator can run the machine with clocks, a network and a disk of its own.
 */
import type { Address, AddressKind, Status } from '@posthaste/protocol'

/** The clocks and the chance of one step, and how busy the network is. */
export interface Now {
  /** Milliseconds since the epoch, by a clock that may jump. A whole number. */
  readonly wallMs: number
  /** Milliseconds since some moment, by a clock that only grows. */
  readonly monotonicMs: number
  /** A fresh random fraction, 0 <= random < 1. */
  readonly random: number
  /** Whether so much waits to be written that what is sent at most once is dropped. */
  readonly isCongested: boolean
}

/** A failure that is told to the app, as a value. */
export interface Fault {
  /** Stable name, in lower case with hyphens. */
  readonly code: string
  readonly message: string
  /** Whether the same may succeed later without a change. */
  readonly retryable: boolean
  readonly field?: string | undefined
}

/** A change to the store; `null` deletes. */
export type RowWrite = readonly [key: Uint8Array, value: Uint8Array | null]
/** A row of the store. */
export type Row = readonly [key: Uint8Array, value: Uint8Array]

/** The store's, socket's and app's limits. */
export interface MachineLimits {
  /** Messages in the outbox that are not delivered yet, and their bytes. */
  readonly outboxMessages: number
  readonly outboxBytes: number
  /** Messages in the inbox that no handler has acknowledged, 0 for a device that only sends, and their bytes. */
  readonly inboxMessages: number
  readonly inboxBytes: number
}

/** What a machine is made with. */
export interface MachineOptions {
  readonly limits: MachineLimits
  /** About how many bytes of messages go into one commit, of each direction; at least one message does. */
  readonly commitBytes: number
  /**
   * What a server takes, or less: so many ranges in one packet of a lane, and so many cursors and ranges in HELLO, together. Of these each takes 19
   * bytes at most while lanes have less than 2^32 entries, so that 16,384 leave room for a token in any message.
   */
  readonly wire: { readonly ranges: number; readonly cursors: number }
  /** Names the client in HELLO, at most 256 bytes. */
  readonly agent: string
  /** Whether there is only ever the one token. */
  readonly isTokenFixed: boolean
}

/** A message to send, checked against every limit that does not depend on the server. */
export interface Draft {
  readonly toKind: AddressKind
  readonly to: string
  /** `undefined` lets the machine make one. */
  readonly id: bigint | undefined
  readonly type: number
  readonly priority: number
  readonly expirySeconds: number
  readonly receipts: boolean
  readonly body: Uint8Array
}

/** How many members of a group have a message. */
export interface Counts {
  readonly delivered: number
  readonly read: number
  readonly members: number
}

/** What waits in the outbox for the server's verdict. */
export interface Pending {
  readonly messages: number
  /** Of their bodies. */
  readonly bytes: number
}

/** An outgoing message as the app sees it. */
export interface OutboxView {
  /** Tells it from others under the same id: an id may be used again once its message has ended. */
  readonly order: number
  readonly to: Address
  readonly id: bigint
  readonly type: number
  readonly priority: number
  readonly receipts: boolean
  readonly expirySeconds: number
  readonly status: Status
  /** When the server had it, in ms since the epoch; 0 before. */
  readonly timeMs: number
  /** For a group's message, once known. */
  readonly counts: Counts | undefined
  /** A group's message whose deadline has passed, and that only some of the members have stored. */
  readonly isIncomplete: boolean
  /** `undefined` once the message is delivered. */
  readonly body: Uint8Array | undefined
}

/** Where an entry stands. Larger is later within one (log, lane); a larger epoch is later than any seq. */
export interface Position {
  readonly epoch: number
  readonly log: number
  readonly lane: number
  readonly seq: number
}

/** An entry as it is kept in the inbox. */
export interface Entry {
  readonly position: Position
  /** The sender's identity, and the message's count among its sender's. */
  readonly sender: number
  readonly count: number
  readonly senderName: string
  readonly toKind: AddressKind
  readonly to: string
  readonly id: bigint
  readonly type: number
  readonly timeMs: number
  readonly deadlineMs: number
  readonly receipts: boolean
  readonly body: Uint8Array
}

/** A message that was never stored. */
export interface RealtimeEntry {
  readonly sender: number
  readonly senderName: string
  readonly toKind: AddressKind
  readonly to: string
  readonly id: bigint
  readonly type: number
  readonly priority: number
  readonly timeMs: number
  readonly body: Uint8Array
}

/** The connection as the app sees it. */
export type ConnectionState =
  /** Nothing was asked for yet. */
  | { readonly status: 'idle' }
  | { readonly status: 'connecting'; readonly attempt: number }
  /** The server takes bodies of up to `bodyBytesMax` bytes. */
  | { readonly status: 'live'; readonly user: string; readonly bodyBytesMax: number }
  /** Between two attempts. */
  | { readonly status: 'waiting'; readonly attempt: number; readonly retryInMs: number; readonly fault: Fault }
  /** For good: `fault.code` is `closed` after `close()`. */
  | { readonly status: 'ended'; readonly fault: Fault }

/** A right in a group. */
export interface GroupRights {
  readonly group: string
  /** Bits: 1 send, 2 receive, 4 admin; 0: no member. */
  readonly roles: number
}

/** A request to the server that is answered once. */
export type Request =
  | { readonly kind: 'groupCreate' | 'groupDelete'; readonly group: string }
  | { readonly kind: 'memberSet'; readonly group: string; readonly user: string; readonly roles: number }
  | { readonly kind: 'members'; readonly group: string; readonly after: string; readonly limit: number }
  | { readonly kind: 'receipts'; readonly group: string; readonly id: bigint; readonly after: string; readonly limit: number }
  | { readonly kind: 'block'; readonly user: string; readonly isBlocked: boolean }

/** What the app asks for and awaits. Answered by one `settle` with the same call number. */
export type Ask = AppAsk | { readonly kind: 'close' }

/** All but the end of the client. */
export type AppAsk =
  | { readonly kind: 'send'; readonly drafts: readonly Draft[] }
  | { readonly kind: 'realtime'; readonly draft: Draft }
  | { readonly kind: 'find' | 'cancel' | 'retry'; readonly toKind: AddressKind; readonly to: string; readonly id: bigint }
  | { readonly kind: 'markRead'; readonly position: Position; readonly sender: number; readonly count: number }
  | { readonly kind: 'request'; readonly request: Request }
  | { readonly kind: 'groups' | 'pending' | 'listSetAside' }
  | { readonly kind: 'setAside'; readonly action: 'retry' | 'drop'; readonly position: Position }
  | { readonly kind: 'stopReceiving' }

/** What an ask is answered with. */
export type Answer =
  | { readonly kind: 'done' }
  | { readonly kind: 'sent'; readonly messages: readonly OutboxView[] }
  | { readonly kind: 'found'; readonly message: OutboxView | undefined }
  | { readonly kind: 'cancelled'; readonly isCancelled: boolean }
  | { readonly kind: 'status'; readonly status: Status }
  | { readonly kind: 'groups'; readonly groups: readonly GroupRights[] }
  | {
      readonly kind: 'members'
      readonly members: readonly { readonly user: string; readonly roles: number }[]
      readonly next: string
    }
  | {
      readonly kind: 'receipts'
      readonly receipts: readonly { readonly user: string; readonly status: Status }[]
      readonly next: string
    }
  | { readonly kind: 'setAside'; readonly entries: readonly Entry[] }
  | { readonly kind: 'pending'; readonly pending: Pending }
  | { readonly kind: 'fault'; readonly fault: Fault }

/** The machine's timers. Setting one replaces its earlier setting. */
export type TimerName =
  | 'connection'
  | 'heartbeat'
  | 'renew'
  | 'resume'
  | 'outbox'
  | 'handlers'
  | 'typing'
  | 'keys'
  | 'store'
  | 'realtime'
  | 'query'

/** What to do with a message whose handler failed. */
export type FailureDecision = { readonly retryInMs: number } | 'set-aside' | 'stop'

/** What happens to the machine. */
export type MachineEvent = PortEvent | AppEvent

/** What the ports tell: the store, the token function, the network, the timers. */
export type PortEvent =
  /** The client is used for the first time. */
  | { readonly kind: 'start' }
  /** The store is open. `rows` are all but the memory of keys, in the order of their keys; `newDevice` is 16 random bytes, used by a new store. */
  | { readonly kind: 'opened'; readonly rows: readonly Row[]; readonly newDevice: Uint8Array }
  | { readonly kind: 'openFailed'; readonly fault: Fault }
  /** The answer to `getToken`. `subject` is the user that the token names, where that can be seen. */
  | { readonly kind: 'token'; readonly attempt: number; readonly token: string; readonly subject: string | undefined }
  | { readonly kind: 'tokenFailed'; readonly attempt: number; readonly fault: Fault; readonly isTerminal: boolean }
  | { readonly kind: 'socketOpened'; readonly socket: number }
  /** `closeCode` is the WebSocket's, 1006 where there was none. */
  | { readonly kind: 'socketClosed'; readonly socket: number; readonly closeCode: number }
  /** One binary message; `null` for a text message, which the protocol does not know. */
  | { readonly kind: 'socketMessage'; readonly socket: number; readonly bytes: Uint8Array | null }
  | { readonly kind: 'committed'; readonly commit: number }
  | { readonly kind: 'commitFailed'; readonly commit: number; readonly fault: Fault }
  /** The answer to `lookup`: whether each of its keys is there. */
  | { readonly kind: 'found'; readonly lookup: number; readonly values: readonly (Uint8Array | undefined)[] }
  /** The answer to `scan`. */
  | { readonly kind: 'scanned'; readonly rows: readonly Row[] }
  /** A `lookup` or `scan` could not be answered. */
  | { readonly kind: 'readFailed'; readonly fault: Fault }
  | { readonly kind: 'timer'; readonly timer: TimerName }
  /** The network came back, or the page woke up. */
  | { readonly kind: 'wake' }

/** What the app wants. */
export type AppEvent =
  | { readonly kind: 'ask'; readonly call: number; readonly ask: Ask }
  /** The app no longer waits for the answer of that call. */
  | { readonly kind: 'abort'; readonly call: number }
  /** From now on there is a handler; entries at or below these positions were handled by the app before. */
  | { readonly kind: 'receive'; readonly positions: readonly Position[]; readonly isBatched: boolean }
  | { readonly kind: 'handlerDone'; readonly run: number }
  /** `release`: not acknowledged, and kept for the next handler. */
  | { readonly kind: 'handlerFailed'; readonly run: number; readonly decision: FailureDecision | 'release' }
  /** A message with id 0: sent now or never. */
  | { readonly kind: 'sendOnce'; readonly draft: Draft }
  | { readonly kind: 'typing'; readonly toKind: AddressKind; readonly to: string; readonly isActive: boolean }
  | { readonly kind: 'watch'; readonly users: readonly string[]; readonly isOn: boolean }

/** What observers are told. */
export type Notice =
  | { readonly kind: 'connection'; readonly state: ConnectionState }
  | { readonly kind: 'status'; readonly message: OutboxView; readonly previous: Status }
  /** The message's status will not change any more: nobody knows how it goes on. */
  | { readonly kind: 'forgotten'; readonly message: OutboxView }
  /** A stored message; `isOutgoing`: another device of the same user sent it. */
  | { readonly kind: 'message'; readonly entry: Entry; readonly isOutgoing: boolean }
  | { readonly kind: 'realtime'; readonly entry: RealtimeEntry }
  | {
      readonly kind: 'typing'
      readonly user: string
      readonly toKind: AddressKind
      readonly to: string
      readonly isActive: boolean
    }
  | {
      readonly kind: 'presence'
      readonly user: string
      readonly state: 'offline' | 'online' | 'unknown'
      readonly lastSeenMs: number
    }
  | { readonly kind: 'group'; readonly rights: GroupRights }
  /** This user has read, on some device, up to `mark`: a count of the sender's in the user's own log, a seq in a group's (sender 0). */
  | { readonly kind: 'read'; readonly log: number; readonly lane: number; readonly sender: number; readonly mark: number }
  /** The store may be used, or its user is known now: '' where nothing has shown that yet. */
  | { readonly kind: 'user'; readonly user: string }
  | { readonly kind: 'error'; readonly fault: Fault }

/** What the machine wants done. Effects are run in order. */
export type Effect =
  /** Open the store, read its rows, and answer with `opened` or `openFailed`. */
  | { readonly kind: 'open'; readonly from: Uint8Array; readonly to: Uint8Array }
  | { readonly kind: 'getToken'; readonly attempt: number }
  | { readonly kind: 'openSocket'; readonly socket: number }
  | { readonly kind: 'closeSocket'; readonly socket: number; readonly closeCode: number }
  | { readonly kind: 'write'; readonly socket: number; readonly bytes: Uint8Array }
  | { readonly kind: 'commit'; readonly commit: number; readonly writes: readonly RowWrite[] }
  | { readonly kind: 'lookup'; readonly lookup: number; readonly keys: readonly Uint8Array[] }
  | { readonly kind: 'scan'; readonly from: Uint8Array; readonly to: Uint8Array; readonly limit: number }
  | { readonly kind: 'setTimer'; readonly timer: TimerName; readonly delayMs: number }
  | { readonly kind: 'clearTimer'; readonly timer: TimerName }
  /** Call the handler, and answer with `handlerDone` or `handlerFailed`. */
  | {
      readonly kind: 'handle'
      readonly run: number
      readonly entry: Entry
      readonly redelivered: boolean
      readonly attempt: number
    }
  /** The handler is no longer wanted: its policy said so. */
  | { readonly kind: 'stopReceiving' }
  | { readonly kind: 'notify'; readonly notice: Notice }
  | { readonly kind: 'settle'; readonly call: number; readonly answer: Answer }
  /** Nothing more will be committed: close the store. */
  | { readonly kind: 'closeStore' }
