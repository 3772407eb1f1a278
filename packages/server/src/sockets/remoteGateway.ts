import { type ChildProcess, fork } from 'node:child_process'
import type { Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import { fileURLToPath } from 'node:url'
import { type CodeName, codeByNumber } from '@posthaste/protocol'
import { type Kind, kinds, PipeReader, PipeWriter } from './pipe.ts'
import { pipeDescriptor, type ProcessSettings } from './processSettings.ts'

/** How often a process is asked for a sign of life, in ms. */
export const checkMs = 3_000
/** So many times in a row it may give none; more when it starts. They are counted and not timed: this process may have stood still itself. */
const silentChecksMax = 5
const startChecksMax = 20

/** One connection of a process that holds sockets, as the server sees it. */
export interface RemoteConnection {
  readonly gateway: RemoteGateway
  /** Among all connections of the server. */
  readonly number: number
  /** Among those of the process. */
  readonly local: number
  /** Bytes of which the process has not said yet that it wrote them. */
  onTheWay: number
  /** Bytes that the process wrote and the connection has not taken, when it last said so. */
  untaken: number
}

/** What such a process tells. */
export interface RemoteEvents {
  connected(gateway: RemoteGateway, local: number): RemoteConnection
  message(connection: RemoteConnection, bytes: Uint8Array): void
  refused(connection: RemoteConnection, code: CodeName, text: string): void
  heard(connection: RemoteConnection): void
  closed(connection: RemoteConnection): void
  /** All that came at once was told. */
  read(): void
  /** The process has ended, and its connections with it. */
  ended(gateway: RemoteGateway, cause: string): void
}

/** Writes of which the process has not said yet that they are done. */
interface Batch {
  readonly number: number
  readonly connections: RemoteConnection[]
  readonly bytes: number[]
}

/** A process that holds sockets, seen from the server. */
export class RemoteGateway {
  readonly #events: RemoteEvents
  readonly #child: ChildProcess
  readonly #pipe: Duplex
  readonly #writer: PipeWriter
  readonly #connections = new Map<number, RemoteConnection>()
  /** Connections on their way to the process: when it dies, Node leaves them open. */
  readonly #given = new Set<Socket>()
  readonly #batches: Batch[] = []
  #batch: Batch = { number: 1, connections: [], bytes: [] }
  #written: Uint8Array | undefined
  #isFlushDue = false
  #isEnded = false
  /** How often it was asked since it last said something. */
  #silentChecks = silentChecksMax - startChecksMax
  /** Connections that it was given and has not closed. */
  held = 0

  constructor(settings: ProcessSettings, events: RemoteEvents) {
    this.#events = events
    this.#child = startProcess(settings)
    // Without files or memory for it there is none.
    const pipe = this.#child.stdio?.[pipeDescriptor]
    if (pipe === undefined || pipe === null || !('write' in pipe)) {
      this.#child.once('error', () => {})
      throw new Error('the process did not start')
    }
    this.#pipe = pipe as Duplex
    this.#writer = new PipeWriter(this.#pipe)
    const reader = new PipeReader((kind, local, payload) => this.#take(kind, local, payload))
    this.#pipe.on('data', (chunk: Buffer) => {
      this.#silentChecks = 0
      reader.push(chunk)
      events.read()
    })
    // What is written into a pipe that nobody reads goes with the process.
    this.#pipe.on('error', () => {})
    this.#child.once('error', (error) => this.#ended(error.message))
    this.#child.once('exit', (code, signal) => this.#ended(signal ?? `exit code ${code}`))
  }

  get connections(): Iterable<RemoteConnection> {
    return this.#connections.values()
  }

  /** Hands it a connection of which nothing was read. */
  give(socket: Socket): void {
    this.#given.add(socket)
    this.held += 1
    // Node would close what it has sent once the process says that it has it, and never if that dies: the system does it at once.
    this.#child.send('socket', socket, { keepOpen: true }, (error) => {
      this.#given.delete(socket)
      socket.destroy()
      if (error !== null) this.held -= 1
    })
  }

  write(connection: RemoteConnection, bytes: Uint8Array): void {
    const isAgain = bytes === this.#written
    this.#writer.add(isAgain ? kinds.writeAgain : kinds.write, connection.local, isAgain ? undefined : bytes)
    this.#written = bytes
    connection.onTheWay += bytes.length
    this.#batch.connections.push(connection)
    this.#batch.bytes.push(bytes.length)
    this.#flushSoon()
  }

  close(connection: RemoteConnection, code: CodeName): void {
    this.#writer.add(kinds.close, connection.local, Buffer.from(code, 'latin1'))
    this.#flushSoon()
  }

  setPaused(connection: RemoteConnection, isPaused: boolean): void {
    this.#writer.add(isPaused ? kinds.pause : kinds.resume, connection.local)
    this.#flushSoon()
  }

  /** To be called every `checkMs`: asks for a sign of life, and ends a process that stands still: its connections wait for nothing, as do those to come. */
  check(): void {
    this.#silentChecks += 1
    if (this.#silentChecks <= silentChecksMax) return this.#flushSoon()
    this.#child.kill('SIGKILL')
    this.#ended(`silent for ${(silentChecksMax * checkMs) / 1_000} s`)
  }

  /** Ends the process. Resolves once it is gone. */
  async end(): Promise<void> {
    if (this.#isEnded) return
    const gone = new Promise((resolve) => this.#child.once('exit', resolve))
    this.#pipe.end()
    this.#child.kill('SIGKILL')
    await gone
  }

  /** What is written until the event loop goes on goes at once. */
  #flushSoon(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    process.nextTick(() => {
      this.#isFlushDue = false
      const { number } = this.#batch
      this.#writer.add(kinds.batch, number)
      this.#writer.flush()
      this.#batches.push(this.#batch)
      this.#batch = { number: number + 1, connections: [], bytes: [] }
      // The same array may hold other bytes by the next time.
      this.#written = undefined
    })
  }

  #take(kind: Kind, local: number, payload: Buffer): void {
    if (kind === kinds.done) return this.#done(local)
    if (kind === kinds.gone) {
      this.held -= 1
      return
    }
    if (kind === kinds.connected) {
      this.#connections.set(local, this.#events.connected(this, local))
      return
    }
    const connection = this.#connections.get(local)
    if (connection === undefined) return
    switch (kind) {
      case kinds.message:
        return this.#events.message(connection, payload)
      case kinds.heard:
        return this.#events.heard(connection)
      case kinds.refused:
        return this.#events.refused(
          connection,
          codeByNumber(payload.readUInt16LE(0)).name as CodeName,
          payload.toString('utf8', 2),
        )
      case kinds.untaken:
        connection.untaken = payload.readUInt32LE(0)
        return
      case kinds.closed:
        this.#connections.delete(local)
        return this.#events.closed(connection)
      default:
        throw new Error(`a process that holds sockets sent a piece of kind ${kind}`)
    }
  }

  #done(number: number): void {
    while (this.#batches[0] !== undefined && this.#batches[0].number <= number) {
      const batch = this.#batches.shift()
      for (const [at, connection] of batch?.connections.entries() ?? []) connection.onTheWay -= batch?.bytes[at] ?? 0
    }
  }

  #ended(cause: string): void {
    if (this.#isEnded) return
    this.#isEnded = true
    this.#pipe.destroy()
    for (const socket of this.#given) socket.destroy()
    this.#given.clear()
    this.#events.ended(this, cause)
  }
}

/** The process runs the sources when this file does (in tests): Node 20 needs a loader for them. */
function startProcess(settings: ProcessSettings): ChildProcess {
  const isSource = import.meta.url.endsWith('.ts')
  const file = fileURLToPath(new URL(isSource ? './process.ts' : './process.js', import.meta.url))
  return fork(file, [JSON.stringify(settings)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', 'pipe'],
    execArgv: isSource ? ['--import', 'tsx'] : process.execArgv,
  })
}
