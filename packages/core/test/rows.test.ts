import { Reader, Writer } from '@posthaste/protocol'
import type * as schema from '@posthaste/protocol/schema'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import { Generations, MemoryTables } from '../src/index.ts'
import { compareBytes } from '../src/memory/compare-bytes.ts'
import type { Row } from '../src/rows/generation.ts'
import { rowCodecs } from '../src/rows/rows.ts'
import { Table } from '../src/rows/table.ts'

interface Sample extends Row {
  value: number
}

const codec: schema.Field<Sample> = {
  write: (writer, row) => writer.uint(row.value),
  read: (reader, name) => ({ generation: 0, isOnDisk: true, place: 0, value: reader.uint(name, 1_000_000) }),
}

interface Step {
  readonly kind: 'put' | 'change' | 'delete' | 'drop' | 'get' | 'scan' | 'freeze' | 'slice' | 'finish' | 'forget' | 'crash'
  readonly outer: number
  readonly inner: number
  readonly value: number
}

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom<Step['kind']>(
      'put',
      'put',
      'change',
      'change',
      'change',
      'delete',
      'delete',
      'drop',
      'drop',
      'get',
      'scan',
      'freeze',
      'freeze',
      'slice',
      'slice',
      'finish',
      'forget',
      'crash',
    ),
    outer: fc.nat({ max: 2 }),
    inner: fc.nat({ max: 3 }),
    value: fc.nat({ max: 999 }),
  }),
  { minLength: 20, maxLength: 150, size: 'max' },
)

/** A table, beside a map that says what must be in it now, and what the last complete checkpoint must hold. */
class Model {
  tables = new MemoryTables()
  generations = new Generations(this.tables)
  table = this.#open()
  rows = new Map<string, number>()
  stored = new Map<string, number>()
  #frozen = new Map<string, number>()
  #slices: Generator<void, void, void> | null = null
  #checkpoint = this.tables.beginCheckpoint()
  #isCommitted = true

  #open(): Table<Sample, number> {
    return new Table<Sample, number>(this.generations, 7, 'number', codec)
  }

  async step({ kind, outer, inner, value }: Step): Promise<void> {
    const key = `${outer}/${inner}`
    expect(this.table.look(outer, inner)?.value).toBe(this.rows.get(key))
    if (kind === 'drop') {
      // What was only looked at is deleted without being held.
      if (this.rows.delete(key)) this.table.deleteKnown(outer, inner)
      return
    }
    const found = this.table.get(outer, inner)
    expect(found?.value).toBe(this.rows.get(key))
    if (kind === 'put') {
      this.table.put(outer, inner, { generation: 0, isOnDisk: false, place: 0, value })
      this.rows.set(key, value)
    } else if (kind === 'change' && found !== undefined) {
      this.table.touch(outer, inner, found)
      found.value = value
      this.rows.set(key, value)
    } else if (kind === 'delete') {
      this.table.delete(outer, inner)
      this.rows.delete(key)
    } else if (kind === 'scan') this.scan(outer, inner, value)
    else if (kind === 'forget') this.generations.trimLoaded(value % 3)
    else await this.#checkpointing(kind)
  }

  /** Compares a scan with the model. */
  scan(outer: number, from: number, value: number): void {
    const to = value % 2 === 0 ? undefined : (value % 4) + 1
    const limit = (value % 3) + 1
    const expected: [number, number][] = []
    for (let inner = from; inner < (to ?? 4) && expected.length < limit; inner++) {
      const row = this.rows.get(`${outer}/${inner}`)
      if (row !== undefined) expected.push([inner, row])
    }
    expect(this.table.scan(outer, from, to, limit).map(([inner, row]) => [inner, row.value])).toEqual(expected)
    this.#keysFrom(from % 3, limit)
  }

  /** Compares the keys of a page, and of what follows it, with the model: a page is whole. */
  #keysFrom(from: number, limit: number): void {
    const found: string[] = []
    for (let next = from; next < 3; ) {
      const { keys, to } = this.table.keysFrom(next, 3, limit)
      expect(keys.every(([outer]) => outer >= next && outer < to)).toBe(true)
      found.push(...keys.map(([outer, inner]) => `${outer}/${inner}`))
      next = to
    }
    expect(found.sort()).toEqual([...this.rows.keys()].filter((key) => Number(key[0]) >= from).sort())
  }

  async #checkpointing(kind: Step['kind']): Promise<void> {
    if (kind === 'freeze' && this.#slices === null) {
      if (!this.#isCommitted) return
      this.generations.freeze()
      this.#frozen = new Map(this.rows)
      this.#checkpoint = this.tables.beginCheckpoint()
      this.#slices = this.generations.write(this.#checkpoint, 1)
      this.#isCommitted = false
    } else if (kind === 'slice') await this.#slice()
    else if (kind === 'finish') while (this.#slices !== null) await this.#slice()
    else if (kind === 'crash') {
      this.tables = this.tables.crash()
      this.generations = new Generations(this.tables)
      this.table = this.#open()
      this.rows = new Map(this.stored)
      this.#slices = null
      this.#isCommitted = true
    }
  }

  async #slice(): Promise<void> {
    if (this.#slices === null || this.#slices.next().done !== true) return
    if (this.#isCommitted) {
      this.#slices = null
      return
    }
    await this.#checkpoint.commit()
    this.#isCommitted = true
    this.stored = this.#frozen
    this.#slices = this.generations.release(1)
  }

  /** Lets the first, empty checkpoint go. */
  async begin(): Promise<this> {
    await this.#checkpoint.commit()
    return this
  }
}

describe('rows in generations', () => {
  it('[I12] hold what was last put, changed or deleted; a checkpoint holds the rows of the moment at which it was frozen', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const model = await new Model().begin()
        for (const step of history) await model.step(step)
        for (const outer of [0, 1, 2]) model.scan(outer, 0, 2)
      }),
      { seed: 11, numRuns: Number(process.env.RUNS ?? 300) },
    )
  })

  it('[I12] a key that is deleted, put, deleted and put again around a checkpoint is written once', async () => {
    const model = await new Model().begin()
    const step = (kind: Step['kind'], value = 1): Promise<void> => model.step({ kind, outer: 1, inner: 1, value })
    for (const kind of [
      'put',
      'freeze',
      'finish',
      'delete',
      'freeze',
      'put',
      'delete',
      'finish',
      'put',
      'freeze',
      'finish',
    ] as const)
      await step(kind)
    await step('crash')
    expect(model.table.get(1, 1)?.value).toBe(1)
  })

  it('[I10] rows that were only read are forgotten, changed ones are not', async () => {
    const model = await new Model().begin()
    for (let inner = 0; inner < 4; inner++) await model.step({ kind: 'put', outer: 1, inner, value: inner })
    await model.step({ kind: 'freeze', outer: 0, inner: 0, value: 0 })
    await model.step({ kind: 'finish', outer: 0, inner: 0, value: 0 })
    const held = model.table.get(1, 2)
    const changed = model.table.get(1, 3)
    if (held === undefined || changed === undefined) throw new Error('lost')
    model.table.touch(1, 3, changed)
    model.generations.trimLoaded(0)
    expect([model.table.get(1, 2) === held, model.table.get(1, 3) === changed]).toEqual([false, true])
  })

  it('[I10] a row that is only looked at is not held, in memory or not', async () => {
    const model = await new Model().begin()
    await model.step({ kind: 'put', outer: 1, inner: 1, value: 5 })
    for (const kind of ['freeze', 'finish'] as const) await model.step({ kind, outer: 0, inner: 0, value: 0 })
    model.generations.trimLoaded(0)
    const [first, second] = [model.table.look(1, 1), model.table.look(1, 1)]
    expect([first?.value, second?.value, first === second, model.table.look(1, 2)]).toEqual([5, 5, false, undefined])
    expect(model.table.get(1, 1)).toBe(model.table.look(1, 1))
  })

  it('only one checkpoint is under way at a time', () => {
    const generations = new Generations(new MemoryTables())
    generations.freeze()
    expect(() => generations.freeze()).toThrow()
  })

  it('a row whose device has not a number for each lane is refused', () => {
    const read = (lanes: number): unknown => {
      const writer = new Writer()
      const device = { id: '1'.repeat(32), session: 1, incarnation: 0, seenMs: 0, unsettled: [], confirmed: [] }
      const cursors = new Array<number>(lanes).fill(1)
      const row = { generation: 0, isOnDisk: false, place: 0, name: 'bob', roles: 3, stays: [], lanes: [] }
      rowCodecs.member.write(writer, { ...row, devices: [{ ...device, cursors, starts: cursors }] })
      return rowCodecs.member.read(new Reader(writer.take()), 'member').devices[0]?.cursors.length
    }
    expect(read(16)).toBe(16)
    for (const lanes of [15, 17]) expect(() => read(lanes)).toThrow('16 numbers, one for each lane')
  })

  it('[I1] what a row keeps of the bytes that it was read from is a copy', () => {
    const lent = new Uint8Array([0x91, 0xc4, 1, 7])
    const row = rowCodecs.forward.read(new Reader(lent), 'forward')
    rowCodecs.forward.keep(row)
    lent[3] = 8
    expect([...row.bytes]).toEqual([7])
  })

  it('an entry that has not all its fields is refused', () => {
    const writer = new Writer()
    writer.array(14)
    for (let field = 0; field < 14; field++) writer.uint(0)
    expect(() => rowCodecs.entry.read(new Reader(writer.take()), 'entry')).toThrow('15 elements are expected')
  })

  it('rows of another version are refused', () => {
    const writer = new Writer()
    writer.uint(1)
    expect(() => rowCodecs.meta.read(new Reader(writer.take()), 'meta')).toThrow('version 3 is expected')
  })

  it('keys are in the order of their bytes for numbers up to 2^53, ids up to 2^64 and names', () => {
    const table = (form: 'number' | 'name') =>
      new Table<Sample, number | bigint | string>(new Generations(new MemoryTables()), 9, form, codec)
    const ascends = (keys: readonly Uint8Array[]): boolean =>
      keys.every((key, at) => at === 0 || compareBytes(keys[at - 1] ?? key, key) < 0)
    const numbers = [0, 1, 255, 256, 2 ** 32 - 1, 2 ** 32, 2 ** 40, Number.MAX_SAFE_INTEGER]
    expect(ascends(numbers.map((inner) => table('number').keyBytes(5, inner)))).toBe(true)
    expect(ascends(numbers.map((outer) => table('number').keyBytes(outer, 5)))).toBe(true)
    expect(ascends([0n, 1n, 2n ** 32n, 2n ** 63n, 2n ** 64n - 1n].map((inner) => table('number').keyBytes(5, inner)))).toBe(true)
    expect(ascends(['', 'a', 'aa', 'b', 'ä', '\u{1f600}'].map((inner) => table('name').keyBytes(5, inner)))).toBe(true)
  })
})

it('[I10] a page among many held rows encodes no keys but its own bounds', () => {
  const table = new Table<Sample, string>(new Generations(new MemoryTables()), 7, 'name', codec)
  const count = 20_000
  for (let value = 0; value < count; value++)
    table.put(1, `u${(value * 7_919) % count}`, { generation: 0, isOnDisk: false, place: 0, value })
  const encoded = vi.spyOn(table, 'keyBytes')
  const page = table.scan(1, 'u199\0', undefined, 3)
  expect(page.map(([name]) => name)).toEqual(['u1990', 'u19900', 'u19901'])
  expect(encoded.mock.calls.length).toBeLessThanOrEqual(2)
})
