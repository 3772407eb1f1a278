import { mkdtemp, readlink, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { indexedDbStore } from '../../src/stores/indexeddb.ts'
import { openBrowser, openBrowserProfile, type ServedPage, servePage } from '../browser/page.ts'
import type { storePage } from '../browser/store-page.ts'
import { clientStoreConformance } from '../conformance/client-store.ts'

type StorePage = typeof storePage

const entry = fileURLToPath(new URL('../browser/store-page.ts', import.meta.url))
const unavailable = () => Promise.reject(new Error('The cases run in the page'))
const caseNames = clientStoreConformance(unavailable).map(({ name }) => name)

let browser: Browser
let served: ServedPage
let context: BrowserContext

beforeAll(async () => {
  ;[browser, served] = await Promise.all([openBrowser(), servePage({ entry })])
})

afterAll(async () => {
  await browser?.close()
  await served?.close()
})

async function openTab(): Promise<Page> {
  const page = await context.newPage()
  await page.goto(served.url)
  return page
}

/** Calls one function of the page. */
function call<Name extends keyof StorePage>(
  page: Page,
  name: Name,
  ...parameters: Parameters<StorePage[Name]>
): Promise<Awaited<ReturnType<StorePage[Name]>>> {
  type Callable = Record<Name, (...parameters: unknown[]) => Awaited<ReturnType<StorePage[Name]>>>
  return page.evaluate(([one, given]) => (window.storePage as unknown as Callable)[one as Name](...(given as unknown[])), [
    name,
    parameters,
  ] as const)
}

const done = { value: undefined }

describe('a store in IndexedDB, in Chromium', () => {
  let page: Page
  beforeAll(async () => {
    context = await browser.newContext()
    page = await openTab()
  })
  afterAll(() => context.close())

  test('runs the same cases as the other stores', async () => {
    expect(await call(page, 'caseNames')).toEqual(caseNames)
  })
  for (const name of caseNames) test(name, () => call(page, 'runCase', name))
})

describe('a database that tabs share', () => {
  beforeEach(async () => {
    context = await browser.newContext()
  })
  afterEach(() => context.close())

  test('[I12] holds what was committed after the page was loaded again', async () => {
    const page = await openTab()
    expect(await call(page, 'open', 'device')).toEqual(done)
    expect(await call(page, 'put', 'device', 'key', 'kept')).toEqual(done)
    await page.reload()
    expect(await call(page, 'open', 'device')).toEqual(done)
    expect(await call(page, 'get', 'device', 'key')).toEqual({ value: 'kept' })
  })

  test('[I12] is written with strict durability', async () => {
    const page = await openTab()
    await call(page, 'open', 'device')
    expect(await call(page, 'durabilities', 'device')).toEqual(['strict'])
  })

  test('shows each tab what the other committed, and loses nothing of commits that overlap', async () => {
    const [first, second] = [await openTab(), await openTab()]
    expect(await Promise.all([call(first, 'open', 'device'), call(second, 'open', 'device')])).toEqual([done, done])
    expect(await call(first, 'put', 'device', 'key', 'from the first')).toEqual(done)
    expect(await call(second, 'get', 'device', 'key')).toEqual({ value: 'from the first' })
    const both = [call(first, 'putMany', 'device', 'first', 200), call(second, 'putMany', 'device', 'second', 200)]
    expect(await Promise.all(both)).toEqual([done, done])
    for (const page of [first, second]) expect(await call(page, 'count', 'device')).toEqual({ value: 401 })
  })

  test('fails with store-lost once another tab deletes it, and opens as a new one', async () => {
    const [first, second] = [await openTab(), await openTab()]
    await call(first, 'open', 'device')
    await call(first, 'put', 'device', 'key', 'value')
    expect(await call(second, 'deleteDatabase', 'device')).toEqual(done)
    const gone = { code: 'store-lost', retryable: false, message: expect.stringContaining('device') }
    expect(await call(first, 'put', 'device', 'key', 'value')).toEqual(gone)
    expect(await call(first, 'get', 'device', 'key')).toEqual(gone)
    expect(await call(first, 'count', 'device')).toEqual(gone)
    expect(await call(first, 'close', 'device')).toEqual(done)
    expect(await call(first, 'open', 'device')).toEqual(done)
    expect(await call(first, 'get', 'device', 'key')).toEqual({ value: null })
  })

  test('ends in store-lost once the browser takes it away', async () => {
    const page = await openTab()
    await call(page, 'open', 'device')
    await call(page, 'put', 'device', 'key', 'value')
    const devtools = await context.newCDPSession(page)
    await devtools.send('Storage.clearDataForOrigin', { origin: new URL(served.url).origin, storageTypes: 'indexeddb' })
    const gone = { code: 'store-lost', retryable: false, message: expect.stringContaining('device') }
    await expect.poll(() => call(page, 'put', 'device', 'key', 'value')).toEqual(gone)
    await call(page, 'close', 'device')
    expect(await call(page, 'open', 'device')).toEqual(done)
  })

  test('fails to open with store-failed, not to be tried again, when a later version made it', async () => {
    const page = await openTab()
    expect(await call(page, 'openVersion', 'device', 7)).toEqual(done)
    expect(await call(page, 'open', 'device')).toMatchObject({ code: 'store-failed', retryable: false })
  })

  test('gives the error store-full when the quota is used up, applies nothing, and goes on once there is room', async () => {
    const page = await openTab()
    const devtools = await context.newCDPSession(page)
    const { origin } = new URL(served.url)
    // Before anything is stored: Chromium remembers for a while how much room there was.
    await devtools.send('Storage.overrideQuotaForOrigin', { origin, quotaSize: 1_000_000 })
    await call(page, 'open', 'device')
    await call(page, 'put', 'device', 'key', 'before')
    const keys = Array.from({ length: 40 }, (_, index) => `noise ${index}`)
    expect(await call(page, 'putNoise', 'device', keys)).toMatchObject({ code: 'store-full', retryable: true })
    expect(await call(page, 'count', 'device')).toEqual({ value: 1 })
    await devtools.send('Storage.overrideQuotaForOrigin', { origin })
    expect(await call(page, 'putNoise', 'device', keys)).toEqual(done)
    expect(await call(page, 'count', 'device')).toEqual({ value: 41 })
  })
})

describe('a database whose browser is killed', () => {
  test('[I12] holds what was committed when the browser starts again', async () => {
    const profile = await mkdtemp(join(tmpdir(), 'posthaste-profile-'))
    try {
      context = await openBrowserProfile(profile)
      const before = await openTab()
      await call(before, 'open', 'device')
      expect(await call(before, 'putMany', 'device', 'row', 100)).toEqual(done)
      // The lock of a profile names its process: host-pid.
      const killed = new Promise((resolve) => context.once('close', resolve))
      process.kill(Number((await readlink(join(profile, 'SingletonLock'))).split('-').at(-1)), 'SIGKILL')
      await killed
      context = await openBrowserProfile(profile)
      const after = await openTab()
      await call(after, 'open', 'device')
      expect(await call(after, 'count', 'device')).toEqual({ value: 100 })
    } finally {
      await context.close()
      await rm(profile, { recursive: true, maxRetries: 5, retryDelay: 100 })
    }
  })
})

describe('where there is no IndexedDB', () => {
  test('a store can be made, and fails with store-failed at open', async () => {
    expect(globalThis.indexedDB).toBeUndefined()
    const store = indexedDbStore('device')
    await expect(store.open()).rejects.toMatchObject({ name: 'PosthasteError', code: 'store-failed', retryable: false })
    await store.close()
  })
})
