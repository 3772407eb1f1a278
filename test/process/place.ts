import { createHmac, randomInt } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { fileURLToPath } from 'node:url'
import { Playground, type Run } from '../cli/program.ts'
import { bundled } from './compiled.ts'

/** What a token may say beside its user. Times in seconds since the epoch. */
export interface TokenClaims {
  readonly iat?: number
  readonly exp?: number
}

/**
 * `dev` and `serve` are the commands, `gateways` is `serve` with two processes that hold the sockets; `dev` has the users alice and bob from the start, and logs warnings alone. `eager` is a server with
 * four shards that makes checkpoints all the time, `eager-single` the same with one.
 */
export type PlaceKind = 'dev' | 'serve' | 'gateways' | 'eager' | 'eager-single'

const eagerServer = fileURLToPath(new URL('fixtures/eager-server.ts', import.meta.url))
let eagerProgram: string | undefined

/** A server in a directory of its own, on ports that it keeps when it is started again. */
export class Place {
  readonly ground = new Playground()
  port = 0
  adminPort = 0
  /** The latest run of the server. */
  server: Run | undefined
  readonly #kind: PlaceKind

  constructor(kind: PlaceKind = 'dev') {
    this.#kind = kind
  }

  get url(): string {
    return `ws://127.0.0.1:${this.port}`
  }

  /** What starts the server, for who wants to run it in another program. */
  async serverArguments(): Promise<string[]> {
    await this.#choosePorts()
    const host = this.#kind === 'dev' ? [] : ['--host', '127.0.0.1']
    const gateways = this.#kind === 'gateways' ? ['--gateways', '2'] : []
    const command = this.#kind === 'dev' ? 'dev' : 'serve'
    return [command, '--json', '--port', String(this.port), '--admin-port', String(this.adminPort), ...host, ...gateways]
  }

  /** Starts the server and waits until it listens. */
  async start(): Promise<Run> {
    const server =
      this.#kind === 'eager' || this.#kind === 'eager-single'
        ? await this.#startEager(this.#kind === 'eager' ? 4 : 1)
        : this.ground.start(await this.serverArguments(), { input: null })
    this.server = server
    await server.until(this.#kind === 'dev' ? '"event":"next"' : '"event":"listening"')
    return server
  }

  /** Kills the server at once, as a power loss would. */
  async kill(): Promise<void> {
    this.server?.child.kill('SIGKILL')
    await this.server?.ended
  }

  /** The processes that hold the server's sockets, if it has any. */
  gateways(): number[] {
    const pid = this.server?.child.pid ?? 0
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean).map(Number)
    return children.filter((child) => readFileSync(`/proc/${child}/cmdline`, 'utf8').includes('sockets/process'))
  }

  /** Stops the server as a service manager does. */
  async stop(): Promise<void> {
    this.server?.child.kill('SIGTERM')
    await this.server?.ended
  }

  /** A token signed with the server's secret: valid for an hour unless the claims say otherwise. */
  token(user: string, claims: TokenClaims = {}): string {
    const secret = Buffer.from(readFileSync(this.ground.path('.posthaste/secret'), 'utf8').trim(), 'base64url')
    return sign(secret, user, claims)
  }

  /** What the HTTP API says of the server's health. */
  async health(): Promise<Record<string, unknown>> {
    const response = await fetch(`http://127.0.0.1:${this.adminPort}/v1/health`)
    const health: unknown = await response.json()
    return typeof health === 'object' && health !== null ? { ...health } : {}
  }

  /** Makes users over the HTTP API. */
  async createUsers(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const { status, body } = await this.call('POST', '/v1/users', { name })
      if (status >= 300) throw new Error(`${name} is not created: ${status} ${JSON.stringify(body)}`)
    }
  }

  /** Calls the HTTP API as an operator. @throws when the server can't be reached */
  async call(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const authorization = `Bearer ${readFileSync(this.ground.path('.posthaste/admin-key'), 'utf8').trim()}`
    const answer = await fetch(`http://127.0.0.1:${this.adminPort}${path}`, {
      method,
      headers: { authorization, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) }
  }

  async end(): Promise<void> {
    await this.ground.end()
  }

  async #startEager(shards: number): Promise<Run> {
    await this.#choosePorts()
    eagerProgram ??= bundled(eagerServer)
    const argv = [this.port, this.adminPort, shards].map(String)
    return this.ground.node(eagerProgram, [this.ground.path('.posthaste'), ...argv])
  }

  async #choosePorts(): Promise<void> {
    if (this.port === 0) this.port = await freePort()
    if (this.adminPort === 0) this.adminPort = await freePort()
  }
}

/** A JWT signed with HS256. */
export function sign(secret: Uint8Array, user: string, claims: TokenClaims = {}): string {
  const nowSeconds = Date.now() / 1_000
  const payload = { sub: user, iat: nowSeconds, exp: nowSeconds + 3_600, ...claims }
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const signed = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(payload)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}

/** Below the ports that systems give to outgoing connections: else a client that tries to reach a killed server could be given its port. */
const ports = { min: 20_000, max: 32_000 } as const

/** A TCP port of this machine that nobody listens on, and that nobody is given by chance. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = randomInt(ports.min, ports.max)
    const server = createServer()
    const isFree = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false))
      server.listen(port, '127.0.0.1', () => resolve(true))
    })
    if (!isFree) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
}

/** Resolves once `isTrue`; rejects with what `describe` says after `timeoutMs`. */
export async function until(isTrue: () => boolean, describe: () => string, timeoutMs = 20_000): Promise<void> {
  for (const deadlineMs = performance.now() + timeoutMs; !isTrue(); ) {
    if (performance.now() > deadlineMs) throw new Error(`Waited ${timeoutMs} ms: ${describe()}`)
    await pause(5)
  }
}

/** Lets this much time pass, for pauses that a test means. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** Repeatable numbers from 0 to below 1 (mulberry32). */
export function randomOf(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}
