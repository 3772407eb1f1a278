import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Generations, MemoryTables } from '../src/index.ts'
import { KeyTable } from '../src/rows/keyTable.ts'
import type { KeyRow } from '../src/rows/rows.ts'
import { keyOf, plain } from './keyRows.ts'

interface Step {
  readonly kind: 'rising' | 'any' | 'verdict' | 'freeze' | 'slice' | 'finish' | 'crash'
  readonly outer: number
  readonly id: bigint
  readonly verdict: number
}

const id = fc.oneof(fc.bigInt({ min: 1n, max: 40n }), fc.bigInt({ min: 1n, max: 2n ** 64n - 1n }))
const steps = fc.array(
  fc.record<Step>({
    kind: fc.constantFrom('rising', 'rising', 'any', 'any', 'verdict', 'verdict', 'freeze', 'slice', 'finish', 'crash'),
    outer: fc.constantFrom(1, 7, 2 ** 33),
    id,
    verdict: fc.nat({ max: 300 }),
  }),
  { minLength: 20, maxLength: 150, size: 'max' },
)

/** The table, beside maps that say what must be in it now, and after a crash. */
class Model {
  tables = new MemoryTables()
  generations = new Generations(this.tables)
  table = new KeyTable(this.generations)
  rows = new Map<string, KeyRow>()
  #stored = new Map<string, KeyRow>()
  #frozen = new Map<string, KeyRow>()
  #highest = 40n
  #number = 0
  #slices: Generator<void, void, void> | undefined
  #checkpoint = this.tables.beginCheckpoint()

  async step({ kind, outer, id, verdict }: Step): Promise<void> {
    if (kind === 'rising') this.#put(outer, ++this.#highest, verdict)
    else if (kind === 'any') this.#put(outer, id, verdict)
    else if (kind === 'verdict') this.#setVerdict(outer, id, verdict)
    else if (kind === 'freeze') this.#freeze()
    else if (kind === 'slice') await this.#slice()
    else if (kind === 'finish') while (this.#slices !== undefined) await this.#slice()
    else this.#crash()
  }

  check(): void {
    for (const [name, key] of this.rows) {
      const [outer = '', id = ''] = name.split('/')
      expect(plain(this.table.get(Number(outer), BigInt(id)))).toEqual(key)
    }
    expect(this.table.get(1, 2n ** 64n - 2n)).toBe(undefined)
  }

  /** Lets the first, empty checkpoint go. */
  async begin(): Promise<this> {
    await this.#checkpoint.commit()
    return this
  }

  #put(outer: number, id: bigint, verdict: number): void {
    const key = keyOf(++this.#number, verdict)
    this.table.put(outer, id, key)
    this.rows.set(`${outer}/${id}`, key)
  }

  #setVerdict(outer: number, id: bigint, verdict: number): void {
    const key = this.table.get(outer, id)
    expect(plain(key)).toEqual(this.rows.get(`${outer}/${id}`))
    if (key === undefined) return
    const changed = { ...keyOf(0, 0), ...plain(key), verdict }
    this.table.setVerdict(outer, id, key, verdict)
    this.rows.set(`${outer}/${id}`, changed)
  }

  #freeze(): void {
    if (this.#slices !== undefined) return
    this.generations.freeze()
    this.#frozen = new Map(this.rows)
    this.#checkpoint = this.tables.beginCheckpoint()
    this.#slices = this.generations.write(this.#checkpoint, 2)
  }

  async #slice(): Promise<void> {
    if (this.#slices === undefined || this.#slices.next().done !== true) return
    this.#slices = undefined
    await this.#checkpoint.commit()
    this.#stored = this.#frozen
    for (const _ of this.generations.release(2));
  }

  #crash(): void {
    this.tables = this.tables.crash()
    this.generations = new Generations(this.tables)
    this.table = new KeyTable(this.generations)
    this.rows = new Map(this.#stored)
    this.#slices = undefined
  }
}

describe('the keys of messages', () => {
  it('[I2] [I12] are what was last put or judged; a checkpoint holds those of the moment at which it was frozen', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const model = await new Model().begin()
        for (const step of history) await model.step(step)
        model.check()
      }),
      { seed: 12, numRuns: Number(process.env.RUNS ?? 300) },
    )
  })

  it('[I2] are found among thousands, whether their ids rise, fall or jump', async () => {
    for (const idOf of [(at: number) => at, (at: number) => 5_000 - at, (at: number) => ((at * 2_654_435_761) % 2 ** 32) + 1]) {
      const model = await new Model().begin()
      const put = (at: number): Promise<void> =>
        model.step({ kind: 'any', outer: 1, id: BigInt(idOf(at)) << 20n, verdict: at % 2 })
      for (let at = 0; at < 5_000; at++) await put(at)
      // Some of them again.
      for (let at = 0; at < 5_000; at += 7) await put(at)
      model.check()
      await model.step({ kind: 'freeze', outer: 1, id: 1n, verdict: 0 })
      await model.step({ kind: 'finish', outer: 1, id: 1n, verdict: 0 })
      model.check()
      expect(model.tables.rowCount).toBe(5_000)
    }
  })
})
