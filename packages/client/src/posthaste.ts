/// <reference lib="esnext.disposable" preserve="true" />
import { type Address, addressOf, kindOf, limits, nameOf, type Status } from '@posthaste/protocol'
import {
  addressArgument,
  arrayArgument,
  draftOf,
  idArgument,
  invalid,
  nameArgument,
  numberArgument,
  oneOf,
  positionArgument,
  type SendOptions,
} from './arguments.ts'
import { answerOf, checked } from './calls.ts'
import { faultOf, PosthasteError } from './errors.ts'
import type { Engine, EngineOwner, HandleEffect } from './engine.ts'
import { type CallOptions, Groups, type GroupReceipt, rolesOf } from './groups.ts'
import type { ConnectionState, Draft, Fault, Notice, OutboxView, Pending } from './machine/events.ts'
import { Message, type MessageJson, type Position, RealtimeMessage, type ReadMark } from './message.ts'
import { Observers, type PosthasteEvents } from './observers.ts'
import type { PosthasteOptions } from './options.ts'
import { type Handler, MessageIterator, type ReceiveOptions, type Receiver, retryLater, run, type RunEnd } from './receiver.ts'
import { Runtime } from './runtime.ts'
import { SentMessages } from './sentMessages.ts'
import type { SentMessage } from './sentMessage.ts'

/** Who is there. `unknown` while there is no connection, or where it is not to be known. */
export interface Presence {
  readonly user: string
  readonly state: 'offline' | 'online' | 'unknown'
  /** In ms since the epoch, 0 when not known. */
  readonly lastSeenMs: number
}

/** The connection as a value that can be read and subscribed to. */
export interface ConnectionValue {
  readonly state: ConnectionState
  /** Calls back at every change, not at once. @returns what ends it */
  subscribe(observer: (state: ConnectionState) => void): () => void
}

/** A message that its handler could not take: what `setAside` lists. */
export interface SetAside {
  list(options?: CallOptions): Promise<readonly Message[]>
  /** Hands the message to the handler again. @throws PosthasteError `not-found` */
  retry(message: Pick<Message, 'position'>, options?: CallOptions): Promise<void>
  /** Forgets the message. @throws PosthasteError `not-found` */
  drop(message: Pick<Message, 'position'>, options?: CallOptions): Promise<void>
}

/**
 * A client: one device of one user. The constructor does no I/O; the store is opened and the server connected at the first use,
 * or by `connect()`. What is sent is stored first, and sent again until there is a verdict; what is received is stored before it
 * is acknowledged, and handed to the handler once.
 */
export class Posthaste {
  readonly connection: ConnectionValue
  readonly groups: Groups
  readonly setAside: SetAside
  readonly #engine: Engine
  readonly #observers = new Observers((error) => this.#engine.helped(error))
  readonly #sent: SentMessages
  readonly #watchers = new Map<string, Set<(presence: Presence) => void>>()
  readonly #presence = new Map<string, Presence>()
  #receiver: Receiver | undefined
  #onStop: (error: PosthasteError | undefined) => void = () => {}

  /** @throws PosthasteError `invalid-argument` for an option that can't be */
  constructor(options: PosthasteOptions) {
    // Without any, it is the missing URL that is told.
    options ??= {} as PosthasteOptions
    const owner: EngineOwner = {
      notice: (notice) => this.#notice(notice),
      handle: (effect) => void this.#handle(effect),
      stopReceiving: () => this.#endReceiving(undefined),
      restarted: () => void this.#lookUp(),
    }
    const make = (theirs: EngineOwner): Runtime => new Runtime(options, theirs)
    const share = options.tabs !== false && typeof navigator === 'object' && navigator.locks ? options.store?.tabs : undefined
    this.#engine = share === undefined ? make(owner) : share(owner, make)
    this.#sent = new SentMessages({
      cancel: (message) => this.#cancel(message),
      attempt: (message) => this.#attempt(message),
      resend: (_message, view) => this.#resend(view),
      errorOf: (fault) => this.#engine.errorOf(fault),
      helped: (error) => this.#engine.helped(error),
    })
    this.groups = new Groups(this.#engine)
    this.connection = this.#connectionValue()
    this.setAside = this.#setAsideValue()
  }

  /** Opens the store and connects, if nothing else has yet. Does not wait: observe `connection`. */
  connect(): void {
    this.#engine.dispatch({ kind: 'start' })
  }

  /**
   * Sends a message. Resolves once it is safe in the outbox: use `waitFor` on what it returns to know more.
   * @throws PosthasteError `invalid-argument` (see `field`), `too-large`, `outbox-full` (retryable: too many are not delivered, or ended
   * otherwise, yet), `conflict` (the id was used with other content), `store-full`, or why the client ended
   */
  async send(options: SendOptions & CallOptions): Promise<SentMessage> {
    const draft = checked(this.#engine, () => draftOf(options))
    options.signal?.throwIfAborted()
    if (draft.expirySeconds === 0) return this.#sendRealtime(draft, options.signal)
    if (draft.id === 0n) return this.#sendOnce(draft)
    const [message] = await this.#sendDrafts([draft], options.signal)
    if (message === undefined) throw new TypeError('A send was answered without its message.')
    return message
  }

  /** Sends several messages, in their order: all are stored, or none. Resolves, and fails, like `send`. Ids 0 and expiry 0 are not taken. */
  async sendMany(messages: readonly SendOptions[], { signal }: CallOptions = {}): Promise<readonly SentMessage[]> {
    const drafts = checked(this.#engine, () => {
      arrayArgument(messages, 'messages')
      const drafted = messages.map(draftOf)
      if (drafted.some(({ id }) => id === 0n)) throw invalid('id', `must be from 1 to ${limits.idMax} here`)
      if (drafted.some(({ expirySeconds }) => expirySeconds === 0))
        throw invalid('expirySeconds', `must be from 1 to ${limits.expirySeconds} here`)
      return drafted
    })
    return drafts.length === 0 ? [] : await this.#sendDrafts(drafts, signal)
  }

  /**
   * Sends to the devices that are connected now; stored nowhere, never tried again. The result may be ignored: it resolves with
   * `delivered` (a device has it), `expired` (nobody is connected, or this client is not), `unknown`, or why it was refused.
   * @throws PosthasteError `invalid-argument` at once, for an argument that can't be
   */
  sendRealtime(options: Omit<SendOptions, 'expirySeconds' | 'receipts'> & CallOptions): Promise<Status> {
    const draft = { ...checked(this.#engine, () => draftOf(options)), expirySeconds: 0 }
    const status = this.#realtime(draft, options.signal)
    // Whoever does not look at the result is not bothered with it.
    status.catch(() => {})
    return status
  }

  /** The handle of an earlier message, after a restart too; `undefined` once its status has ended. */
  async find(to: string | Address, id: bigint, { signal }: CallOptions = {}): Promise<SentMessage | undefined> {
    const address = this.#address(to)
    const ask = {
      kind: 'find',
      toKind: kindOf(address),
      to: nameOf(address),
      id: checked(this.#engine, () => idArgument(id)),
    } as const
    const answer = await answerOf(this.#engine, ask, signal)
    return answer.message === undefined ? undefined : this.#sent.of(answer.message)
  }

  /** How much waits in the outbox for the server's verdict, what an earlier run left there too. What is `sent` does not count, though it does for `outbox-full` until it is delivered. */
  async pending({ signal }: CallOptions = {}): Promise<Pending> {
    return (await answerOf(this.#engine, { kind: 'pending' }, signal)).pending
  }

  /**
   * Receives messages with a handler, which acknowledges by returning: per (log, lane) one at a time and in order, across lanes side by
   * side. One at a time for each client.
   * @returns what stops it; its promise resolves once the running handlers have ended (so don't await it inside one)
   * @throws PosthasteError `already-receiving`, or why the client ended
   */
  receive(handler: Handler, options?: ReceiveOptions): () => Promise<void>
  /**
   * The same as an iterator: `next()` acknowledges the message before. What is broken off is not acknowledged, and comes again. It ends
   * with `close()`, and rejects when the client ended otherwise.
   */
  receive(options?: ReceiveOptions): AsyncIterableIterator<Message>
  receive(first?: Handler | ReceiveOptions, second?: ReceiveOptions): (() => Promise<void>) | AsyncIterableIterator<Message> {
    if (typeof first !== 'function' && typeof (first ?? {}) !== 'object')
      throw this.#engine.helped(invalid('handler', 'must be a function'))
    if (typeof first === 'function') return this.#receive(first, second ?? {}, () => {})
    const iterator = new MessageIterator(() => stop())
    const { connection } = this.#engine
    if (connection.status === 'ended') {
      iterator.end(this.#endError(connection.fault))
      return iterator
    }
    const stop = this.#receive(iterator.handler, first ?? {}, (error) => iterator.end(error))
    return iterator
  }

  /** Observes. An observer acknowledges nothing and is not waited for. @returns what ends it */
  on<K extends keyof PosthasteEvents>(event: K, observer: (event: PosthasteEvents[K]) => void): () => void {
    return checked(this.#engine, () => this.#observers.add(event, observer))
  }

  /** Marks as read everything of this sender, in this lane, up to the message. Resolves once that is safe in the store. */
  async markRead(message: Pick<Message | MessageJson, 'position' | 'readMark'>, { signal }: CallOptions = {}): Promise<void> {
    const { position, readMark }: { position?: Position; readMark?: ReadMark } = message ?? {}
    const mark = checked(this.#engine, () => {
      numberArgument(readMark?.sender, limits.numberMax, 'readMark.sender')
      numberArgument(readMark.count, limits.numberMax, 'readMark.count')
      const place = positionArgument(position)
      numberArgument(place.seq, limits.numberMax, 'position.seq', 1)
      return { position: place, sender: readMark.sender, count: readMark.count }
    })
    await answerOf(this.#engine, { kind: 'markRead', ...mark }, signal)
  }

  /**
   * Tells a destination that this user types, or has stopped. For every key: it is told when it begins, at most once a second, and of
   * the calls after that one every 5 seconds. Nothing is repeated by itself: of whom nothing is heard for 10 seconds, receivers are told
   * that it has stopped. Ignored while there is no connection.
   */
  typing(to: string | Address, isActive: boolean): void {
    const address = this.#address(to)
    this.#engine.dispatch({ kind: 'typing', toKind: kindOf(address), to: nameOf(address), isActive })
  }

  /** Calls back with the presence of each of these users, now and at every change. @returns what ends it */
  watchPresence(users: readonly string[], observer: (presence: Presence) => void): () => void {
    const names = checked(this.#engine, () => {
      arrayArgument(users, 'users')
      return [...new Set(users.map((user) => nameArgument(user, 'users')))]
    })
    const own = (presence: Presence): void => this.#observers.guard('presence', () => observer(presence))
    for (const user of names) {
      const known = this.#presence.get(user)
      this.#watchers.set(user, (this.#watchers.get(user) ?? new Set()).add(own))
      if (known !== undefined) queueMicrotask(() => own(known))
    }
    this.#engine.dispatch({ kind: 'watch', users: names, isOn: true })
    let isOn = true
    return () => {
      if (!isOn) return
      isOn = false
      for (const user of names) this.#unwatch(user, own)
      this.#engine.dispatch({ kind: 'watch', users: names, isOn: false })
    }
  }

  /** What each member of a group has done with a message that this user sent to it. */
  receipts(group: string, id: bigint, options: CallOptions = {}): AsyncGenerator<GroupReceipt> {
    return this.groups.receipts(group, id, options)
  }

  /** Refuses what that user sends from now on. */
  async block(user: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#block(user, true, signal)
  }

  /** Takes that user's messages again. */
  async unblock(user: string, { signal }: CallOptions = {}): Promise<void> {
    await this.#block(user, false, signal)
  }

  /** Stores and acknowledges what is done, closes the connection and the store. Idempotent. Running handlers are not waited for. */
  async close(): Promise<void> {
    await new Promise<void>((closed, failed) => this.#engine.close(closed, failed))
    this.#endReceiving(undefined)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  #address(to: string | Address): Address {
    return checked(this.#engine, () => addressArgument(to))
  }

  async #block(user: string, isBlocked: boolean, signal: AbortSignal | undefined): Promise<void> {
    const request = { kind: 'block', user: checked(this.#engine, () => nameArgument(user, 'user')), isBlocked } as const
    await answerOf(this.#engine, { kind: 'request', request }, signal)
  }

  async #sendDrafts(drafts: readonly Draft[], signal: AbortSignal | undefined): Promise<readonly SentMessage[]> {
    const { messages } = await answerOf(this.#engine, { kind: 'send', drafts }, signal)
    return messages.map((view, at) => this.#sent.of({ ...view, body: view.body ?? drafts[at]?.body }))
  }

  /** Nobody ever knows what becomes of it. */
  #sendOnce(draft: Draft): SentMessage {
    this.#engine.dispatch({ kind: 'sendOnce', draft })
    return this.#sent.unstored(draft, 'unknown')
  }

  #sendRealtime(draft: Draft, signal: AbortSignal | undefined): SentMessage {
    const message = this.#sent.unstored(draft, 'outbox')
    this.#realtime(draft, signal).then(
      (status) => message.advance(status),
      (error) => message.end(faultOf(error, { code: 'aborted', message: String(error), retryable: false })),
    )
    return message
  }

  async #realtime(draft: Draft, signal: AbortSignal | undefined): Promise<Status> {
    return (await answerOf(this.#engine, { kind: 'realtime', draft }, signal)).status
  }

  async #cancel({ to, id }: SentMessage): Promise<boolean> {
    return (await answerOf(this.#engine, { kind: 'cancel', toKind: kindOf(to), to: nameOf(to), id })).isCancelled
  }

  async #attempt({ to, id }: SentMessage): Promise<void> {
    await answerOf(this.#engine, { kind: 'retry', toKind: kindOf(to), to: nameOf(to), id })
  }

  async #resend({ to, type, priority, receipts, expirySeconds, body }: OutboxView): Promise<SentMessage> {
    if (body === undefined) throw this.#engine.errorOf({ code: 'not-found', message: 'The content is gone.', retryable: false })
    return await this.send({ to, type, priority, receipts, expirySeconds, body })
  }

  #receive(handler: Handler, options: ReceiveOptions, onStop: (error: PosthasteError | undefined) => void): () => Promise<void> {
    const {
      onFailure = (_error, _message, attempt) => retryLater(attempt),
      signal,
      positions = [],
      acknowledge = 'strict',
    } = options
    checked(this.#engine, () => {
      for (const position of positions) positionArgument(position, 'positions')
      oneOf(acknowledge, ['strict', 'batched'], 'acknowledge')
      if (typeof onFailure !== 'function') throw invalid('onFailure', 'must be a function')
    })
    if (this.#receiver !== undefined) throw this.#engine.errorOf(alreadyReceiving)
    const { connection } = this.#engine
    if (connection.status === 'ended') throw this.#engine.errorOf(connection.fault)
    signal?.throwIfAborted()
    const receiver = { handler, onFailure }
    let stopped: Promise<void> | undefined
    const stop = (): Promise<void> => {
      stopped ??= this.#stopReceiving(receiver)
      return stopped
    }
    const abort = (): void => void stop().catch(() => {})
    signal?.addEventListener('abort', abort, { once: true })
    this.#receiver = receiver
    this.#onStop = (error) => {
      // However it ends, the signal must not hold what it would stop.
      signal?.removeEventListener('abort', abort)
      onStop(error)
    }
    this.#engine.dispatch({ kind: 'receive', positions, isBatched: acknowledge === 'batched' })
    return stop
  }

  async #stopReceiving(receiver: Receiver): Promise<void> {
    if (this.#receiver !== receiver) return
    this.#endReceiving(undefined)
    await answerOf(this.#engine, { kind: 'stopReceiving' }).catch((error) => {
      // A client that was closed meanwhile hands nothing over any more.
      if (!(error instanceof PosthasteError) || error.code !== 'closed') throw error
    })
  }

  #endReceiving(error: PosthasteError | undefined): void {
    const onStop = this.#onStop
    this.#receiver = undefined
    this.#onStop = () => {}
    onStop(error)
  }

  async #handle(effect: HandleEffect): Promise<void> {
    const receiver = this.#receiver
    // Without one it was on its way while receiving ended.
    const { outcome, error }: RunEnd = receiver === undefined ? { outcome: 'release' } : await run(receiver, effect)
    if (error !== undefined) this.#observers.tell('error', error)
    // A handler that was stopped meanwhile must not stop the one that came after it.
    const isOld = outcome === 'stop' && this.#receiver !== receiver
    if (outcome === 'done') this.#engine.dispatch({ kind: 'handlerDone', run: effect.run })
    else this.#engine.dispatch({ kind: 'handlerFailed', run: effect.run, decision: isOld ? 'release' : outcome })
  }

  /** What became of messages while nobody told. */
  async #lookUp(): Promise<void> {
    for (const message of this.#sent.open()) {
      const previous = message.status
      const ask = { kind: 'find', toKind: kindOf(message.to), to: nameOf(message.to), id: message.id } as const
      const answer = await answerOf(this.#engine, ask).catch(() => undefined)
      if (answer === undefined) continue
      if (answer.message === undefined) this.#sent.forget(message)
      else this.#sent.take(answer.message)
      if (message.status !== previous) this.#observers.tell('status', { message, previous })
    }
  }

  #notice(notice: Notice): void {
    switch (notice.kind) {
      case 'connection':
        this.#connectionChanged(notice.state)
        return
      case 'status': {
        const message = this.#sent.take(notice.message)
        this.#observers.tell('status', { message, previous: notice.previous })
        return
      }
      case 'forgotten':
        this.#sent.forget(notice.message)
        return
      case 'message':
        if (!this.#observers.has('message')) return
        this.#observers.tell('message', new Message(notice.entry, false, notice.isOutgoing))
        return
      case 'realtime':
        this.#observers.tell('realtime', new RealtimeMessage(notice.entry))
        return
      case 'typing': {
        const to = addressOf(notice.toKind, notice.to)
        this.#observers.tell('typing', { from: { user: notice.user }, to, isActive: notice.isActive })
        return
      }
      case 'presence':
        this.#present({ user: notice.user, state: notice.state, lastSeenMs: notice.lastSeenMs })
        return
      case 'group':
        this.#observers.tell('group', { group: notice.rights.group, roles: rolesOf(notice.rights.roles) })
        return
      case 'read':
        this.#observers.tell('read', { log: notice.log, lane: notice.lane, sender: notice.sender, mark: notice.mark })
        return
      case 'user':
        return
      case 'error':
        this.#observers.tell('error', this.#engine.errorOf(notice.fault))
    }
  }

  #connectionChanged(state: ConnectionState): void {
    this.#observers.tell('connection', state)
    if (state.status !== 'ended') return
    this.#sent.end(state.fault)
    if (this.#receiver === undefined) return
    this.#endReceiving(this.#endError(state.fault))
    // What is stored is kept for the next client.
    answerOf(this.#engine, { kind: 'stopReceiving' }).catch(() => {})
  }

  /** Why receiving ends with the client; `undefined` where the app wanted it. */
  #endError(fault: Fault): PosthasteError | undefined {
    return fault.code === 'closed' ? undefined : this.#engine.errorOf(fault)
  }

  #present(presence: Presence): void {
    const watchers = this.#watchers.get(presence.user)
    if (watchers === undefined) return
    this.#presence.set(presence.user, presence)
    for (const observer of [...watchers]) observer(presence)
  }

  #unwatch(user: string, observer: (presence: Presence) => void): void {
    const watchers = this.#watchers.get(user)
    watchers?.delete(observer)
    if (watchers === undefined || watchers.size > 0) return
    this.#watchers.delete(user)
    this.#presence.delete(user)
  }

  #connectionValue(): ConnectionValue {
    const engine = this.#engine
    return {
      get state() {
        return engine.connection
      },
      subscribe: (observer) => this.on('connection', observer),
    }
  }

  #setAsideValue(): SetAside {
    const act = async (action: 'retry' | 'drop', position: Position, signal: AbortSignal | undefined): Promise<void> => {
      const known = checked(this.#engine, () => positionArgument(position))
      await answerOf(this.#engine, { kind: 'setAside', action, position: known }, signal)
    }
    return {
      list: async ({ signal } = {}) => {
        const { entries } = await answerOf(this.#engine, { kind: 'listSetAside' }, signal)
        return entries.map((entry) => new Message(entry, true, false))
      },
      retry: (message, { signal } = {}) => act('retry', message?.position, signal),
      drop: (message, { signal } = {}) => act('drop', message?.position, signal),
    }
  }
}

const alreadyReceiving: Fault = {
  code: 'already-receiving',
  message: 'There is a handler already: stop it first.',
  retryable: false,
}

export type { Fault }
