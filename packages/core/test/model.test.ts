import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Client, Draft, Sent } from './client.ts'
import { World } from './harness.ts'

/** What happens next in a world: few users, devices and ids, so that things meet. */
interface Step {
  readonly kind: 'send' | 'connect' | 'disconnect' | 'ack' | 'pass' | 'crash' | 'checkpoint' | 'query' | 'read' | 'stall' | 'go'
  readonly who: number
  readonly to: number
  readonly priority: number
  readonly expiryMs: number
  readonly size: number
}

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom<Step['kind']>(
      'send',
      'send',
      'send',
      'send',
      'send',
      'send',
      'connect',
      'connect',
      'connect',
      'disconnect',
      'ack',
      'ack',
      'ack',
      'pass',
      'pass',
      'crash',
      'checkpoint',
      'query',
      'query',
      'read',
      'stall',
      'go',
    ),
    who: fc.nat({ max: 4 }),
    to: fc.nat({ max: 3 }),
    priority: fc.nat({ max: 1 }),
    expiryMs: fc.constantFrom(300, 5_000, 100_000),
    size: fc.nat({ max: 500 }),
  }),
  { minLength: 10, maxLength: 90, size: 'max' },
)

interface Message {
  readonly device: number
  readonly to: string
  readonly draft: Draft
  readonly attempts: Sent[]
  rank: number
}

const users = ['alice', 'bob', 'carol'] as const
/** Statuses in the order in which they may follow one another. */
const ranks: Readonly<Record<string, number>> = { '': 0, unknown: 0, sent: 1, expired: 2, delivered: 3, read: 4 }

/** A world with clients whose outboxes behave as PROTOCOL.md says, and all that they ever sent. */
class Play {
  readonly world: World
  readonly clients: Client[]
  readonly messages: Message[] = []
  readonly #resentOn = new Map<number, number>()
  #id = 0n

  constructor(shards: number) {
    this.world = new World({ shards })
    const isRefused = ({ id }: { readonly id: bigint }): boolean => id % 5n === 0n
    const { world } = this
    this.clients = [
      world.online('alice', 1, { isAcking: false }),
      world.online('bob', 1, { isAcking: false, isRefused }),
      world.online('bob', 2, { isAcking: false }),
      world.online('carol', 1, { isAcking: false, isRefused }),
      world.online('alice', 2, { isAcking: false }),
    ]
    world.group('team', ...users)
  }

  async step(step: Step): Promise<void> {
    const client = this.clients[step.who]
    if (client === undefined) return
    switch (step.kind) {
      case 'send':
        return this.#send(step)
      case 'connect':
        return this.connect(step.who)
      case 'disconnect':
        return client.disconnect()
      case 'ack':
        return client.phase === 'live' ? this.#settled(() => client.ack()) : undefined
      case 'pass':
        return this.world.pass(step.size)
      case 'crash':
        return this.world.crash(step.size % 3)
      case 'checkpoint':
        return this.world.isFlushing ? this.world.checkpoint() : undefined
      case 'query':
        return this.query(this.messages[step.size % Math.max(1, this.messages.length)])
      case 'read':
        return this.#read(client, step.size)
      case 'stall':
        this.world.isFlushing = false
        return
      case 'go':
        return this.go()
      default:
        step.kind satisfies never
    }
  }

  /** Lets records be flushed again. */
  go(): void {
    this.world.isFlushing = true
    this.world.settle()
  }

  connect(who: number): void {
    const client = this.clients[who]
    if (client?.phase === 'offline') client.connect()
    this.world.settle()
    this.#resend(who)
    this.world.settle()
  }

  /** What has no verdict goes again on a new connection, in the order in which it was first sent, before anything new. */
  #resend(who: number): void {
    const client = this.clients[who]
    if (client?.phase !== 'live' || this.#resentOn.get(who) === client.connection) return
    this.#resentOn.set(who, client.connection)
    for (const message of this.messages) if (message.device === who && verdictOf(message) === '') this.#attempt(message)
  }

  #send({ who, to, priority, expiryMs }: Step): void {
    this.#id += 1n
    const address = to === 3 ? '#team' : (users[to] ?? 'bob')
    const draft = { id: this.#id, priority, deadlineMs: this.world.nowMs + expiryMs }
    const message: Message = { device: who, to: address, draft, attempts: [], rank: 0 }
    this.#resend(who)
    this.messages.push(message)
    if (this.clients[who]?.phase === 'live') this.#settled(() => this.#attempt(message))
  }

  #attempt(message: Message): void {
    const sent = this.clients[message.device]?.send(message.to, message.draft)
    if (sent !== undefined) message.attempts.push(sent)
  }

  #settled(act: () => void): void {
    act()
    this.world.settle()
  }

  /** Asks for a status, which never goes back. */
  query(message: Message | undefined): void {
    const client = message === undefined ? undefined : this.clients[message.device]
    if (message === undefined || client?.phase !== 'live' || message.draft.id === undefined) return
    const status = client.query(message.to, message.draft.id)
    const rank = ranks[status] ?? -1
    if (message.rank > 0 || rank > 0) expect([status, rank >= message.rank]).toEqual([status, true])
    message.rank = Math.max(rank, message.rank)
  }

  #read(client: Client, size: number): void {
    const entry = client.inbox[size % Math.max(1, client.inbox.length)]
    if (client.phase !== 'live' || entry === undefined) return
    this.#settled(() => client.read(entry))
  }
}

/** The verdict that its sender has had, '' for none. */
function verdictOf(message: Message): string {
  return message.attempts.find(({ status }) => status !== '')?.status ?? ''
}

/** The users, other than the sender, that have stored a message on some device. */
function storedBy(play: Play, message: Message): string[] {
  const sender = play.clients[message.device]?.user
  const isIt = (entry: { id: bigint; echoTo: unknown }): boolean => entry.id === message.draft.id && entry.echoTo === null
  const holders = play.clients.filter((client) => client.inbox.some(isIt)).map(({ user }) => user)
  return [...new Set(holders)].filter((user) => message.to === user || (message.to === '#team' && user !== sender)).sort()
}

function checkInboxes(play: Play): void {
  const seen = new Map<string, bigint>()
  for (const client of play.clients) {
    expect(client.lateCount).toBe(0)
    const keys = client.inbox.map(({ log, sender, id, echoTo }) => `${log}/${sender}/${id}/${echoTo?.to ?? ''}`)
    expect(new Set(keys).size).toBe(keys.length)
    const last = new Map<string, number>()
    const lastId = new Map<string, bigint>()
    for (const { log, lane, seq, id, sender, echoTo } of client.inbox) {
      const place = `${log}/${lane}`
      expect(seq).toBeGreaterThan(last.get(place) ?? 0)
      last.set(place, seq)
      expect(seen.get(`${place}/${seq}`) ?? id).toBe(id)
      seen.set(`${place}/${seq}`, id)
      if (echoTo !== null) continue
      const device = play.messages.find(({ draft }) => draft.id === id)?.device
      const stream = `${place}/${sender}/${device}`
      expect(id).toBeGreaterThan(lastId.get(stream) ?? 0n)
      lastId.set(stream, id)
    }
  }
}

function checkStatuses(play: Play): void {
  for (const message of play.messages) {
    const holders = storedBy(play, message)
    play.query(message)
    const client = play.clients[message.device]
    const state = client?.queryState(message.to, message.draft.id ?? 0n)
    const status = state?.status ?? ''
    const members = message.to === '#team' ? 2 : 1
    if (message.to === '#team')
      expect([message.draft.id, status === 'unknown' ? holders.length : state?.delivered]).toEqual([
        message.draft.id,
        holders.length,
      ])
    if (verdictOf(message) === 'sent') expect(status).not.toBe('unknown')
    if (status === 'delivered' || status === 'read') expect(holders).toHaveLength(members)
    else if (holders.length > 0) expect([message.to, holders.length]).toEqual(['#team', 1])
    else expect([status, holders]).toEqual([status, []])
  }
}

describe.each([1, 4])('with %i shards, seen from outside', (shards) => {
  it('[I1] [I2] [I3] [I4] [I5] [I6] whatever connects, crashes and stalls: each message is stored once, in order, in time, or honestly expired', async () => {
    await fc.assert(
      fc.asyncProperty(steps, async (history) => {
        const play = new Play(shards)
        for (const step of history) await play.step(step)
        play.go()
        for (let who = 0; who < play.clients.length; who++) play.connect(who)
        for (const client of play.clients) {
          client.isAcking = true
          client.ack()
        }
        play.world.settle()
        for (const ms of [200, 400, 120_000, 200, 400, 1_000]) play.world.pass(ms)
        checkInboxes(play)
        checkStatuses(play)
      }),
      { seed: 42, numRuns: Number(process.env.RUNS ?? 100) },
    )
  })
})
