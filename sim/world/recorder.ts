import type { Content, History, HistoryEvent } from '../history.ts'
import type { World } from './world.ts'

type Unstamped<T> = T extends unknown ? Omit<T, 'atMs'> : never

/** Writes the history down as it happens. */
export class Recorder {
  readonly history: History
  readonly #world: World
  #changes = 0
  #runs = 0
  #tabs = 0

  constructor(world: World, isSmall: boolean, untakenBytesMax: number) {
    this.#world = world
    this.history = { events: [], contents: [nobodys], isSmall, untakenBytesMax }
  }

  record(event: Unstamped<HistoryEvent>): void {
    this.history.events.push({ atMs: this.#world.nowMs, ...event } as HistoryEvent)
  }

  /** A new content, which no other message has. */
  content(content: Omit<Content, 'number'>): Content {
    const made = { number: this.history.contents.length, ...content }
    this.history.contents.push(made)
    return made
  }

  contentOf(number: number): Content {
    return this.history.contents[number] ?? nobodys
  }

  /** Of a machine. */
  runNumber(): number {
    this.#runs += 1
    return this.#runs
  }

  /** Of a page in a browser. */
  tabNumber(): number {
    this.#tabs += 1
    return this.#tabs
  }

  changeNumber(): number {
    this.#changes += 1
    return this.#changes
  }
}

const nobodys: Content = {
  number: 0,
  user: '',
  toKind: 0,
  to: '',
  type: 0,
  priority: 0,
  receipts: false,
  expirySeconds: 0,
  bytes: 0,
}
