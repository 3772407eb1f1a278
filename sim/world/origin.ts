import type { Envelope } from '../../packages/client/src/tabs/messages.ts'
import type { TabPort } from '../../packages/client/src/tabs/port.ts'
import type { Random } from './random.ts'
import type { World } from './world.ts'

/** A page, as locks and channels see it. */
export interface OriginPage extends Pick<TabPort, 'id' | 'clock' | 'random'> {
  /** Lets something happen in the page: now, once it is no longer frozen, or never if it is dead by then. */
  run(action: () => void): void
}

interface Lock {
  readonly name: string
  readonly page: OriginPage
  readonly held: (letGo: () => void) => void
}

/** One page's part in the channel. */
interface Listener {
  readonly heard: (envelope: Envelope) => void
  /** By who posts: when the last one arrives. */
  readonly arrivesMs: Map<OriginPage, number>
}

const grantMsMax = 5
/** How long posts take, at most: in many browsers next to nothing. */
const postMsMax = [5, 5, 40, 300] as const
/** Now and then a post is that late. */
const lateMsMax = 400

/** What the pages of one browser profile share: locks, of which each has one holder, and a channel that keeps the order of each sender. */
export class Origin {
  readonly #world: World
  readonly #random: Random
  readonly #postMsMax: number
  readonly #held: Lock[] = []
  readonly #queue: Lock[] = []
  readonly #listeners = new Map<OriginPage, Listener>()
  /** By page, the calls that it has asked. */
  readonly #asked = new Map<OriginPage, Set<number>>()
  /** By when what a page that was killed had posted must have arrived. */
  readonly #silencedMs = new Map<OriginPage, number>()

  constructor(world: World, random: Random) {
    this.#world = world
    this.#random = random
    this.#postMsMax = random.pick(postMsMax)
  }

  /** What a page's client gets of its browser. */
  port(page: OriginPage): TabPort {
    const { id, clock, random } = page
    let hasLeft = false
    return {
      id,
      clock,
      random,
      listen: (heard) => this.#listeners.set(page, { heard, arrivesMs: new Map() }),
      post: (envelope) => {
        // As a BroadcastChannel does that is closed.
        if (hasLeft) throw new Error('a post to a channel that is closed')
        if (this.#silencedMs.has(page)) return
        this.#post(page, envelope)
      },
      hold: (name, held) => {
        if (hasLeft) return
        this.#queue.push({ name, page, held })
        this.#grant()
      },
      listHeld: (answer) => {
        this.#world.after(this.#random.skewed(0, grantMsMax), () => {
          const names = this.#held.map(({ name }) => name)
          page.run(() => answer(names))
        })
      },
      // Here no page is hidden, or cached.
      watchPage: () => {},
      leave: () => {
        hasLeft = true
        this.#drop(page)
      },
    }
  }

  /** A page is killed: its locks are free, and of what it has posted the last may not arrive. */
  kill(page: OriginPage): void {
    const isHeard = this.#random.isLucky(0.5)
    this.#silencedMs.set(page, isHeard ? Number.POSITIVE_INFINITY : this.#world.nowMs + this.#random.skewed(0, 20))
    this.#drop(page)
  }

  /** The whole browser is gone. */
  clear(): void {
    this.#held.length = 0
    this.#queue.length = 0
    this.#listeners.clear()
  }

  #countRare(from: OriginPage, { body }: Envelope): void {
    const world = this.#world
    if (body.kind === 'join' && body.runs.some(([, outcome]) => outcome === undefined))
      world.count('state: a new leader was told of a handler that ran')
    if (body.kind === 'join' && body.runs.some(([, outcome]) => outcome !== undefined))
      world.count('state: a new leader was told how a handler had ended')
    if (body.kind !== 'ask') return
    const asked = this.#asked.get(from) ?? new Set()
    if (asked.has(body.call)) world.count(`state: asked again of a new leader: ${body.ask.kind}`)
    this.#asked.set(from, asked.add(body.call))
  }

  #drop(page: OriginPage): void {
    this.#listeners.delete(page)
    for (const locks of [this.#queue, this.#held]) locks.splice(0, locks.length, ...locks.filter((lock) => lock.page !== page))
    this.#grant()
  }

  #grant(): void {
    for (const lock of [...this.#queue]) {
      if (this.#held.some(({ name }) => name === lock.name)) continue
      this.#queue.splice(this.#queue.indexOf(lock), 1)
      this.#held.push(lock)
      this.#world.after(this.#random.skewed(0, grantMsMax), () =>
        lock.page.run(() => {
          // Unless the page has left meanwhile.
          if (this.#held.includes(lock)) lock.held(() => this.#letGo(lock))
        }),
      )
    }
  }

  #letGo(lock: Lock): void {
    const at = this.#held.indexOf(lock)
    if (at < 0) return
    this.#held.splice(at, 1)
    this.#grant()
  }

  /** Each page gets a copy of its own. Whom it is not for would only look away, and gets none. */
  #post(from: OriginPage, envelope: Envelope): void {
    this.#countRare(from, envelope)
    for (const [page, listener] of this.#listeners) {
      if (page === from || (envelope.to !== '' && envelope.to !== page.id)) continue
      const copy = structuredClone(envelope)
      const takesMs = this.#random.skewed(0, this.#random.isLucky(0.03) ? lateMsMax : this.#postMsMax)
      const atMs = Math.max(listener.arrivesMs.get(from) ?? 0, this.#world.nowMs + takesMs)
      listener.arrivesMs.set(from, atMs)
      if (atMs - this.#world.nowMs > 100) this.#world.count('post between tabs over 100 ms')
      this.#world.at(atMs, () => {
        if (atMs > (this.#silencedMs.get(from) ?? Number.POSITIVE_INFINITY)) {
          this.#world.count('post of a dead tab lost')
          return
        }
        page.run(() => {
          if (this.#listeners.get(page) !== listener) return
          this.#world.trace.note(this.#world.nowMs, page.id, 'hears', 0, () => postText(copy))
          listener.heard(copy)
        })
      })
    }
  }
}

function postText({ from, body }: Envelope): string {
  if (body.kind === 'notice') return `${from}: notice ${body.notice.kind}`
  if (body.kind === 'ask') return `${from}: ask ${body.call} ${body.ask.kind}`
  if (body.kind === 'answer') return `${from}: answer ${body.call} ${body.answer.kind}`
  if (body.kind === 'event') return `${from}: ${body.event.kind}`
  return `${from}: ${body.kind}`
}
