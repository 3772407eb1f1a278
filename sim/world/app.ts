import type { Answer, Ask, Draft, Effect, Notice, RowWrite } from '../../packages/client/src/machine/events.ts'
import { entryOfRow, keyPart, outboxRow, tables } from '../../packages/client/src/machine/rows.ts'
import { bodyOfContent, type Change, type Content, contentOfBody } from '../history.ts'
import type { SimOptions } from '../plan/options.ts'
import type { DeviceApp, DeviceProcess } from './deviceProcess.ts'
import type { Random } from './random.ts'
import type { Recorder } from './recorder.ts'
import type { Slot } from './slot.ts'
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

/** The app on one device, for one run of its process: asks the machine, handles what comes, and writes down all that it sees. */
export class App implements DeviceApp {
  readonly #parts: AppParts
  readonly #process: DeviceProcess
  readonly #answers = new Map<number, (answer: Answer) => void>()
  readonly #deadlines = new Map<number, number>()
  #calls = 0
  #running = 0
  #isReceiving = false

  constructor(parts: AppParts, process: DeviceProcess) {
    this.#parts = parts
    this.#process = process
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
    this.#process.dispatch({ kind: 'ask', call: this.#calls, ask })
  }

  /** There is a handler from now on. */
  receive(): void {
    if (this.#isReceiving) return
    this.#isReceiving = true
    const { options, slot } = this.#parts
    const positions = options.hasPositions ? [...slot.store.positions.values()] : []
    this.#process.dispatch({ kind: 'receive', positions, isBatched: options.isBatched })
  }

  stopReceiving(): void {
    this.#isReceiving = false
  }

  /** Writes a message with an id. @param id `undefined`: the machine makes one */
  send(content: Content, id: bigint | undefined): void {
    const { recorder, slot } = this.#parts
    recorder.record({ kind: 'sendAsked', store: slot.store.number, content: content.number, id: id?.toString() })
    this.ask({ kind: 'send', drafts: [draftOf(content, id)] }, (answer) => {
      if (answer.kind === 'fault') {
        recorder.record({ kind: 'sendRefused', store: slot.store.number, content: content.number, code: answer.fault.code })
        return
      }
      const made = answer.kind === 'sent' ? answer.messages[0] : undefined
      if (made === undefined) return
      recorder.record({ kind: 'sendAnswered', store: slot.store.number, content: content.number, order: made.order })
      note(slot.sent, { content: content.number, id: made.id })
    })
  }

  /** Sends a message at most once, with id 0. */
  sendOnce(content: Content): void {
    const { recorder, slot } = this.#parts
    recorder.record({ kind: 'onceSent', store: slot.store.number, content: content.number })
    this.#process.dispatch({ kind: 'sendOnce', draft: draftOf(content, 0n) })
  }

  realtime(content: Content): void {
    const { recorder, slot } = this.#parts
    recorder.record({ kind: 'realtimeAsked', store: slot.store.number, content: content.number })
    this.ask({ kind: 'realtime', draft: draftOf(content, undefined) }, (answer) => {
      const status = answer.kind === 'status' ? answer.status : 'refused'
      recorder.record({ kind: 'realtimeTold', content: content.number, status })
    })
  }

  typing(toKind: 0 | 1, to: string, isActive: boolean): void {
    const { recorder, slot } = this.#parts
    recorder.record({ kind: 'typingAsked', user: slot.user, toKind, to, isActive })
    this.#process.dispatch({ kind: 'typing', toKind, to, isActive })
  }

  watch(user: string, isOn: boolean): void {
    const { recorder, slot } = this.#parts
    recorder.record({ kind: 'watchAsked', store: slot.store.number, user, isOn })
    this.#process.dispatch({ kind: 'watch', users: [user], isOn })
  }

  change(change: Change, ask: Ask): void {
    const { recorder } = this.#parts
    const number = recorder.changeNumber()
    recorder.record({ kind: 'changeAsked', change, number })
    this.ask(ask, (answer) => {
      const code = answer.kind !== 'fault' ? '' : answer.fault.code === 'connection-lost' ? undefined : answer.fault.code
      recorder.record({ kind: 'changeAnswered', number, code })
    })
  }

  handle({ run, entry, redelivered }: Extract<Effect, { kind: 'handle' }>): void {
    const { options, random, recorder, slot, world, isHealed } = this.#parts
    const { epoch, log, lane, seq } = entry.position
    const place = { store: slot.store.number, epoch, log, lane, seq }
    recorder.record({ kind: 'handled', ...place, content: contentOfBody(entry.body), isRedelivered: redelivered })
    note(slot.got, { position: entry.position, sender: entry.toKind === 1 ? 0 : entry.sender, count: entry.count })
    this.#running += 1
    world.after(random.skewed(0, options.handlerMsMax), () => {
      if (this.#process.isDead) return
      this.#running -= 1
      const isDone = isHealed() || !random.isLucky(options.handlerFails)
      recorder.record({ kind: 'handlerEnded', ...place, isDone })
      if (isDone) {
        if (options.hasPositions) slot.store.positions.set(`${log} ${lane}`, entry.position)
        this.#process.dispatch({ kind: 'handlerDone', run })
        return
      }
      const decision = random.pick([{ retryInMs: 20 }, { retryInMs: 1_000 }, 'set-aside', 'stop', 'release'] as const)
      this.#process.dispatch({ kind: 'handlerFailed', run, decision })
      // What was released waits for the next handler.
      if (decision === 'release') this.#receiveAgain()
    })
  }

  #receiveAgain(): void {
    this.#isReceiving = false
    this.ask({ kind: 'stopReceiving' })
    this.#parts.world.after(100, () => {
      if (!this.#process.isDead) this.receive()
    })
  }

  notice({ notice }: Extract<Effect, { kind: 'notify' }>): void {
    const { recorder, slot } = this.#parts
    const store = slot.store.number
    switch (notice.kind) {
      case 'status':
        return this.#told(notice)
      case 'forgotten': {
        const { order, status } = notice.message
        return recorder.record({ kind: 'forgotten', store, content: slot.store.contents.get(order) ?? 0, order, status })
      }
      case 'message': {
        const { position, id, body } = notice.entry
        if (!notice.isOutgoing) return
        const { epoch, log, lane, seq } = position
        return recorder.record({ kind: 'echoed', store, content: contentOfBody(body), id: `${id}`, lane, seq, epoch, log })
      }
      case 'realtime':
        return recorder.record({
          kind: 'realtimeGot',
          store,
          content: contentOfBody(notice.entry.body),
          id: `${notice.entry.id}`,
          isLive: this.#process.connection.status === 'live',
        })
      case 'typing': {
        const { user, toKind, to, isActive } = notice
        return recorder.record({ kind: 'typingTold', store, user, toKind, to, isActive })
      }
      case 'presence':
        return recorder.record({
          kind: 'presenceTold',
          store,
          user: notice.user,
          state: notice.state,
          isLive: this.#process.connection.status === 'live',
        })
      case 'connection':
        if (notice.state.status === 'live') recorder.record({ kind: 'live', store, epoch: this.#process.link?.serverEpoch ?? 0 })
        if (notice.state.status === 'ended') this.#over(notice.state.fault.code)
        return
      default:
        return
    }
  }

  settled({ call, answer }: Extract<Effect, { kind: 'settle' }>): void {
    const answered = this.#answers.get(call)
    this.#answers.delete(call)
    answered?.(answer)
  }

  /** Writes down what of a commit can be seen from outside. */
  stored(writes: readonly RowWrite[], judgedMs: number): void {
    for (const [key, value] of writes) {
      if (value === null) continue
      if (key[0] === tables.body) this.#parts.slot.store.contents.set(keyPart(key, 0), contentOfBody(value))
    }
    for (const [key, value] of writes) {
      if (value === null && key[0] === tables.outbox) this.#outboxDropped(keyPart(key, 0))
      if (value === null) continue
      if (key[0] === tables.inbox) this.#inboxRow(key, value, judgedMs)
      else if (key[0] === tables.outbox) this.#outboxRow(keyPart(key, 0), value)
    }
  }

  ended(): void {
    this.#process.exit()
    this.#parts.ended('closed')
  }

  #over(code: string): void {
    const { recorder, slot } = this.#parts
    recorder.record({ kind: 'ended', store: slot.store.number, code })
    if (code !== 'closed') this.#parts.ended(code)
  }

  #told(notice: Extract<Notice, { kind: 'status' }>): void {
    const { recorder, slot, world } = this.#parts
    const { order, id, status, counts } = notice.message
    recorder.record({
      kind: 'told',
      store: slot.store.number,
      content: slot.store.contents.get(order) ?? 0,
      order,
      id: `${id}`,
      status,
      previous: notice.previous,
      counts,
      epoch: this.#process.link?.serverEpoch ?? 0,
      isLive: this.#process.connection.status === 'live',
      serverMs: this.#process.serverMs(world.nowMs),
    })
  }

  #inboxRow(key: Uint8Array, value: Uint8Array, judgedMs: number): void {
    const { recorder, slot } = this.#parts
    const { position, id, body, timeMs: _timeMs, ...entry } = entryOfRow(key, value)
    const content = contentOfBody(body)
    const bytes = body.length
    const judged = this.#process.serverMs(judgedMs)
    recorder.record({
      kind: 'stored',
      store: slot.store.number,
      ...position,
      ...entry,
      id: `${id}`,
      content,
      bytes,
      judgedMs: judged,
    })
  }

  #outboxDropped(order: number): void {
    this.#deadlines.delete(order)
    this.#parts.recorder.record({ kind: 'sendDropped', store: this.#parts.slot.store.number, order })
  }

  #outboxRow(order: number, value: Uint8Array): void {
    const { recorder, slot } = this.#parts
    const content = slot.store.contents.get(order) ?? 0
    const { deadlineMs, id } = outboxRow.read(value)
    if (this.#deadlines.get(order) === deadlineMs) return
    this.#deadlines.set(order, deadlineMs)
    recorder.record({ kind: 'sendStored', store: slot.store.number, content, order, id: `${id}`, deadlineMs })
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
