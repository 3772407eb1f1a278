import { type ChildProcess, spawn } from 'node:child_process'
import { createHmac } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer, type Server, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type RunningServer, type ServerOptions, startServer } from '@posthaste/server'
import type { PosthasteEvents } from '../../src/observers.ts'
import type { PosthasteOptions } from '../../src/options.ts'
import { Posthaste } from '../../src/posthaste.ts'

const secret = new Uint8Array(32).fill(7)
const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token that the test's server takes. */
export function tokenOf(user: string, secondsToLive = 3_600, key = secret): string {
  const nowSeconds = Math.floor(Date.now() / 1_000)
  const input = `${part({ alg: 'HS256' })}.${part({ sub: user, iat: nowSeconds, exp: nowSeconds + secondsToLive })}`
  return `${input}.${createHmac('sha256', key).update(input).digest('base64url')}`
}

/** How the test's server is started. */
export function serverOptions(dataDirectory: string, port = 0): ServerOptions {
  return {
    dataDirectory,
    port,
    adminPort: 0,
    host: '127.0.0.1',
    adminHost: '127.0.0.1',
    auth: { secrets: [secret], jwks: undefined, audience: undefined },
    adminKey: 'the-key-of-the-tests-and-of-nobody-else',
    logLevel: process.env.POSTHASTE_TEST_LOG ?? 'silent',
    shards: 1,
    isRestored: false,
  }
}

/** A real server on a directory of its own, and the clients of one test. */
export class RealServer {
  readonly directory: string
  #server: RunningServer | undefined
  #child: ChildProcess | undefined
  #port = 0
  readonly #clients: Posthaste[] = []
  readonly #closing: (() => Promise<unknown> | undefined)[] = []

  private constructor(directory: string) {
    this.directory = directory
  }

  /** Starts one in this process. */
  static async start(): Promise<RealServer> {
    const server = new RealServer(await mkdtemp(join(tmpdir(), 'posthaste-e2e-')))
    await server.restart()
    return server
  }

  /** Prepares one that runs in a process of its own, so that it can be killed. */
  static async spawn(): Promise<RealServer> {
    const server = new RealServer(await mkdtemp(join(tmpdir(), 'posthaste-e2e-')))
    await server.respawn()
    return server
  }

  get port(): number {
    return this.#port
  }

  get url(): string {
    return `ws://127.0.0.1:${this.#port}`
  }

  /** A client of that user; closed at the end. */
  client(user: string, options: Partial<PosthasteOptions> = {}): Posthaste {
    const client = new Posthaste({ url: this.url, token: () => tokenOf(user), ...options })
    this.#clients.push(client)
    return client
  }

  /** A user that the server knows: one that was there once. */
  async known(...users: string[]): Promise<void> {
    for (const user of users) {
      const client = this.client(user)
      client.connect()
      await live(client)
      await client.close()
    }
  }

  async stop(): Promise<void> {
    await this.#server?.stop()
    this.#server = undefined
  }

  /** Starts it again on the same port and directory. */
  async restart(): Promise<void> {
    this.#server = await startServer(serverOptions(this.directory, this.#port))
    this.#port = this.#server.port
  }

  /** Kills the process of the server: SIGKILL. */
  async kill(): Promise<void> {
    const child = this.#child
    if (child === undefined) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    child.kill('SIGKILL')
    await ended
    this.#child = undefined
  }

  /** Starts a process of the server again on the same port and directory. */
  async respawn(attempts = 5): Promise<void> {
    const program = fileURLToPath(new URL('server-process.ts', import.meta.url))
    const child = spawn(process.execPath, ['--import', 'tsx', program, this.directory, String(this.#port)], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    this.#child = child
    try {
      this.#port = await new Promise<number>((resolve, reject) => {
        child.stdout?.setEncoding('utf8').once('data', (line: string) => resolve(Number(line)))
        child.once('exit', (code) => reject(new Error(`the server ended with ${code}`)))
      })
    } catch (error) {
      this.#child = undefined
      // Some other program may have been given the port for a connection of its own meanwhile; it is short-lived.
      if (attempts <= 1) throw error
      await this.respawn(attempts - 1)
    }
  }

  /** A way to the server that can be cut. */
  async wire(): Promise<Wire> {
    const wire = await Wire.open(this.#port)
    this.#closing.push(() => wire.close())
    return wire
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
    for (const close of this.#closing) await close()
    await this.stop()
    await this.kill()
    await rm(this.directory, { recursive: true, force: true })
  }
}

/** A proxy in front of the server: what lies between it and a client at a cut is lost without a word. */
export class Wire {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  readonly url: string

  private constructor(server: Server, port: number) {
    this.#server = server
    this.url = `ws://127.0.0.1:${port}`
  }

  static async open(target: number): Promise<Wire> {
    let wire: Wire | undefined
    const server = createServer((near) => wire?.join(near, connect(target, '127.0.0.1')))
    const port = await new Promise<number>((resolve) => {
      server.listen(0, '127.0.0.1', () => {
        const address = server.address()
        resolve(typeof address === 'object' && address !== null ? address.port : 0)
      })
    })
    wire = new Wire(server, port)
    return wire
  }

  /** Those that stand. */
  get connections(): number {
    return this.#sockets.size / 2
  }

  join(near: Socket, far: Socket): void {
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(socket)
      socket.pipe(other)
      socket.on('error', () => {})
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
  }

  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy()
  }

  async close(): Promise<void> {
    this.cut()
    await new Promise((resolve) => this.#server.close(resolve))
  }
}

/** Resolves once the client is connected. */
export function live(client: Posthaste): Promise<void> {
  return connectionOf(client, 'live')
}

/** Resolves once the client's connection is in that state. */
export function connectionOf(client: Posthaste, status: Posthaste['connection']['state']['status']): Promise<void> {
  return new Promise((resolve) => {
    if (client.connection.state.status === status) return resolve()
    const undo = client.connection.subscribe((state) => {
      if (state.status !== status) return
      undo()
      resolve()
    })
  })
}

/** Resolves with the first event of that kind that satisfies the test. */
export function once<K extends keyof PosthasteEvents>(
  client: Posthaste,
  event: K,
  isWanted: (value: PosthasteEvents[K]) => boolean = () => true,
): Promise<PosthasteEvents[K]> {
  return new Promise((resolve) => {
    const undo = client.on(event, (value) => {
      if (!isWanted(value)) return
      undo()
      resolve(value)
    })
  })
}
