import { keyBounds, type Shard, sweptIn } from '@posthaste/core'
import type { SimOptions } from '../plan/options.ts'
import type { Random } from './random.ts'
import type { ShardStore } from './serverDisk.ts'
import type { SimCheckpoint } from './simTables.ts'
import type { CrashPoint, World } from './world.ts'

/** What a checkpointer works with. */
export interface CheckpointParts {
  readonly world: World
  readonly random: Random
  readonly options: SimOptions
  readonly shard: Shard
  readonly store: ShardStore
  /** Passes a point at which the process may be killed. */
  pass(point: CrashPoint): void
  /** Runs a slice as an event of the process; not at all once it is dead. */
  enter(action: () => void): void
}

/** Writes the checkpoints of one shard in slices between other events, as `server/src/engine.ts` does: freeze, write, commit, release, trim, sweep. */
export class Checkpointer {
  readonly #parts: CheckpointParts
  #journalBytes = 0
  #sinceMs: number
  #isBusy = false

  constructor(parts: CheckpointParts) {
    this.#parts = parts
    this.#sinceMs = parts.world.nowMs
    // What was replayed counts as not covered.
    this.#journalBytes = parts.store.journal.lastPosition > 0 ? 1 : 0
  }

  get isBusy(): boolean {
    return this.#isBusy
  }

  get isDue(): boolean {
    const { options, shard, world } = this.#parts
    const isLate = world.nowMs - this.#sinceMs >= options.checkpointMs || this.#journalBytes >= options.checkpointBytes
    return isLate && !this.#isBusy && shard.state.generations.changed > 0 && this.#journalBytes > 0
  }

  appended(bytes: number): void {
    this.#journalBytes += bytes
  }

  begin(): void {
    if (this.#isBusy || this.#parts.shard.state.generations.changed === 0) return
    const { options, shard, store, world } = this.#parts
    const { generations, clockMs } = shard.state
    const { position } = shard
    this.#isBusy = true
    generations.freeze()
    this.#journalBytes = 0
    this.#sinceMs = world.nowMs
    world.count('checkpoint')
    const checkpoint = store.tables.beginCheckpoint()
    this.#slices(generations.write(checkpoint, options.sliceRows), () => this.#commit(checkpoint, position, clockMs))
  }

  /** A checkpoint at once, with nothing left in the journal: the end of a clean stop. */
  finish(): void {
    const { shard, store } = this.#parts
    const { generations } = shard.state
    generations.freeze()
    const checkpoint = store.tables.beginCheckpoint()
    for (const _ of generations.write(checkpoint, 1_000));
    checkpoint.commitNow()
    for (const _ of generations.release(1_000));
    store.journal.trim(shard.position)
  }

  #slices(steps: Generator<void, void, void>, done: () => void): void {
    const { random, world } = this.#parts
    world.after(random.skewed(0, 4), () =>
      this.#parts.enter(() => {
        this.#parts.pass('checkpoint-slice')
        if (steps.next().done === true) done()
        else this.#slices(steps, done)
      }),
    )
  }

  #commit(checkpoint: SimCheckpoint, position: number, clockMs: number): void {
    const { random, world, store, shard, options } = this.#parts
    world.after(random.skewed(0.5, 30), () =>
      this.#parts.enter(() => {
        this.#parts.pass('checkpoint-commit')
        checkpoint.commitNow()
        world.trace.note(world.nowMs, 'server', 'checkpoint', position)
        this.#parts.pass('checkpoint-committed')
        this.#slices(shard.state.generations.release(options.sliceRows), () => this.#trim(position, clockMs))
        if (store.journal.lastPosition > position) world.count('checkpoint behind the journal')
      }),
    )
  }

  #trim(position: number, clockMs: number): void {
    const { random, world, store } = this.#parts
    world.after(random.skewed(0.5, 30), () =>
      this.#parts.enter(() => {
        // A crash in its midst removes a prefix.
        store.journal.trim(position - random.below(3))
        this.#parts.pass('trim')
        store.journal.trim(position)
        this.#sweep(clockMs)
        this.#isBusy = false
      }),
    )
  }

  /** Keys past their time, which count as absent already. */
  #sweep(clockMs: number): void {
    const { store, world } = this.#parts
    const { past } = sweptIn(store.tables.scan(...keyBounds, 2_000), clockMs, 2_000)
    if (past.length === 0) return
    store.tables.sweepNow(past)
    world.count('keys swept', past.length)
  }
}
