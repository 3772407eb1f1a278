import type { Client } from '../../packages/core/test/client.ts'
import type { World } from '../../packages/core/test/harness.ts'
import { secret } from './hostileClient.ts'
import { Violation } from './target.ts'

/** Ids below this are those of messages that anybody may get. */
const firstId = 1_000_000n

/** A message, and what each attempt to send it was told. */
interface Message {
  readonly to: string
  readonly id: bigint
  readonly deadlineMs: number
  readonly statuses: (() => string)[]
}

/** Two users, one of them with two devices, and a group of theirs, who do nothing wrong: whatever others do, nothing of that may change. */
export class HonestPair {
  readonly #world: World
  readonly #clients: readonly [alice: Client, bob: Client, tablet: Client]
  readonly #sent: Message[] = []
  #openId = 0n

  constructor(world: World) {
    this.#world = world
    this.#clients = [world.online('alice'), world.online('bob'), world.online('bob', 2)]
    world.group('club', 'alice', 'bob')
  }

  /** Alice sends a message to bob, to the group of the two, or to one of which others are members too. */
  send(to: 'bob' | '#club' | '#room'): void {
    if (to === '#room') return this.#sendOpenly()
    const id = firstId + BigInt(this.#sent.length)
    const message: Message = { to, id, deadlineMs: this.#world.nowMs + 86_400_000, statuses: [] }
    this.#sent.push(message)
    this.#attempt(message)
  }

  /** The server has crashed: connects again, and sends again what was not answered. */
  reconnect(): void {
    for (const client of this.#clients) if (client.phase === 'offline') client.connect()
    this.#world.settle()
    for (const message of this.#sent) if (!message.statuses.some((status) => status() !== '')) this.#attempt(message)
  }

  /** Nobody has noticed anything. @throws Violation */
  check(): void {
    const [alice, bob, tablet] = this.#clients
    for (const { user, phase, ended, error } of this.#clients)
      if (phase !== 'live') throw new Violation(`${user}'s session is ${phase}: ${ended} ${error}`)
    for (const { inbox, user } of [bob, tablet]) {
      const stored = inbox.filter(({ sender }) => sender === alice.identity).map(({ id }) => id)
      for (const to of ['bob', '#club']) {
        const ids = new Set(this.#sent.filter((message) => message.to === to).map(({ id }) => id))
        const got = stored.filter((id) => ids.has(id))
        if (got.join() !== [...ids].join()) throw new Violation(`${user} got ${got.join()} of ${[...ids].join()} to ${to}`)
      }
      // Others may have made bob a member of the open group, whose messages have other ids.
      const count = stored.filter((id) => id >= firstId).length
      if (count !== this.#sent.length) throw new Violation(`${user} got ${count} messages of ${this.#sent.length}`)
    }
    for (const { to, id, statuses } of this.#sent) {
      const told = statuses.map((status) => status()).filter((status) => status !== '')
      if (!told.every((status) => status === 'sent' || status === 'delivered'))
        throw new Violation(`message ${id} is ${told.join()}`)
      const status = alice.query(to, id)
      if (status !== 'delivered') throw new Violation(`message ${id} to ${to} is ${status}, not delivered`)
    }
  }

  /** Whatever becomes of it: others may delete the group. */
  #sendOpenly(): void {
    const [alice] = this.#clients
    if (alice.phase !== 'live') return
    this.#openId += 1n
    alice.send('#room', { id: this.#openId, body: 'for all' })
    this.#world.settle()
  }

  #attempt(message: Message): void {
    const [alice] = this.#clients
    if (alice.phase !== 'live') return
    const { to, id, deadlineMs } = message
    const sent = alice.send(to, { id, deadlineMs, body: `${secret} ${id}` })
    message.statuses.push(() => sent.status)
    this.#world.settle()
  }
}
