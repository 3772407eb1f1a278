import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Checkpoint, decodeRecord, MemoryTables, readRecord, Shard } from '../src/index.ts'
import { dump } from './harness.ts'
import type { Pace } from '../src/shard/state.ts'
import { type Applied, History, steps, textOf } from './histories.ts'

/** What happens between two records. */
type Event = 'nothing' | 'freeze' | 'slice' | 'finish' | 'crash' | 'forget'

const events: fc.Arbitrary<Event[]> = fc.array(
  fc.constantFrom<Event>('nothing', 'nothing', 'slice', 'slice', 'freeze', 'freeze', 'finish', 'crash', 'forget'),
  { minLength: 1, maxLength: 60, size: 'max' },
)

/** A shard that is checkpointed in slices between its records, and that crashes. */
class Mortal {
  tables = new MemoryTables()
  shard: Shard
  readonly #index: number
  readonly #count: number
  readonly #pace: Pace | undefined
  #checkpoint: Checkpoint | null = null
  #slices: Generator<void, void, void> | null = null
  #isCommitted = false

  constructor(index: number, count: number, pace: Pace | undefined) {
    this.#index = index
    this.#count = count
    this.#pace = pace
    this.shard = new Shard(index, count, this.tables, pace)
  }

  async suffer(event: Event, journal: readonly Applied[]): Promise<void> {
    if (event === 'freeze' && this.#slices === null) this.#freeze()
    else if (event === 'slice') await this.#slice()
    else if (event === 'finish') await this.finish()
    else if (event === 'forget') this.shard.state.generations.trimLoaded(0)
    else if (event === 'crash') this.#crash(journal)
  }

  async finish(): Promise<void> {
    while (this.#slices !== null) await this.#slice()
  }

  #freeze(): void {
    const { generations } = this.shard.state
    generations.freeze()
    this.#checkpoint = this.tables.beginCheckpoint()
    this.#slices = generations.write(this.#checkpoint, 2)
    this.#isCommitted = false
  }

  async #slice(): Promise<void> {
    if (this.#slices === null || this.#slices.next().done !== true) return
    if (this.#isCommitted) {
      this.#slices = null
      return
    }
    await this.#checkpoint?.commit()
    this.#isCommitted = true
    this.#slices = this.shard.state.generations.release(2)
  }

  #crash(journal: readonly Applied[]): void {
    this.tables = this.tables.crash()
    this.#slices = null
    this.shard = new Shard(this.#index, this.#count, this.tables, this.#pace)
    const { position: from } = this.shard
    for (const { position, bytes, effects } of journal) {
      if (position <= from) continue
      // By turns: a replay tells nobody anything, leaves the same state, and what is applied after it has all its effects.
      if (position % 2 === 0) this.shard.replay(position, readRecord(bytes))
      else expect(textOf(this.shard.apply(position, decodeRecord(bytes)))).toBe(effects)
    }
  }
}

/** So slow that most of what devices say in a history is settled in records that come later. */
const slowPace = { commandRows: 1, recordRows: 1 }

describe.each([
  { count: 1, pace: undefined },
  { count: 4, pace: undefined },
  { count: 1, pace: slowPace },
  { count: 4, pace: slowPace },
])('with $count shards at pace $pace', ({ count, pace }) => {
  it('[I11] [I12] a shard that is checkpointed in slices and crashes at any record has the state and the effects of one that never did', async () => {
    await fc.assert(
      fc.asyncProperty(steps(150), events, async (history, fate) => {
        const whole = new History(count, pace)
        whole.run(history)
        for (const [index, shard] of whole.shards.entries()) {
          const mortal = new Mortal(index, count, pace)
          const journal = whole.applied[index] ?? []
          for (const [at, { position, bytes, effects }] of journal.entries()) {
            expect(textOf(mortal.shard.apply(position, decodeRecord(bytes)))).toBe(effects)
            await mortal.suffer(fate[at % fate.length] ?? 'nothing', journal.slice(0, at + 1))
          }
          await mortal.finish()
          expect(dump(mortal.shard, mortal.tables)).toEqual(dump(shard, whole.tables[index] ?? new MemoryTables()))
        }
      }),
      { seed: 20_231_114, numRuns: Number(process.env.RUNS ?? (pace === undefined ? 150 : 50)) },
    )
  })

  it('[I11] the same record applied again changes nothing but the position', () => {
    fc.assert(
      fc.property(steps(40), (history) => {
        const whole = new History(count, pace)
        whole.run(history)
        for (const [index, shard] of whole.shards.entries()) {
          const last = whole.applied[index]?.at(-1)
          if (last === undefined) continue
          const effects = shard.apply(last.position + 1, decodeRecord(last.bytes))
          expect(textOf(effects)).not.toMatch(/\[\{/)
        }
      }),
      { seed: 7, numRuns: 30 },
    )
  })
})

describe('counters', () => {
  it('[I10] what waits and what is kept is counted exactly, whatever happens', () => {
    fc.assert(
      fc.property(steps(120), fc.constantFrom(1, 4), fc.constantFrom(undefined, slowPace), (history, count, pace) => {
        const whole = new History(count, pace)
        whole.run(history)
        for (const { state } of whole.shards) checkCounters(state)
      }),
      { seed: 3, numRuns: Number(process.env.RUNS ?? 150) },
    )
  })
})

function checkCounters(state: Shard['state']): void {
  for (const identity of state.logs.scan(0, 0, undefined, 1_000).map(([id]) => id)) {
    const log = state.log(identity)
    if (log === undefined || log.removedMs > 0) continue
    const sums = { waiting: 0, waitingBytes: 0, kept: 0, keptBytes: 0, echoes: 0, echoBytes: 0 }
    const bySender = new Map<number, number>()
    for (const [, entry] of state.entries.scan(identity, 0, undefined, 10_000)) {
      if (entry.bytes.length > 0) sums.kept += 1
      sums.keptBytes += entry.bytes.length
      if (entry.isEcho && entry.bytes.length > 0) sums.echoes += 1
      if (entry.isEcho) sums.echoBytes += entry.bytes.length
      if (!entry.isStored && !entry.isClosed && !entry.isEcho) {
        sums.waiting += 1
        sums.waitingBytes += entry.bytes.length
        bySender.set(entry.sender, (bySender.get(entry.sender) ?? 0) + 1)
      }
      if (log.kind === 1) expect(entry.delivered).toBeLessThanOrEqual(entry.members)
      expect(entry.read).toBeLessThanOrEqual(entry.delivered)
    }
    expect(log).toMatchObject(sums)
    for (const [sender, contact] of state.contacts.scan(identity, 0, undefined, 1_000)) {
      expect([contact.waiting, contact.senderName]).toEqual([bySender.get(sender) ?? 0, contact.senderName])
    }
    const { settings } = state
    const entriesMax = log.kind === 1 ? settings.groupEntries : settings.inboxEntries
    expect([log.waiting <= entriesMax, log.kept - log.echoes <= 2 * entriesMax]).toEqual([true, true])
  }
}
