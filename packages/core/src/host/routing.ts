import { decodeCommand, encodeCommand } from '../shard/commands.ts'
import type { CountsMoved, Effects } from '../shard/effects.ts'
import type { Shard } from '../shard/shard.ts'
import { Fanout } from './fanout.ts'
import type { Greeting } from './greeting.ts'
import type { Gateway } from './gateway.ts'
import type { Session } from './session.ts'
import type { Volatile } from './volatile.ts'

/** Counts of group messages are told at most this often. */
const countsMs = 250
/** Up to so many readers of a log are woken in the turn in which something came. */
const wokenAtOnce = 16

/** Takes a record's effects to the sessions and shards that they concern. */
export class Routing {
  readonly #host: Gateway
  readonly #greeting: Greeting
  readonly #volatile: Volatile
  readonly #counts = new Map<string, CountsMoved>()
  #countsToldMs = 0
  /** Takes what is new in the logs of many to their readers. */
  readonly #waking = new Fanout(Number.POSITIVE_INFINITY)
  /** The lanes for which that is under way, by log: and whether something newer has come since. */
  readonly #woken = new Map<number, (boolean | undefined)[]>()

  constructor(host: Gateway, greeting: Greeting, volatile: Volatile) {
    this.#host = host
    this.#greeting = greeting
    this.#volatile = volatile
  }

  /** @param shard the shard that the effects come from */
  route(shard: number, effects: Effects): void {
    const host = this.#host
    for (const result of effects.results) {
      const { tag, ref, status, destination, count, timeMs } = result
      if (!host.answer(tag, ref, { kind: 'result', result }))
        host.tell(tag, { kind: 'result', ref, status, destination, count, timeMs })
    }
    for (const { tag, ref, code, value, isNew } of effects.replies) {
      if (!host.answer(tag, ref, { kind: 'reply', code, value, isNew })) host.tell(tag, { kind: 'reply', request: ref, code })
    }
    for (const result of effects.sessions) this.#greeting.applied(result)
    this.#wake(effects)
    for (const { tag, log, lane, upTo } of effects.acked) host.tell(tag, { kind: 'acked', log, lane, upTo })
    this.#toSenders(effects)
    this.#toUsers(effects)
    for (const { user, target } of effects.blocks) this.#volatile.blockChanged(user, target)
    this.#toShards(shard, effects)
  }

  /** Wakes the readers of what is new. */
  #wake(effects: Effects): void {
    for (const { log, lane } of effects.live) {
      const readers = this.#host.registry.ofLog(log)
      if (readers.length > wokenAtOnce) this.#wakeMany(log, lane, readers)
      else
        for (const session of readers) {
          session.pump.wake(log, lane)
          this.#host.ready(session)
        }
    }
  }

  /** Each reader gets all that there is by its turn; whoever had its turn when something newer came gets another. */
  #wakeMany(log: number, lane: number, targets: readonly Session[]): void {
    const woken = this.#woken.get(log) ?? []
    this.#woken.set(log, woken)
    const isUnderWay = woken[lane] !== undefined
    woken[lane] = isUnderWay
    if (isUnderWay) return
    const give = (session: Session): void => this.#host.wake(session, log, lane)
    const done = (): void => {
      const isAgain = woken[lane]
      woken[lane] = undefined
      if (woken.every((one) => one === undefined)) this.#woken.delete(log)
      if (isAgain === true) this.#wakeMany(log, lane, this.#host.registry.ofLog(log))
    }
    this.#waking.add({ targets, bytes: 0, give, done })
  }

  /** Goes on with what is new for many. @returns whether there is more to do at once */
  turn(): boolean {
    return this.#waking.turn()
  }

  /** Offers again what a shard owes to others. In an epoch that it has not begun yet, by the numbers that it then gives. */
  offerForwards(source: number, shard: Shard): void {
    const { forwards, meta } = shard.state
    const isNewEpoch = meta.epoch < this.#host.epoch
    for (let target = 0; target < this.#host.batchers.length; target++) {
      const waiting = forwards.scan(target, 0, undefined, Number.MAX_SAFE_INTEGER)
      for (const [at, [number, row]] of waiting.entries())
        this.#forward(source, target, isNewEpoch ? at + 1 : number, untagged(row.bytes))
    }
  }

  /** Tells the counts that have moved. */
  tick(): void {
    if (this.#counts.size === 0 || this.#host.nowMs - this.#countsToldMs < countsMs) return
    this.#countsToldMs = this.#host.nowMs
    // order: each is for a message of its own.
    for (const { sender, log, id, delivered, read, members } of [...this.#counts.values()]) {
      for (const session of this.#host.registry.ofUser(sender))
        session.send({ kind: 'counts', destination: log, id, delivered, read, members })
    }
    this.#counts.clear()
  }

  #toSenders(effects: Effects): void {
    const { registry } = this.#host
    for (const { sender, log, id, status } of effects.statuses) {
      for (const session of registry.ofUser(sender)) session.send({ kind: 'status', destination: log, id, status })
    }
    for (const { sender, log, lane, delivered, read } of effects.marks) {
      for (const session of registry.ofUser(sender)) session.send({ kind: 'mark', destination: log, lane, delivered, read })
    }
    for (const counts of effects.counts) {
      const key = `${counts.log}/${counts.sender}/${counts.id}`
      if (registry.ofUser(counts.sender).length > 0) this.#counts.set(key, counts)
      // Who comes back asks, and must not be told afterwards what had waited since before.
      else this.#counts.delete(key)
    }
  }

  #toUsers(effects: Effects): void {
    const host = this.#host
    for (const { user, log, lane, sender, mark } of effects.readMarks) {
      for (const session of host.registry.ofUser(user)) session.send({ kind: 'readMark', log, lane, sender, mark })
    }
    for (const { user, group, name, roles } of effects.memberships) {
      for (const session of host.registry.ofUser(user)) {
        session.send({ kind: 'group', identity: group, group: name, roles })
        if (roles === 0) continue
        if (!session.pump.has(group)) this.#greeting.attach(session, group)
      }
    }
    for (const { user, code, validAfterMs } of effects.ended) {
      for (const session of host.registry.ofUser(user)) {
        if (code !== 'token-revoked' || session.issuedAtMs <= validAfterMs) host.end(session, code)
      }
    }
  }

  #toShards(shard: number, effects: Effects): void {
    for (const { target, number, command } of effects.forwards) this.#forward(shard, target, number, command)
    const { epoch, batchers } = this.#host
    const done: number[] = []
    for (const { source, number } of effects.forwardsApplied) done[source] = Math.max(number, done[source] ?? 0)
    for (const [source, number] of done.entries())
      if (number !== undefined) batchers[source]?.submit({ kind: 'forwardDone', target: shard, epoch, number })
  }

  #forward(source: number, target: number, number: number, command: Uint8Array): void {
    this.#host.batchers[target]?.submit({ kind: 'forwarded', source, epoch: this.#host.epoch, number, command })
  }
}

/** A command of an earlier process: its tag is a connection of that one, and nobody here waits for it. */
function untagged(bytes: Uint8Array): Uint8Array {
  const command = decodeCommand(bytes)
  return 'tag' in command ? encodeCommand({ ...command, tag: 0 }) : bytes
}
