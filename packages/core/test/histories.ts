import { Writer } from '@posthaste/protocol'
import fc from 'fast-check'
import { decodeRecord, MemoryTables, Shard } from '../src/index.ts'
import { defaultSettings } from '../src/rows/rows.ts'
import type { Command, CommandOf } from '../src/shard/commands.ts'
import { encodeRecord } from '../src/shard/commands.ts'
import type { Effects } from '../src/shard/effects.ts'
import { type Pace, shardOfIdentity, shardOfName } from '../src/shard/state.ts'
import { hashOf, startMs } from './harness.ts'

/** One step of a random history, over few of everything so that steps meet. */
export interface Step {
  readonly kind: StepKind
  readonly user: number
  readonly other: number
  readonly device: number
  readonly isGroup: boolean
  readonly lane: number
  readonly id: number
  readonly size: number
  readonly ms: number
  readonly isEnd: boolean
}

const stepKinds = [
  'send',
  'send',
  'send',
  'send',
  'send',
  'session',
  'session',
  'ack',
  'ack',
  'ack',
  'attach',
  'attach',
  'read',
  'sessionEnd',
  'groupCreate',
  'groupDelete',
  'memberSet',
  'memberSet',
  'memberSet',
  'block',
  'userDelete',
  'revoke',
  'begin',
  'pass',
  'pass',
] as const
type StepKind = (typeof stepKinds)[number]

/** Random steps. */
export const steps = (max: number): fc.Arbitrary<Step[]> =>
  fc.array(
    fc.record({
      kind: fc.constantFrom(...stepKinds),
      user: fc.nat({ max: 2 }),
      other: fc.nat({ max: 2 }),
      device: fc.nat({ max: 2 }),
      isGroup: fc.boolean(),
      lane: fc.nat({ max: 1 }),
      id: fc.nat({ max: 12 }),
      size: fc.nat({ max: 40 }),
      ms: fc.oneof(
        { weight: 30, arbitrary: fc.constantFrom(0, 1, 1_000, 60_000) },
        { weight: 3, arbitrary: fc.constantFrom(3_700_000, 90_000_000) },
        { weight: 1, arbitrary: fc.constant(31 * 86_400_000) },
      ),
      isEnd: fc.boolean(),
    }),
    { minLength: 1, maxLength: max, size: 'max' },
  )

/** What a shard did with a record. */
export interface Applied {
  readonly position: number
  readonly bytes: Uint8Array
  readonly effects: string
}

const tinySettings = {
  ...defaultSettings,
  bodyBytes: 36,
  // Short, so that deleted addresses end within a history.
  expirySecondsMax: 172_800,
  devicesPerUser: 2,
  inboxEntries: 6,
  inboxBytes: 4_000,
  groupEntries: 5,
  groupsPerUser: 2,
  membersPerGroup: 3,
}

/** Turns steps into records of all shards, and applies them; what shards forward goes its way as the host sends it. */
export class History {
  readonly shards: Shard[] = []
  readonly tables: MemoryTables[] = []
  readonly applied: Applied[][] = []
  readonly #pending: Command[][] = []
  readonly #numbers: number[] = []
  #clockMs = startMs
  #incarnation = 1
  #session = 0
  readonly #sessions = new Map<string, number>()

  constructor(count: number, pace?: Pace) {
    for (let index = 0; index < count; index++) {
      const tables = new MemoryTables()
      this.tables.push(tables)
      this.shards.push(new Shard(index, count, tables, pace))
      this.applied.push([])
      this.#pending.push([])
      this.#numbers.push(0)
    }
    for (let index = 0; index < count; index++)
      this.#pending[index]?.push(
        { kind: 'begin', incarnation: 1, epoch: 1, shards: count },
        { kind: 'settings', ...tinySettings },
      )
    this.#cut()
  }

  /** Runs the steps to the end. */
  run(steps: readonly Step[]): void {
    this.#begins()
    for (const step of steps) {
      this.#take(step)
      if (step.isEnd) this.#cut()
    }
    for (let round = 0; round < 8; round++) this.#cut()
  }

  /** Users with a device each, and two groups with their readers. */
  #begins(): void {
    const step: Step = {
      kind: 'session',
      user: 0,
      other: 0,
      device: 0,
      isGroup: true,
      lane: 0,
      id: 0,
      size: 40,
      ms: 0,
      isEnd: false,
    }
    for (const user of [0, 1, 2]) this.#take({ ...step, user })
    for (const other of [0, 1]) this.#take({ ...step, kind: 'groupCreate', other })
    this.#cut()
    for (const user of [0, 1, 2]) this.#take({ ...step, kind: 'memberSet', user, id: 7, other: user })
    for (const user of [0, 1]) this.#take({ ...step, kind: 'memberSet', user, id: 3, other: 1 - user })
    for (let round = 0; round < 6; round++) this.#cut()
    for (const user of [0, 1, 2]) for (const other of [0, 1]) this.#take({ ...step, kind: 'attach', user, other })
  }

  #cut(): void {
    for (const [index, shard] of this.shards.entries()) {
      const commands = this.#pending[index]?.splice(0) ?? []
      this.#numbers[index] = (this.#numbers[index] ?? 0) + 1
      const record = { clockMs: this.#clockMs, incarnation: this.#incarnation, number: this.#numbers[index] ?? 0, commands }
      const bytes = encodeRecord(record, new Writer())
      const position = shard.position + 1
      const effects = shard.apply(position, decodeRecord(bytes))
      this.applied[index]?.push({ position, bytes, effects: textOf(effects) })
      for (const { target, number, command } of effects.forwards)
        this.#pending[target]?.push({ kind: 'forwarded', source: index, epoch: 1, number, command })
      for (const { source, number } of effects.forwardsApplied)
        this.#pending[source]?.push({ kind: 'forwardDone', target: index, epoch: 1, number })
    }
  }

  #submit(command: Command, shard: number): void {
    this.#pending[shard]?.push(command)
  }

  #byName(kind: 0 | 1, name: string): Shard | undefined {
    return this.shards[shardOfName(kind, name, this.shards.length)]
  }

  #identity(kind: 0 | 1, name: string): number {
    return this.#byName(kind, name)?.state.addresses.get(kind, name)?.identity ?? 0
  }

  #take(step: Step): void {
    const user = `u${step.user}`
    const group = `g${step.other % 2}`
    const name = step.isGroup ? group : `u${step.other}`
    const to = { toKind: step.isGroup ? 1 : 0, to: name } as const
    const self = this.#identity(0, user)
    const origin = { tag: 7, ref: 1 }
    const count = this.shards.length
    const home = shardOfName(0, user, count)
    switch (step.kind) {
      case 'pass':
        this.#clockMs += step.ms
        return
      case 'begin':
        return this.#begin(step)
      case 'send':
        return this.#send(step, { user, self, ...to })
      case 'session':
      case 'sessionEnd':
      case 'attach':
      case 'ack':
      case 'read':
        return this.#device(step, { user, self, group })
      case 'groupCreate':
        return this.#submit(
          { kind: 'groupCreate', ...origin, group, by: step.isEnd ? self : 0, byName: user },
          shardOfName(1, group, count),
        )
      case 'groupDelete':
        if (step.size < 38) return
        return this.#submit({ kind: 'groupDelete', ...origin, group, by: step.isEnd ? self : 0 }, shardOfName(1, group, count))
      case 'memberSet':
        return this.#submit(
          { kind: 'memberSet', ...origin, group, user, roles: rolesOf[step.id % 6] ?? 3, by: step.isEnd ? self : 0 },
          home,
        )
      case 'block':
        return this.#submit(
          {
            kind: 'block',
            ...origin,
            user: self,
            target: this.#identity(0, `u${step.other}`),
            targetName: `u${step.other}`,
            isBlocked: step.id > 8,
          },
          shardOfIdentity(self, count),
        )
      case 'userDelete':
        return step.size < 38 ? undefined : this.#submit({ kind: 'userDelete', ...origin, user, validAfterMs: 0 }, home)
      case 'revoke':
        return step.size < 30
          ? undefined
          : this.#submit({ kind: 'revoke', ...origin, user, validAfterMs: this.#clockMs - step.ms }, home)
      default:
        step.kind satisfies never
    }
  }

  /** A new incarnation: all records that were submitted are in, and the shards' queues are offered again. */
  #begin(step: Step): void {
    if (step.size < 25) return
    this.#cut()
    for (const pending of this.#pending) pending.length = 0
    this.#incarnation += 1
    for (const [index, shard] of this.shards.entries()) {
      this.#numbers[index] = 0
      this.#pending[index]?.push({ kind: 'begin', incarnation: this.#incarnation, epoch: 1, shards: this.shards.length })
      for (let target = 0; target < this.shards.length; target++)
        for (const [number, row] of shard.state.forwards.scan(target, 0, undefined, 1_000))
          this.#pending[target]?.push({ kind: 'forwarded', source: index, epoch: 1, number, command: row.bytes })
    }
  }

  #send(step: Step, who: { user: string; self: number; toKind: 0 | 1; to: string }): void {
    if (who.self === 0) return
    const body = new Uint8Array(step.size)
    const device = deviceId(step.device)
    const deadlineMs = this.#clockMs + (step.ms < 2 ? 86_400_000 : Math.min(step.ms, 86_400_000))
    const { lane: priority, isEnd: receipts } = step
    this.#submit(
      {
        kind: 'send',
        tag: 7,
        ref: 1,
        sender: who.self,
        senderName: who.user,
        device,
        toKind: who.toKind,
        to: who.to,
        id: BigInt(step.id),
        type: 0,
        priority,
        deadlineMs,
        receipts,
        isTooLarge: false,
        hash: hashOf(0, priority, receipts, body),
        body,
      },
      shardOfName(who.toKind, who.to, this.shards.length),
    )
  }

  #device(step: Step, who: { user: string; self: number; group: string }): void {
    const device = deviceId(step.size < 30 ? 0 : step.device)
    const key = `${who.user}/${device}`
    const session = this.#sessions.get(key) ?? 0
    const log = step.isGroup ? this.#identity(1, who.group) : who.self
    const shard = shardOfIdentity(log, this.shards.length)
    const head = this.shards[shard]?.state.log(log)?.lanes[step.lane]?.head ?? 0
    const upTo = Math.min(head, Math.ceil((head * (step.id + 4)) / 10))
    const notStored = step.size < 15 && upTo > 0 ? [{ from: Math.max(1, upTo - (step.size % 4)), to: upTo }] : []
    const { user, self } = who
    const origin = { tag: 7, ref: 1 }
    const cursors: CommandOf<'session'>['cursors'] =
      upTo > 0 ? [{ lane: step.lane, seq: step.id === 12 ? head + 3 : upTo, notStored }] : []
    const epoch = step.size === 33 ? 0 : 1
    switch (step.kind) {
      case 'session':
        if (step.size < 10) return
        this.#session += 1
        this.#sessions.set(key, this.#session)
        return this.#submit(
          {
            kind: 'session',
            ...origin,
            user,
            issuedAtMs: this.#clockMs + 1,
            device,
            session: this.#session,
            epoch,
            log: self,
            cursors,
          },
          shardOfName(0, user, this.shards.length),
        )
      case 'sessionEnd':
        if (step.size > 10) return
        return this.#submit({ kind: 'sessionEnd', user: self, device, session }, shardOfIdentity(self, this.shards.length))
      case 'attach': {
        const devices = step.size % 2 === 0 ? [] : [device]
        return this.#submit(
          { kind: 'attach', ...origin, group: log, user: self, device, session, epoch, cursors, devices },
          shard,
        )
      }
      case 'ack':
        return this.#submit({ kind: 'ack', ...origin, log, user: self, device, session, lane: step.lane, upTo, notStored }, shard)
      default: {
        const sender = step.isGroup ? 0 : this.#identity(0, `u${step.other}`)
        return this.#submit(
          { kind: 'read', ...origin, log, user: self, device, session, lane: step.lane, seq: upTo, sender, count: upTo },
          shard,
        )
      }
    }
  }
}

const rolesOf = [0, 1, 3, 3, 3, 7]

function deviceId(device: number): string {
  return `${device}`.repeat(32)
}

/** Effects as text, so that they can be compared. */
export function textOf(effects: Effects): string {
  return JSON.stringify(effects, (_key, value: unknown) => {
    if (typeof value === 'bigint') return `${value}n`
    return value instanceof Uint8Array ? Buffer.from(value).toString('hex') : value
  })
}
