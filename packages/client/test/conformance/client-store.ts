/**
 * What every {@link ClientStore} does, as a list of cases that need nothing but the language: they run under a test runner and
 * inside a page of a browser.
 */
import { batchCases } from './batches.ts'
import { lifeCycleCases } from './life-cycle.ts'
import { modelCases } from './model.ts'
import { rowCases } from './rows.ts'
import type { StoreCase, StorePlace } from './store-case.ts'

/** A case bound to the stores of one implementation. */
export interface BoundCase {
  readonly name: string
  readonly run: () => Promise<void>
}

/** All cases, for the implementation whose places `make` makes; each case makes its own. */
export function clientStoreConformance(make: () => Promise<StorePlace>): BoundCase[] {
  const cases: StoreCase[] = [...rowCases, ...batchCases, ...lifeCycleCases, ...modelCases]
  return cases.map(({ name, run }) => ({ name, run: () => run(make) }))
}

export type { StoreCase, StorePlace } from './store-case.ts'
