/** How long the longest record takes to apply when a device says much at once: the event loop stands still for as long. */
import { type Command, defaultSettings, MemoryTables, Shard } from '@posthaste/core'
import type { Figure } from './ground.ts'
import { medianOf } from './quantiles.ts'

const runs = 5
const messages = 80_000
const lane = 8
const dayMs = 86_400_000
const origin = { tag: 0, ref: 0 }
const device = '1'.repeat(32)
const body = new Uint8Array(100)

/** The figures of `applying`. Each record does the same in every run: its median leaves out what else the machine did, and garbage collection. */
export function measureApplying(): Promise<Figure[]> {
  const byName = new Map<string, number[][]>()
  for (let run = 0; run <= runs; run++) {
    for (const [name, ms] of [...ofOwnLog(), ...ofGroup()]) {
      // The first run warms up.
      if (run > 0) byName.set(name, [...(byName.get(name) ?? []), ms])
    }
  }
  const figures = [...byName].map(([name, times]) => {
    const medians = (times[0] ?? []).map((_, record) => medianOf(times.map((ms) => ms[record] ?? 0)))
    const measured = `${Math.max(...medians).toFixed(1)} ms, the longest of ${medians.length} records`
    return { name: `applying: ${name}`, target: '', measured }
  })
  return Promise.resolve(figures)
}

function* ofOwnLog(): Generator<[string, number[]]> {
  const ground = new Ground()
  const hello = (session: number, seq: number): Command => {
    const cursors = [{ lane, seq, notStored: [] }]
    const log = ground.identity(0, 'bob')
    return { kind: 'session', ...origin, user: 'bob', issuedAtMs: ground.clockMs + 1, device, session, epoch: 1, log, cursors }
  }
  ground.apply({ kind: 'userCreate', ...origin, user: 'alice' }, hello(1, 0), {
    ...hello(1, 0),
    device: '2'.repeat(32),
  } as Command)
  ground.fill(0, 'bob')
  yield [`HELLO passes ${messages} messages to a user`, ground.settle(hello(2, messages))]
  ground.settle(hello(3, 0))
  yield ['the same again, after a HELLO back to 0', ground.settle(hello(4, messages))]
}

function* ofGroup(): Generator<[string, number[]]> {
  const ground = new Ground()
  for (const user of ['alice', 'bob']) ground.apply({ kind: 'userCreate', ...origin, user })
  const [alice, user] = [ground.identity(0, 'alice'), ground.identity(0, 'bob')]
  ground.apply(
    { kind: 'groupCreate', ...origin, group: 'team', by: alice, byName: 'alice' },
    { kind: 'memberSet', ...origin, group: 'team', user: 'bob', roles: 3, by: 0 },
  )
  const log = ground.identity(1, 'team')
  ground.apply({ kind: 'attach', ...origin, group: log, user, device, session: 1, epoch: 1, cursors: [], devices: [device] })
  ground.fill(1, 'team')
  const who = { ...origin, log, user, device, session: 1, lane }
  yield [`ACK passes ${messages} messages to a group`, ground.settle({ kind: 'ack', ...who, upTo: messages, notStored: [] })]
  yield ['READ of all these', ground.settle({ kind: 'read', ...who, seq: messages, sender: 0, count: 0 })]
  ground.clockMs += dayMs
  yield ['all these close and are trimmed', ground.settle()]
}

/** A shard without a journal. */
class Ground {
  clockMs = 1_700_000_000_000
  readonly #shard = new Shard(0, 1, new MemoryTables())
  #number = 0

  constructor() {
    const settings = { ...defaultSettings, inboxEntries: 4 * messages, groupEntries: 4 * messages }
    this.apply({ kind: 'begin', incarnation: 1, epoch: 1, shards: 1 }, { kind: 'settings', ...settings })
  }

  identity(kind: 0 | 1, name: string): number {
    return this.#shard.state.addresses.get(kind, name)?.identity ?? 0
  }

  /** @returns the ms that it took */
  apply(...commands: Command[]): number {
    this.#number += 1
    const beganMs = performance.now()
    this.#shard.apply(this.#number, { clockMs: this.clockMs, incarnation: 1, number: this.#number, commands })
    return performance.now() - beganMs
  }

  /** Applies these, and empty records as long as something is left: the ms of each. */
  settle(...commands: Command[]): number[] {
    const ms = [this.apply(...commands)]
    while ((this.#shard.nextDueMs(this.clockMs) ?? Number.POSITIVE_INFINITY) <= this.clockMs) ms.push(this.apply())
    return ms
  }

  fill(toKind: 0 | 1, to: string): void {
    const sender = this.identity(0, 'alice')
    const common = {
      sender,
      senderName: 'alice',
      device: '9'.repeat(32),
      toKind,
      to,
      type: 0,
      priority: lane,
      receipts: true,
    } as const
    for (let id = 1; id <= messages; id++)
      this.apply({
        kind: 'send',
        ...origin,
        ...common,
        id: BigInt(id),
        deadlineMs: this.clockMs + dayMs,
        isTooLarge: false,
        hash: '0'.repeat(16),
        body,
      })
    this.settle()
  }
}
