import { Calls } from '../../packages/client/src/calls.ts'
import type { EngineEvent, EngineOwner, OwnEngine } from '../../packages/client/src/engine.ts'
import { PosthasteError } from '../../packages/client/src/errors.ts'
import type { Answer, AppAsk, Ask, ConnectionState, Effect, Fault, Notice } from '../../packages/client/src/machine/events.ts'
import type { Seen } from './appClient.ts'
import type { DeviceApp, DeviceProcess } from './deviceProcess.ts'
import type { Recorder } from './recorder.ts'
import type { Slot } from './slot.ts'
import { StoreWitness } from './storeWitness.ts'
import { readToken } from './tokens.ts'

/** A notice, with what was so when the machine gave it: it may be on its way to its page for a while. */
export type SeenNotice = Notice & { readonly seen?: Seen }

/** What an engine needs of its page. */
export interface EngineParts {
  readonly recorder: Recorder
  readonly slot: Slot
  readonly makeProcess: (app: DeviceApp) => DeviceProcess
  /** Does something later, if the page still lives then. */
  readonly after: (ms: number, action: () => void) => void
  /** Called once the page leads. */
  readonly began: () => void
}

const closeMsMax = 5
const tokenMsMax = 50

/** The engine of one page, which runs the machine once the page leads, as `client/src/runtime.ts` does. */
export class PageEngine implements OwnEngine, DeviceApp {
  readonly #owner: EngineOwner
  readonly #recorder: Recorder
  readonly #slot: Slot
  readonly #process: DeviceProcess
  readonly #witness: StoreWitness
  readonly #calls = new Calls<Ask>()
  readonly #after: EngineParts['after']
  readonly #began: () => void
  #hasBegun = false
  #isClosed = false

  constructor(owner: EngineOwner, { recorder, slot, makeProcess, after, began }: EngineParts) {
    this.#owner = owner
    this.#recorder = recorder
    this.#slot = slot
    this.#witness = new StoreWitness(recorder, slot)
    this.#process = makeProcess(this)
    this.#after = after
    this.#began = began
  }

  /** Whether its page leads. */
  get hasBegun(): boolean {
    return this.#hasBegun
  }

  get process(): DeviceProcess {
    return this.#process
  }

  /** Calls whose answers the machine owes. */
  get waiting(): number {
    return this.#calls.entries().length
  }

  get connection(): ConnectionState {
    return this.#process.connection
  }

  errorOf(fault: Fault): PosthasteError {
    return new PosthasteError(fault)
  }

  helped(error: unknown): unknown {
    return error
  }

  dispatch(event: EngineEvent): void {
    if (!this.#hasBegun) {
      this.#hasBegun = true
      const { world, name } = this.#process.parts
      world.trace.note(world.nowMs, name, 'has a new leader', this.#process.parts.run)
      this.#recorder.record({ kind: 'opened', store: this.#slot.store.number })
      this.#began()
    }
    this.#process.dispatch(event)
  }

  ask(ask: AppAsk, answered: (answer: Answer) => void): () => void {
    return this.#begin(ask, answered)
  }

  close(closed: () => void): void {
    this.#begin({ kind: 'close' }, () => {
      this.#process.after(this.#process.parts.random.skewed(0, closeMsMax), () => {
        // Unless it was killed first.
        if (this.#process.isDead && !this.#isClosed) return
        this.#isClosed = true
        if (!this.#process.isDead) this.#process.exit()
        closed()
      })
    })
  }

  identify(told: (user: string, refusal?: Fault) => void): void {
    const { random, token } = this.#process.parts
    this.#after(random.skewed(0, tokenMsMax), () => {
      const got = token()
      if (!('fault' in got)) told(readToken(got.token)?.user ?? '')
      else if (got.isTerminal) told('', got.fault)
      else told('')
    })
  }

  handle(effect: Extract<Effect, { kind: 'handle' }>): void {
    this.#owner.handle(effect)
  }

  stopReceiving(): void {
    this.#owner.stopReceiving()
  }

  notice({ notice }: Extract<Effect, { kind: 'notify' }>): void {
    const store = this.#slot.store.number
    const { seen } = this.#process
    if (notice.kind === 'connection' && notice.state.status === 'live')
      this.#recorder.record({ kind: 'live', store, epoch: seen.epoch })
    if (notice.kind === 'connection' && notice.state.status === 'ended')
      this.#recorder.record({ kind: 'ended', store, code: notice.state.fault.code })
    const told: SeenNotice = { ...notice, seen }
    this.#owner.notice(told)
  }

  settled({ call, answer }: Extract<Effect, { kind: 'settle' }>): void {
    this.#calls.settle(call, answer)
  }

  stored(writes: Extract<Effect, { kind: 'commit' }>['writes'], judgedMs: number): void {
    this.#witness.stored(writes, judgedMs)
  }

  /** The store is closed; the machine still answers who asked for that. */
  ended(): void {}

  #begin(ask: Ask, answered: (answer: Answer) => void): () => void {
    return this.#calls.begin(
      ask,
      answered,
      (call) => this.#process.dispatch({ kind: 'ask', call, ask }),
      (call) => this.#process.dispatch({ kind: 'abort', call }),
    )
  }
}
