import { kindOf, nameOf, type Status } from '@posthaste/protocol'
import type {
  Answer,
  Ask,
  Draft,
  Effect,
  Notice,
  OutboxView,
  Position,
  RowWrite,
} from '../../packages/client/src/machine/events.ts'
import { noteWatched } from '../../packages/client/src/tabs/messages.ts'
import { bodyOfContent, type Change, type Content, contentOfBody } from '../history.ts'
import type { SimOptions } from '../plan/options.ts'
import type { AppClient, Seen } from './appClient.ts'
import type { DeviceApp } from './deviceProcess.ts'
import { OpenMessages } from './openMessages.ts'
import type { Random } from './random.ts'
import type { Recorder } from './recorder.ts'
import type { Slot } from './slot.ts'
import { StoreWitness } from './storeWitness.ts'
import type { World } from './world.ts'

/** What an app works with. */
export interface AppParts {
  readonly world: World
  readonly random: Random
  readonly options: SimOptions
  readonly recorder: Recorder
  readonly slot: Slot
  /** The client has ended by itself or was closed. */
  readonly ended: (code: string) => void
  /** Whether nothing fails any more. */
  readonly isHealed: () => boolean
}

const notesMax = 40
/** What an app may do with a message that its handler failed on. */
const decisions = [{ retryInMs: 20 }, { retryInMs: 1_000 }, 'set-aside', 'stop', 'release'] as const

/** The app on one device, or in one page, for one run of its process: asks the client, handles what comes, and writes down all that it sees. */
export class App implements DeviceApp {
  readonly #parts: AppParts
  readonly #client: AppClient
  readonly #witness: StoreWitness
  readonly #answers = new Map<number, (answer: Answer) => void>()
  readonly #open = new OpenMessages()
  /** Whom it watches, each as often as it does. */
  readonly #watched: string[] = []
  #calls = 0
  #running = 0
  #isReceiving = false
  #isOver = false

  constructor(parts: AppParts, client: AppClient) {
    this.#parts = parts
    this.#client = client
    this.#witness = new StoreWitness(parts.recorder, parts.slot)
  }

  /** What it has asked for and not been answered. */
  get unanswered(): number {
    return this.#answers.size
  }

  /** Handlers that run. */
  get running(): number {
    return this.#running
  }

  get isReceiving(): boolean {
    return this.#isReceiving
  }

  ask(ask: Ask, answered: (answer: Answer) => void = () => {}): void {
    this.#calls += 1
    this.#answers.set(this.#calls, answered)
    this.#client.dispatch({ kind: 'ask', call: this.#calls, ask })
  }

  get #isTab(): boolean {
    return this.#client.tab > 0
  }

  get #here(): { readonly store: number; readonly tab: number } {
    return { store: this.#parts.slot.store.number, tab: this.#client.tab }
  }

  /** There is a handler from now on. */
  receive(): void {
    if (this.#isReceiving) return
    this.#isReceiving = true
    const { options, slot } = this.#parts
    const positions = options.hasPositions ? [...slot.store.positions.values()] : []
    if (this.#isTab) this.#parts.recorder.record({ kind: 'receiving', ...this.#here })
    this.#client.dispatch({ kind: 'receive', positions, isBatched: options.isBatched })
  }

  stopReceiving(): void {
    if (this.#isTab && this.#isReceiving) this.#parts.recorder.record({ kind: 'receivingStopped', ...this.#here })
    this.#isReceiving = false
  }

  /** The app wants no handler any more. */
  stop(): void {
    if (this.#isTab) this.stopReceiving()
    this.ask({ kind: 'stopReceiving' }, () => {
      if (!this.#isTab) this.stopReceiving()
    })
  }

  /** Writes a message with an id. @param id `undefined`: the machine makes one */
  send(content: Content, id: bigint | undefined): void {
    const { recorder, slot } = this.#parts
    recorder.record({ kind: 'sendAsked', ...this.#here, content: content.number, id: id?.toString() })
    this.ask({ kind: 'send', drafts: [draftOf(content, id)] }, (answer) => {
      if (answer.kind === 'fault') {
        recorder.record({ kind: 'sendRefused', ...this.#here, content: content.number, code: answer.fault.code })
        return
      }
      const made = answer.kind === 'sent' ? answer.messages[0] : undefined
      if (made === undefined) return
      if (this.#isTab) this.#open.note(made)
      recorder.record({ kind: 'sendAnswered', store: slot.store.number, content: content.number, order: made.order })
      note(slot.sent, { content: content.number, id: made.id })
    })
  }

  /** Sends a message at most once, with id 0. */
  sendOnce(content: Content): void {
    const { recorder, slot } = this.#parts
    recorder.record({ kind: 'onceSent', store: slot.store.number, content: content.number })
    this.#client.dispatch({ kind: 'sendOnce', draft: draftOf(content, 0n) })
  }

  realtime(content: Content): void {
    const { recorder } = this.#parts
    recorder.record({ kind: 'realtimeAsked', ...this.#here, content: content.number })
    this.ask({ kind: 'realtime', draft: draftOf(content, undefined) }, (answer) => {
      const status = answer.kind === 'status' ? answer.status : 'refused'
      recorder.record({ kind: 'realtimeTold', content: content.number, status })
    })
  }

  typing(toKind: 0 | 1, to: string, isActive: boolean): void {
    const { recorder, slot } = this.#parts
    recorder.record({ kind: 'typingAsked', user: slot.user, toKind, to, isActive })
    this.#client.dispatch({ kind: 'typing', toKind, to, isActive })
  }

  watch(user: string, isOn: boolean): void {
    // An app can only end what it has begun.
    if (this.#isTab && !isOn && !this.#watched.includes(user)) return
    noteWatched(this.#watched, user, isOn)
    this.#parts.recorder.record({ kind: 'watchAsked', ...this.#here, user, isOn })
    this.#client.dispatch({ kind: 'watch', users: [user], isOn })
  }

  change(change: Change, ask: Ask): void {
    const { recorder } = this.#parts
    const number = recorder.changeNumber()
    recorder.record({ kind: 'changeAsked', change, number })
    this.ask(ask, (answer) => {
      const code = answer.kind === 'fault' ? answer.fault.code : ''
      // A page that takes part no more does not know what became of what another one has asked for it.
      const isUnknown = code === 'connection-lost' || (this.#isTab && (this.#isOver || code === 'closed'))
      recorder.record({ kind: 'changeAnswered', number, code: isUnknown ? undefined : code })
    })
  }

  handle({ run, entry, redelivered }: Extract<Effect, { kind: 'handle' }>): void {
    const { options, random, recorder, slot, isHealed } = this.#parts
    const { epoch, log, lane, seq } = entry.position
    const place = { ...this.#here, epoch, log, lane, seq }
    recorder.record({ kind: 'handled', ...place, content: contentOfBody(entry.body), isRedelivered: redelivered })
    note(slot.got, { position: entry.position, sender: entry.toKind === 1 ? 0 : entry.sender, count: entry.count })
    this.#running += 1
    this.#client.after(random.skewed(0, options.handlerMsMax), () => {
      if (this.#client.isDead) return
      this.#running -= 1
      const isDone = isHealed() || !random.isLucky(options.handlerFails)
      const decision = isDone ? undefined : random.pick(decisions)
      recorder.record({ kind: 'handlerEnded', ...place, isDone, isSetAside: decision === 'set-aside' })
      if (decision === undefined) {
        if (options.hasPositions) this.#keepPosition(entry.position)
        this.#client.dispatch({ kind: 'handlerDone', run })
        return
      }
      this.#client.dispatch({ kind: 'handlerFailed', run, decision })
      // What was released waits for the next handler.
      if (decision === 'release') this.#receiveAgain()
    })
  }

  /** In a browser another page may be further on. */
  #keepPosition(position: Position): void {
    const { positions } = this.#parts.slot.store
    const key = `${position.log} ${position.lane}`
    const known = this.#isTab ? positions.get(key) : undefined
    const isBehind = known !== undefined && known.epoch >= position.epoch && known.seq > position.seq
    if (!isBehind) positions.set(key, position)
  }

  #receiveAgain(): void {
    this.stopReceiving()
    this.ask({ kind: 'stopReceiving' })
    this.#client.after(100, () => {
      if (!this.#client.isDead) this.receive()
    })
  }

  notice({ notice }: { readonly notice: Notice }, seen = this.#client.seen): void {
    const { recorder, slot } = this.#parts
    const store = slot.store.number
    const here = this.#here
    const isLive = this.#client.connection.status === 'live'
    switch (notice.kind) {
      case 'status':
        this.#open.note(notice.message)
        return this.#told(notice.message, notice.previous, seen, false)
      case 'forgotten': {
        this.#open.forget(notice.message)
        return this.#forgotten(notice.message)
      }
      case 'message': {
        const { position, id, body } = notice.entry
        if (!notice.isOutgoing) return
        const { epoch, log, lane, seq } = position
        return recorder.record({ kind: 'echoed', ...here, content: contentOfBody(body), id: `${id}`, lane, seq, epoch, log })
      }
      case 'realtime': {
        const { id, body } = notice.entry
        return recorder.record({ kind: 'realtimeGot', ...here, content: contentOfBody(body), id: `${id}`, isLive })
      }
      case 'typing': {
        const { user, toKind, to, isActive } = notice
        return recorder.record({ kind: 'typingTold', ...here, user, toKind, to, isActive })
      }
      case 'presence':
        return recorder.record({ kind: 'presenceTold', ...here, user: notice.user, state: notice.state, isLive })
      case 'connection':
        // What all pages are told of their machine, that is written down for, once.
        if (notice.state.status === 'live' && !this.#isTab) recorder.record({ kind: 'live', store, epoch: seen.epoch })
        if (notice.state.status === 'ended') this.#over(notice.state.fault.code)
        return
      default:
        return
    }
  }

  /** Another machine goes on from the store: the app looks up what became of its messages meanwhile, as `posthaste.ts` does. */
  restarted(): void {
    for (const known of this.#open.all) {
      const address = { toKind: kindOf(known.to), to: nameOf(known.to), id: known.id }
      this.ask({ kind: 'find', ...address }, (answer) => {
        if (answer.kind !== 'found') return
        // Nobody knows it any more, or another one stands under its id.
        if (answer.message?.order !== known.order) {
          this.#open.forget(known)
          this.#forgotten(known)
        } else if (this.#open.note(answer.message) && answer.message.status !== known.status)
          this.#told(answer.message, known.status, this.#client.seen, true)
      })
    }
  }

  settled({ call, answer }: Extract<Effect, { kind: 'settle' }>): void {
    const answered = this.#answers.get(call)
    this.#answers.delete(call)
    answered?.(answer)
  }

  /** Writes down what of a commit can be seen from outside. */
  stored(writes: readonly RowWrite[], judgedMs: number): void {
    this.#witness.stored(writes, judgedMs)
  }

  ended(): void {
    this.#client.exit()
    this.#parts.ended('closed')
  }

  /** Whether it waits for the answer of a call that it may do without. */
  mayCallOff(call: number, { kind }: Ask): boolean {
    const isOptional = kind === 'send' || kind === 'markRead' || kind === 'cancel'
    return isOptional && this.#answers.has(call) && !this.#parts.isHealed() && this.#parts.random.isLucky(0.03)
  }

  /** It waits for that answer no more. @returns whether it did */
  calledOff(call: number): boolean {
    if (this.#answers.has(call)) this.#parts.world.count('state: a call was called off')
    return this.#answers.delete(call)
  }

  #over(code: string): void {
    const { recorder, slot } = this.#parts
    this.#isOver = true
    if (!this.#isTab) recorder.record({ kind: 'ended', store: slot.store.number, code })
    if (code !== 'closed' || this.#isTab) this.#parts.ended(code)
  }

  #forgotten({ order, id, status }: OutboxView): void {
    const content = this.#parts.slot.store.contentOf(order, id)
    this.#parts.recorder.record({ kind: 'forgotten', ...this.#here, content, order, id: `${id}`, status })
  }

  #told(message: OutboxView, previous: Status, seen: Seen, isLookedUp: boolean): void {
    const { recorder, slot } = this.#parts
    const { order, id, status, counts } = message
    const content = slot.store.contentOf(order, id)
    recorder.record({ kind: 'told', ...this.#here, content, order, id: `${id}`, status, previous, counts, ...seen, isLookedUp })
  }
}

function draftOf(content: Content, id: bigint | undefined): Draft {
  const { toKind, to, type, priority, receipts, expirySeconds, number, bytes } = content
  return { toKind, to, id, type, priority, expirySeconds, receipts, body: bodyOfContent(number, bytes) }
}

/** Keeps the last ones. */
function note<T>(notes: T[], added: T): void {
  notes.push(added)
  if (notes.length > notesMax) notes.shift()
}
