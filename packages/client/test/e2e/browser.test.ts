import { fileURLToPath } from 'node:url'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Posthaste } from '../../src/posthaste.ts'
import type { clientPage } from '../browser/client-page.ts'
import { openBrowser, type ServedPage, servePage } from '../browser/page.ts'
import { RealServer, tokenOf, type Wire } from './realServer.ts'

type ClientPage = typeof clientPage

const entry = fileURLToPath(new URL('../browser/client-page.ts', import.meta.url))

let browser: Browser
let served: ServedPage
let server: RealServer
let wire: Wire
let context: BrowserContext
let bob: Posthaste
let atBob: string[]
/** What handlers of all tabs took, in order: tab, text, redelivered. */
let handled: [string, string, boolean][]
/** Holds handlers up. */
let gate: Promise<void>

beforeAll(async () => {
  ;[browser, served] = await Promise.all([openBrowser(), servePage({ entry })])
})

afterAll(async () => {
  await browser?.close()
  await served?.close()
})

beforeEach(async () => {
  server = await RealServer.start()
  wire = await server.wire()
  await server.known('alice')
  atBob = []
  handled = []
  gate = Promise.resolve()
  bob = server.client('bob')
  bob.receive((message) => atBob.push(message.text()))
  context = await browser.newContext()
  await context.exposeBinding('handled', async (_source, tab: string, text: string, redelivered: boolean) => {
    handled.push([tab, text, redelivered])
    await gate
  })
})

afterEach(async () => {
  await context.close()
  await server.close()
})

/** Calls one function of the page. */
function call<Name extends keyof ClientPage>(
  page: Page,
  name: Name,
  ...parameters: Parameters<ClientPage[Name]>
): Promise<Awaited<ReturnType<ClientPage[Name]>>> {
  type Callable = Record<Name, (...parameters: unknown[]) => Awaited<ReturnType<ClientPage[Name]>>>
  return page.evaluate(([one, given]) => (window.clientPage as unknown as Callable)[one as Name](...(given as unknown[])), [
    name,
    parameters,
  ] as const)
}

async function openTab(): Promise<Page> {
  const page = await context.newPage()
  await page.goto(served.url)
  await connect(page)
  return page
}

async function connect(page: Page): Promise<void> {
  await call(page, 'open', { url: wire.url, token: tokenOf('alice') })
}

const live = (page: Page) => expect.poll(() => call(page, 'state')).toMatchObject({ status: 'live', user: 'alice' })
const texts = () => handled.map(([, text]) => text)
const numbers = (count: number, from = 0) => Array.from({ length: count }, (_, at) => `${from + at}`)

async function sendToAlice(bodies: readonly string[]): Promise<void> {
  for (const body of bodies) await bob.send({ to: 'alice', body })
}

describe('a client in Chromium', () => {
  it('sends and receives, and tells what became of it', async () => {
    const page = await openTab()
    await call(page, 'receive', 'first')
    await call(page, 'send', ['hello'])
    await call(page, 'waitFor', 'hello', 'delivered')
    await sendToAlice(['welcome'])
    await expect.poll(texts).toEqual(['welcome'])
    expect(atBob).toEqual(['hello'])
    expect(await call(page, 'presence', 'bob')).toBe('online')
    expect(await call(page, 'realtime', 'now')).toBe('delivered')
    expect(await call(page, 'groups')).toEqual([{ group: 'team', roles: ['send', 'receive', 'admin'] }])
  })

  it('keeps its outbox and its cursors when the page is loaded again [I1] [I2]', async () => {
    const page = await openTab()
    await call(page, 'receive', 'first')
    await sendToAlice(['before'])
    await expect.poll(texts).toEqual(['before'])
    await server.stop()
    await call(page, 'send', numbers(5))
    await expect.poll(() => call(page, 'pending')).toEqual({ messages: 5, bytes: 5 })
    await page.reload()
    await connect(page)
    await call(page, 'receive', 'again')
    expect(await call(page, 'pending')).toEqual({ messages: 5, bytes: 5 })
    await server.restart()
    await expect.poll(() => atBob, { timeout: 20_000 }).toEqual(numbers(5))
    await sendToAlice(['after'])
    await expect.poll(texts).toEqual(['before', 'after'])
  })
})

describe('tabs of one profile', () => {
  it('share one connection, all are live, and one handler gets each message', async () => {
    const [first, second] = [await openTab(), await openTab()]
    await Promise.all([live(first), live(second)])
    expect(wire.connections).toBe(1)
    await call(first, 'receive', 'first')
    await call(second, 'receive', 'second')
    await call(first, 'send', ['from the first'])
    await call(second, 'send', ['from the second'])
    await call(first, 'waitFor', 'from the first', 'delivered')
    await call(second, 'waitFor', 'from the second', 'delivered')
    await sendToAlice(numbers(20))
    await expect.poll(texts).toEqual(numbers(20))
    // The holder's own handler is preferred, and all tabs observe.
    expect(new Set(handled.map(([tab]) => tab))).toEqual(new Set(['first']))
    await expect.poll(() => call(second, 'seen')).toEqual(numbers(20))
    expect(await call(second, 'presence', 'bob')).toBe('online')
    expect(await call(second, 'realtime', 'now')).toBe('delivered')
    expect(await call(second, 'groups')).toHaveLength(1)
    await call(first, 'stopReceiving')
    await sendToAlice(['next'])
    await expect.poll(() => handled.at(-1)).toEqual(['second', 'next', false])
    expect(wire.connections).toBe(1)
  })

  it('go on when the holder is closed in the middle of a stream: each message once, in order [I1] [I2] [I3]', async () => {
    const [first, second] = [await openTab(), await openTab()]
    await live(second)
    await call(second, 'receive', 'second')
    const sending = sendToAlice(numbers(200))
    await expect.poll(() => handled.length).toBeGreaterThan(40)
    await first.close()
    await sending
    await expect.poll(() => handled.length, { timeout: 20_000 }).toBe(200)
    expect(handled.map(([tab, text]) => [tab, text])).toEqual(numbers(200).map((text) => ['second', text]))
    // The holder may have died between storing that a handler may be started and handing the message over: the next one can't know.
    expect(handled.filter(([, , redelivered]) => redelivered).length).toBeLessThanOrEqual(1)
    await live(second)
  })

  it('go on with a handler that runs while the holder dies: it is not called again [I2]', async () => {
    const [first, second] = [await openTab(), await openTab()]
    await live(second)
    await call(second, 'receive', 'second')
    let open = (): void => {}
    gate = new Promise((resolve) => {
      open = resolve
    })
    await sendToAlice(['long', 'next'])
    await expect.poll(texts).toEqual(['long'])
    await first.close()
    await live(second)
    await sendToAlice(['later'])
    await expect.poll(() => call(second, 'seen')).toContain('later')
    expect(texts()).toEqual(['long'])
    open()
    await expect.poll(texts).toEqual(['long', 'next', 'later'])
  })

  it('hand the message of a handler whose tab died to another tab, as redelivered', async () => {
    const [first, second] = [await openTab(), await openTab()]
    await live(second)
    await call(second, 'receive', 'second')
    gate = new Promise(() => {})
    await sendToAlice(['long', 'next'])
    await expect.poll(texts).toEqual(['long'])
    gate = Promise.resolve()
    await call(first, 'receive', 'first')
    await second.close()
    await expect
      .poll(() => handled)
      .toEqual([
        ['second', 'long', false],
        ['first', 'long', true],
        ['first', 'next', false],
      ])
  })

  it('send what was under way when the holder was closed, once [I1] [I2]', async () => {
    const [first, second] = [await openTab(), await openTab()]
    await live(second)
    await call(second, 'send', numbers(150))
    await first.close()
    await call(second, 'send', numbers(50, 150))
    for (const body of numbers(200)) await call(second, 'waitFor', body, 'delivered')
    expect(atBob).toHaveLength(200)
    expect(new Set(atBob)).toEqual(new Set(numbers(200)))
  })

  it('go on when the holder closes its client, and when its process crashes', async () => {
    const [first, second, third] = [await openTab(), await openTab(), await openTab()]
    await Promise.all([live(second), live(third)])
    await call(first, 'close')
    await call(second, 'send', ['a'])
    await call(second, 'waitFor', 'a', 'delivered')
    const devtools = await context.newCDPSession(second)
    void devtools.send('Page.crash').catch(() => {})
    await call(third, 'send', ['b'])
    await call(third, 'waitFor', 'b', 'delivered')
    await call(third, 'receive', 'third')
    await sendToAlice(['c'])
    await expect.poll(texts).toEqual(['c'])
    expect(wire.connections).toBe(1)
  })

  it('each have a client of their own when the app wants that', async () => {
    const page = await context.newPage()
    await page.goto(served.url)
    await call(page, 'open', { url: wire.url, token: tokenOf('alice'), tabs: false })
    await live(page)
    expect(await page.evaluate(async () => (await navigator.locks.query()).held)).toEqual([])
  })
})
