import { connect, createServer, type Server, type Socket } from 'node:net'
import { pause } from '../process/place.ts'

/** A proxy in front of a server, which delays, cuts and goes dead. */
export class FaultyWire {
  /** What each chunk waits, in both directions. */
  delayMs = 0
  readonly port: number
  readonly #server: Server
  readonly #pairs = new Set<Pair>()

  private constructor(server: Server, port: number) {
    this.#server = server
    this.port = port
  }

  static async open(target: number): Promise<FaultyWire> {
    let wire: FaultyWire | undefined
    const server = createServer((near) => wire?.join(near, connect(target, '127.0.0.1')))
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        const address = server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : 0)
      })
    })
    wire = new FaultyWire(server, port)
    return wire
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`
  }

  /** Resets connections: those that `isChosen` picks. What is under way on them is lost. */
  cut(isChosen: () => boolean = () => true): void {
    for (const pair of this.#pairs) if (isChosen()) pair.cut()
  }

  /** The connections that stand become silent: what is written is taken and lost, and neither side hears of it. After a while the client's side is reset, later the server's. */
  async goDead(ms: number): Promise<void> {
    const pairs = [...this.#pairs]
    for (const pair of pairs) pair.isDead = true
    await pause(ms)
    for (const pair of pairs) pair.near.resetAndDestroy()
    await pause(ms)
    for (const pair of pairs) pair.cut()
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  /** Carries between a client's connection and its continuation to the server. */
  join(near: Socket, far: Socket): void {
    const pair = new Pair(this, near, far, () => this.#pairs.delete(pair))
    this.#pairs.add(pair)
  }
}

/** A client's connection and its continuation to the server. */
class Pair {
  isDead = false
  readonly near: Socket
  readonly #far: Socket
  readonly #wire: FaultyWire

  constructor(wire: FaultyWire, near: Socket, far: Socket, onEnd: () => void) {
    this.near = near
    this.#far = far
    this.#wire = wire
    this.#carry(near, far)
    this.#carry(far, near)
    near.on('close', () => {
      if (!this.isDead) far.destroy()
    })
    far.on('close', () => {
      if (!this.isDead) near.destroy()
      onEnd()
    })
  }

  cut(): void {
    this.near.resetAndDestroy()
    this.#far.resetAndDestroy()
  }

  #carry(from: Socket, to: Socket): void {
    let last = Promise.resolve()
    from.on('error', () => {})
    from.on('data', (chunk) => {
      const isTooFast = to.writableLength > 1_048_576
      if (isTooFast) from.pause()
      const dueMs = performance.now() + this.#wire.delayMs
      last = last.then(async () => {
        if (performance.now() < dueMs) await pause(dueMs - performance.now())
        if (!this.isDead && !to.destroyed) await new Promise<void>((resolve) => to.write(chunk, () => resolve()))
        if (isTooFast) from.resume()
      })
    })
  }
}
