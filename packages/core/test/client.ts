import {
  type ClientPacket,
  type ClientPacketOf,
  type CodeName,
  codeByNumber,
  encodeClientMessage,
  type ServerPacket,
  type ServerPacketOf,
} from '@posthaste/protocol'
import type { Host } from '../src/index.ts'

/** A day in ms. */
export const dayMs = 86_400_000

/** What a client needs of the world around it. */
export interface Surroundings {
  readonly nowMs: number
  readonly host: Host
  readonly closes: ReadonlyMap<number, CodeName>
  /** Works until nothing moves. */
  settle(): void
  /** Lets time pass. */
  pass(ms: number): void
  /** Connects a client; gives the connection's number. */
  newConnection(client: Client): number
  /** Closes a connection. */
  hangUp(connection: number): void
}

/** How a client behaves. */
export interface ClientOptions {
  /** Acknowledges what it has stored at once; default true. */
  readonly isAcking?: boolean
  /** What it does not store although it could: passed as not stored. */
  readonly isRefused?: (entry: ServerPacketOf<'deliver'>) => boolean
}

/** A message as a test sends it. */
export interface Draft {
  readonly id?: bigint
  readonly priority?: number
  readonly expiryMs?: number
  readonly deadlineMs?: number
  readonly receipts?: boolean
  readonly type?: number
  readonly body?: string
  readonly bodyBytes?: number
}

/** A sent message and what came of it. */
export interface Sent {
  readonly packet: ClientPacketOf<'send'>
  /** The status that RESULT named, '' before. */
  status: string
  destination: number
  count: number
}

interface Cursor {
  seq: number
  /** Since the last ACKED. */
  notStored: { from: number; to: number }[]
  /** Since the last ACK. */
  fresh: { from: number; to: number }[]
  isUnacked: boolean
}

/** One device of a user, by PROTOCOL.md: it takes cursor + 1 only, and keeps its store over connections. */
export class Client {
  readonly world: Surroundings
  readonly user: string
  readonly device: Uint8Array
  readonly options: ClientOptions
  isAcking: boolean
  connection = 0
  session = 0
  epoch = 0
  identity = 0
  phase: 'offline' | 'greeting' | 'live' = 'offline'
  /** What it has stored, in order. */
  inbox: ServerPacketOf<'deliver'>[] = []
  /** How many entries came at or past their deadlines: with a network that takes no time, none may. */
  lateCount = 0
  /** All packets of this connection. */
  packets: ServerPacket[] = []
  readonly cursors = new Map<number, Map<number, Cursor>>()
  readonly #keys = new Set<string>()
  #byRef = new Map<number, Sent>()
  #ref = 0
  #out: ClientPacket[] = []

  constructor(world: Surroundings, user: string, device: number, options: ClientOptions) {
    this.world = world
    this.user = user
    this.device = new Uint8Array(16).fill(device)
    this.options = options
    this.isAcking = options.isAcking ?? true
  }

  /** The bodies in its inbox. */
  get bodies(): string[] {
    return this.inbox.map(({ body }) => Buffer.from(body).toString())
  }

  /** Sends HELLO. */
  connect(token = this.user, hello: Partial<ClientPacketOf<'hello'>> = {}): void {
    this.connection = this.world.newConnection(this)
    this.phase = 'greeting'
    this.session += 1
    this.packets = []
    this.#ref = 0
    this.#byRef = new Map()
    this.#out = []
    const cursors = [...this.cursors].flatMap(([log, lanes]) =>
      [...lanes].map(([lane, { seq, notStored, fresh }]) => ({ log, lane, seq, notStored: [...notStored, ...fresh] })),
    )
    for (const lanes of this.cursors.values()) {
      for (const cursor of lanes.values()) {
        cursor.notStored.push(...cursor.fresh.splice(0))
        cursor.isUnacked = false
      }
    }
    const { device, session, epoch } = this
    this.say({ kind: 'hello', versionMin: 1, versionMax: 1, token, device, session, agent: 'test', epoch, cursors, ...hello })
  }

  /** Connects and waits for what comes. */
  reconnect(): void {
    if (this.phase !== 'offline') this.disconnect()
    this.connect()
    this.world.settle()
  }

  disconnect(): void {
    if (this.phase === 'offline') return
    this.world.hangUp(this.connection)
    this.lost()
  }

  /** The connection is gone. */
  lost(): void {
    this.phase = 'offline'
    this.#out = []
  }

  /** Puts a packet into the next message. */
  say(packet: ClientPacket): void {
    this.#out.push(packet)
  }

  /** Sends what is to be said; false when there was nothing. */
  speak(): boolean {
    if (this.phase === 'offline' || this.#out.length === 0) return false
    const packets = this.#out.splice(0, 2_048)
    this.world.host.received(this.connection, encodeClientMessage(packets), this.world.nowMs)
    return true
  }

  /** Sends a message to a user, or to a group written as `#name`. */
  send(to: string, draft: Draft = {}): Sent {
    this.#ref += 1
    const packet = this.compose(to, draft, this.#ref)
    const sent: Sent = { packet, status: '', destination: 0, count: 0 }
    this.#byRef.set(this.#ref, sent)
    this.say(packet)
    return sent
  }

  /** Sends, and gives the status of RESULT. */
  verdict(to: string, draft: Draft = {}): string {
    const sent = this.send(to, draft)
    this.world.settle()
    return sent.status
  }

  compose(to: string, draft: Draft, ref: number): ClientPacketOf<'send'> {
    const { id = 1n, priority = 8, receipts = true, type = 0 } = draft
    return {
      kind: 'send',
      ref,
      toKind: to.startsWith('#') ? 1 : 0,
      to: to.startsWith('#') ? to.slice(1) : to,
      id,
      type,
      priority,
      deadlineMs: draft.deadlineMs ?? this.world.nowMs + (draft.expiryMs ?? 7 * dayMs),
      receipts,
      body: draft.bodyBytes !== undefined ? new Uint8Array(draft.bodyBytes) : Buffer.from(draft.body ?? `m${id}`),
    }
  }

  /** Asks for the status of a message. */
  query(to: string, id: bigint): string {
    return this.queryState(to, id).status
  }

  queryState(
    to: string,
    id: bigint,
  ): { status: string; count: number; delivered: number; read: number; members: number; destination: number } {
    const toKind = to.startsWith('#') ? 1 : 0
    this.say({ kind: 'query', request: 1, messages: [{ toKind, to: to.replace('#', ''), id }] })
    this.world.settle()
    const state = this.last('statuses')?.statuses[0]
    if (state === undefined) throw new Error('no STATUSES came')
    return { ...state, status: codeByNumber(state.status).name }
  }

  /** Makes a request and gives the name of REPLY's code, '' for done. */
  request(packet: ClientPacketOf<'groupCreate' | 'groupDelete' | 'memberSet' | 'block' | 'members' | 'receipts'>): string {
    this.say(packet)
    this.world.settle()
    const code = this.last('reply')?.code ?? 0
    return code === 0 ? '' : codeByNumber(code).name
  }

  block(user: string, isBlocked = true): string {
    return this.request({ kind: 'block', request: 9, user, isBlocked })
  }

  /** Marks read up to a stored message. */
  read(entry: ServerPacketOf<'deliver'>): void {
    const isOwn = entry.log === this.identity
    const { log, lane, seq } = entry
    this.say({ kind: 'read', log, lane, seq, sender: isOwn ? entry.sender : 0, count: isOwn ? entry.count : 0 })
  }

  /** The packets of a kind on this connection. */
  all<K extends ServerPacket['kind']>(kind: K): ServerPacketOf<K>[] {
    return this.packets.filter((packet): packet is ServerPacketOf<K> => packet.kind === kind)
  }

  last<K extends ServerPacket['kind']>(kind: K): ServerPacketOf<K> | undefined {
    return this.all(kind).at(-1)
  }

  /** The statuses that STATUS told of a message, in order. */
  told(id: bigint): string[] {
    return this.all('status')
      .filter((packet) => packet.id === id)
      .map(({ status }) => codeByNumber(status).name)
  }

  /** Why the connection was ended. */
  get ended(): CodeName | undefined {
    return this.world.closes.get(this.connection)
  }

  /** The code of the last ERROR. */
  get error(): string {
    const code = this.last('error')?.code
    return code === undefined ? '' : codeByNumber(code).name
  }

  cursor(log: number, lane: number): Cursor {
    const lanes = this.cursors.get(log) ?? new Map<number, Cursor>()
    this.cursors.set(log, lanes)
    const cursor = lanes.get(lane) ?? { seq: 0, notStored: [], fresh: [], isUnacked: false }
    lanes.set(lane, cursor)
    return cursor
  }

  /** Packets from the server. */
  take(packets: readonly ServerPacket[]): void {
    for (const packet of packets) {
      this.packets.push(packet)
      this.#handle(packet)
    }
    if (this.isAcking) this.ack()
  }

  /** Acknowledges what was passed since the last time. */
  ack(): void {
    for (const [log, lanes] of this.cursors) {
      for (const [lane, cursor] of lanes) {
        if (!cursor.isUnacked) continue
        this.say({ kind: 'ack', log, lane, upTo: cursor.seq, notStored: cursor.fresh })
        cursor.notStored.push(...cursor.fresh)
        cursor.fresh = []
        cursor.isUnacked = false
      }
    }
  }

  #handle(packet: ServerPacket): void {
    switch (packet.kind) {
      case 'welcome':
        if (packet.epoch !== this.epoch) this.cursors.clear()
        this.epoch = packet.epoch
        this.identity = packet.identity
        this.phase = 'live'
        return
      case 'error':
        this.world.hangUp(this.connection)
        return this.lost()
      case 'result':
        return this.#result(packet)
      case 'deliver':
        return this.#deliver(packet)
      case 'skip':
        return this.#skip(packet)
      case 'acked': {
        const cursor = this.cursor(packet.log, packet.lane)
        cursor.notStored = cursor.notStored.filter(({ to }) => to > packet.upTo)
        return
      }
      default:
    }
  }

  #result(packet: ServerPacketOf<'result'>): void {
    const sent = this.#byRef.get(packet.ref)
    if (sent === undefined) throw new Error(`RESULT for no SEND: ${packet.ref}`)
    if (sent.status !== '') throw new Error(`two RESULTs for SEND ${packet.ref}`)
    sent.status = codeByNumber(packet.status).name
    sent.destination = packet.destination
    sent.count = packet.count
  }

  #deliver(entry: ServerPacketOf<'deliver'>): void {
    const cursor = this.cursor(entry.log, entry.lane)
    cursor.isUnacked = true
    if (entry.seq <= cursor.seq) return
    if (entry.seq !== cursor.seq + 1) throw new Error(`${this.user}: seq ${entry.seq} after ${cursor.seq} in lane ${entry.lane}`)
    cursor.seq = entry.seq
    if (entry.deadlineMs <= this.world.nowMs) this.lateCount += 1
    const key = `${entry.log}/${entry.sender}/${entry.id}/${entry.echoTo?.to ?? ''}`
    if (entry.id !== 0n && this.#keys.has(key)) return
    if (entry.deadlineMs <= this.world.nowMs || this.options.isRefused?.(entry) === true) {
      cursor.fresh.push({ from: entry.seq, to: entry.seq })
      return
    }
    this.#keys.add(key)
    this.inbox.push({ ...entry, body: entry.body.slice() })
  }

  #skip(skip: ServerPacketOf<'skip'>): void {
    const cursor = this.cursor(skip.log, skip.lane)
    cursor.isUnacked = true
    if (skip.to <= cursor.seq) return
    if (skip.from > cursor.seq + 1) throw new Error(`${this.user}: SKIP from ${skip.from} after ${cursor.seq}`)
    cursor.fresh.push({ from: cursor.seq + 1, to: skip.to })
    cursor.seq = skip.to
  }
}
