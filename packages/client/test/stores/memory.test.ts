import { describe, test } from 'vitest'
import { memoryStore } from '../../src/stores/memory.ts'
import { clientStoreConformance } from '../conformance/client-store.ts'

describe('a store in memory', () => {
  const cases = clientStoreConformance(async () => ({ store: memoryStore, isDurable: false, remove: async () => {} }))
  for (const { name, run } of cases) test(name, run)
})
