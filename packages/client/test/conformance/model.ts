import fc from 'fast-check'
import type { ClientStore, StoreRow, StoreWrite } from '../../src/store.ts'
import { assertBytes, assertSame, shown } from './assertions.ts'
import { type StoreCase, withStore } from './store-case.ts'

/** One step on a store. Keys come from few bytes, so that they meet. */
type Step =
  | { readonly kind: 'commit'; readonly groups: readonly (readonly StoreWrite[])[] }
  | { readonly kind: 'get'; readonly key: Uint8Array }
  | { readonly kind: 'scan'; readonly from: Uint8Array; readonly to: Uint8Array; readonly limit: number }
  | { readonly kind: 'reopen' }

const key = fc
  .array(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), { minLength: 1, maxLength: 3 })
  .map((values) => Uint8Array.from(values))
const bound = fc.oneof(key, fc.constant(new Uint8Array(0)))
const value = fc.option(fc.uint8Array({ maxLength: 6 }), { nil: null })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('commit'), groups: writeGroups() }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('get'), key }) },
  {
    weight: 3,
    arbitrary: fc.record({ kind: fc.constant('scan'), from: bound, to: bound, limit: fc.integer({ min: 0, max: 8 }) }),
  },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant('reopen') }) },
)

function writeGroups() {
  return fc.array(fc.array(fc.tuple(key, value), { maxLength: 5 }), { minLength: 1, maxLength: 4 })
}

/** Latin-1 text sorts by code unit, so it sorts as its bytes do. */
function text(data: Uint8Array): string {
  return String.fromCharCode(...data)
}

function scanned(model: Map<string, StoreRow>, from: Uint8Array, to: Uint8Array, limit: number): StoreRow[] {
  const inRange = [...model].filter(([one]) => one >= text(from) && one < text(to))
  inRange.sort(([a], [b]) => (a < b ? -1 : 1))
  return inRange.slice(0, limit).map(([, row]) => row)
}

async function take(step: Step, store: ClientStore, model: Map<string, StoreRow>): Promise<void> {
  switch (step.kind) {
    case 'commit':
      await Promise.all(step.groups.map((writes) => store.commit(writes)))
      for (const [writtenKey, written] of step.groups.flat()) {
        if (written === null) model.delete(text(writtenKey))
        else model.set(text(writtenKey), [writtenKey, written])
      }
      return
    case 'get':
      assertBytes(await store.get(step.key), model.get(text(step.key))?.[1], 'get')
      return
    case 'scan': {
      const expected = scanned(model, step.from, step.to, step.limit)
      assertSame(shown(await store.scan(step.from, step.to, step.limit)), shown(expected), 'scan')
      return
    }
    case 'reopen':
  }
}

/** One case: any sequence of steps does what a sorted map does. */
export const modelCases: StoreCase[] = [
  {
    name: 'does what a sorted map does, for any sequence of commits, reads and openings',
    run: (make) =>
      fc.assert(
        fc.asyncProperty(fc.array(step, { maxLength: 12 }), (steps) =>
          withStore(make, async (first, place) => {
            const model = new Map<string, StoreRow>()
            let store = first
            for (const one of steps) {
              if (one.kind === 'reopen' && place.isDurable) {
                await store.close()
                store = place.store()
                await store.open()
              }
              await take(one, store, model)
            }
            await store.close()
          }),
        ),
        { numRuns: 40 },
      ),
  },
]
