import type { Random } from './random.ts'
import type { World } from './world.ts'

/** What a client's end of a connection is told. */
export interface ClientEnd {
  socketOpened(socket: number): void
  socketMessage(socket: number, bytes: Uint8Array): void
  socketClosed(socket: number, closeCode: number): void
}

/** The server's end. */
export interface ServerEnd {
  readonly isUp: boolean
  /** What the clock of this incarnation shows at a true time. */
  readonly clock: (trueMs: number) => number
  readonly epoch: number
  accepted(link: Link): void
  received(link: Link, bytes: Uint8Array): void
  closed(link: Link): void
}

/** The way between one device and the server, as it is at the moment. */
export class Route {
  readonly name: string
  readonly latencyMs: readonly [low: number, high: number]
  /** Nothing comes through, and nobody is told. */
  isPartitioned = false
  isRefusing = false
  /** The device doesn't read. */
  isSlow = false
  readonly links = new Set<Link>()

  constructor(name: string, latencyMs: readonly [number, number]) {
    this.name = name
    this.latencyMs = latencyMs
  }

  /** What was held comes through now, each connection's in its order. */
  heal(): void {
    this.isPartitioned = false
    this.isRefusing = false
    this.isSlow = false
    for (const link of [...this.links]) link.release()
  }
}

type Direction = 'up' | 'down'

interface Carried {
  readonly bytes: number
  isHeld: boolean
  readonly atMs: number
  readonly act: () => void
}

/** Who learns of a cut: after so long, or never. */
export interface CutTold {
  readonly clientMs: number | undefined
  readonly serverMs: number | undefined
}

const abnormalClose = 1_006
/** What takes longer counts as a misfortune. */
const lateMs = 100

/** One connection: in order within itself, and independent of all others. */
export class Link {
  readonly socket: number
  readonly route: Route
  readonly #world: World
  readonly #random: Random
  readonly #client: ClientEnd
  readonly #server: ServerEnd
  #clientState: 'connecting' | 'open' | 'gone' = 'connecting'
  #serverState: 'none' | 'open' | 'gone' = 'none'
  /** Whether nothing travels any more, whatever the ends believe. */
  #isCut = false
  readonly #arrivesMs = { up: 0, down: 0 }
  /** What has not come through yet, in the order written. */
  readonly #way: { readonly [K in Direction]: Carried[] } = { up: [], down: [] }
  /** The connection's number at the server. */
  connection = 0
  /** Its number among all connections of the schedule. */
  number = 0
  /** The store of the device that opened it. */
  readonly store: number
  /** The clock of the server that it was made to. */
  serverClock: (trueMs: number) => number = () => 0
  serverEpoch = 0

  constructor(world: World, random: Random, route: Route, client: ClientEnd, server: ServerEnd, socket: number, store = 0) {
    this.#world = world
    this.#random = random
    this.route = route
    this.#client = client
    this.#server = server
    this.socket = socket
    this.store = store
    route.links.add(this)
    this.#carry('up', 0, () => this.#arrive())
  }

  /** Bytes that the client has not taken, though they are there. */
  get heldBytes(): number {
    return this.heldBytesSince(this.#world.nowMs)
  }

  /** Whether the client does not get at what comes. */
  get isHeld(): boolean {
    return this.route.isPartitioned || this.route.isSlow
  }

  /** What has lain there, for the client to take, since that time. */
  heldBytesSince(sinceMs: number): number {
    return this.#way.down.reduce((sum, { bytes, atMs }) => (atMs <= sinceMs ? sum + bytes : sum), 0)
  }

  /** Whether both ends are there, and what they write arrives. */
  get isWhole(): boolean {
    return this.#serverState === 'open' && this.#clientState === 'open' && !this.#isCut
  }

  toServer(bytes: Uint8Array): void {
    if (this.#clientState !== 'open') return
    this.#carry('up', bytes.length, () => {
      if (this.#serverState === 'open') this.#server.received(this, bytes)
    })
  }

  toClient(bytes: Uint8Array): void {
    if (this.#serverState !== 'open') return
    this.#carry('down', bytes.length, () => {
      if (this.#clientState === 'open') this.#client.socketMessage(this.socket, bytes)
    })
  }

  /** The client closes: what it wrote before still comes. */
  closeByClient(): void {
    if (this.#clientState === 'gone') return
    this.#clientState = 'gone'
    this.#carry('up', 0, () => this.#endServer())
  }

  closeByServer(closeCode: number): void {
    if (this.#serverState !== 'open') return
    this.#serverState = 'gone'
    this.#carry('down', 0, () => this.#endClient(closeCode))
  }

  /** The client's process is gone. @param isSilent its computer too, so that the server hears nothing */
  clientDied(isSilent: boolean): void {
    if (isSilent) {
      this.#clientState = 'gone'
      this.#sever()
    } else this.closeByClient()
    this.#dropIfDone()
  }

  /** The server's process is gone. @param isSilent its computer too, so that the client hears nothing */
  serverDied(isSilent: boolean): void {
    this.#serverState = 'gone'
    if (isSilent) this.#sever()
    else this.#carry('down', 0, () => this.#endClient(abnormalClose))
    this.#dropIfDone()
  }

  /** What is in flight is lost, and nothing travels any more. */
  cut(told: CutTold): void {
    if (this.#isCut) return
    this.#sever()
    if (told.clientMs !== undefined) this.#world.after(told.clientMs, () => this.#endClient(abnormalClose))
    if (told.serverMs !== undefined) this.#world.after(told.serverMs, () => this.#endServer())
    if (told.clientMs === undefined || told.serverMs === undefined) this.#world.count('half-open connection')
  }

  /** The way is free again: what waits comes through, in its order. */
  release(): void {
    const [low, high] = this.route.latencyMs
    for (const direction of ['up', 'down'] as const)
      this.#world.after(this.#random.skewed(low, high), () => this.#comeThrough(direction))
  }

  #sever(): void {
    this.#isCut = true
    this.#world.count('lost in flight', this.#way.up.length + this.#way.down.length)
    this.#way.up.length = 0
    this.#way.down.length = 0
  }

  #arrive(): void {
    if (this.#clientState === 'gone') return
    if (!this.#server.isUp || this.route.isRefusing) {
      this.#world.count('connection refused')
      this.#carry('down', 0, () => this.#endClient(abnormalClose))
      return
    }
    this.#serverState = 'open'
    this.serverClock = this.#server.clock
    this.serverEpoch = this.#server.epoch
    this.#server.accepted(this)
    this.#carry('down', 0, () => {
      if (this.#clientState !== 'connecting') return
      this.#clientState = 'open'
      this.#client.socketOpened(this.socket)
    })
  }

  #carry(direction: Direction, bytes: number, act: () => void): void {
    const [low, high] = this.route.latencyMs
    const atMs = Math.max(this.#arrivesMs[direction], this.#world.nowMs + this.#random.skewed(low, high))
    this.#arrivesMs[direction] = atMs
    if (this.#isCut) {
      this.#world.count('lost in flight')
      return
    }
    if (atMs - this.#world.nowMs > lateMs) this.#world.count(`delivery over ${lateMs} ms`)
    this.#way[direction].push({ bytes, isHeld: false, atMs, act })
    this.#world.at(atMs, () => this.#comeThrough(direction))
  }

  /** What has arrived is taken, unless it is held back. */
  #comeThrough(direction: Direction): void {
    const way = this.#way[direction]
    const isHeld = (): boolean => this.route.isPartitioned || (direction === 'down' && this.route.isSlow)
    while (!isHeld() && (way[0]?.atMs ?? Number.POSITIVE_INFINITY) <= this.#world.nowMs) way.shift()?.act()
    if (isHeld()) this.#countHeld(way)
  }

  #countHeld(way: readonly Carried[]): void {
    for (const carried of way) {
      if (carried.isHeld || carried.atMs > this.#world.nowMs) continue
      carried.isHeld = true
      this.#world.count('delivery held back')
    }
  }

  #endClient(closeCode: number): void {
    if (this.#clientState === 'gone') return
    this.#clientState = 'gone'
    this.#dropIfDone()
    this.#client.socketClosed(this.socket, closeCode)
  }

  #endServer(): void {
    if (this.#serverState !== 'open') {
      this.#serverState = 'gone'
      this.#dropIfDone()
      return
    }
    this.#serverState = 'gone'
    this.#dropIfDone()
    this.#server.closed(this)
  }

  #dropIfDone(): void {
    if (this.#clientState === 'gone' && this.#serverState !== 'open') this.route.links.delete(this)
  }
}
