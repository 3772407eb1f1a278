import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { Changes, sortPlaces } from '../src/rows/changes.ts'
import type { InnerKey, Row } from '../src/rows/generation.ts'
import { composeKey } from '../src/rows/tableKey.ts'

type Key = readonly [outer: number, inner: InnerKey]

/** The keys that a checkpoint would write of these changes, in its order, and in how many steps they came. */
function sorted(keys: readonly Key[], size: number, isWanted = (_row: Row): boolean => true): { keys: Key[]; steps: number } {
  const changes = new Changes<Row, InnerKey>()
  for (const [outer, inner] of keys) changes.add(outer, inner, { generation: 2, isOnDisk: false, place: 0 })
  const steps = changes.sorted(size, isWanted)
  for (let count = 1; ; count++) {
    const step = steps.next()
    if (step.done !== true) continue
    const order = step.value
    return { keys: Array.from(order, (place) => [changes.outers[place], changes.inners[place]] as Key), steps: count }
  }
}

/** The same by the bytes of the keys, which is how tables compare them. */
function byBytes(keys: readonly Key[]): Key[] {
  const bytesOf = ([outer, inner]: Key): Buffer => Buffer.from(composeKey(1, outer, inner))
  return keys
    .map((key) => ({ key, bytes: bytesOf(key) }))
    .sort((a, b) => Buffer.compare(a.bytes, b.bytes))
    .map(({ key }) => key)
}

const outers = fc.oneof(fc.nat({ max: 4 }), fc.nat({ max: 60 }), fc.maxSafeNat())
const uniqueKeys = (inner: fc.Arbitrary<InnerKey>): fc.Arbitrary<Key[]> =>
  fc.uniqueArray(fc.tuple(outers, inner), { selector: ([outer, key]) => `${outer}/${key}`, maxLength: 300, size: 'max' })

describe('the changes of a generation', () => {
  it.each([
    ['numbers', fc.oneof(fc.nat({ max: 400 }), fc.maxSafeNat())],
    ['names', fc.string({ unit: 'grapheme', maxLength: 4 })],
  ])('[I12] are written in the order of the bytes of their keys: %s', (_, inner) => {
    fc.assert(
      fc.property(uniqueKeys(inner as fc.Arbitrary<InnerKey>), fc.integer({ min: 1, max: 4 }), (keys, size) => {
        expect(sorted(keys, size).keys).toEqual(byBytes(keys))
      }),
    )
  })

  it('are none that were let go, or are not wanted', () => {
    const changes = new Changes<Row, number>()
    const rows = [1, 2, 3].map((generation) => ({ generation, isOnDisk: true, place: 0 }))
    for (const [inner, row] of rows.entries()) changes.add(7, inner, row)
    changes.forget(rows[1] as Row)
    const order = changes.sorted(25, ({ generation }) => generation !== 3)
    let step = order.next()
    while (step.done !== true) step = order.next()
    expect([...step.value]).toEqual([0])
  })

  it('of one log that came in no order are sorted in steps, too', () => {
    const keys = Array.from({ length: 20_000 }, (_, at) => [3, (at * 7_919) % 20_000] as Key)
    const { keys: found, steps } = sorted(keys, 25)
    expect(found).toEqual(keys.map((_, at) => [3, at]))
    // Five passes to put them in groups and look at these, and two to sort one; 400 places a step at most.
    expect(steps).toBeGreaterThan((6 * 20_000) / 400)
  })
})

it('places are sorted where they are', () => {
  const places = Uint32Array.from({ length: 1_000 }, (_, at) => (at * 389) % 1_000)
  for (const _ of sortPlaces(places.subarray(10, 990), (left, right) => left - right, 32));
  const middle = Array.from({ length: 1_000 }, (_, at) => (at * 389) % 1_000).slice(10, 990)
  expect([...places.subarray(10, 990)]).toEqual(middle.sort((left, right) => left - right))
  expect(places[0]).toBe(0)
})
