import { mkdtempSync, readlinkSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Posthaste } from '@posthaste/client'
import type { BrowserContext, Page } from 'playwright-core'
import { openBrowserProfile, type ServedPage, servePage } from '../../packages/client/test/browser/page.ts'
import type {} from '../../packages/client/test/browser/client-page.ts'
import { keyPart, tables } from '../../packages/client/src/machine/rows.ts'
import { Place, pause, randomOf, until } from '../process/place.ts'
import { bodyOf, type Note, partsOf } from './history.ts'
import { judge, type Verdict } from './judge.ts'

/** What a run is made of. */
export interface BrowserOptions {
  readonly seed: number
  readonly kills: number
  readonly progress?: (line: string) => void
}

const entry = fileURLToPath(new URL('../../packages/client/test/browser/client-page.ts', import.meta.url))
const lanes = 16
const unansweredMax = 200
const batch = 10
/** How much a browser must have received before it is killed. */
const progressMessages = 20
const waitMs = 120_000

/** Chromium with a client on IndexedDB that receives, and is killed again and again with its whole browser. */
export class BrowserRig {
  readonly #options: BrowserOptions
  readonly #place = new Place('serve')
  readonly #profile = mkdtempSync(join(tmpdir(), 'posthaste-profile-'))
  readonly #random: () => number
  readonly #senderNotes: Note[] = []
  readonly #deviceNotes: Note[] = []
  readonly #last = new Set<string>()
  #handled = 0
  #isSending = true

  constructor(options: BrowserOptions) {
    this.#options = options
    this.#random = randomOf(options.seed)
  }

  /** Runs to the end and judges. @throws when it does not come to rest */
  async run(): Promise<Verdict> {
    const served = await servePage({ entry })
    let context: BrowserContext | undefined
    try {
      await this.#place.start()
      await this.#place.createUsers(['alice', 'bob'])
      let sending: Promise<void> | undefined
      for (let run = 1; ; run++) {
        context = await this.#launch()
        const page = await this.#receive(context, served, run)
        // A device gets what is sent from its first connection on.
        sending ??= this.#send()
        if (run > this.#options.kills) return await this.#finish(page, sending)
        await this.#progress()
        await pause(this.#random() * 300)
        await this.#kill(context)
        if (run % 10 === 0) this.#options.progress?.(`${run} of ${this.#options.kills} kills, ${this.#handled} messages handled`)
      }
    } finally {
      await context?.close()
      await served.close()
      await this.#place.end()
      rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 })
    }
  }

  async #launch(): Promise<BrowserContext> {
    const context = await openBrowserProfile(this.#profile)
    await context.exposeBinding('handled', (_source, _tab: string, body: string, isRedelivered: boolean) => {
      const { id, lane, isLast } = partsOf(body)
      this.#deviceNotes.push(['handled', String(id), body, lane, isRedelivered])
      this.#handled += 1
      if (isLast) this.#last.add(body)
    })
    return context
  }

  async #receive(context: BrowserContext, served: ServedPage, run: number): Promise<Page> {
    const page = await context.newPage()
    await page.goto(served.url)
    this.#deviceNotes.push(['run', run])
    const options = { url: this.#place.url, token: this.#place.token('alice', { exp: Date.now() / 1_000 + 36_000 }) }
    await page.evaluate(async (given) => {
      window.clientPage.open(given)
      window.clientPage.receive('tab')
      while (window.clientPage.state().status !== 'live') await new Promise((resolve) => setTimeout(resolve, 10))
    }, options)
    return page
  }

  async #send(): Promise<void> {
    const client = new Posthaste({ url: this.#place.url, token: this.#place.token('bob', { exp: Date.now() / 1_000 + 36_000 }) })
    let unanswered = 0
    client.on('status', ({ message: { id, status }, previous }) => {
      this.#senderNotes.push(['status', Number(id), status])
      if (previous === 'outbox') unanswered -= 1
    })
    let id = 0
    const send = async (count: number, laneOf: (at: number) => number, isLast: boolean): Promise<void> => {
      const messages = Array.from({ length: count }, (_, at) => {
        id += 1
        const lane = laneOf(at)
        this.#senderNotes.push(['attempt', id, 'alice', lane])
        return { to: 'alice', id: BigInt(id), priority: lane, body: bodyOf('bob', 'alice', lane, id, isLast) }
      })
      unanswered += count
      await client.sendMany(messages)
    }
    while (this.#isSending) {
      if (unanswered < unansweredMax && id - this.#handled < unansweredMax)
        await send(batch, () => Math.floor(this.#random() * lanes), false)
      else await pause(5)
    }
    await send(lanes, (at) => at, true)
    while (unanswered > 0) await pause(5)
    await client.close()
  }

  async #progress(): Promise<void> {
    const before = this.#handled
    await until(
      () => this.#handled >= before + progressMessages,
      () => `the browser received ${this.#handled - before} messages`,
      waitMs,
    )
  }

  async #kill(context: BrowserContext): Promise<void> {
    const killed = new Promise((resolve) => context.once('close', resolve))
    // The lock of a profile names its process: host-pid.
    process.kill(Number(readlinkSync(join(this.#profile, 'SingletonLock')).split('-').at(-1)), 'SIGKILL')
    await killed
  }

  async #finish(page: Page, sending: Promise<void>): Promise<Verdict> {
    this.#isSending = false
    await sending
    await until(
      () => this.#last.size === lanes,
      () => `${this.#last.size} lanes have come to their end`,
      waitMs,
    )
    const rows = await page.evaluate(() => window.clientPage.closedKeys())
    const keys = rows.map((row) => Uint8Array.from(row))
    const storedKeys = keys.filter(([table]) => table === tables.key).map((key) => String(keyPart(key, 2)))
    const inboxCount = keys.filter(([table]) => table === tables.inbox).length
    const device = { name: 'the browser', destinations: ['alice'], notes: this.#deviceNotes, storedKeys, inboxCount }
    return judge([{ name: 'bob', notes: this.#senderNotes }], [device])
  }
}
