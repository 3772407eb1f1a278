import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { expect, it } from 'vitest'
import { bundle } from './page.ts'

/** Of the bundle, minified and gzipped. It may shrink; for growing there must be a reason. */
const bytesMax = 34_900

it('the SDK with its store in IndexedDB, and what tabs share, stays within its budget', async () => {
  const text = await bundle(fileURLToPath(new URL('size-page.ts', import.meta.url)), { minify: true })
  const bytes = gzipSync(text, { level: 9 }).length
  console.log(`@posthaste/client with IndexedDB: ${text.length} bytes minified, ${bytes} gzipped`)
  expect(bytes).toBeLessThanOrEqual(bytesMax)
  // Neither the words of the code table nor the server's and Node's parts are in it.
  expect(text).not.toMatch(/classic-level|perMessageDeflate|MemoryJournal|flushed to disk/)
})
