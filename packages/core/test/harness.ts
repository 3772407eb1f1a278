import { createHash } from 'node:crypto'
import { type CodeName, decodeServerMessage } from '@posthaste/protocol'
import {
  decodeRecord,
  Host,
  type HostEdge,
  type HostLimits,
  type KeyBatch,
  keyRowsOf,
  MemoryJournal,
  MemoryTables,
  type Settings,
  Shard,
} from '../src/index.ts'
import { defaultSettings } from '../src/rows/rows.ts'
import { Client, type ClientOptions, type Surroundings } from './client.ts'

/** When the simulated time begins, in ms. */
export const startMs = 1_700_000_000_000

/** Options of a world. */
export interface WorldOptions {
  readonly shards?: number
  readonly limits?: Partial<HostLimits>
  readonly settings?: Partial<Settings>
}

/** A host on journals and tables in memory, with a clock that only the test moves, and clients that follow PROTOCOL.md. */
export class World implements Surroundings {
  nowMs = startMs
  host: Host
  shards: Shard[] = []
  journals: MemoryJournal[] = []
  tables: MemoryTables[] = []
  /** Closed connections, with their codes. */
  readonly closes = new Map<number, CodeName>()
  /** Connections that are not read: a test that minds says nothing on them. */
  readonly paused = new Set<number>()
  freeBytes = 2 ** 40
  /** Whether `settle` flushes appended records. */
  isFlushing = true
  readonly #limits: Partial<HostLimits>
  readonly #clients = new Map<number, Client>()
  #appended: { shard: number; position: number }[] = []
  #verifying: { connection: number; token: string }[] = []
  #writes: { connection: number; bytes: Uint8Array }[] = []
  #connection = 1

  constructor(options: WorldOptions = {}) {
    this.#limits = options.limits ?? {}
    for (let index = 0; index < (options.shards ?? 1); index++) {
      this.journals.push(new MemoryJournal({ flushing: 'manual' }))
      this.tables.push(new MemoryTables())
    }
    this.host = this.#open()
    if (options.settings !== undefined) this.set(options.settings)
    this.settle()
  }

  /** Changes settings in all shards. */
  set(settings: Partial<Settings>): void {
    for (let shard = 0; shard < this.shards.length; shard++)
      this.host.submit(
        () => ({ kind: 'settings', ...defaultSettings, ...settings }),
        shard,
        () => undefined,
      )
    this.settle()
  }

  /** A client of this user; devices are told apart by a number. */
  client(user: string, device = 1, options: ClientOptions = {}): Client {
    return new Client(this, user, device, options)
  }

  /** A client that is connected. */
  online(user: string, device = 1, options: ClientOptions = {}): Client {
    const client = this.client(user, device, options)
    client.connect()
    this.settle()
    return client
  }

  /** Works until nothing moves. */
  settle(): void {
    for (let round = 0; round < 100_000; round++) {
      let isMoving = false
      for (const { connection, token } of this.#verifying.splice(0)) {
        isMoving = true
        const [user = '', issued] = token.split('@')
        const issuedAtMs = issued === undefined ? this.nowMs : Number(issued)
        this.host.verified(connection, { isOk: true, user, issuedAtMs, expiresAtMs: 0 }, this.nowMs)
      }
      if (this.host.turn(this.nowMs)) isMoving = true
      if (this.isFlushing && this.flush()) isMoving = true
      for (const { connection, bytes } of this.#writes.splice(0)) {
        isMoving = true
        this.#clients.get(connection)?.take(decodeServerMessage(bytes))
      }
      for (const client of [...this.#clients.values()]) if (client.speak()) isMoving = true
      if (!isMoving) return
    }
    throw new Error('the world never settles')
  }

  /** Flushes what was appended, first records first; false when there was nothing. */
  flush(count = Number.POSITIVE_INFINITY): boolean {
    const appended = this.#appended.splice(0, Math.min(count, this.#appended.length))
    for (const { shard, position } of appended) {
      this.journals[shard]?.flush(1)
      this.host.flushed(shard, position, this.nowMs)
    }
    return appended.length > 0
  }

  /** Flushes what was appended to one shard's journal, and works on while the others stand still. */
  flushOnly(shard: number): void {
    for (let round = 0; round < 20; round++) {
      const mine = this.#appended.filter((one) => one.shard === shard)
      this.#appended = this.#appended.filter((one) => one.shard !== shard)
      for (const { position } of mine) {
        this.journals[shard]?.flush(1)
        this.host.flushed(shard, position, this.nowMs)
      }
      this.settle()
    }
  }

  /** Lets time pass, in which every client is heard. */
  pass(ms: number): void {
    this.nowMs += ms
    for (const connection of this.#clients.keys()) this.host.heard(connection, this.nowMs)
    this.host.tick(this.nowMs)
    this.settle()
  }

  /** The process dies and starts again. @param survivors unflushed records that reached the disk all the same, per journal */
  crash(survivors = 0): void {
    this.journals = this.journals.map((journal) => journal.crash(survivors))
    this.tables = this.tables.map((tables) => tables.crash())
    this.#startAgain()
  }

  /** What a backup of every shard holds that is made now. */
  async backup(): Promise<MemoryTables[]> {
    await this.checkpoint()
    return Promise.all(this.tables.map(copyOf))
  }

  /** The process ends, and starts again on these backups, one per shard. */
  restore(backups: readonly MemoryTables[], epochMin?: number): void {
    this.journals = backups.map(() => new MemoryJournal({ flushing: 'manual' }))
    this.tables = [...backups]
    this.#startAgain(true, epochMin)
  }

  #startAgain(isRestored = false, epochMin?: number): void {
    this.#appended = []
    this.#verifying = []
    this.#writes = []
    for (const client of this.#clients.values()) client.lost()
    this.#clients.clear()
    // A new process numbers its connections anew.
    this.#connection = 1
    this.closes.clear()
    this.host = this.#open(isRestored, epochMin)
    this.settle()
  }

  /** Writes a checkpoint of every shard and trims its journal. */
  async checkpoint(between: () => void = () => undefined): Promise<void> {
    for (const [index, shard] of this.shards.entries()) {
      const { position } = shard
      await writeCheckpoint(shard, this.tables[index] ?? new MemoryTables(), between)
      await this.journals[index]?.trim(position)
    }
  }

  /** Submits an operator's command. */
  operate(shard: number, command: Parameters<Host['submit']>[0]): number {
    let code = -1
    this.host.submit(command, shard, (answer) => {
      code = answer.kind === 'reply' ? answer.code : answer.result.status
    })
    this.settle()
    return code
  }

  deleteUser(user: string): number {
    const validAfterMs = Math.floor(this.nowMs)
    return this.operate(this.host.shardOf(0, user), (origin) => ({ kind: 'userDelete', ...origin, user, validAfterMs }))
  }

  /** Makes a group with these members: all rights for the first, sending and receiving for the others. */
  group(name: string, ...users: readonly string[]): number {
    this.operate(this.host.shardOf(1, name), (origin) => ({ kind: 'groupCreate', ...origin, group: name, by: 0, byName: '' }))
    for (const user of users) this.member(name, user, user === users[0] ? 7 : 3)
    return this.host.queries.identityOf(1, name)
  }

  member(group: string, user: string, roles: number): number {
    return this.operate(this.host.shardOf(0, user), (origin) => ({ kind: 'memberSet', ...origin, group, user, roles, by: 0 }))
  }

  /** A new connection's number. */
  newConnection(client: Client): number {
    this.#connection += 1
    this.#clients.set(this.#connection, client)
    this.host.connected(this.#connection, this.nowMs)
    return this.#connection
  }

  hangUp(connection: number): void {
    this.#clients.delete(connection)
    this.host.closed(connection, this.nowMs)
  }

  #open(isRestored = false, epochMin?: number): Host {
    this.shards = this.tables.map((tables, index) => {
      const shard = new Shard(index, this.tables.length, tables)
      for (const { position, bytes } of this.journals[index]?.read(shard.position + 1) ?? [])
        shard.replay(position, decodeRecord(bytes))
      return shard
    })
    const host = new Host({
      shards: this.shards,
      positions: this.journals.map((journal) => journal.lastPosition),
      edge: this.#edge(),
      nowMs: this.nowMs,
      isRestored,
      ...(epochMin === undefined ? {} : { epochMin }),
      limits: this.#limits,
    })
    host.begin()
    return host
  }

  #edge(): HostEdge {
    return {
      write: (connection, bytes) => void this.#writes.push({ connection, bytes: bytes.slice() }),
      close: (connection, code) => void this.closes.set(connection, code),
      bufferedBytes: () => 0,
      setPaused: (connection, isPaused) => void (isPaused ? this.paused.add(connection) : this.paused.delete(connection)),
      append: (shard, position, bytes) => {
        void this.journals[shard]?.append(position, bytes)
        this.#appended.push({ shard, position })
      },
      verify: (connection, token) => void this.#verifying.push({ connection, token }),
      hash: (type, priority, receipts, body) => hashOf(type, priority, receipts, body),
      freeBytes: () => this.freeBytes,
    }
  }
}

/** The first name, made from this one, whose log lives in that shard. */
export function nameIn(world: World, kind: 0 | 1, name: string, shard: number): string {
  for (let at = 0; ; at++) if (world.host.shardOf(kind, `${name}${at}`) === shard) return `${name}${at}`
}

async function copyOf(tables: MemoryTables): Promise<MemoryTables> {
  const copy = new MemoryTables()
  const checkpoint = copy.beginCheckpoint()
  for (const [key, value] of tables.scan(Uint8Array.of(0), Uint8Array.of(255), 1_000_000)) checkpoint.put(key, value)
  await checkpoint.commit()
  return copy
}

/** The hash of a message's content. */
export function hashOf(type: number, priority: number, receipts: boolean, body: Uint8Array): string {
  const hash = createHash('sha256')
  hash.update(Uint8Array.of(type >>> 24, (type >>> 16) & 255, (type >>> 8) & 255, type & 255, priority, receipts ? 1 : 0))
  return hash.update(body).digest('binary').slice(0, 16)
}

/** Writes a checkpoint of a shard. `between` runs after every slice. */
export async function writeCheckpoint(
  shard: Shard,
  tables: MemoryTables,
  between: () => void = () => undefined,
  rows = 3,
): Promise<void> {
  const { generations } = shard.state
  generations.freeze()
  const checkpoint = tables.beginCheckpoint()
  for (const _ of generations.write(checkpoint, rows)) between()
  const committed = checkpoint.commit()
  between()
  await committed
  between()
  for (const _ of generations.release(rows)) between()
}

/** All rows of a shard, as bytes: what a checkpoint would make of its tables. The shard is of no use afterwards. */
export function dump(shard: Shard, tables: MemoryTables): string[] {
  const rows = new Map<string, string>()
  const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')
  for (const [key, value] of tables.scan(Uint8Array.of(0), Uint8Array.of(255), 1_000_000)) rows.set(hex(key), hex(value))
  const { generations } = shard.state
  generations.freeze()
  const checkpoint = {
    put: (key: Uint8Array, value: Uint8Array) => void rows.set(hex(key), hex(value)),
    delete: (key: Uint8Array) => void rows.delete(hex(key)),
    putKeys: (batch: KeyBatch) => {
      for (const [key, value] of keyRowsOf(batch)) rows.set(hex(key), hex(value))
    },
    commit: () => Promise.resolve(),
  }
  const slices = generations.write(checkpoint, 1_000)
  while (slices.next().done !== true);
  return [...rows].map(([key, value]) => `${key}=${value}`).sort()
}
