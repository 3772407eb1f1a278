import { type ClientPacket, clientShapes, limits } from '@posthaste/protocol'
import type { Choices } from './choices.ts'
import type { HostileClient } from './hostileClient.ts'

/** Users and groups that are there, some of them none of a hostile client's business, and such as are not. */
export const names = ['mallory', 'trudy', 'alice', 'bob', 'room', 'club', 'evil', 'nobody', 'ü€😀'.repeat(14)] as const

const top = limits.numberMax
const kinds = clientShapes.map(({ kind }) => kind)

/** Makes packets that the decoder takes, for a client that knows a little of the server's state. */
export class HostilePackets {
  readonly #choices: Choices
  readonly #client: HostileClient

  constructor(choices: Choices, client: HostileClient) {
    this.#choices = choices
    this.#client = client
  }

  /** Any packet. SENDs have a right ref mostly: else nothing would come of the second one. */
  any(): ClientPacket {
    const choices = this.#choices
    const kind = choices.oneIn(2) ? choices.pick(['send', 'ack', 'read', 'query'] as const) : choices.pick(kinds)
    switch (kind) {
      case 'hello':
        return this.hello()
      case 'renew':
        return { kind, token: choices.pick([...names, '', 'bad@', 'mallory@0']) }
      case 'ping':
        return { kind, clientTime: choices.pick([0, top]) }
      case 'send':
        return this.#send()
      case 'resume':
        return { kind, ref: this.#ref(this.#client.refusedRef) }
      case 'ack': {
        const { log, lane, seq } = this.#place()
        return { kind, log, lane, upTo: seq, notStored: this.#ranges() }
      }
      case 'read':
        return { kind, ...this.#place(), sender: this.#log(), count: this.#seq() }
      case 'realtimeAck':
        return { kind, token: this.#ref(this.#client.token) }
      default:
        return this.#request(kind)
    }
  }

  /** A HELLO with a session that may be stale, and cursors that may never have been. */
  hello(): ClientPacket {
    const { choices, client } = { choices: this.#choices, client: this.#client }
    const cursors = Array.from({ length: choices.below(8) }, () => ({
      ...this.#place(),
      notStored: this.#ranges(),
    }))
    return {
      kind: 'hello',
      versionMin: choices.oneIn(16) ? choices.byte() : 1,
      versionMax: choices.oneIn(16) ? choices.byte() : 1,
      token: choices.oneIn(16) ? choices.pick(['', '.', 'bad\u0000', 'mallory@0']) : client.user,
      device: new Uint8Array(16).fill(choices.oneIn(4) ? choices.byte() : 1),
      session: choices.pick([client.session, client.session, client.session, 0, Math.max(0, client.session - 1), top]),
      agent: '',
      epoch: choices.pick([client.epoch, client.epoch, 0, 1, 2, top]),
      cursors,
    }
  }

  #send(): ClientPacket {
    const { choices, client } = { choices: this.#choices, client: this.#client }
    const ref = this.#ref(client.nextRef)
    if (ref === client.nextRef && client.refusedRef === 0) client.nextRef += 1
    const nowMs = client.world.nowMs
    return {
      kind: 'send',
      ref,
      ...this.#to(),
      id: this.#id(),
      type: choices.pick([0, 1, limits.typeMax]),
      priority: this.#lane(),
      deadlineMs: choices.pick([nowMs + 60_000, nowMs + 60_000, nowMs + 3_600_000, nowMs + 1, nowMs, 0, nowMs + 2.6e9, top]),
      receipts: !choices.oneIn(4),
      body: new Uint8Array(choices.pick([0, 1, 100, 1_000, 65_536, 65_537])),
    }
  }

  #request(
    kind: Exclude<ClientPacket['kind'], 'hello' | 'renew' | 'ping' | 'send' | 'resume' | 'ack' | 'read' | 'realtimeAck'>,
  ): ClientPacket {
    const choices = this.#choices
    const request = choices.pick([1, 2, 0, 0xffff_ffff])
    const group = choices.pick(names)
    const user = choices.pick(names)
    const limit = choices.pick([1, 2, 256])
    switch (kind) {
      case 'query':
        return { kind, request, messages: this.#list(() => ({ ...this.#to(), id: this.#id() })) }
      case 'realtime':
        return { kind, request, ...this.#to(), id: this.#id(), type: 0, priority: this.#lane(), body: choices.bytes(4) }
      case 'typing':
        return { kind, ...this.#to(), isActive: choices.oneIn(2) }
      case 'watch':
        return { kind, users: this.#list(() => choices.pick(names)), isOn: choices.oneIn(2) }
      case 'groupCreate':
      case 'groupDelete':
        return { kind, request, group }
      case 'memberSet':
        return { kind, request, group, user, roles: choices.below(8) }
      case 'members':
        return { kind, request, group, after: choices.pick(['', ...names, '\u{10ffff}']), limit }
      case 'receipts':
        return { kind, request, group, id: this.#id(), after: choices.pick(['', ...names]), limit }
      case 'block':
        return { kind, request, user, isBlocked: choices.oneIn(2) }
      default:
        return kind satisfies never
    }
  }

  #to(): { readonly toKind: 0 | 1; readonly to: string } {
    const to = this.#choices.pick(names)
    const isGroup = (to === 'room' || to === 'club' || to === 'evil') !== this.#choices.oneIn(16)
    return { toKind: isGroup ? 1 : 0, to }
  }

  /** Up to 256 of three different ones: the choices shall last for more than one long list. */
  #list<T>(make: () => T): T[] {
    const [one, two, three] = [make(), make(), make()]
    return Array.from({ length: this.#choices.pick([1, 2, 0, 256]) }, (_item, at) =>
      at % 3 === 0 ? one : at % 3 === 1 ? two : three,
    )
  }

  #id(): bigint {
    return this.#choices.pick([1n, 2n, 3n, 4n, 0n, 5n, BigInt(this.#choices.byte()), limits.idMax])
  }

  #lane(): number {
    return this.#choices.pick([8, 8, 0, 15])
  }

  #ref(right: number): number {
    return this.#choices.oneIn(16) ? this.#choices.pick([0, 1, right + 1, 0xffff_ffff]) : right
  }

  /** An identity: of whoever is there, or nobody's. */
  #log(): number {
    const { choices, client } = { choices: this.#choices, client: this.#client }
    const name = choices.pick(names)
    const { queries } = client.world.host
    const identity = queries.identityOf(0, name) || queries.identityOf(1, name)
    const entry = client.entries[0]?.log ?? client.identity
    return choices.pick([client.identity, client.identity, entry, identity, 0, 1, top])
  }

  /** A place in a log: mostly that of an entry that it has got. */
  #place(): { readonly log: number; readonly lane: number; readonly seq: number } {
    const entry = this.#client.entries[this.#choices.below(4)]
    if (entry === undefined || this.#choices.oneIn(4)) return { log: this.#log(), lane: this.#lane(), seq: this.#seq() }
    const { log, lane, seq } = entry
    return { log, lane, seq }
  }

  #seq(): number {
    const last = this.#client.entries[0]
    return this.#choices.pick([last?.seq ?? 1, last?.seq ?? 1, last?.count ?? 1, (last?.seq ?? 1) + 1, 0, 1, 2, top])
  }

  #ranges(): { from: number; to: number }[] {
    if (this.#choices.oneIn(2)) return []
    return this.#list(() => ({ from: this.#seq(), to: this.#seq() }))
  }
}
