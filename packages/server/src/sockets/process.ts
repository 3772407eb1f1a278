/** A process that holds sockets for a server: `GatewayProcesses` starts it, hands it what it has accepted, and decides all. */
import { Socket } from 'node:net'
import { type CodeName, codeNumber } from '@posthaste/protocol'
import { createLogger } from '../logging.ts'
import { LocalSockets } from './local.ts'
import { type Kind, kinds, PipeReader, PipeWriter } from './pipe.ts'
import { pipeDescriptor, type ProcessSettings } from './processSettings.ts'
import type { SocketEvents } from './sockets.ts'

/** Beyond this many bytes that the server has not taken, whoever sends more is not read. */
const congestedBytes = 4_194_304

/** The sockets of this process, at the end of a pipe. */
class GatewayProcess implements SocketEvents {
  readonly #pipe = new Socket({ fd: pipeDescriptor, readable: true, writable: true })
  readonly #writer = new PipeWriter(this.#pipe)
  readonly #reader = new PipeReader((kind, connection, payload) => this.#take(kind, connection, payload))
  readonly #sockets: LocalSockets
  /** Not read until the server has taken what waits. */
  readonly #paused = new Set<number>()
  /** Not read until the server says so. */
  readonly #held = new Set<number>()
  /** Those that have not taken all that the present batch wrote. */
  readonly #slow = new Set<number>()
  /** Those of which it is heard when they have taken all. */
  readonly #draining = new Set<number>()
  #isFlushDue = false
  #written: Uint8Array = new Uint8Array(0)

  constructor({ logLevel, ...options }: ProcessSettings) {
    this.#sockets = new LocalSockets(options, createLogger({ level: logLevel, hidden: [] }), this)
    this.#pipe.on('data', (chunk: Buffer) => this.#reader.push(chunk))
    this.#pipe.on('drain', () => this.#resume())
    // The server is gone, however it ended: its clients must look for another one.
    this.#pipe.on('error', () => process.exit()).on('close', () => process.exit())
  }

  /** @param socket undefined when it was closed on the way */
  adopt(socket: Socket | undefined): void {
    if (socket === undefined) return this.#gone()
    socket.once('close', () => this.#gone())
    this.#sockets.adopt(socket)
  }

  /** The server counts what it gave. */
  #gone(): void {
    this.#add(kinds.gone, 0)
    this.read()
  }

  connected(connection: number): void {
    this.#add(kinds.connected, connection)
  }

  message(connection: number, bytes: Uint8Array): void {
    this.#add(kinds.message, connection, bytes)
    if (this.#pipe.writableLength < congestedBytes) return
    this.#paused.add(connection)
    this.#sockets.setPaused(connection, true)
  }

  refused(connection: number, code: CodeName, text: string): void {
    const payload = Buffer.alloc(2 + Buffer.byteLength(text))
    payload.writeUInt16LE(codeNumber(code))
    payload.write(text, 2)
    this.#add(kinds.refused, connection, payload)
  }

  heard(connection: number): void {
    this.#add(kinds.heard, connection)
  }

  closed(connection: number): void {
    this.#paused.delete(connection)
    this.#held.delete(connection)
    this.#slow.delete(connection)
    this.#draining.delete(connection)
    this.#add(kinds.closed, connection)
  }

  /** What was told goes to the server once all sockets have been read that had something. */
  read(): void {
    if (this.#isFlushDue) return
    this.#isFlushDue = true
    setImmediate(() => {
      this.#isFlushDue = false
      this.#writer.flush()
    })
  }

  #add(kind: Kind, connection: number, payload?: Uint8Array): void {
    this.#writer.add(kind, connection, payload)
  }

  #take(kind: Kind, connection: number, payload: Buffer): void {
    switch (kind) {
      case kinds.write:
        this.#written = payload
        return this.#write(connection)
      case kinds.writeAgain:
        return this.#write(connection)
      case kinds.close:
        return this.#sockets.close(connection, payload.toString('latin1') as CodeName)
      case kinds.pause:
        if (this.#sockets.setPaused(connection, true)) this.#held.add(connection)
        return
      case kinds.resume:
        this.#held.delete(connection)
        if (!this.#paused.has(connection)) this.#sockets.setPaused(connection, false)
        return
      case kinds.batch:
        return this.#done(connection)
      default:
        throw new Error(`the server sent a piece of kind ${kind}`)
    }
  }

  #write(connection: number): void {
    this.#sockets.write(connection, this.#written)
    if (this.#sockets.bufferedBytes(connection) > 0) this.#slow.add(connection)
  }

  /** Tells what became of a batch: the server must know who is slow. */
  #done(batch: number): void {
    for (const connection of this.#slow) {
      this.#tellUntaken(connection)
      if (this.#draining.has(connection)) continue
      this.#draining.add(connection)
      this.#sockets.onDrain(connection, () => {
        this.#draining.delete(connection)
        this.#tellUntaken(connection)
        this.read()
      })
    }
    this.#slow.clear()
    this.#add(kinds.done, batch)
    this.#writer.flush()
  }

  #tellUntaken(connection: number): void {
    const payload = Buffer.alloc(4)
    payload.writeUInt32LE(this.#sockets.bufferedBytes(connection))
    this.#add(kinds.untaken, connection, payload)
  }

  #resume(): void {
    for (const connection of this.#paused) if (!this.#held.has(connection)) this.#sockets.setPaused(connection, false)
    this.#paused.clear()
  }
}

const gateway = new GatewayProcess(JSON.parse(process.argv[2] ?? '') as ProcessSettings)
process.on('message', (_accepted, socket: Socket | undefined) => gateway.adopt(socket))
// The server ends it, once it has drained: a signal from the terminal is for all processes of the group.
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => {})
