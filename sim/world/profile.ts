import { Origin } from './origin.ts'
import type { Page } from './page.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

/** How long an app that has ended stays, before its page is opened again, at most. */
const reopenMsMax = 3_000
const reopenMsMin = 10
/** Now and then somebody looks at a page that has ended only after so long. */
const unseenMsMax = 60_000
/** More pages than these are not opened. */
const pagesMax = 3

/** What makes the pages of a profile. */
export interface ProfileParts {
  readonly world: World
  readonly random: Random
  readonly makePage: (origin: Origin, profile: Profile) => Page
  /** Whether the device is in use. */
  readonly isOn: () => boolean
}

/** The pages of one browser profile, which share its store. */
export class Profile {
  readonly #parts: ProfileParts
  readonly #origin: Origin
  readonly #pages: Page[] = []
  /** Pages that are not opened again once they have closed. */
  readonly #unwanted = new Set<Page>()

  constructor(parts: ProfileParts) {
    this.#parts = parts
    this.#origin = new Origin(parts.world, parts.random)
  }

  /** Those that are open, in the order in which they were opened. */
  get pages(): readonly Page[] {
    return this.#pages
  }

  /** Those whose clients have not ended. */
  get living(): readonly Page[] {
    return this.#pages.filter(({ hasEnded }) => !hasEnded)
  }

  /** The one that runs the machine. */
  get leader(): Page | undefined {
    return this.#pages.find(({ isLeading }) => isLeading)
  }

  /** Opens a page, unless there are enough. @returns whether it did */
  open(): boolean {
    if (this.#pages.length >= pagesMax || !this.#parts.isOn()) return false
    const page = this.#parts.makePage(this.#origin, this)
    this.#pages.push(page)
    page.dispatch({ kind: 'start' })
    if (this.#parts.random.isLucky(0.6)) page.app.receive()
    return true
  }

  /** Closes a page for good. */
  close(page: Page): void {
    this.#unwanted.add(page)
    page.close(() => {})
  }

  /** Kills a page. The others live on. */
  kill(page: Page): void {
    const { world } = this.#parts
    if (page.isLeading) {
      world.count('state: a leader died')
      if (this.#pages.length > 1) world.count('state: a leader died that other tabs followed')
      if (page.owed > 0) world.count('state: a leader died with calls unanswered')
    }
    if (page.app.running > 0) world.count('state: a tab died while its handler ran')
    page.kill(false)
    this.#remove(page)
  }

  /** The whole browser is gone. */
  killAll(isSilent: boolean): void {
    for (const page of this.#pages.splice(0)) page.kill(isSilent)
    this.#origin.clear()
  }

  /** The client of a page has ended, or was closed: its page goes after a while, and comes again if that was not wanted. */
  ended(page: Page): void {
    const { world, random } = this.#parts
    const maxMs = random.isLucky(0.3) ? unseenMsMax : reopenMsMax
    world.after(random.between(reopenMsMin, maxMs), () => {
      if (page.isDead) return
      page.close(() => {
        if (page.isDead) return
        page.exit()
        this.#remove(page)
        if (!this.#unwanted.has(page) || this.#pages.length === 0) this.open()
      })
    })
  }

  #remove(page: Page): void {
    const at = this.#pages.indexOf(page)
    if (at >= 0) this.#pages.splice(at, 1)
  }
}
