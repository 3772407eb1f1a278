import {
  type ClientPacket,
  type ClientPacketOf,
  codeNumber,
  decodeClientMessage,
  encodeServerMessage,
  type ServerPacket,
  type ServerPacketOf,
} from '@posthaste/protocol'
import type { SocketEvents, Transport, TransportSocket } from '../../src/ports.ts'

/** What a test's server says at WELCOME unless told otherwise. */
export const welcome: ServerPacketOf<'welcome'> = {
  kind: 'welcome',
  version: 1,
  epoch: 7,
  identity: 100,
  user: 'alice',
  serverTimeMs: 1_800_000_000_000,
  bodyBytesMax: 65_536,
  expirySecondsMax: 2_592_000,
  tokenExpiresMs: 0,
  heartbeatMs: 20_000,
  groups: [],
}

/** An entry of the user's own log from bob. */
export function deliver(seq: number, fields: Partial<ServerPacketOf<'deliver'>> = {}): ServerPacketOf<'deliver'> {
  return {
    kind: 'deliver',
    log: 100,
    lane: 8,
    seq,
    sender: 200,
    senderName: 'bob',
    count: seq,
    id: BigInt(1_000 + seq),
    type: 0,
    timeMs: 1_800_000_000_000,
    deadlineMs: 1_900_000_000_000,
    receipts: true,
    echoTo: null,
    body: new TextEncoder().encode(`message ${seq}`),
    ...fields,
  }
}

/** One connection of a scripted server. */
export class FakeConnection implements TransportSocket {
  readonly bufferedBytes = 0
  readonly received: ClientPacket[] = []
  readonly #events: SocketEvents
  readonly #waiting = new Set<() => void>()
  closeCode: number | undefined

  constructor(events: SocketEvents) {
    this.#events = events
  }

  /** Accepts the connection. */
  open(): void {
    this.#events.opened()
  }

  send(bytes: Uint8Array): void {
    this.received.push(...decodeClientMessage(bytes))
    this.#wake()
  }

  close(closeCode: number): void {
    this.closeCode = closeCode
    this.#wake()
  }

  /** The server says this. */
  say(...packets: ServerPacket[]): void {
    this.#events.message(encodeServerMessage(packets))
  }

  /** The server, or the network, ends the connection. */
  end(closeCode = 1_006): void {
    this.#events.closed(closeCode)
  }

  /** All packets of that kind so far. */
  all<K extends ClientPacket['kind']>(kind: K): ClientPacketOf<K>[] {
    return this.received.filter((packet): packet is ClientPacketOf<K> => packet.kind === kind)
  }

  /** Waits for the packet of that kind with that number, the first by default. */
  async next<K extends ClientPacket['kind']>(kind: K, number = 1): Promise<ClientPacketOf<K>> {
    await this.#until(() => this.all(kind).length >= number)
    const packet = this.all(kind)[number - 1]
    if (packet === undefined) throw new Error('no such packet')
    return packet
  }

  /** Waits until the client has closed the connection. */
  async closed(): Promise<number> {
    await this.#until(() => this.closeCode !== undefined)
    return this.closeCode ?? 0
  }

  async #until(isTrue: () => boolean): Promise<void> {
    while (!isTrue()) await new Promise<void>((resolve) => this.#waiting.add(resolve))
  }

  #wake(): void {
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
  }
}

/** A scripted server over an in-memory transport: the test plays it packet by packet. */
export class FakeServer {
  readonly connections: FakeConnection[] = []
  readonly #waiting = new Set<() => void>()

  readonly transport: Transport = (_url, events) => {
    const connection = new FakeConnection(events)
    this.connections.push(connection)
    for (const resolve of this.#waiting) resolve()
    this.#waiting.clear()
    return connection
  }

  /** Waits for the connection of that number, the first by default. */
  async connection(number = 1): Promise<FakeConnection> {
    while (this.connections.length < number) await new Promise<void>((resolve) => this.#waiting.add(resolve))
    const connection = this.connections[number - 1]
    if (connection === undefined) throw new Error('no such connection')
    return connection
  }

  /** Waits for a connection, takes its HELLO and welcomes it. */
  async session(number = 1, fields: Partial<ServerPacketOf<'welcome'>> = {}): Promise<FakeConnection> {
    const connection = await this.connection(number)
    connection.open()
    await connection.next('hello')
    connection.say({ ...welcome, ...fields })
    return connection
  }
}

/** The verdict on a SEND. */
export function resultOf(send: ClientPacketOf<'send'>, fields: Partial<ServerPacketOf<'result'>> = {}): ServerPacketOf<'result'> {
  return {
    kind: 'result',
    ref: send.ref,
    status: codeNumber('sent'),
    destination: 200,
    count: send.ref,
    timeMs: 1_800_000_000_000,
    ...fields,
  }
}
