import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { bundle } from './page.ts'

/** Of bundles, minified and gzipped. They may shrink; for growing there must be a reason. */
const cases = [
  { name: 'the SDK with its store in IndexedDB, and what tabs share,', entry: 'size-page.ts', bytesMax: 38_250 },
  { name: 'the SDK with the store in memory alone', entry: '../../src/index.ts', bytesMax: 32_800 },
]

it.each(cases)('$name stays within its budget', async ({ name, entry, bytesMax }) => {
  const text = await bundle(fileURLToPath(new URL(entry, import.meta.url)), { minify: true })
  const bytes = gzipSync(text, { level: 9 }).length
  console.log(`${name} ${text.length} bytes minified, ${bytes} gzipped`)
  expect(bytes).toBeLessThanOrEqual(bytesMax)
  // Neither the words of the code table nor the server's and Node's parts are in it.
  expect(text).not.toMatch(/classic-level|perMessageDeflate|MemoryJournal|flushed to disk/)
})
