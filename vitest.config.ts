import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = (path: string): string => fileURLToPath(new URL(`packages/${path}`, import.meta.url))

/** Unit tests run from the sources; tests of whole processes (`test/`) run what `npm run build` made. */
export default defineConfig({
  resolve: {
    alias: [
      { find: /^@posthaste\/client\/(node|indexeddb|memory)$/, replacement: source('client/src/stores/$1.ts') },
      { find: '@posthaste/protocol/schema', replacement: source('protocol/src/schema.ts') },
      { find: '@posthaste/core/keyRecords', replacement: source('core/src/rows/keyRecords.ts') },
      { find: '#webSocket', replacement: source('client/src/sockets/node.ts') },
      { find: /^@posthaste\/client\/testing$/, replacement: source('client/src/testing/index.ts') },
      { find: /^@posthaste\/(protocol|core|client|server)$/, replacement: source('$1/src/index.ts') },
    ],
  },
  test: {
    include: ['packages/*/test/**/*.test.ts', 'sim/test/**/*.test.ts', 'test/**/*.test.ts', 'scripts/**/*.test.ts'],
    testTimeout: 60_000,
    expect: { poll: { timeout: 20_000 } },
    hookTimeout: 60_000,
    maxWorkers: 2,
    coverage: {
      include: ['packages/{protocol,core}/src/**'],
      reporter: [['text', { skipFull: true }], 'text-summary'],
      thresholds: { branches: 100 },
    },
  },
})
